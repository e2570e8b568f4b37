"""Looks at the kernel: dumps of every namespace in scope. Reads only; `assemble` makes sense of what it read.

The order matters: the host's links first, then each namespace, then the namespace numbers by which the host's veth
ends name their peers, so that a number that appears meanwhile leads nowhere instead of to the wrong place.

An `Observer` keeps what it read, and reads only that again of which somebody knows that it may have changed. The
result is the same as that of a first look; whoever says what is stale answers for it.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import dataclass, replace
from ipaddress import ip_network

from .. import marks, names
from ..errors import KernelError
from ..model import IPNetwork
from ..objects import HOST
from ..sides import Observed, Scope
from . import assemble, decode, details, encode, kinds, netns, qdisc, subnets, sysctl, tunnels, wire
from .assemble import Tables
from .netlink import Failure, Message, Socket

_LINK_DUMP = wire.IFINFO.pack(0, 0, 0, 0, 0) + wire.u32(wire.IFLA_EXT_MASK, wire.RTEXT_FILTER_SKIP_STATS)
_UNSHAPED = ("noqueue", "noop", "")
_FEW = 64  # links that are cheaper to ask for one by one than in a dump of all
_ADDRESS_DUMP = wire.IFADDR.pack(0, 0, 0, 0, 0)
_ALL_ROUTES = wire.RTMSG.pack(0, 0, 0, 0, 0, 0, 0, 0, 0)
_OUR_ROUTES = wire.RTMSG.pack(0, 0, 0, 0, 0, marks.PROTOCOL, 0, 0, 0)


def observe(scope: Scope) -> Observed:
    """Everything in `scope`. Raises KernelError when the kernel cannot be read consistently."""
    return Observer().observe(scope, EVERYTHING)


@dataclass(frozen=True, slots=True)
class Stale:
    """What may have changed since the last look: namespaces as a whole, and links of the host by their index.

    `names`: which namespaces there are. Every look sees that anyhow; it only says that there is a reason for one.
    """

    namespaces: frozenset[str] = frozenset()
    links: frozenset[int] = frozenset()
    names: bool = False
    everything: bool = False

    def __or__(self, other: Stale) -> Stale:
        return Stale(
            self.namespaces | other.namespaces,
            self.links | other.links,
            self.names or other.names,
            self.everything or other.everything,
        )

    def __bool__(self) -> bool:
        return self.everything or self.names or bool(self.namespaces) or bool(self.links)


EVERYTHING = Stale(everything=True)
_Identity = tuple[int, int, int]
_End = tuple[int, int | None, str | None]  # of a pair: its index, that of its peer, and its ifalias


class Observer:
    """Looks, and remembers what it saw. Not thread-safe.

    `numbering` gives every namespace a number in the host if it has none, without which its notices are not heard.
    """

    def __init__(self, *, numbering: bool = False) -> None:
        self._numbering = numbering
        self._scope: Scope | None = None
        self._tables: dict[str, Tables] = {}
        self._inodes: dict[str, _Identity] = {}
        self._places: dict[str, _Identity | None] = {}
        self._peers: dict[int, str] = {}

    @property
    def tables(self) -> Mapping[str, Tables]:
        """What the last look read, by namespace."""
        return self._tables

    @property
    def peers(self) -> Mapping[int, str]:
        """Which namespace each number of the host stands for, as far as there are numbers."""
        return self._peers

    def observe(self, scope: Scope, stale: Stale) -> Observed:
        """Everything in `scope`, of which only what is stale or new is read."""
        with ExitStack() as open_fds:
            fds, same = _open_all(scope, open_fds)
            wanted = _sysctls_by_netns(scope)
            back = open_fds.enter_context(netns.home())
            inodes = {name: _identity(name, os.fstat(fd)) for name, fd in fds.items()}
            if (
                self._numbering and inodes != self._inodes
            ):  # before they are read: from here on all of it is heard
                _give_numbers(fds)
            places = _places(scope, inodes)
            known = self._known(scope, stale, inodes)
            tables: dict[str, Tables] = {}
            ends: frozenset[_End] | None = None
            for name, fd in fds.items():  # the host comes first
                kept = known.get(name)
                if kept is None and ends is None and HOST in tables:
                    ends = _ends(tables[HOST].links)  # once, and not for each namespace
                tables[name] = kept or _read(name, fd, back, scope, wanted.get(name, ()), ends or ())
            if inodes != self._inodes or HOST not in known:
                self._peers = _peer_namespaces(fds, tables, numbered=self._numbering)
        self._scope, self._tables, self._inodes, self._places = scope, tables, inodes, places
        unnamed = netns.entries(names.netns(scope.topology, ""))
        observed = assemble.assemble(scope, tables, self._peers)
        return replace(
            observed, orphans=frozenset(unnamed) - set(tables), same=same, unknown=_unknown(wanted, set(fds))
        )

    def moved(self) -> bool:
        """Whether a name leads to another namespace than at the last look, to none any more, or to a first one."""
        return self._scope is None or _places(self._scope, {}) != self._places

    def _known(self, scope: Scope, stale: Stale, inodes: Mapping[str, _Identity]) -> dict[str, Tables]:
        """What needs no reading: of the same scope, of the same namespace behind the name, and not stale."""
        if stale.everything or scope != self._scope:
            return {}
        known = {
            name: table
            for name, table in self._tables.items()
            if name not in stale.namespaces and inodes.get(name) == self._inodes[name]
            if name == HOST or not any(map(_is_silent, table.links))
        }
        if scope.entries is not self._scope.entries and (scope.entries.by_key or self._scope.entries.by_key):
            known.pop(HOST, None)  # what is as it was declared before may be so no longer
        if HOST in known and (
            links := stale.links.union(link.index for link in known[HOST].links if _is_silent(link))
        ):
            if len(links) > _FEW:
                del known[HOST]
            else:
                paths = _sysctls_by_netns(scope).get(HOST, ())
                known[HOST] = _reread(known[HOST], links, scope, paths)
        return known


def host_prefixes(topology: str) -> list[IPNetwork]:
    """Prefixes that the host routes already, but for those of this topology's own links and default routes."""
    with Socket() as sock:
        ours = {
            record.index
            for record in map(decode.link, sock.dump(wire.RTM_GETLINK, _LINK_DUMP))
            if (owner := marks.owner(record.alias)) is not None and owner.topology == topology
        }
        routes = _routes(sock)
    prefixes = (ip_network(r.to) for r in routes if r.device not in ours)
    return sorted({prefix for prefix in prefixes if prefix.prefixlen > 0}, key=str)


