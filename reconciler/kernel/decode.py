"""Kernel messages to our objects: only the attributes that are compared, shown or needed to find something.

Hand-written rather than through pyroute2's classes, which take 350 us a link; this takes about 10. Functions are pure:
bytes in, records out. A record keeps the kernel's numbers (indexes); `observe` turns numbers into names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from socket import AF_INET, AF_INET6, inet_ntop
from typing import Any

from . import kinds, wire
from .netlink import Reply


@dataclass(slots=True)
class LinkRecord:
    """A link as dumped. `peer` and `peer_nsid` locate the other end of a veth, or the link that this one stands on;
    nsid None means the same namespace. `data` is what is left to `kinds`.
    """

    index: int
    up: bool
    name: str = ""
    kind: str = ""
    mtu: int | None = None
    mac: str | None = None
    master: int | None = None
    group: int | None = None
    alias: str | None = None
    altnames: tuple[str, ...] = ()
    addrgen: str | None = None
    peer: int | None = None
    peer_nsid: int | None = None
    stp: bool | None = None
    ageing_time: int | None = None
    forward_delay: int | None = None
    isolated: bool | None = None
    hairpin: bool | None = None
    qdisc: str = ""
    learn: bool | None = None
    flood: bool | None = None
    port_state: int | None = None
    data: bytes = b""


@dataclass(slots=True)
class AddressRecord:
    """An address as dumped, with prefix length."""

    index: int
    address: str
    flags: int
    protocol: int


@dataclass(slots=True)
class RouteRecord:
    """A route as dumped. `type` is the kernel's word, or its number as text for kinds that we never make."""

    to: str
    type: str
    table: int
    metric: int
    protocol: int
    device: int | None
    via: str | None
    src: str | None
    onlink: bool
    family: int


@dataclass(slots=True)
class NeighbourRecord:
    """A neighbour or forwarding entry as dumped; `address` is an IP address, for forwarding the remote host's.

    `in_bridge`: it is of the bridge that the link is a port of.
    """

    index: int
    family: int
    state: int
    mac: str | None = None
    address: str | None = None
    in_bridge: bool = False


@dataclass(slots=True)
class RuleRecord:
    """A policy routing rule as dumped."""

    family: int
    action: str
    table: int
    priority: int = 0
    source: str | None = None
    to: str | None = None
    protocol: int = 0


Handler = Callable[[Any, bytes, int, int], None]


def link(reply: Reply) -> LinkRecord:
    """Decode RTM_NEWLINK."""
    _, _, index, flags, _ = wire.IFINFO.unpack_from(reply.buffer, reply.start)
    record = LinkRecord(index, bool(flags & wire.IFF_UP))
    _fill(record, _LINK, reply.buffer, reply.start + 16, reply.end)
    return record


def link_index(reply: Reply) -> int:
    """Only the index out of RTM_NEWLINK."""
    index: int = wire.IFINFO.unpack_from(reply.buffer, reply.start)[2]
    return index


def address(reply: Reply) -> AddressRecord:
    """Decode RTM_NEWADDR."""
    family, length, flags, _, index = wire.IFADDR.unpack_from(reply.buffer, reply.start)
    fields = _AddressFields(flags)
    _fill(fields, _ADDRESS, reply.buffer, reply.start + 8, reply.end)
    text = f"{inet_ntop(family, fields.local or fields.address)}/{length}"
    return AddressRecord(index, text, fields.flags, fields.protocol)


def route(reply: Reply) -> RouteRecord | None:
    """Decode RTM_NEWROUTE; None for the kernel's local table, cached clones and families other than IP."""
    buffer = reply.buffer
    family, length, _, _, table, protocol, _, number, flags = wire.RTMSG.unpack_from(buffer, reply.start)
    if table == wire.RT_TABLE_LOCAL or flags & wire.RTM_F_CLONED or family not in (AF_INET, AF_INET6):
        return None
    word = wire.ROUTE_TYPES.get(number, str(number))
    nowhere = "0.0.0.0" if family == AF_INET else "::"
    record = RouteRecord(
        nowhere, word, table, 0, protocol, None, None, None, bool(flags & wire.RTNH_F_ONLINK), family
    )
    _fill(record, _ROUTE, buffer, reply.start + 12, reply.end)
    record.to = f"{record.to}/{length}"
    return record


