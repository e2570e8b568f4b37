"""The macvlan driver's options: text of the file to `MacvlanOptions`, with what a schema cannot check. Pure."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from ..errors import Diagnostic
from ..load.tree import Map
from ..options import MacvlanOptions
from . import fields
from .addresses import Fault, parse_address, parse_mac
from .parents import read_parent


def read_macvlan_options(network: Map, found: list[Diagnostic]) -> MacvlanOptions:
    """The options of one network; a value that is wrong is reported and left out."""
    source = fields.section(network, "options")
    parent = read_parent(source, found)
    mode = fields.text(source, "mode") or "bridge"
    return MacvlanOptions(
        parent=parent.name,
        vlan=parent.vlan,
        mode=mode,
        sources=_sources(source, mode, found),
        shim=_shim(source, mode, found),
    )


def _sources(source: Map, mode: str, found: list[Diagnostic]) -> tuple[str, ...]:
    macs: dict[str, None] = {}
    for text, mark in fields.texts(source, "sources"):
        mac = parse_mac(text)
        if isinstance(mac, Fault):
            found.append(mac.at(mark))
        else:
            macs[mac] = None
    if source.get("sources") is not None and mode != "source":
        message = f"'sources' has no meaning in mode {mode}"
        hint = "remove it, or write 'mode: source'"
        found.append(Diagnostic("conflict", message, source.key_mark("sources"), hint))
    return tuple(sorted(macs))


def _shim(source: Map, mode: str, found: list[Diagnostic]) -> tuple[IPv4Address | IPv6Address, ...]:
    addresses: list[IPv4Address | IPv6Address] = []
    for text, mark in fields.texts(source, "shim"):
        address = parse_address(text)
        if isinstance(address, Fault):
            found.append(address.at(mark))
        else:
            addresses.append(address)
    if addresses and mode != "bridge":
        message = f"a shim reaches nobody in mode {mode}"
        hint = "endpoints of one parent talk to each other in mode bridge only; remove 'shim', or change the mode"
        found.append(Diagnostic("conflict", message, source.key_mark("shim"), hint))
    return tuple(addresses)