def host_addresses() -> dict[str, str]:
    """Every address in the host's own namespace, loopback included, with the name of its link."""
    with Socket() as sock:
        links = map(decode.link, sock.dump(wire.RTM_GETLINK, _LINK_DUMP))
        named = {record.index: record.name for record in links}
        addresses = [decode.address(reply) for reply in sock.dump(wire.RTM_GETADDR, _ADDRESS_DUMP)]
    return {a.address.partition("/")[0]: named.get(a.index, "?") for a in addresses}


def _candidates(scope: Scope) -> list[str]:
    """Every name under which there may be a namespace in scope, the host's first."""
    found = [HOST, *netns.entries(names.netns(scope.topology, "")), *sorted(scope.given - {HOST})]
    if scope.foreign:
        found += netns.entries()
    return list(dict.fromkeys(found))


def _identity(name: str, info: os.stat_result) -> _Identity:
    """What tells a namespace from another one under the same name. Numbers are used again at once, times are not.

    But only where it is mounted has it always the same time: elsewhere the kernel makes a new inode for each look.
    """
    mounted = name != HOST and not name.startswith("pid:")
    return info.st_dev, info.st_ino, info.st_ctime_ns if mounted else 0


def _places(scope: Scope, known: Mapping[str, _Identity]) -> dict[str, _Identity | None]:
    """What stands under each name in scope but the host's, be it a namespace or not."""
    candidates = (name for name in _candidates(scope) if name != HOST)
    return {name: known[name] if name in known else _identity_of(name) for name in candidates}


def _identity_of(name: str) -> _Identity | None:
    try:
        return _identity(name, os.stat(netns.path_of(name), follow_symlinks="/" in name or ":" in name))
    except OSError:
        return None


def _open_all(scope: Scope, stack: ExitStack) -> tuple[dict[str, int], dict[str, str]]:
    """Every namespace in scope, and of the given ones those that are reached by another reference already."""
    fds: dict[str, int] = {}
    known: dict[tuple[int, int], str] = {}
    same: dict[str, str] = {}
    for name in _candidates(scope):
        fd = netns.open_fd(name)
        if fd is None:
            continue
        stack.callback(os.close, fd)
        info = os.fstat(fd)
        first = known.setdefault((info.st_dev, info.st_ino), name)
        if first == name:
            fds[name] = fd
        elif name in scope.given:
            same[name] = first
    return fds, same