def nsid(reply: Reply) -> int:
    """The number in RTM_NEWNSID, -1 for a namespace that has none."""
    for kind, start, _ in wire.walk(reply.buffer, reply.start + 4, reply.end):
        if kind == wire.NETNSA_NSID:
            number: int = wire.S32.unpack_from(reply.buffer, start)[0]
            return number
    return -1


def neighbour(reply: Reply) -> NeighbourRecord:
    """Decode RTM_NEWNEIGH, of the IP families and of AF_BRIDGE."""
    family, index, state, _, _ = wire.NDMSG.unpack_from(reply.buffer, reply.start)
    record = NeighbourRecord(index, family, state)
    _fill(record, _NEIGHBOUR, reply.buffer, reply.start + 12, reply.end)
    return record


def rule(reply: Reply) -> RuleRecord:
    """Decode RTM_NEWRULE."""
    family, to_length, source_length, _, table, _, _, action, _ = wire.RTMSG.unpack_from(
        reply.buffer, reply.start
    )
    record = RuleRecord(family, wire.RULE_ACTIONS.get(action, str(action)), table)
    _fill(record, _RULE, reply.buffer, reply.start + 12, reply.end)
    record.to = f"{record.to}/{to_length}" if record.to else None
    record.source = f"{record.source}/{source_length}" if record.source else None
    return record


def _fill(record: Any, handlers: Mapping[int, Handler], buffer: bytes, start: int, end: int) -> None:
    """Walk attributes and hand the wanted ones to their handlers. The hottest loop of all: most are not wanted."""
    unpack, wanted = wire.ATTRIBUTE.unpack_from, handlers.get
    while start + 4 <= end:
        length, kind = unpack(buffer, start)
        stop = start + length
        if length < 4 or stop > end:
            return
        handler = wanted(kind & 0x3FFF)
        if handler is not None:
            handler(record, buffer, start + 4, stop)
        start = (stop + 3) & ~3


@dataclass(slots=True)
class _AddressFields:
    flags: int
    local: bytes = b""
    address: bytes = b""
    protocol: int = 0


def _text(name: str) -> Handler:
    return lambda record, buffer, start, end: setattr(record, name, wire.get_text(buffer, start, end))


def _u32(name: str) -> Handler:
    unpack = wire.U32.unpack_from
    return lambda record, buffer, start, _: setattr(record, name, unpack(buffer, start)[0])


def _s32(name: str) -> Handler:
    unpack = wire.S32.unpack_from
    return lambda record, buffer, start, _: setattr(record, name, unpack(buffer, start)[0])


def _u8(name: str) -> Handler:
    return lambda record, buffer, start, _: setattr(record, name, buffer[start])


def _flag8(name: str) -> Handler:
    return lambda record, buffer, start, _: setattr(record, name, bool(buffer[start]))


def _raw(name: str) -> Handler:
    return lambda record, buffer, start, end: setattr(record, name, buffer[start:end])


def _ip(name: str) -> Handler:
    return lambda record, buffer, start, end: setattr(
        record, name, inet_ntop(record.family, buffer[start:end])
    )


def _nested(handlers: Mapping[int, Handler]) -> Handler:
    return lambda record, buffer, start, end: _fill(record, handlers, buffer, start, end)


def _mac(record: LinkRecord | NeighbourRecord, buffer: bytes, start: int, end: int) -> None:
    record.mac = buffer[start:end].hex(":")


def _neighbour_address(record: NeighbourRecord, buffer: bytes, start: int, end: int) -> None:
    record.address = inet_ntop(AF_INET if end - start == 4 else AF_INET6, buffer[start:end])


def _in_bridge(record: NeighbourRecord, buffer: bytes, start: int, end: int) -> None:
    record.in_bridge = True


