"""Kernel messages to our objects: only the attributes that are compared, shown or needed to find something.

Hand-written rather than through pyroute2's classes, which take 350 us a link; this takes about 10. Functions are pure:
bytes in, records out. A record keeps the kernel's numbers (indexes); `observe` turns numbers into names.
"""

from __future__ import annotations

from dataclasses import dataclass
from socket import AF_INET, AF_INET6, inet_ntop

from . import wire
from .netlink import Reply


@dataclass(slots=True)
class LinkRecord:
    """A link as dumped. `peer` and `peer_nsid` locate the other end of a veth; nsid None means the same namespace."""

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
    port_state: int | None = None


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


def link(reply: Reply) -> LinkRecord:
    """Decode RTM_NEWLINK."""
    buffer = reply.buffer
    _, _, index, flags, _ = wire.IFINFO.unpack_from(buffer, reply.start)
    record = LinkRecord(index, bool(flags & wire.IFF_UP))
    for kind, start, end in wire.walk(buffer, reply.start + 16, reply.end):
        match kind:
            case wire.IFLA_IFNAME:
                record.name = wire.get_text(buffer, start, end)
            case wire.IFLA_MTU:
                record.mtu = wire.get_u32(buffer, start)
            case wire.IFLA_ADDRESS:
                record.mac = buffer[start:end].hex(":")
            case wire.IFLA_MASTER:
                record.master = wire.get_u32(buffer, start)
            case wire.IFLA_GROUP:
                record.group = wire.get_u32(buffer, start)
            case wire.IFLA_LINK:
                record.peer = wire.get_u32(buffer, start)
            case wire.IFLA_LINK_NETNSID:
                record.peer_nsid = wire.S32.unpack_from(buffer, start)[0]
            case wire.IFLA_IFALIAS:
                record.alias = wire.get_text(buffer, start, end)
            case wire.IFLA_LINKINFO:
                _link_info(record, buffer, start, end)
            case wire.IFLA_AF_SPEC:
                _address_families(record, buffer, start, end)
            case wire.IFLA_PROP_LIST:
                record.altnames = tuple(
                    wire.get_text(buffer, first, last)
                    for prop, first, last in wire.walk(buffer, start, end)
                    if prop == wire.IFLA_ALT_IFNAME
                )
    return record


def _link_info(record: LinkRecord, buffer: bytes, start: int, end: int) -> None:
    for kind, first, last in wire.walk(buffer, start, end):
        if kind == wire.IFLA_INFO_KIND:
            record.kind = wire.get_text(buffer, first, last)
        elif kind == wire.IFLA_INFO_DATA and record.kind == "bridge":
            _bridge(record, buffer, first, last)
        elif kind == wire.IFLA_INFO_SLAVE_DATA:
            _bridge_port(record, buffer, first, last)


def _bridge(record: LinkRecord, buffer: bytes, start: int, end: int) -> None:
    for kind, first, _ in wire.walk(buffer, start, end):
        if kind == wire.IFLA_BR_STP_STATE:
            record.stp = bool(wire.get_u32(buffer, first))
        elif kind == wire.IFLA_BR_AGEING_TIME:
            record.ageing_time = wire.get_u32(buffer, first)
        elif kind == wire.IFLA_BR_FORWARD_DELAY:
            record.forward_delay = wire.get_u32(buffer, first)


def _bridge_port(record: LinkRecord, buffer: bytes, start: int, end: int) -> None:
    for kind, first, _ in wire.walk(buffer, start, end):
        if kind == wire.IFLA_BRPORT_STATE:
            record.port_state = buffer[first]
        elif kind == wire.IFLA_BRPORT_MODE:
            record.hairpin = bool(buffer[first])
        elif kind == wire.IFLA_BRPORT_ISOLATED:
            record.isolated = bool(buffer[first])


def _address_families(record: LinkRecord, buffer: bytes, start: int, end: int) -> None:
    modes = ("eui64", "none", "stable_secret", "random")
    for family, first, last in wire.walk(buffer, start, end):
        if family != AF_INET6:
            continue
        for kind, at, _ in wire.walk(buffer, first, last):
            if kind == wire.IFLA_INET6_ADDR_GEN_MODE:
                record.addrgen = modes[buffer[at]] if buffer[at] < len(modes) else str(buffer[at])


def address(reply: Reply) -> AddressRecord:
    """Decode RTM_NEWADDR."""
    buffer = reply.buffer
    family, length, flags, _, index = wire.IFADDR.unpack_from(buffer, reply.start)
    local = remote = b""
    protocol = 0
    for kind, start, end in wire.walk(buffer, reply.start + 8, reply.end):
        match kind:
            case wire.IFA_LOCAL:
                local = buffer[start:end]
            case wire.IFA_ADDRESS:
                remote = buffer[start:end]
            case wire.IFA_FLAGS:
                flags = wire.get_u32(buffer, start)
            case wire.IFA_PROTO:
                protocol = buffer[start]
    return AddressRecord(index, f"{inet_ntop(family, local or remote)}/{length}", flags, protocol)


def route(reply: Reply) -> RouteRecord | None:
    """Decode RTM_NEWROUTE; None for cached clones and families other than IP."""
    buffer = reply.buffer
    family, length, _, _, table, protocol, _, kind_number, flags = wire.RTMSG.unpack_from(buffer, reply.start)
    if family not in (AF_INET, AF_INET6) or flags & wire.RTM_F_CLONED:
        return None
    destination = "0.0.0.0" if family == AF_INET else "::"
    device: int | None = None
    via: str | None = None
    src: str | None = None
    metric = 0
    for kind, start, end in wire.walk(buffer, reply.start + 12, reply.end):
        match kind:
            case wire.RTA_DST:
                destination = inet_ntop(family, buffer[start:end])
            case wire.RTA_OIF:
                device = wire.get_u32(buffer, start)
            case wire.RTA_GATEWAY:
                via = inet_ntop(family, buffer[start:end])
            case wire.RTA_PREFSRC:
                src = inet_ntop(family, buffer[start:end])
            case wire.RTA_PRIORITY:
                metric = wire.get_u32(buffer, start)
            case wire.RTA_TABLE:
                table = wire.get_u32(buffer, start)
    word = wire.ROUTE_TYPES.get(kind_number, str(kind_number))
    onlink = bool(flags & wire.RTNH_F_ONLINK)
    return RouteRecord(f"{destination}/{length}", word, table, metric, protocol, device, via, src, onlink)
