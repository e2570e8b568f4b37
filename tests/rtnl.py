"""Raw rtnetlink for the tests: which namespace is which, and a listener that counts what the kernel reports.

Deliberately written by hand and small: this is the independent eye, so it shares nothing with the reconciler's own
kernel code and uses no netlink library. All functions act in the calling thread's network namespace.
"""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

SOL_NETLINK = 270
NETLINK_ADD_MEMBERSHIP = 1
NETLINK_LISTEN_ALL_NSID = 8
SO_RCVBUFFORCE = 33
BUFFER = 32 << 20

NLM_F_REQUEST = 1
NLM_F_ACK = 4
NLM_F_EXCL = 0x200
NLM_F_CREATE = 0x400
NLMSG_ERROR = 2
RTM_NEWNSID = 88
RTM_GETNSID = 90
NETNSA_NSID = 1
NETNSA_FD = 3

NAMES = {
    16: "newlink",
    17: "dellink",
    20: "newaddr",
    21: "deladdr",
    24: "newroute",
    25: "delroute",
    28: "newneigh",
    29: "delneigh",
    32: "newrule",
    33: "delrule",
    36: "newqdisc",
    37: "delqdisc",
    40: "newtclass",
    41: "deltclass",
    44: "newtfilter",
    45: "deltfilter",
    52: "newprefix",
    80: "newnetconf",
    81: "delnetconf",
    84: "newmdb",
    85: "delmdb",
    88: "newnsid",
    89: "delnsid",
    104: "newnexthop",
    105: "delnexthop",
    112: "newvlan",
    113: "delvlan",
}
# link, neigh, tc, v4 addr, v4 route, v4 rule, v6 addr, v6 route, v6 rule, netconf v4 + v6, mdb, nsid, nexthop, vlan
GROUPS = (1, 3, 4, 5, 7, 8, 9, 11, 19, 24, 25, 26, 28, 32, 33)
_HEADER = struct.Struct("=IHHII")
_LINK_TYPES = (16, 17)
_ADDRESS_TYPES = (20, 21)
_NEIGHBOUR_TYPES = (28, 29)
IFLA_IFNAME = 3


@dataclass(frozen=True, slots=True)
class Event:
    """One notification. `nsid` is None for the world's own host; `name` is set for links only."""

    kind: str
    nsid: int | None
    ifindex: int
    name: str


class Monitor:
    """Counts rtnetlink notifications of the world's host and of all namespaces that it knows, from its creation on."""

    def __init__(self) -> None:
        self._socket = _open()
        for group in GROUPS:
            self._socket.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)
        self._socket.setsockopt(SOL_NETLINK, NETLINK_LISTEN_ALL_NSID, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        self._socket.setblocking(False)
        self._events: list[Event] = []

    def events(self) -> list[Event]:
        """Everything reported so far, oldest first. An overrun of the buffer is an OSError, never a short list."""
        while True:
            try:
                data, control, _, _ = self._socket.recvmsg(1 << 16, 64)
            except BlockingIOError:
                return list(self._events)
            number = next(
                (
                    struct.unpack("=i", c)[0]
                    for level, kind, c in control
                    if level == SOL_NETLINK and kind == 8
                ),
                None,
            )
            self._events.extend(_event(kind, body, number) for kind, body in _split(data))

    def count(self) -> int:
        """How many notifications there were so far."""
        return len(self.events())

    def wait(self, seconds: float) -> bool:
        """Blocks until something new is reported, at most `seconds`; says whether there was anything."""
        return bool(select.select([self._socket], [], [], seconds)[0])

    def close(self) -> None:
        """Stops listening; what was counted stays readable only until here."""
        self._socket.close()


def nsid(fd: int) -> int | None:
    """The number under which the calling thread's namespace knows the namespace behind `fd`, None if it does not."""
    with _open() as sock:
        _, reply = _ask(sock, RTM_GETNSID, _netns_attrs(fd))
    for kind, value in attributes(reply[4:]):
        if kind == NETNSA_NSID:
            number: int = struct.unpack("=i", value)[0]
            return None if number < 0 else number
    return None


def assign_nsid(fd: int) -> None:
    """Gives the namespace behind `fd` a number in the calling thread's namespace: without one, it is not listened to."""
    if nsid(fd) is None:
        with _open() as sock:
            _ask(sock, RTM_NEWNSID, _netns_attrs(fd) + struct.pack("=HHi", 8, NETNSA_NSID, -1), NLM_F_ACK)


def request(kind: int, body: bytes, *, create: bool = False) -> bytes:
    """The kernel's answer to one request, without its header; empty for what is only acknowledged. Refused: OSError."""
    with _open() as sock:
        return _ask(sock, kind, body, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK if create else 0)[1]


def _open() -> socket.socket:
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    sock.bind((0, 0))
    return sock


def _netns_attrs(fd: int) -> bytes:
    return struct.pack("=B3xHHI", 0, 8, NETNSA_FD, fd)


def _ask(sock: socket.socket, kind: int, body: bytes, flags: int = 0) -> tuple[int, bytes]:
    sock.send(_HEADER.pack(16 + len(body), kind, NLM_F_REQUEST | flags, 1, 0) + body)
    answer, reply = next(_split(sock.recv(1 << 16)))
    if answer == NLMSG_ERROR and (code := struct.unpack_from("=i", reply)[0]):
        raise OSError(-code, f"rtnetlink request {kind} refused")
    return answer, reply


def _split(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= 16:
        length, kind, _, _, _ = _HEADER.unpack_from(data)
        yield kind, data[16:length]
        data = data[(length + 3) & ~3 :]


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Kind and value of each attribute of a message or of a nested attribute."""
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        yield kind, data[4:length]
        data = data[(length + 3) & ~3 :]


def _event(kind: int, body: bytes, nsid: int | None) -> Event:
    name, ifindex = "", 0
    if kind in _LINK_TYPES or kind in _ADDRESS_TYPES or kind in _NEIGHBOUR_TYPES:
        ifindex = struct.unpack_from("=I", body, 4)[0]
    if kind in _LINK_TYPES:
        found = (value for key, value in attributes(body[16:]) if key == IFLA_IFNAME)
        name = next(found, b"").rstrip(b"\0").decode()
    return Event(NAMES.get(kind, str(kind)), nsid, ifindex, name)