def _altname(record: LinkRecord, buffer: bytes, start: int, end: int) -> None:
    record.altnames = (*record.altnames, wire.get_text(buffer, start, end))


def _stp(record: LinkRecord, buffer: bytes, start: int, end: int) -> None:
    record.stp = bool(wire.get_u32(buffer, start))


def _kind_data(record: LinkRecord, buffer: bytes, start: int, end: int) -> None:
    # IFLA_INFO_KIND comes before IFLA_INFO_DATA (net/core/rtnetlink.c, rtnl_link_info_fill).
    if record.kind == "bridge":
        _fill(record, _BRIDGE, buffer, start, end)
    elif record.kind in kinds.KNOWN:
        record.data = buffer[start:end]


def _addrgen(record: LinkRecord, buffer: bytes, start: int, end: int) -> None:
    modes = ("eui64", "none", "stable_secret", "random")
    record.addrgen = modes[buffer[start]] if buffer[start] < len(modes) else str(buffer[start])


_BRIDGE: Mapping[int, Handler] = {
    wire.IFLA_BR_STP_STATE: _stp,
    wire.IFLA_BR_AGEING_TIME: _u32("ageing_time"),
    wire.IFLA_BR_FORWARD_DELAY: _u32("forward_delay"),
}
_PORT: Mapping[int, Handler] = {
    wire.IFLA_BRPORT_STATE: _u8("port_state"),
    wire.IFLA_BRPORT_MODE: _flag8("hairpin"),
    wire.IFLA_BRPORT_ISOLATED: _flag8("isolated"),
    wire.IFLA_BRPORT_LEARNING: _flag8("learn"),
    wire.IFLA_BRPORT_UNICAST_FLOOD: _flag8("flood"),
}
_LINK: Mapping[int, Handler] = {
    wire.IFLA_IFNAME: _text("name"),
    wire.IFLA_MTU: _u32("mtu"),
    wire.IFLA_ADDRESS: _mac,
    wire.IFLA_MASTER: _u32("master"),
    wire.IFLA_GROUP: _u32("group"),
    wire.IFLA_QDISC: _text("qdisc"),
    wire.IFLA_LINK: _u32("peer"),
    wire.IFLA_LINK_NETNSID: _s32("peer_nsid"),
    wire.IFLA_IFALIAS: _text("alias"),
    wire.IFLA_LINKINFO: _nested(
        {
            wire.IFLA_INFO_KIND: _text("kind"),
            wire.IFLA_INFO_DATA: _kind_data,
            wire.IFLA_INFO_SLAVE_DATA: _nested(_PORT),
        }
    ),
    wire.IFLA_AF_SPEC: _nested({AF_INET6: _nested({wire.IFLA_INET6_ADDR_GEN_MODE: _addrgen})}),
    wire.IFLA_PROP_LIST: _nested({wire.IFLA_ALT_IFNAME: _altname}),
}
_ADDRESS: Mapping[int, Handler] = {
    wire.IFA_LOCAL: _raw("local"),
    wire.IFA_ADDRESS: _raw("address"),
    wire.IFA_FLAGS: _u32("flags"),
    wire.IFA_PROTO: _u8("protocol"),
}
_ROUTE: Mapping[int, Handler] = {
    wire.RTA_DST: _ip("to"),
    wire.RTA_OIF: _u32("device"),
    wire.RTA_GATEWAY: _ip("via"),
    wire.RTA_PREFSRC: _ip("src"),
    wire.RTA_PRIORITY: _u32("metric"),
    wire.RTA_TABLE: _u32("table"),
}
_NEIGHBOUR: Mapping[int, Handler] = {
    wire.NDA_DST: _neighbour_address,
    wire.NDA_LLADDR: _mac,
    wire.NDA_MASTER: _in_bridge,
}
_RULE: Mapping[int, Handler] = {
    wire.FRA_DST: _ip("to"),
    wire.FRA_SRC: _ip("source"),
    wire.FRA_PRIORITY: _u32("priority"),
    wire.FRA_TABLE: _u32("table"),
    wire.FRA_PROTOCOL: _u8("protocol"),
}
