"""One look at the kernel: dumps of every namespace in scope, turned into `Observed`. Reads only.

Which namespaces are ours is decided here, by the mark on their loopback device; which links, by the mark in their
ifalias. Addresses and routes carry our protocol number and belong to the topology that owns their link or namespace,
or that has claimed them. The order of the dumps matters: the host's links first, then each namespace, then the
namespace numbers by which the host's veth ends name their peers.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field, replace
from ipaddress import ip_network

from .. import marks, names
from ..errors import KernelError
from ..model import IPNetwork
from ..objects import (
    HOST,
    Address,
    Bridge,
    BridgePort,
    KernelObject,
    Key,
    Link,
    LinkKind,
    LinkRef,
    Netns,
    OtherKind,
    Port,
    Route,
    Sysctl,
    Veth,
)
from ..sides import Found, Observed, Scope
from . import decode, details, netns, sysctl, wire
from .netlink import Failure, Message, Reply, Socket

_FORWARDING = 3
_LOOPBACK = 1
_PORT_STATES = ("disabled", "listening", "learning", "forwarding", "blocking")
_LINK_DUMP = wire.IFINFO.pack(0, 0, 0, 0, 0) + wire.u32(wire.IFLA_EXT_MASK, wire.RTEXT_FILTER_SKIP_STATS)
_ADDRESS_DUMP = wire.IFADDR.pack(0, 0, 0, 0, 0)


@dataclass(slots=True)
class _Tables:
    """What the dumps of one namespace returned."""

    netns: str
    links: list[decode.LinkRecord]
    addresses: list[decode.AddressRecord]
    routes: list[decode.RouteRecord]
    sysctls: dict[str, str] = field(default_factory=dict)
    details: list[KernelObject] = field(default_factory=list)

    def loopback(self) -> decode.LinkRecord | None:
        return next((record for record in self.links if record.index == _LOOPBACK), None)


def observe(scope: Scope) -> Observed:
    """Everything in `scope`. Raises KernelError when the kernel cannot be read consistently."""
    with ExitStack() as open_fds:
        fds = _open_all(scope, open_fds)
        wanted = _sysctls_by_netns(scope)
        tables = {name: _read(name, fd, scope, wanted.get(name, ())) for name, fd in fds.items()}
        peers = _peer_namespaces(fds, tables)
    return _Assembly(scope, tables, peers).observed()


def host_prefixes(topology: str) -> list[IPNetwork]:
    """Prefixes that the host routes already, but for those of this topology's own links and default routes."""
    with Socket() as sock:
        ours = {
            record.index
            for record in map(decode.link, sock.dump(wire.RTM_GETLINK, _LINK_DUMP))
            if (owner := marks.owner(record.alias)) is not None and owner.topology == topology
        }
        routes = _routes(sock, protocol=None)
    prefixes = (ip_network(r.to) for r in routes if r.device not in ours)
    return sorted({prefix for prefix in prefixes if prefix.prefixlen > 0}, key=str)


def _open_all(scope: Scope, stack: ExitStack) -> dict[str, int]:
    candidates = [HOST, *netns.entries(names.netns(scope.topology, "")), *sorted(scope.given - {HOST})]
    if scope.foreign:
        candidates += netns.entries()
    fds: dict[str, int] = {}
    for name in dict.fromkeys(candidates):
        fd = netns.open_fd(name)
        if fd is not None:
            stack.callback(os.close, fd)
            fds[name] = fd
    return fds


def _sysctls_by_netns(scope: Scope) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key in sorted(scope.sysctls):
        found.setdefault(key[1], []).append(key[2])
    return found


def _read(name: str, fd: int, scope: Scope, paths: Iterable[str]) -> _Tables:
    values: dict[str, str] = {}
    # Not entered when it is the host, where we are: a look at that needs no privilege.
    with nullcontext() if name == HOST else netns.inside(fd):
        for path in paths:
            if (value := sysctl.read(path)) is not None:
                values[path] = value
        sock = Socket()
    # The host may carry a full routing table: ask the kernel for ours only, unless somebody declared routes there.
    all_routes = scope.foreign or name != HOST or name in scope.given
    with sock:
        links = [decode.link(reply) for reply in sock.dump(wire.RTM_GETLINK, _LINK_DUMP)]
        addresses = [decode.address(reply) for reply in sock.dump(wire.RTM_GETADDR, _ADDRESS_DUMP)]
        routes = _routes(sock, protocol=None if all_routes else marks.PROTOCOL)
        known = {record.index: record.name for record in links}
        more = details.read(name, sock, known) if scope.foreign else []
    return _Tables(name, links, addresses, routes, values, more)