def _unknown(wanted: Mapping[str, Iterable[str]], present: Collection[str]) -> frozenset[str]:
    """Parameters for namespaces to come that not even the host has; those of a link come with the link."""
    paths = {path for name, some in wanted.items() if name not in present for path in some}
    return frozenset(path for path in paths if not sysctl.is_of_link(path) and sysctl.read(path) is None)


def _sysctls_by_netns(scope: Scope) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key in sorted(scope.sysctls):
        found.setdefault(key[1], []).append(key[2])
    return found


def _read(
    name: str,
    fd: int,
    back: int,
    scope: Scope,
    paths: Iterable[str],
    ends: Collection[_End],
) -> Tables:
    values: dict[str, str] = {}
    # Not entered when it is the host, where we are: a look at that needs no privilege.
    with nullcontext() if name == HOST else netns.inside(fd, back):
        for path in paths:
            if (value := sysctl.read(path)) is not None:
                values[path] = value
        sock = Socket()
    with sock:
        links = [decode.link(reply) for reply in sock.dump(wire.RTM_GETLINK, _LINK_DUMP)]
        addresses = [decode.address(reply) for reply in sock.dump(wire.RTM_GETADDR, _ADDRESS_DUMP)]
        routes = _routes_in(name, sock, scope, addresses)
        qdiscs = _qdiscs(sock) if scope.foreign or any(_is_shaped(each) for each in links) else []
        known = {record.index: record.name for record in links}
        more = details.read(name, sock, known) if scope.foreign else []
        behind = _behind(sock, links, ends)
        entries, as_declared = tunnels.read(sock, scope, links) if name == HOST else ([], {})
    cut_off = subnets.lost(links, addresses, routes)
    return Tables(name, links, addresses, routes, cut_off, qdiscs, values, more, behind, entries, as_declared)


def _reread(table: Tables, indexes: Collection[int], scope: Scope, paths: Iterable[str]) -> Tables:
    """The host with a few of its links, and their addresses, read again; routes are few, and all of them are."""
    with Socket() as sock:
        links = [record for record in table.links if record.index not in indexes]
        links += _links(sock, indexes)
        indexes = {*indexes, *(beside := _unknown_beside(links))}
        links += _links(sock, beside)
        addresses = [record for record in table.addresses if record.index not in indexes]
        for index in sorted(indexes):
            body = wire.IFADDR.pack(0, 0, 0, 0, index)  # the kernel filters by it (strict checking)
            with suppress(KernelError):  # ENODEV: the link is gone
                addresses += [decode.address(reply) for reply in sock.dump(wire.RTM_GETADDR, body)]
        routes = _routes_in(HOST, sock, scope, addresses)
        qdiscs = _qdiscs(sock) if scope.foreign or any(_is_shaped(each) for each in links) else []
        entries, as_declared = tunnels.read(sock, scope, links)
    links.sort(key=lambda record: record.index)
    values = {path: held for path in paths if (held := sysctl.read(path)) is not None}
    return replace(
        table,
        links=links,
        addresses=addresses,
        routes=routes,
        cut_off=subnets.lost(links, addresses, routes),
        qdiscs=qdiscs,
        sysctls=values,
        entries=entries,
        as_declared=as_declared,
    )


def _links(sock: Socket, indexes: Collection[int]) -> list[decode.LinkRecord]:
    """Those of them that there are."""
    answers = sock.query([encode.get_link_by_index(index) for index in sorted(indexes)]) if indexes else []
    return [decode.link(answer) for answer in answers if not isinstance(answer, Failure)]


def _unknown_beside(links: Collection[decode.LinkRecord]) -> set[int]:
    """Foreign links that came unnoticed, and that one of these belongs to now: their names are needed."""
    known = {record.index for record in links}
    named = {record.master for record in links} | {r.peer for r in links if r.peer_nsid is None}
    return {index for index in named if index} - known


def _ends(host: Iterable[decode.LinkRecord]) -> frozenset[_End]:
    """The host's ends of pairs, as `_behind` knows them."""
    return frozenset((end.index, end.peer, end.alias) for end in host if end.kind == "veth")


