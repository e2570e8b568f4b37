"""Networks on a link of the host: what their options say of that parent, and who can share one. Pure.

A link hands what it receives to one taker only (the kernel's rx_handler): it is a port of a bridge, or carries macvlan
links, or ipvlan links. All of that can be told before anything is touched.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ..errors import Diagnostic, Mark
from ..load.tree import Map
from ..model import Network, Sandbox
from ..options import BridgeOptions, IpvlanOptions, MacvlanOptions, VlanOptions
from . import fields
from .linknames import name_fault

_VLAN = re.compile(r"(.+)\.([1-9][0-9]{0,3})")
LARGEST_VLAN = 4094


class Parent(NamedTuple):
    """A parent as the file names it; `vlan` is the number in a name such as eth0.50."""

    name: str
    vlan: int | None


def read_parent(source: Map, found: list[Diagnostic]) -> Parent:
    """The key `parent` of a network's options."""
    name = fields.text(source, "parent") or ""
    mark = source.value_mark("parent")
    if not name:
        hint = "write 'options: {parent: LINK}', with a link of the host"
        found.append(Diagnostic("missing-key", "the network has no 'parent'", mark, hint))
        return Parent(name, None)
    if fault := name_fault(name):
        found.append(fault.at(mark))
        return Parent(name, None)
    if name == "lo":
        found.append(
            Diagnostic("bad-value", "the loopback device carries no network", mark, "name another link")
        )
    match = _VLAN.fullmatch(name)
    number = int(match[2]) if match else 0
    return Parent(name, number if 1 <= number <= LARGEST_VLAN else None)


class _Use(NamedTuple):
    """What a network does with a link of the host. `together`: what every network on that link must say alike."""

    kind: str
    network: Network
    alone: str | None = None
    together: str = ""


def check_parents(networks: Iterable[Network], sandboxes: Iterable[Sandbox]) -> Iterator[Diagnostic]:
    """A diagnostic for each network that cannot have the parent because of one before it, or of its own endpoints."""
    networks = [network for network in networks if _is_complete(network)]
    yield from _crowded(networks, sandboxes)
    yield from _same_vlan(networks)
    first: dict[str, _Use] = {}
    for network in networks:
        for parent, use in _uses(network):
            earlier = first.setdefault(parent, use)
            if earlier is not use and (problem := _problem(parent, earlier, use)):
                message, hint = problem
                related = ((f"network '{earlier.network.name}' is here", earlier.network.mark),)
                yield Diagnostic("conflict", message, network.mark, hint, related)


def _is_complete(network: Network) -> bool:
    match network.options:
        case MacvlanOptions() | IpvlanOptions() | VlanOptions() as options:
            return bool(options.parent)
        case _:
            return True


def _crowded(networks: Iterable[Network], sandboxes: Iterable[Sandbox]) -> Iterator[Diagnostic]:
    """Networks that one endpoint has to itself, with a second one."""
    alone = {network.name: hint for network in networks if (hint := _room_for_one(network))}
    held: dict[str, tuple[str, Mark]] = {}
    for sandbox in sandboxes:
        for endpoint in sandbox.endpoints:
            if endpoint.network not in alone:
                continue
            title = f"{sandbox.name}/{endpoint.name}"
            if earlier := held.get(endpoint.network):
                message = f"'{title}' joins network '{endpoint.network}', which '{earlier[0]}' has to itself"
                related = ((f"'{earlier[0]}' is here", earlier[1]),)
                yield Diagnostic("conflict", message, endpoint.mark, alone[endpoint.network], related)
            else:
                held[endpoint.network] = (title, endpoint.mark)


def _room_for_one(network: Network) -> str | None:
    """What to do instead, for a network that takes a single endpoint on a host."""
    match network.options:
        case MacvlanOptions(mode="passthru"):
            return "mode passthru has room for one endpoint; choose another mode"
        case VlanOptions(parent=parent, id=number):
            return f"a VLAN link is one endpoint; for several use macvlan or ipvlan with 'parent: {parent}.{number}'"
        case _:
            return None


def _same_vlan(networks: Iterable[Network]) -> Iterator[Diagnostic]:
    """Networks that need a VLAN of a link that another one has for its endpoint."""
    first: dict[tuple[str, int, str], tuple[Network, bool]] = {}
    for network in networks:
        for vlan, alone in _vlans(network):
            earlier, had_alone = first.setdefault(vlan, (network, alone))
            if earlier is not network and (alone or had_alone):
                parent, number, _ = vlan
                message = (
                    f"networks '{earlier.name}' and '{network.name}' both need VLAN {number} of '{parent}'"
                )
                hint = "the kernel has each VLAN of a link once; choose another number"
                related = ((f"network '{earlier.name}' is here", earlier.mark),)
                yield Diagnostic("conflict", message, network.mark, hint, related)


def _vlans(network: Network) -> Iterator[tuple[tuple[str, int, str], bool]]:
    """The VLANs of links of the host that a network needs, and whether it has that one to itself."""
    match network.options:
        case MacvlanOptions() | IpvlanOptions() | VlanOptions() as options if options.vlan is not None:
            yield (options.parent.rpartition(".")[0], options.vlan, "802.1Q"), False
    match network.options:
        case VlanOptions(parent=parent, id=number, protocol=protocol):
            yield (parent, number, protocol), True


def _uses(network: Network) -> Iterator[tuple[str, _Use]]:
    match network.options:
        case BridgeOptions(ports=ports):
            for port in ports:
                yield port, _Use("bridge", network)
        case MacvlanOptions(parent=parent, mode=mode):
            yield parent, _Use("macvlan", network, "passthru" if mode == "passthru" else None)
        case IpvlanOptions(parent=parent, mode=mode, flag=flag):
            yield parent, _Use("ipvlan", network, together=f"mode {mode}, flag {flag}")
        case _:
            pass


def _problem(parent: str, earlier: _Use, use: _Use) -> tuple[str, str] | None:
    if earlier.kind != use.kind:
        return (
            f"network '{use.network.name}': {earlier.kind} network '{earlier.network.name}' has '{parent}' already",
            "a link serves one kind of network only; name another one, or give both networks one driver",
        )
    if earlier.alone or use.alone:
        return (
            (
                f"networks '{earlier.network.name}' and '{use.network.name}' cannot share '{parent}': "
                f"mode {earlier.alone or use.alone} takes the whole link"
            ),
            "choose another mode, or another parent",
        )
    if earlier.together != use.together:
        return (
            (
                f"networks '{earlier.network.name}' and '{use.network.name}' cannot share '{parent}': "
                f"the one has {earlier.together}, the other {use.together}"
            ),
            "the kernel keeps mode and flag once for a parent; make them the same, or choose another parent",
        )
    return None