def _routes(sock: Socket, protocol: int | None) -> list[decode.RouteRecord]:
    body = wire.RTMSG.pack(0, 0, 0, 0, 0, protocol or 0, 0, 0, 0)
    records = (decode.route(reply) for reply in sock.dump(wire.RTM_GETROUTE, body))
    return [record for record in records if record is not None]


def _peer_namespaces(fds: Mapping[str, int], tables: Mapping[str, _Tables]) -> dict[int, str]:
    """Which namespace each namespace number of the host stands for."""
    if not any(record.peer_nsid is not None for record in tables[HOST].links):
        return {}
    others = [(name, fd) for name, fd in fds.items() if name != HOST]
    requests = [Message(wire.RTM_GETNSID, 0, b"\0\0\0\0" + wire.u32(wire.NETNSA_FD, fd)) for _, fd in others]
    with Socket() as sock:
        answers = [answer for part in _parts(requests) for answer in sock.query(part)]
    found: dict[int, str] = {}
    for (name, _), answer in zip(others, answers, strict=True):
        if isinstance(answer, Failure):
            raise KernelError(f"asking for the number of namespace '{name}': {answer}", errno=answer.errno)
        number = _nsid(answer)
        if number is not None and number >= 0:
            found.setdefault(number, name)
    return found


def _parts(requests: list[Message], size: int = 256) -> Iterator[list[Message]]:
    return (requests[start : start + size] for start in range(0, len(requests), size))


def _nsid(reply: Reply) -> int | None:
    for kind, start, _ in wire.walk(reply.buffer, reply.start + 4, reply.end):
        if kind == wire.NETNSA_NSID:
            number: int = wire.S32.unpack_from(reply.buffer, start)[0]
            return number
    return None


