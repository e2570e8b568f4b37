"""Wait until what was configured works, by the kernel's own events.

"Returned" is not "ready": with a thousand ports the bridge needs seconds after the last message until all forward.
The subscription comes before the look, so nothing can slip in between; when the socket overflows we look again. No
polling: the wait ends by an event, a signal or the deadline.
"""

from __future__ import annotations

import errno
import select
import socket
import time
from collections.abc import Callable, Mapping
from socket import AF_BRIDGE

from ..interrupts import Interrupts
from ..objects import HOST, Key
from . import wire

_FORWARDING = 3
_RTNLGRP_LINK, _RTNLGRP_IPV6_IFADDR = 1, 9
_SOL_NETLINK, _ADD_MEMBERSHIP, _LISTEN_ALL_NSID = 270, 1, 8
_SO_RCVBUFFORCE = 33
_SLICE = (
    0.5  # seconds between looks at the interrupt flag: select is restarted after a signal handler (PEP 475)
)


def wait_ready(
    look: Callable[[], Mapping[Key, str]], timeout: float, interrupts: Interrupts
) -> Mapping[Key, str]:
    """What is still not ready after at most `timeout` seconds. `look` reads it afresh from the kernel."""
    deadline = time.monotonic() + timeout
    with _subscribe() as sock:
        deaf = not _hears_namespaces(sock)
        unready = dict(look())
        while unready and interrupts.received is None:
            left = deadline - time.monotonic()
            if left <= 0:
                break
            readable, _, _ = select.select([sock], [], [], min(left, _SLICE))
            if (readable and _learn(sock, unready)) or deaf:
                unready = dict(look())
    return unready


def _hears_namespaces(sock: socket.socket) -> bool:
    """Whether notices of all namespaces come in from now on. Without CAP_NET_BROADCAST they do not; then we look often."""
    try:
        sock.setsockopt(_SOL_NETLINK, _LISTEN_ALL_NSID, 1)
    except PermissionError:
        return False
    return True


def _subscribe() -> socket.socket:
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 8 << 20)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    sock.bind((0, 0))
    for group in (_RTNLGRP_LINK, _RTNLGRP_IPV6_IFADDR):
        sock.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
    sock.settimeout(0)
    return sock


def _learn(sock: socket.socket, unready: dict[Key, str]) -> bool:
    """Take the ports that forward now off the list; True when only a fresh look can tell."""
    look_again = False
    while True:
        try:
            buffer = sock.recv(65536)
        except BlockingIOError:
            return look_again
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            look_again = True
            continue
        start = 0
        while start + 16 <= len(buffer):
            length, kind, _, _, _ = wire.HEADER.unpack_from(buffer, start)
            if length < 16:
                break
            if kind == wire.RTM_NEWADDR:
                look_again = look_again or any(key[0] == "address" for key in unready)
            elif kind == wire.RTM_NEWLINK and (name := _forwarding(buffer, start + 16, start + length)):
                unready.pop(("link", HOST, name), None)
            start += (length + 3) & ~3


def _forwarding(buffer: bytes, start: int, end: int) -> str | None:
    """The name of the link if this is the bridge's own notice that it forwards."""
    if buffer[start] != AF_BRIDGE:
        return None
    name: str | None = None
    state = -1
    for kind, first, last in wire.walk(buffer, start + 16, end):
        if kind == wire.IFLA_IFNAME:
            name = wire.get_text(buffer, first, last)
        elif kind == wire.IFLA_PROTINFO:
            state = next(
                (buffer[at] for k, at, _ in wire.walk(buffer, first, last) if k == wire.IFLA_BRPORT_STATE), -1
            )
    return name if state == _FORWARDING else None
