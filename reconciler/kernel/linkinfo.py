"""The data of a link kind as bytes, by pyroute2's message classes. Used only for writing.

pyroute2 knows every kind and attribute by name, which is what we want from it. Its message classes cost 25 ms to
import and some 100 us for each encoding, so they are imported on first use, and results are kept: ten bridges of one
topology usually differ in nothing but their names.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from dataclasses import fields
from functools import cache
from importlib.util import find_spec, module_from_spec
from typing import Any

from ..objects import Bridge, BridgePort, LinkKind, Veth, Vxlan
from . import kinds, wire

_HEADERS = 32  # netlink header and ifinfomsg, which the caller writes itself


@cache
def bridge(kind: Bridge) -> bytes:
    """IFLA_LINKINFO for a bridge, with the attributes that are asked for."""
    attributes = [
        ("IFLA_BR_FORWARD_DELAY", kind.forward_delay),
        ("IFLA_BR_AGEING_TIME", kind.ageing_time),
        ("IFLA_BR_STP_STATE", None if kind.stp is None else int(kind.stp)),
    ]
    return _encode("IFLA_INFO_KIND", "IFLA_INFO_DATA", attributes)


@cache
def bridge_port(port: BridgePort) -> bytes:
    """IFLA_LINKINFO that changes attributes of a bridge port."""
    attributes = [
        ("IFLA_BRPORT_MODE", None if port.hairpin is None else int(port.hairpin)),
        ("IFLA_BRPORT_ISOLATED", None if port.isolated is None else int(port.isolated)),
        ("IFLA_BRPORT_LEARNING", None if port.learn is None else int(port.learn)),
        ("IFLA_BRPORT_UNICAST_FLOOD", None if port.flood is None else int(port.flood)),
    ]
    return _encode("IFLA_INFO_SLAVE_KIND", "IFLA_INFO_SLAVE_DATA", attributes)


def change(kind: LinkKind, names: Collection[str]) -> bytes:
    """IFLA_LINKINFO that changes the named attributes of an existing link; empty when its kind has none to change."""
    match kind:
        case Bridge():
            return bridge(kind)
        case Veth():
            return b""
        case Vxlan():  # the kernel refuses some of them even when they stay as they are
            held = {f.name: getattr(kind, f.name) for f in fields(kind) if f.name in names}
            return stacked(Vxlan(**held))
        case other:
            return stacked(other)


def stacked(kind: LinkKind) -> bytes:
    """IFLA_LINKINFO for the kinds of `kinds`, with the attributes that are asked for."""
    name, data = wire.text(wire.IFLA_INFO_KIND, kind.name), kinds.data(kind)
    return wire.nested(wire.IFLA_LINKINFO, name, wire.nested(wire.IFLA_INFO_DATA, data) if data else b"")


def _encode(kind_name: str, data_name: str, attributes: list[tuple[str, int | None]]) -> bytes:
    asked = [(name, value) for name, value in attributes if value is not None]
    info: list[tuple[str, object]] = [(kind_name, "bridge")]
    if asked:
        info.append((data_name, {"attrs": asked}))
    message = _message_class()()
    message["attrs"] = [("IFLA_LINKINFO", {"attrs": info})]
    message.encode()
    return bytes(message.data)[_HEADERS:]


@cache
def _message_class() -> type[Any]:
    """pyroute2's ifinfmsg, without running the package's own __init__: that imports its database and all else.

    The bare package stands in only meanwhile; whoever imports pyroute2 later gets the whole of it.
    """
    spec = find_spec("pyroute2")
    if spec is None or "pyroute2" in sys.modules:
        return _import_message_class()
    sys.modules["pyroute2"] = module_from_spec(spec)
    try:
        return _import_message_class()
    finally:
        del sys.modules["pyroute2"]


def _import_message_class() -> type[Any]:
    from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

    found: type[Any] = ifinfmsg
    return found


# A veth uses one queue of each kind unless somebody raises it (drivers/net/veth.c, veth_init_queues), but by default
# the kernel makes as many as there are CPUs and takes them down again: a third of the time of a creation.
ONE_QUEUE = wire.u32(wire.IFLA_NUM_TX_QUEUES, 1) + wire.u32(wire.IFLA_NUM_RX_QUEUES, 1)


def veth(peer_header: bytes) -> bytes:
    """Everything that makes a link message create a veth pair; `peer_header` describes the other end."""
    peer = wire.nested(wire.VETH_INFO_PEER, peer_header + ONE_QUEUE)
    kind = wire.text(wire.IFLA_INFO_KIND, "veth")
    return wire.nested(wire.IFLA_LINKINFO, kind, wire.nested(wire.IFLA_INFO_DATA, peer)) + ONE_QUEUE
