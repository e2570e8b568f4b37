"""Names of interfaces: what the kernel takes, and that no two links of the host get the same. Pure.

Everything that a topology puts into the host shares one name space: bridges, host ends of endpoints, interfaces of a
`host: true` sandbox, adopted and enslaved links. Derived names are shortened, so a clash may be invisible in the files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import NamedTuple

from .. import names
from ..errors import Diagnostic, Mark
from ..model import Network, Sandbox, SandboxKind
from ..options import BridgeOptions, OverlayOptions
from .addresses import Fault

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")
_RESERVED = {
    "lo": "is the loopback interface that every sandbox has",
    "all": "means every interface in /proc/sys/net",
    "default": "means future interfaces in /proc/sys/net",
}


def name_fault(name: str) -> Fault | None:
    """Why this cannot be the name of an interface."""
    if reason := _RESERVED.get(name):
        return Fault("bad-name", f"'{name}' {reason}", "choose another interface name, such as eth0")
    if len(name.encode()) > names.IFNAMSIZ:
        hint = f"shorten it to {names.IFNAMSIZ}: the kernel's limit"
        return Fault("bad-name", f"interface name '{name}' has {len(name.encode())} bytes", hint)
    if not _NAME.fullmatch(name):
        hint = "use letters, digits, '_', '.' and '-', and no '.' in front"
        return Fault("bad-name", f"'{name}' is not an interface name", hint)
    return None


class _Kind(Enum):
    BRIDGE = "the bridge of network"
    PORT = "the port of network"
    TUNNEL = "the tunnel of network"
    HOST_END = "the host end of"
    INTERFACE = "the interface"


class _Use(NamedTuple):
    name: str
    kind: _Kind
    whose: str
    mark: Mark

    def __str__(self) -> str:
        return f"{self.kind.value} '{self.whose}'"


def check_host_names(
    topology: str, networks: Iterable[Network], sandboxes: Iterable[Sandbox]
) -> Iterator[Diagnostic]:
    """A diagnostic for each link of the host whose name another one of this topology has.

    Without the topology's name, only declared names are known.
    """
    first: dict[str, _Use] = {}
    for use in _uses(topology, networks, sandboxes):
        earlier = first.setdefault(use.name, use)
        if earlier is use or earlier.kind is use.kind is _Kind.INTERFACE:
            continue  # two interfaces of the host are two sandboxes sharing a namespace: said where that is checked
        related = ((f"{earlier} is here", earlier.mark),)
        if earlier.kind is use.kind is _Kind.PORT:
            message = f"the link '{use.name}' is to be a port of networks '{earlier.whose}' and '{use.whose}'"
            hint = "a link can be in one bridge only; remove it from one of the two"
            yield Diagnostic("conflict", message, use.mark, hint, related)
            continue
        message = f"{use} and {earlier} are both '{use.name}' in the host"
        hint = "rename one of them; 'options: {name: …}' gives a network another device name"
        yield Diagnostic("bad-name", message, use.mark, hint, related)


def _uses(topology: str, networks: Iterable[Network], sandboxes: Iterable[Sandbox]) -> Iterator[_Use]:
    host_ends = set()
    for network in networks:
        if network.options.traits.host_ends:
            host_ends.add(network.name)
        if isinstance(network.options, BridgeOptions | OverlayOptions) and (
            device := network.options.name or (topology and names.link(topology, network.name))
        ):
            yield _Use(device, _Kind.BRIDGE, network.name, network.mark)
        if isinstance(network.options, BridgeOptions):
            for port in network.options.ports:
                yield _Use(port, _Kind.PORT, network.name, network.mark)
        if isinstance(network.options, OverlayOptions) and topology:
            yield _Use(names.tunnel(topology, network.name), _Kind.TUNNEL, network.name, network.mark)
    for sandbox in sandboxes:
        for endpoint in sandbox.endpoints:
            title = f"{sandbox.name}/{endpoint.name}"
            if endpoint.network in host_ends and topology:
                end = names.link(topology, sandbox.name, endpoint.name)
                yield _Use(end, _Kind.HOST_END, title, endpoint.mark)
            if sandbox.kind is SandboxKind.HOST:
                yield _Use(endpoint.name, _Kind.INTERFACE, title, endpoint.mark)
