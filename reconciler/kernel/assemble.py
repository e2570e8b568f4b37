"""What the dumps of several namespaces say, put together: numbers become names, marks become ownership. Pure.

Which namespaces are ours is decided here, by the mark on their loopback device; which links, by the mark in their
ifalias. Addresses and routes carry our protocol number and belong to the topology that owns their link or namespace,
or that has claimed them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from .. import marks, names
from ..objects import (
    HOST,
    Address,
    Bridge,
    BridgePort,
    FdbEntry,
    KernelObject,
    Key,
    Link,
    LinkKind,
    LinkRef,
    Neighbour,
    Netns,
    Port,
    Qdisc,
    Route,
    Sysctl,
    Veth,
)
from ..sides import Declared, Found, Held, Observed, Scope
from . import decode, kinds, wire
from .qdisc import QdiscRecord

_FORWARDING = 3
LOOPBACK = 1
_PORT_STATES = ("disabled", "listening", "learning", "forwarding", "blocking")


class Entry(NamedTuple):
    """An entry of a table of ours, and whether it is ours; `origin` is that of the device that it is on."""

    object: FdbEntry | Neighbour
    ours: bool
    origin: str


@dataclass(slots=True)
class Tables:
    """What the dumps of one namespace returned. `behind`: for links that lead out of it, what is at the other side.

    `entries` are those of our VXLAN devices, but for what is `as_declared`; `cut_off` the addresses of ours that lack the
    route to their subnet.
    """

    netns: str
    links: list[decode.LinkRecord]
    addresses: list[decode.AddressRecord]
    routes: list[decode.RouteRecord]
    cut_off: Collection[tuple[int, str]] = ()
    qdiscs: list[QdiscRecord] = field(default_factory=list)
    sysctls: dict[str, str] = field(default_factory=dict)
    details: list[KernelObject] = field(default_factory=list)
    behind: dict[int, decode.LinkRecord] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    as_declared: Mapping[Key, Declared] = field(default_factory=dict)

    def loopback(self) -> decode.LinkRecord | None:
        """The record of the loopback device."""
        return next((record for record in self.links if record.index == LOOPBACK), None)


def assemble(scope: Scope, tables: Mapping[str, Tables], peers: Mapping[int, str]) -> Observed:
    """The observed side. `peers` says which namespace each namespace number of the host stands for."""
    return _Assembly(scope, tables, peers).observed()


class _End(NamedTuple):
    """The other end of a veth: where it is, and the ifalias on it."""

    ref: LinkRef
    alias: str | None


class _Assembly:
    """The working state of one `assemble` call; never leaves this module."""

    def __init__(self, scope: Scope, tables: Mapping[str, Tables], peers: Mapping[int, str]) -> None:
        self.scope = scope
        self.tables = tables
        self.peers = peers
        self.objects: dict[Key, Found] = {}
        self.unready: dict[Key, str] = {}
        self.records = {name: {record.index: record for record in t.links} for name, t in tables.items()}
        self.ends: dict[tuple[str, int], _End] = {}
        self._places: dict[_Look, LinkRef] | None = None

    def observed(self) -> Observed:
        for name, table in self.tables.items():
            self.namespace(name, table)
            self.pair(name, table)
        for table in self.tables.values():
            for record in table.links:
                self.link(table.netns, record)
        for table in self.tables.values():
            for address in table.addresses:
                self.address(table.netns, address)
            for route in table.routes:
                self.route(table.netns, route)
            for qdisc in table.qdiscs:
                self.qdisc(table.netns, qdisc)
            for path, value in table.sysctls.items():
                self.add(Sysctl(netns=table.netns, path=path, value=value), ours=False)
            for entry, ours, origin in table.entries:
                self.add(entry, ours=ours, origin=origin)
            for obj in table.details:
                self.add(obj, ours=False)
        as_declared = self.tables[HOST].as_declared if HOST in self.tables else {}
        return Observed(Held(self.objects, as_declared) if as_declared else self.objects, self.unready)

    def add(self, obj: KernelObject, *, ours: bool, origin: str | None = None) -> None:
        self.objects.setdefault(obj.key, Found(obj, ours, origin))

    def namespace(self, name: str, table: Tables) -> None:
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

    def name(self, where: str, index: int | None) -> str | None:
        record = self.records[where].get(index or 0)
        return None if record is None else record.name

    def link(self, where: str, record: decode.LinkRecord) -> None:
        if record.index == LOOPBACK:
            return
        end = self.ends.get((where, record.index))
        # A kill can leave the second end of a pair of ours unmarked: it is ours as well.
        origin = self.own(record.alias or (end.alias if end is not None else None))
        master = self.name(where, record.master)
        obj = Link(
            netns=where,
            name=record.name,
            kind=self.kind(where, record, end),
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

    def kind(self, where: str, record: decode.LinkRecord, end: _End | None) -> LinkKind:
        match record.kind:
            case "bridge":
                return Bridge(
                    stp=record.stp, ageing_time=record.ageing_time, forward_delay=record.forward_delay
                )
            case "veth":
                return Veth(peer=None if end is None else end.ref)
            case other:
                return kinds.read(other, record.data, self.parent(where, record))

    def parent(self, where: str, record: decode.LinkRecord) -> LinkRef | None:
        """The link that this one stands on, None when it is in no namespace that was looked at."""
        if record.kind not in kinds.STACKED:
            return None
        if record.peer_nsid is None:
            name = self.name(where, record.peer)
            return None if name is None else LinkRef(where, name)
        return self.place(self.tables[where].behind.get(record.index))

    def place(self, seen: decode.LinkRecord | None) -> LinkRef | None:
        """Which link it is that was seen from another namespace: the number of a namespace names none."""
        if seen is None:
            return None
        if self._places is None:
            self._places = {
                _look(record): LinkRef(name, record.name)
                for name, table in self.tables.items()
                for record in table.links
            }
        return self._places.get(_look(seen))

    def pair(self, where: str, table: Tables) -> None:
        """Note for both ends of a veth where the other is. The host knows the numbers of the other namespaces, so
        what leads from a sandbox to the host is learned from the host's end.
        """
        for record in table.links:
            if record.kind != "veth" or record.peer is None:
                continue
            there = self.other_side(where, record)
            other = None if there is None else self.records[there].get(record.peer)
            if there is not None and other is not None:
                self.ends[where, record.index] = _End(LinkRef(there, other.name), other.alias)
                self.ends[there, other.index] = _End(LinkRef(where, record.name), record.alias)

    def other_side(self, where: str, record: decode.LinkRecord) -> str | None:
        """The namespace of the other end, None when it is not known from this one."""
        if record.peer_nsid is None:
            return where
        if where == HOST:
            return self.peers.get(record.peer_nsid)
        place = self.place(self.tables[where].behind.get(record.index))
        return None if place is None else place.netns

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
        device = self.name(where, record.index)
        if device is None or record.index == LOOPBACK:
            return
        obj = Address(
            netns=where,
            link=device,
            address=record.address,
            permanent=bool(record.flags & wire.IFA_F_PERMANENT),
            connected=(record.index, record.address) not in self.tables[where].cut_off,
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
        device = self.name(where, record.device)
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
        # Not by its link: on the host and in given namespaces other programs may use our number for routes of theirs.
        ours, origin = self.belongs(obj.key, [("netns", where)], record.protocol)
        if ours:  # a foreign route can have the same place in front of it
            self.objects.pop(obj.key, None)
        self.add(obj, ours=ours, origin=origin)

    def qdisc(self, where: str, record: QdiscRecord) -> None:
        """Ours is what has our handle on a link of ours: inside a sandbox others may shape their own links as we do."""
        device = self.name(where, record.index)
        if device is None:
            return
        obj = Qdisc(
            netns=where,
            link=device,
            place=record.place,
            handle=record.handle,
            discipline=record.kind,
            **record.values,
        )
        above = self.objects.get(("link", where, device))
        ours = above is not None and above.ours and record.ours
        self.add(obj, ours=ours, origin=above.origin if ours and above is not None else None)


def _port(record: decode.LinkRecord) -> BridgePort | None:
    if record.isolated is None and record.hairpin is None:
        return None
    return BridgePort(
        isolated=record.isolated, hairpin=record.hairpin, learn=record.learn, flood=record.flood
    )


_Look = tuple[int, str, str | None, str | None, str]


def _look(record: decode.LinkRecord) -> _Look:
    """What tells a link from others wherever it is seen from."""
    return record.index, record.name, record.mac, record.alias, record.kind