class _Assembly:
    """Turns the tables of all namespaces into one map of objects."""

    def __init__(self, scope: Scope, tables: Mapping[str, _Tables], peers: Mapping[int, str]) -> None:
        self.scope = scope
        self.tables = tables
        self.peers = peers
        self.objects: dict[Key, Found] = {}
        self.unready: dict[Key, str] = {}
        self.names = {name: {r.index: r.name for r in table.links} for name, table in tables.items()}

    def observed(self) -> Observed:
        for name, table in self.tables.items():
            self.namespace(name, table)
        for table in self.tables.values():
            for record in table.links:
                self.link(table.netns, record)
        self.mirror_peers()
        for table in self.tables.values():
            for address in table.addresses:
                self.address(table.netns, address)
            for route in table.routes:
                self.route(table.netns, route)
            for path, value in table.sysctls.items():
                self.add(Sysctl(netns=table.netns, path=path, value=value), ours=False)
            for obj in table.details:
                self.add(obj, ours=False)
        prefix = names.netns(self.scope.topology, "")
        orphans = frozenset(entry for entry in netns.entries(prefix) if entry not in self.tables)
        return Observed(self.objects, self.unready, orphans)

    def add(self, obj: KernelObject, *, ours: bool, origin: str | None = None) -> None:
        self.objects.setdefault(obj.key, Found(obj, ours, origin))

    def namespace(self, name: str, table: _Tables) -> None:
        loopback = table.loopback()
        if name == HOST or loopback is None:
            return
        origin = self.own(loopback.alias)
        mark = marks.owner(loopback.alias)
        ours = origin is not None and name == names.netns(
            self.scope.topology, origin.removeprefix("sandbox/")
        )
        if mark is not None and not ours:
            origin = None
        self.add(Netns(netns=name, alias=loopback.alias, up=loopback.up), ours=ours, origin=origin)

    def own(self, alias: str | None) -> str | None:
        owner = marks.owner(alias)
        return owner.origin if owner is not None and owner.topology == self.scope.topology else None

    def link(self, where: str, record: decode.LinkRecord) -> None:
        if record.index == _LOOPBACK:
            return
        origin = self.own(record.alias)
        master = self.names[where].get(record.master or 0)
        obj = Link(
            netns=where,
            name=record.name,
            kind=self.kind(where, record),
            port=_port(record),
            mtu=record.mtu,
            mac=record.mac,
            up=record.up,
            master=master,
            group=record.group,
            alias=record.alias,
            altnames=record.altnames,
            addrgen=record.addrgen,
        )
        self.add(obj, ours=origin is not None, origin=origin)
        if where == HOST and origin is None:
            self.add(Port(netns=where, name=record.name, master=master, port=_port(record)), ours=False)
        if origin is not None and record.port_state not in (None, _FORWARDING):
            state = _PORT_STATES[record.port_state or 0] if (record.port_state or 0) < 5 else "unknown"
            self.unready[obj.key] = f"bridge port is {state}"

    def kind(self, where: str, record: decode.LinkRecord) -> LinkKind:
        match record.kind:
            case "bridge":
                return Bridge(
                    stp=record.stp, ageing_time=record.ageing_time, forward_delay=record.forward_delay
                )
            case "veth":
                return Veth(peer=self.peer(where, record))
            case other:
                return OtherKind(kind=other)

    def peer(self, where: str, record: decode.LinkRecord) -> LinkRef | None:
        """Where the other end is; only answered from the host's side, the rest is mirrored."""
        if record.peer is None:
            return None
        there = (
            where if record.peer_nsid is None else self.peers.get(record.peer_nsid) if where == HOST else None
        )
        name = self.names.get(there, {}).get(record.peer) if there is not None else None
        return LinkRef(there, name) if there is not None and name is not None else None

    def mirror_peers(self) -> None:
        """Tell each veth end in a sandbox where its host end is, and whose it is if a kill left it unmarked."""
        for found in list(self.objects.values()):
            obj = found.object
            if not isinstance(obj, Link) or not isinstance(obj.kind, Veth) or obj.kind.peer is None:
                continue
            other = self.objects.get(("link", *obj.kind.peer))
            if other is None or not isinstance(other.object, Link) or not isinstance(other.object.kind, Veth):
                continue
            end = other.object
            if other.object.kind.peer is None:
                end = replace(end, kind=replace(other.object.kind, peer=obj.ref))
            unmarked = found.ours and not end.alias
            self.objects[end.key] = Found(
                end, other.ours or unmarked, found.origin if unmarked else other.origin
            )

    def belongs(self, key: Key, parents: Iterable[Key], protocol: int) -> tuple[bool, str | None]:
        """Whether an address or route is ours, and whose it is in the topology: that of its nearest parent of ours."""
        if protocol != marks.PROTOCOL:
            return False, None
        for parent in parents:
            found = self.objects.get(parent)
            if found is not None and found.ours:
                return True, found.origin
        return key in self.scope.claims, None

    def address(self, where: str, record: decode.AddressRecord) -> None:
        device = self.names[where].get(record.index)
        if device is None or record.index == _LOOPBACK:
            return
        obj = Address(
            netns=where,
            link=device,
            address=record.address,
            permanent=bool(record.flags & wire.IFA_F_PERMANENT),
            secondary=bool(record.flags & wire.IFA_F_SECONDARY) and "." in record.address,
        )
        if (
            record.address.startswith("fe80:")
            and record.protocol != marks.PROTOCOL
            and not self.scope.foreign
        ):
            return
        above: tuple[Key, ...] = (("link", where, device), ("netns", where))
        ours, origin = self.belongs(obj.key, above, record.protocol)
        self.add(obj, ours=ours, origin=origin)
        if ours and record.flags & (wire.IFA_F_TENTATIVE | wire.IFA_F_DADFAILED):
            failed = bool(record.flags & wire.IFA_F_DADFAILED)
            self.unready[obj.key] = "duplicate address" if failed else "address is tentative"

    def route(self, where: str, record: decode.RouteRecord) -> None:
        if record.protocol == wire.RTPROT_KERNEL:
            return
        device = self.names[where].get(record.device) if record.device is not None else None
        obj = Route(
            netns=where,
            to=record.to,
            table=record.table,
            metric=record.metric,
            type=record.type,
            via=record.via,
            dev=device,
            src=record.src,
            onlink=record.onlink,
        )
        above: tuple[Key, ...] = (("netns", where), ("link", where, device or ""))
        ours, origin = self.belongs(obj.key, above, record.protocol)
        # Routes are declared by the sandbox, also where only its endpoint carries a mark.
        self.add(obj, ours=ours, origin=origin and origin.partition("/endpoint/")[0])


def _port(record: decode.LinkRecord) -> BridgePort | None:
    if record.isolated is None and record.hairpin is None:
        return None
    return BridgePort(isolated=record.isolated, hairpin=record.hairpin)
