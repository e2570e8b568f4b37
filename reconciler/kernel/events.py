"""The kernel's own notices, of the host and of all namespaces that have a number there, through one socket. Reads only.

A notice is never applied: it only says where to look again. So it does not matter in which order notices come, nor that
some are lost, as long as we know that some were: an overrun means that everything may have changed.

Most notices on a busy host are about links that are nobody's business here. They are told apart by their index (or
their name, for a link that is awaited), before anything else of them is looked at. Namespaces are told apart by the
number that comes with each notice (NETLINK_LISTEN_ALL_NSID); one without a number in the host is not heard, so whoever
follows gives each its number (see `observe.Observer`).
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from ..errors import KernelError, Unsupported
from ..marks import PROTOCOL
from . import wire
from .observe import EVERYTHING, Stale

# RTNLGRP_*: link, address, route and rule of both families, traffic control, namespace numbers, and of the few
# parameters that the kernel tells of (forwarding, rp_filter, …), of both families.
_GROUPS = (1, 5, 7, 9, 11, 4, 28, 24, 25)
_NEIGHBOURS = 3
_SOL_NETLINK, _ADD_MEMBERSHIP, _LISTEN_ALL_NSID = 270, 1, 8
_SO_RCVBUFFORCE = 33
ROOM = 32 << 20
_AT_ONCE = 20_000  # datagrams; who says more than that is not waited for
_ANCILLARY = socket.CMSG_SPACE(4)
_RECEIVE = 32 << 10

_LINK = (wire.RTM_NEWLINK, wire.RTM_DELLINK)
_ADDRESS = (wire.RTM_NEWADDR, wire.RTM_DELADDR)
_ROUTE = (wire.RTM_NEWROUTE, wire.RTM_DELROUTE)
_QDISC = (36, 37)
_NEIGHBOUR = (28, 29)
_PARAMETER = (80, 81)
_DELNSID = 89
_LASTING = 0x80 | 0x40  # NUD_PERMANENT, NUD_NOARP
_NETNSA_NSID, _NETCONFA_IFINDEX = 1, 1


@dataclass(slots=True)
class Counters:
    """What was heard since the start."""

    heard: int = 0
    foreign: int = 0
    overruns: int = 0


class Events:
    """A subscription. `fileno` is readable when there is something to hear; `drain` hears all of it."""

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self.counters = Counters()
        self._names: Mapping[int, str] = {}
        self._links: Collection[int] = ()
        self._awaited: Collection[bytes] = ()
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        try:
            self._subscribe(_GROUPS)
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def fileno(self) -> int:
        """For a selector."""
        return self._socket.fileno()

    def hear_entries(self) -> None:
        """Also hear of neighbours and forwarding entries in the host: only who declares some, for there are many."""
        self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, _NEIGHBOURS)

    def follow(self, numbers: Mapping[int, str], links: Collection[int], awaited: Iterable[str]) -> None:
        """Which namespaces have which numbers, which links of the host matter, and under which names more would."""
        self._names, self._links = numbers, frozenset(links)
        self._awaited = frozenset(name.encode() + b"\0" for name in awaited)

    def drain(self) -> Stale:
        """Where to look again, for everything that was heard so far, or for the first part of it if it is very much.

        Never waits.
        """
        namespaces: set[str] = set()
        links: set[int] = set()
        everything = False
        for _ in range(_AT_ONCE):
            try:
                buffer, ancillary, _, _ = self._socket.recvmsg(_RECEIVE, _ANCILLARY)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise KernelError(
                        f"listening to the kernel: {error.strerror}", errno=error.errno or 0
                    ) from error
                self.counters.overruns += 1
                everything = True
                continue
            number = _number(ancillary)
            if number is None:
                self._of_host(buffer, links, namespaces)
            else:
                self.counters.heard += 1
                name = self._names.get(number)
                if name is not None and wire.HEADER.unpack_from(buffer)[1] not in _NEIGHBOUR:
                    namespaces.add(name)
                else:
                    self.counters.foreign += 1
        if everything:
            return EVERYTHING
        return Stale(frozenset(namespaces), frozenset(links))

    def _of_host(self, buffer: bytes, links: set[int], namespaces: set[str]) -> None:
        """Note what a datagram of the host's own notices is about."""
        start = 0
        while start + 16 <= len(buffer):
            length, kind, _, _, _ = wire.HEADER.unpack_from(buffer, start)
            if length < 16:
                break
            self.counters.heard += 1
            body, end = start + 16, start + length
            if kind in _LINK:
                self._link(buffer, body, end, links)
            elif kind in _NEIGHBOUR:
                if wire.NDMSG.unpack_from(buffer, body)[2] & _LASTING:  # others are learned and forgotten
                    self._on_link(wire.S32.unpack_from(buffer, body + 4)[0], links)
            elif kind in _ADDRESS or kind in _QDISC:
                self._on_link(wire.S32.unpack_from(buffer, body + 4)[0], links)
            elif kind in _ROUTE:
                self._route(buffer, body, end, links)
            elif kind in _PARAMETER:
                self._parameter(buffer, body, end, links)
            elif kind == _DELNSID:
                self._ended(buffer, body, end, namespaces)
            start += (length + 3) & ~3

    def _link(self, buffer: bytes, body: int, end: int, links: set[int]) -> None:
        index = wire.S32.unpack_from(buffer, body + 4)[0]
        if index in self._links or self._is_awaited(buffer, body, end) or self._joins_ours(buffer, body, end):
            links.add(index)
        else:
            self.counters.foreign += 1

    def _is_awaited(self, buffer: bytes, body: int, end: int) -> bool:
        return any(
            kind == wire.IFLA_IFNAME and buffer[first:last] in self._awaited
            for kind, first, last in wire.walk(buffer, body + 16, end)
        )

    def _joins_ours(self, buffer: bytes, body: int, end: int) -> bool:
        return any(
            kind in (wire.IFLA_MASTER, wire.IFLA_LINK) and wire.get_u32(buffer, first) in self._links
            for kind, first, _ in wire.walk(buffer, body + 16, end)
        )

    def _on_link(self, index: int, links: set[int]) -> None:
        if index in self._links:
            links.add(index)
        else:
            self.counters.foreign += 1

    def _parameter(self, buffer: bytes, body: int, end: int, links: set[int]) -> None:
        """One of a link, or of the host as a whole: with a negative number."""
        for kind, first, _ in wire.walk(buffer, body + 4, end):
            if kind == _NETCONFA_IFINDEX:
                index = wire.S32.unpack_from(buffer, first)[0]
                self._on_link(index, links) if index > 0 else links.add(0)

    def _ended(self, buffer: bytes, body: int, end: int, namespaces: set[str]) -> None:
        for kind, first, _ in wire.walk(buffer, body + 4, end):
            if kind == _NETNSA_NSID:
                name = self._names.get(wire.S32.unpack_from(buffer, first)[0])
                if name is not None:
                    namespaces.add(name)

    def _route(self, buffer: bytes, body: int, end: int, links: set[int]) -> None:
        """Only routes with our mark are ever ours; all of them are read again with any link of the host. So are those
        that the kernel makes for the subnets of our links.
        """
        _, _, _, _, table, protocol, _, _, _ = wire.RTMSG.unpack_from(buffer, body)
        if protocol == PROTOCOL:
            links.add(0)
        elif protocol == wire.RTPROT_KERNEL and table == wire.RT_TABLE_MAIN:
            for kind, first, _ in wire.walk(buffer, body + 12, end):
                if kind == wire.RTA_OIF:
                    self._on_link(wire.S32.unpack_from(buffer, first)[0], links)
        else:
            self.counters.foreign += 1

    def _subscribe(self, groups: Iterable[int]) -> None:
        self._socket.bind((0, 0))
        with suppress(PermissionError):
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, self._room)
        try:
            self._socket.setsockopt(_SOL_NETLINK, _LISTEN_ALL_NSID, 1)
        except PermissionError as error:
            raise Unsupported(
                "notices of namespaces may not be heard: CAP_NET_BROADCAST is missing", hint="run as root"
            ) from error
        for group in groups:
            self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
        self._socket.settimeout(0)


def _number(ancillary: list[tuple[int, int, bytes]]) -> int | None:
    """The number of the namespace that a notice comes from, None for the host itself."""
    for level, kind, data in ancillary:
        if level == _SOL_NETLINK and kind == _LISTEN_ALL_NSID:
            found: int = wire.S32.unpack(data[:4])[0]
            return found
    return None