def _behind(
    sock: Socket, links: Iterable[decode.LinkRecord], from_host: Collection[_End]
) -> dict[int, decode.LinkRecord]:
    """For links that lead out of this namespace, by index: the link at the other side, as it looks from here.

    Not asked for veths whose other end is in the host, which are most: the host's own ends tell as much.
    """
    asked = [
        record
        for record in links
        if record.peer and record.peer_nsid is not None and record.peer_nsid >= 0
        if record.kind in kinds.STACKED
        or (record.kind == "veth" and (record.peer, record.index, record.alias) not in from_host)
    ]
    if not asked:
        return {}
    questions = [_link_elsewhere(record) for record in asked]
    answers = [answer for part in _parts(questions) for answer in sock.query(part)]
    return {
        record.index: decode.link(answer)
        for record, answer in zip(asked, answers, strict=True)
        if not isinstance(answer, Failure)  # it is going away, or not ours to look at
    }


def _link_elsewhere(record: decode.LinkRecord) -> Message:
    where = wire.s32(wire.IFLA_TARGET_NETNSID, record.peer_nsid or 0)
    mask = wire.u32(wire.IFLA_EXT_MASK, wire.RTEXT_FILTER_SKIP_STATS)
    return Message(wire.RTM_GETLINK, 0, wire.IFINFO.pack(0, 0, record.peer or 0, 0, 0) + where + mask)


def _is_silent(record: decode.LinkRecord) -> bool:
    """Whether the kernel does not tell what becomes of a link: of a change of one that is down it mostly does not
    (netdev_state_change in net/core/dev.c). Only of what some topology made: that is meant to be up.
    """
    return not record.up and marks.owner(record.alias) is not None


def _is_shaped(record: decode.LinkRecord) -> bool:
    """Whether a link that some topology made sends by other rules than it was born with: only then is it worth a look."""
    return record.qdisc not in _UNSHAPED and marks.owner(record.alias) is not None


def _qdiscs(sock: Socket) -> list[qdisc.QdiscRecord]:
    records = (qdisc.decode(reply) for reply in sock.dump(wire.RTM_GETQDISC, wire.TCMSG.pack(0, 0, 0, 0, 0)))
    return [record for record in records if record is not None]


def _routes_in(
    name: str, sock: Socket, scope: Scope, addresses: Iterable[decode.AddressRecord]
) -> list[decode.RouteRecord]:
    """The host may carry a full routing table: the kernel is asked for ours only, unless somebody declared routes there."""
    if scope.foreign or name != HOST or name in scope.given:
        return _routes(sock)
    routes = _routes(sock, _OUR_ROUTES)
    if any(map(subnets.is_ours, addresses)):
        routes += _routes(sock, subnets.DUMP)
    return routes


def _routes(sock: Socket, body: bytes = _ALL_ROUTES) -> list[decode.RouteRecord]:
    records = (decode.route(reply) for reply in sock.dump(wire.RTM_GETROUTE, body))
    return [record for record in records if record is not None]


def _give_numbers(fds: Mapping[str, int]) -> None:
    """Each namespace gets a number in the host; those that have one refuse another (EEXIST)."""
    with Socket() as sock:
        for part in _parts([encode.new_nsid(fd) for name, fd in fds.items() if name != HOST]):
            sock.transact(part)


def _peer_namespaces(
    fds: Mapping[str, int], tables: Mapping[str, Tables], *, numbered: bool = False
) -> dict[int, str]:
    """Which namespace each namespace number of the host stands for; there are any if links say so, or `numbered`."""
    if not numbered and not any(record.peer_nsid is not None for record in tables[HOST].links):
        return {}
    others = [(name, fd) for name, fd in fds.items() if name != HOST]
    requests = [encode.get_nsid(fd) for _, fd in others]
    with Socket() as sock:
        answers = [answer for part in _parts(requests) for answer in sock.query(part)]
    found: dict[int, str] = {}
    for (name, _), answer in zip(others, answers, strict=True):
        if isinstance(answer, Failure):
            raise KernelError(f"asking for the number of namespace '{name}': {answer}", errno=answer.errno)
        number = decode.nsid(answer)
        if number >= 0:
            found.setdefault(number, name)
    return found


def _parts(requests: list[Message], size: int = 256) -> Iterator[list[Message]]:
    return (requests[start : start + size] for start in range(0, len(requests), size))
