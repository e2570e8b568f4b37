"""Hosts: the machines that a topology spreads over, and what is where. Pure.

Placement is explicit. A sandbox without a host would have to be put somewhere by each machine on its own, and two
machines may not agree; so it is a mistake here. What only one machine can hold (a name of a link, the ports of a
bridge) is checked for each host by itself.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from ..errors import Diagnostic, Mark
from ..load.tree import REST, Map
from ..model import Host, IPAddress, Network, Sandbox
from . import fields
from .addresses import Fault, parse_address

_LISTED = 10


class Slice(NamedTuple):
    """What is on one host, or everything of a topology without hosts."""

    networks: tuple[Network, ...]
    sandboxes: tuple[Sandbox, ...]


def read_hosts(tree: Map, found: list[Diagnostic]) -> dict[str, Host]:
    """The declared hosts by name; none for a topology of one machine."""
    hosts: dict[str, Host] = {}
    by_vtep: dict[IPAddress, Host] = {}
    for name, source, mark in fields.sections(tree, "hosts"):
        text, vtep_mark = fields.text(source, "vtep"), source.value_mark("vtep")
        if fields.unknown(source, "vtep"):
            continue
        if text is None:
            hint = "write 'vtep: ADDRESS', or only the address"
            found.append(Diagnostic("missing-key", f"host '{name}' has no vtep", mark, hint))
            continue
        vtep = parse_address(text)
        if isinstance(vtep, Fault):
            found.append(vtep.at(vtep_mark))
            continue
        if vtep.is_link_local:
            message = f"the vtep {vtep} of host '{name}' is link-local, which names no machine"
            found.append(Diagnostic("bad-address", message, vtep_mark, "use an address that routes lead to"))
            continue
        host = Host(name, vtep, fields.number(source, "underlay_mtu") or 1500, mark)
        found += _against_others(host, by_vtep, vtep_mark)
        by_vtep.setdefault(vtep, host)
        hosts[name] = host
    return hosts


def _against_others(host: Host, by_vtep: Mapping[IPAddress, Host], mark: Mark) -> Iterator[Diagnostic]:
    if (other := by_vtep.get(host.vtep)) is not None:
        related = ((f"'{other.name}' is here", other.mark),)
        message = f"hosts '{other.name}' and '{host.name}' have the same vtep {host.vtep}"
        hint = "each host has an address of its own"
        yield Diagnostic("duplicate-address", message, mark, hint, related)
        return
    first = next(iter(by_vtep.values()), None)
    if first is not None and first.vtep.version != host.vtep.version:
        related = ((f"'{first.name}' is here", first.mark),)
        message = (
            f"the vtep of host '{host.name}' is IPv{host.vtep.version}, "
            f"that of '{first.name}' IPv{first.vtep.version}"
        )
        hint = "give all hosts addresses of one family"
        yield Diagnostic("conflict", message, mark, hint, related)


class Place(NamedTuple):
    """Where a sandbox says it is: on which host, None for an unknown one or none, and whether it is its own stack."""

    host: str | None
    own_stack: bool = False


def read_place(sandbox: str, source: Map, mark: Mark, declared: Map, found: list[Diagnostic]) -> Place:
    """Where a sandbox says it is; `declared` is the section of hosts, wrong ones included."""
    value, place = source.get("host"), source.value_mark("host")
    own = value is True
    if isinstance(value, Map):
        own, place, value = fields.flag(value, "own_stack"), value.value_mark("name"), value.get("name")
    if isinstance(value, str):
        if value in declared or REST in declared:
            return Place(value if value in declared else None, own)
        message = f"sandbox '{sandbox}' is on host '{value}', which does not exist"
        found.append(Diagnostic("unknown-host", message, place, _which(value, declared)))
        return Place(None, own)
    if REST in declared or fields.unknown(source, "host") or fields.has_gap(source, "host"):
        return Place(None, own)
    if declared and own:
        message = f"sandbox '{sandbox}' is the own stack of a host, and does not say of which"
        hint = f"write 'host: {{name: NAME, own_stack: true}}'; hosts: {_listed(declared)}"
        found.append(Diagnostic("missing-key", message, place, hint))
    elif declared:
        message = f"sandbox '{sandbox}' does not say on which host it is"
        found.append(
            Diagnostic("missing-key", message, mark, f"write 'host: NAME'; hosts: {_listed(declared)}")
        )
    return Place(None, own)


def _which(name: str, declared: Map) -> str:
    if not declared:
        return f"declare it: 'hosts: {{{name}: ADDRESS}}'; 'host: true' is the own stack of this host"
    close = difflib.get_close_matches(name, declared, 1)
    return (f"did you mean '{close[0]}'? " if close else "") + f"hosts: {_listed(declared)}"


def _listed(names: Iterable[str]) -> str:
    all_names = list(names)
    more = f" and {len(all_names) - _LISTED} more" if len(all_names) > _LISTED else ""
    return ", ".join(all_names[:_LISTED]) + more


def slices(
    hosts: Iterable[str], networks: Mapping[str, Network], sandboxes: Mapping[str, Sandbox]
) -> Iterator[Slice]:
    """What each host holds: its sandboxes, and the networks that have an endpoint there."""
    names = list(hosts)
    if not names:
        yield Slice(tuple(networks.values()), tuple(sandboxes.values()))
        return
    local: dict[str | None, list[Sandbox]] = {name: [] for name in names}
    for sandbox in sandboxes.values():
        local.setdefault(sandbox.host, []).append(sandbox)
    for here in local.values():
        joined = {endpoint.network for sandbox in here for endpoint in sandbox.endpoints}
        yield Slice(tuple(n for name, n in networks.items() if name in joined), tuple(here))


def check_spans(networks: Mapping[str, Network], sandboxes: Iterable[Sandbox]) -> Iterator[Diagnostic]:
    """A diagnostic for each network on more than one host whose driver reaches one only."""
    reaches_one = {
        name
        for name, network in networks.items()
        if not (network.options.traits.spans_hosts or network.options.traits.shared_segment)
    }
    first: dict[str, tuple[str, str, Mark]] = {}
    said: set[str] = set()
    for sandbox in sandboxes:
        for endpoint in sandbox.endpoints:
            name = endpoint.network
            if sandbox.host is None or name not in reaches_one or name in said:
                continue
            title = f"{sandbox.name}/{endpoint.name}"
            host, other, mark = first.setdefault(name, (sandbox.host, title, endpoint.mark))
            if host != sandbox.host:
                said.add(name)
                message = (
                    f"network '{name}' would be on two hosts: '{other}' is on '{host}', '{title}' on "
                    f"'{sandbox.host}', and driver '{networks[name].driver}' reaches only one"
                )
                hint = "use 'driver: overlay', or a network for each host"
                yield Diagnostic("spans-hosts", message, endpoint.mark, hint, ((f"'{other}' is here", mark),))


def check_own_addresses(
    networks: Mapping[str, Network], sandboxes: Iterable[Sandbox]
) -> Iterator[Diagnostic]:
    """A diagnostic for each network whose own address would be on several hosts of one segment."""
    on = places(sandboxes)
    for name, network in networks.items():
        traits = network.options.traits
        if traits.shared_segment and traits.reserved and len(on.get(name, ())) > 1:
            what, address = traits.reserved[0]
            message = f"{what} '{name}', {address}, would be on each of {', '.join(map(repr, on[name]))}, which share the segment"
            hint = "leave it out, or give each host a network of its own with the same parent"
            yield Diagnostic("duplicate-address", message, network.mark, hint)


def places(sandboxes: Iterable[Sandbox]) -> dict[str, tuple[str, ...]]:
    """The hosts on which each network has endpoints, in file order; nothing for a topology without hosts."""
    found: dict[str, dict[str, None]] = {}
    for sandbox in sandboxes:
        if sandbox.host is not None:
            for endpoint in sandbox.endpoints:
                found.setdefault(endpoint.network, {})[sandbox.host] = None
    return {network: tuple(hosts) for network, hosts in found.items()}
