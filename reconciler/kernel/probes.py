"""Sockets inside sandboxes that try whether something answers, and those that answer them. No program is started.

A socket belongs for good to the namespace in which it was opened, so the calling thread enters one only for that
moment, and one loop can wait for all of them. A `Try` is one packet, connection or request: it ends with an answer, or
with a reason why there is none. Whoever wants to know more than once makes another one.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ..errors import ReconcilerError
from ..model import IPAddress
from . import netns

_IP_MTU_DISCOVER, _IPV6_MTU_DISCOVER, _IPV6_DONTFRAG, _PMTUDISC_PROBE = 10, 23, 62, 3
_ICMP_FILTER, _ICMP6_FILTER, _SOL_RAW = 1, 1, 255
_PAYLOAD = 56
_PATIENT = (errno.EINPROGRESS, errno.EAGAIN)
_WORDS = {
    errno.EMSGSIZE: "larger than the MTU of the way out",
    errno.ECONNREFUSED: "refused: nobody listens",
    errno.ENETUNREACH: "no route",
    errno.EHOSTUNREACH: "unreachable",
    errno.EADDRNOTAVAIL: "the sandbox has no address to come from",
}


class Absent(ReconcilerError):
    """The namespace of a sandbox does not exist (yet)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How a try ended: whether it was answered well, in words how or why not, and whether anything answered at all."""

    open: bool
    words: str
    reached: bool = False


class Try(Protocol):
    """One try under way. `writes`: it waits until it may write, not for something to read."""

    sock: socket.socket
    writes: bool

    def advance(self) -> Answer | None:
        """Go on as far as the socket lets it; the end if this is it."""


def opened(where: str, family: int, kind: int, protocol: int = 0) -> socket.socket:
    """A socket that belongs to a namespace and does not block. Raises Absent."""
    fd = netns.open_fd(where)
    if fd is None:
        raise Absent(f"there is no namespace '{where or 'host'}'")
    try:
        with netns.home() as back, netns.inside(fd, back):
            sock = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, protocol)
    finally:
        os.close(fd)
    return sock


def _family(address: IPAddress) -> int:
    return socket.AF_INET6 if address.version == 6 else socket.AF_INET


def _failed(error: OSError) -> Answer:
    return Answer(open=False, words=_WORDS.get(error.errno or 0) or error.strerror or str(error))


class Echo:
    """An echo request. `size` is that of the IP packet in bytes, which then is not to be fragmented."""

    writes = False

    def __init__(self, where: str, address: IPAddress, size: int | None) -> None:
        six = address.version == 6
        kind = socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP
        self.sock = opened(where, _family(address), socket.SOCK_RAW, kind)
        self._header = 0 if six else 20
        payload = os.urandom(_PAYLOAD if size is None else size - (48 if six else 28))
        self._expected = struct.pack("!HH", int.from_bytes(os.urandom(2)), 1) + payload
        message = struct.pack("!BBH", 128 if six else 8, 0, 0) + self._expected
        self._message = message if six else message[:2] + _checksum(message) + message[4:]
        self._wanted = 129 if six else 0
        _hear_replies_only(self.sock, six=six)
        if size is not None:
            _forbid_fragments(self.sock, six=six)
        self._failure = self._send(str(address))

    def _send(self, address: str) -> Answer | None:
        try:
            self.sock.connect((address, 0))  # only a connected socket is told that the target is unreachable
            self.sock.send(self._message)
        except OSError as error:
            return _failed(error)
        return None

    def advance(self) -> Answer | None:
        if self._failure is not None:
            return self._failure
        try:
            while True:
                data = self.sock.recv(1 << 16)
                start = self._header and (data[0] & 15) * 4
                if data[start : start + 1] == bytes([self._wanted]) and data[start + 4 :] == self._expected:
                    return Answer(open=True, words="answers", reached=True)
        except BlockingIOError:
            return None
        except OSError as error:
            return _failed(error)


def _hear_replies_only(sock: socket.socket, *, six: bool) -> None:
    """Whatever else arrives in the namespace is not put into the queue of this socket."""
    if six:
        words = struct.pack("=8I", *(0xFFFFFFFD if word == 129 // 32 else 0xFFFFFFFF for word in range(8)))
        sock.setsockopt(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, words)
    else:
        sock.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("=I", 0xFFFFFFFE))


def _forbid_fragments(sock: socket.socket, *, six: bool) -> None:
    """Not even what the kernel learned of the path splits a packet: each try finds out for itself."""
    if six:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _PMTUDISC_PROBE)
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_DONTFRAG, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC_PROBE)


def _checksum(data: bytes) -> bytes:
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF)


class Connection:
    """A TCP connection, given up as soon as it stands; with a `request`, only after the answer to that."""

    writes = True

    def __init__(self, where: str, address: IPAddress, port: int, request: bytes | None = None) -> None:
        self.sock = opened(where, _family(address), socket.SOCK_STREAM)
        self._request = request
        self._reply = b""
        code = self.sock.connect_ex((str(address), port))
        self._error = 0 if code in _PATIENT else code

    def advance(self) -> Answer | None:
        if self.writes:
            code = self._error or self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                return _failed(OSError(code, os.strerror(code)))
            if not self._is_connected():
                return None
            if self._request is None:
                return Answer(open=True, words="accepts", reached=True)
        try:
            return self._exchange()
        except BlockingIOError:
            return None
        except OSError as error:
            return _failed(error)

    def _is_connected(self) -> bool:
        try:
            self.sock.getpeername()
        except OSError:
            return False
        return True

    def _exchange(self) -> Answer | None:
        if self.writes and self._request is not None:
            self.sock.send(self._request)
            self.writes = False
        while b"\n" not in self._reply and len(self._reply) < 4096:
            data = self.sock.recv(4096)
            if not data:
                break
            self._reply += data
        return _status(self._reply.partition(b"\n")[0])


def get_request(url: str) -> bytes:
    """What to send for a URL."""
    authority, slash, path = url.removeprefix("http://").partition("/")
    authority, mark, query = (authority, "", "") if slash else authority.partition("?")
    target = f"/{path}{mark}{query}"
    lines = (f"GET {target} HTTP/1.0", f"Host: {authority}", "User-Agent: reconciler", "Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _status(line: bytes) -> Answer:
    words = line.decode("latin-1").split()
    if len(words) < 2 or not words[0].startswith("HTTP/") or not words[1].isdecimal():
        return Answer(open=False, words="answers, but not in HTTP", reached=True)
    good = 200 <= int(words[1]) < 400
    return Answer(open=good, words=f"answers {' '.join(words[1:])[:60]}", reached=True)


class Datagram:
    """A UDP datagram that must be answered."""

    writes = False

    def __init__(self, where: str, address: IPAddress, port: int) -> None:
        self.sock = opened(where, _family(address), socket.SOCK_DGRAM)
        self._failure: Answer | None = None
        try:
            self.sock.connect((str(address), port))
            self.sock.send(b"reconciler verify\n")
        except OSError as error:
            self._failure = _failed(error)

    def advance(self) -> Answer | None:
        if self._failure is not None:
            return self._failure
        try:
            self.sock.recv(1 << 16)
        except BlockingIOError:
            return None
        except OSError as error:
            return _failed(error)
        return Answer(open=True, words="answers", reached=True)


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket of ours that answers tries. `serve` is for when there is something to read."""

    sock: socket.socket
    serve: Callable[[], None]


def listen(where: str, address: IPAddress, port: int, *, udp: bool) -> Listener | None:
    """A listener in a namespace; None where a program has the port already, and answers for itself. Raises Absent."""
    sock = opened(where, _family(address), socket.SOCK_DGRAM if udp else socket.SOCK_STREAM)
    try:
        if address.version == 6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if udp:
            sock.bind((str(address), port))  # the answer must come from the address that was asked
            return Listener(sock, lambda: _echo(sock))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # On every address: a program that listens on loopback only must not look as if it could be reached.
        sock.bind(("::" if address.version == 6 else "0.0.0.0", port))
        sock.listen(4096)
    except OSError as error:
        sock.close()
        if error.errno in (errno.EADDRINUSE, errno.EADDRNOTAVAIL):
            return None
        raise
    return Listener(sock, lambda: _accept(sock))


def _echo(sock: socket.socket) -> None:
    try:
        data, peer = sock.recvfrom(1 << 16)
        sock.sendto(data, peer)
    except OSError:  # nothing there after all, or no way back: the other side finds out by itself
        return


def _accept(sock: socket.socket) -> None:
    try:
        sock.accept()[0].close()
    except OSError:
        return
