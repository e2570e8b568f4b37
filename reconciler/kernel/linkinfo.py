"""The data of a link kind as bytes, by pyroute2's message classes. Used only for writing.

pyroute2 knows every kind and attribute by name, which is what we want from it; it costs 115 ms to import and some
100 us for each encoding. So it is imported on first use, and results are kept: ten bridges of one topology usually
differ in nothing but their names.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cache
from importlib import import_module

from ..objects import Bridge, BridgePort, Link, LinkKind, OtherKind, Veth
from ..plan import Change
from . import wire

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
    ]
    return _encode("IFLA_INFO_SLAVE_KIND", "IFLA_INFO_SLAVE_DATA", attributes)


def prepare(changes: Sequence[Change]) -> None:
    """Begin to import pyroute2 beside the work if `changes` will need it: it is ready when the namespaces are made."""
    if any(isinstance(change.object, Link) and isinstance(change.object.kind, Bridge) for change in changes):
        _import()


@cache
def _import() -> threading.Thread:
    """The thread that imports pyroute2. Join it first: its modules import each other in circles, and a second thread
    that starts in the middle of them would see half of one.
    """
    thread = threading.Thread(target=import_module, args=("pyroute2.netlink.rtnl.ifinfmsg",), daemon=True)
    thread.start()
    return thread


def change(kind: LinkKind) -> bytes:
    """IFLA_LINKINFO that changes the attributes of an existing link; empty when its kind has none to change."""
    match kind:
        case Bridge():
            return bridge(kind)
        case Veth() | OtherKind():
            return b""


def _encode(kind_name: str, data_name: str, attributes: list[tuple[str, int | None]]) -> bytes:
    _import().join()
    from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

    asked = [(name, value) for name, value in attributes if value is not None]
    info: list[tuple[str, object]] = [(kind_name, "bridge")]
    if asked:
        info.append((data_name, {"attrs": asked}))
    message = ifinfmsg()
    message["attrs"] = [("IFLA_LINKINFO", {"attrs": info})]
    message.encode()
    return bytes(message.data)[_HEADERS:]


def veth(peer_header: bytes) -> bytes:
    """IFLA_LINKINFO that creates a veth pair; `peer_header` is ifinfomsg and attributes of the other end."""
    peer = wire.nested(wire.VETH_INFO_PEER, peer_header)
    return wire.nested(
        wire.IFLA_LINKINFO, wire.text(wire.IFLA_INFO_KIND, "veth"), wire.nested(wire.IFLA_INFO_DATA, peer)
    )
