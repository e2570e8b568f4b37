"""One routing-netlink socket in one namespace: pipelined requests, complete dumps, every error kept.

Our own, because pyroute2 0.9.7 forks for each namespace, waits for each request, and returns torn dumps as if they
were whole. A socket belongs to the namespace it was opened in for ever, so it is opened by `open_in` and then used
from anywhere. Not thread-safe; one caller at a time.

`transact` sends many messages in one go and asks for one acknowledgement, that of the last: the kernel reports
errors for the others anyway, by sequence number. The kernel works a whole send off before it returns, so a kill
cannot fall between two messages of one chunk.
"""

from __future__ import annotations

import errno as errno_names
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import repeat
from types import TracebackType
from typing import NamedTuple, Self

from ..errors import DeadlineExceeded, KernelError
from . import wire

CHUNK = 48 * 1024
_TIMEOUT = 30
_TIMEVAL = struct.pack("@ll", _TIMEOUT, 0)
_DUMP_TRIES = 8
_BUFFER = 1 << 20  # what the socket may queue
_RECEIVE = 64 * 1024  # the kernel fills at most 32 KiB at a time; larger buffers cost a mapping each
_SOL_NETLINK = 270
_CAP_ACK, _EXT_ACK, _STRICT_CHECK = 10, 11, 12
_SO_RCVBUFFORCE = 33
_EXT_ACK_MESSAGE = 1


@dataclass(frozen=True, slots=True)
class Failure:
    """The kernel's no to one message: positive errno and its extended text, if any."""

    errno: int
    detail: str | None = None

    @property
    def name(self) -> str:
        """EEXIST and the like."""
        if self.errno == errno_names.EOPNOTSUPP:  # Python prefers ENOTSUP, which kernel and `ip` never say
            return "EOPNOTSUPP"
        return errno_names.errorcode.get(self.errno, f"errno {self.errno}")

    def __str__(self) -> str:
        return f"{os.strerror(self.errno)} ({self.name})" + (f": {self.detail}" if self.detail else "")


class Message(NamedTuple):
    """A request without its header: type, flags beside REQUEST, body."""

    type: int
    flags: int
    body: bytes


Request = tuple[int, int, bytes]  # a `Message`, or as much as one


class Alike(NamedTuple):
    """Requests of one type that differ in what is in the middle of their bodies only, and that is of one size."""

    type: int
    flags: int
    head: bytes
    middles: Sequence[bytes]
    tail: bytes = b""

    def packed(self, first: int) -> bytes:
        """All of them with their headers, numbered from `first` on; the last asks for an acknowledgement."""
        size, count = 16 + len(self.head) + len(self.middles[0]) + len(self.tail), len(self.middles)
        layout = f"=IHHII{len(self.head)}s{len(self.middles[0])}s{len(self.tail) + (-size & 3)}s"
        flags = [self.flags | wire.NLM_F_REQUEST] * count
        flags[-1] |= wire.NLM_F_ACK
        numbers = range(first, first + count)
        head, tail = repeat(self.head), repeat(self.tail)
        # One call for each in C, which is what makes this so fast.
        rows = map(
            struct.Struct(layout).pack,
            repeat(size),
            repeat(self.type),
            flags,
            numbers,
            repeat(0),
            head,
            self.middles,
            tail,
        )
        return b"".join(rows)


class Reply(NamedTuple):
    """A message from the kernel; `buffer[start:end]` is its payload after the netlink header."""

    type: int
    flags: int
    sequence: int
    buffer: bytes
    start: int
    end: int


class Run(NamedTuple):
    """Messages of one dump, one behind the other, that begin alike: `size` bytes each, their header included."""

    buffer: bytes
    size: int

    @property
    def replies(self) -> Iterator[Reply]:
        """The messages one by one."""
        return _replies(self.buffer, 0)


class Socket:
    """A NETLINK_ROUTE socket of the namespace that the calling thread is in."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        self._sequence = 0
        try:
            # Not settimeout: that costs a poll before every call, and there are thousands of them.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _TIMEVAL)
            for option in (_CAP_ACK, _EXT_ACK, _STRICT_CHECK):
                self._socket.setsockopt(_SOL_NETLINK, option, 1)
            _enlarge(self._socket)
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the file descriptor."""
        self._socket.close()

    def transact(self, messages: Sequence[Request]) -> dict[int, Failure]:
        """Send `messages`, in order; the failed ones by their index. Keep them near CHUNK bytes in all."""
        if not messages:
            return {}
        first = self._sequence + 1
        self._send(messages, ack_last=True)
        return self._refused(first)

    def transact_alike(self, messages: Alike) -> dict[int, Failure]:
        """The same for messages that are alike, of which there must be one at least."""
        first = self._sequence + 1
        self._sequence += len(messages.middles)
        self._send_bytes(messages.packed(first))
        return self._refused(first)

    def _refused(self, first: int) -> dict[int, Failure]:
        """What became of the messages since `first`, of which the last asked for an acknowledgement."""
        failures: dict[int, Failure] = {}
        while True:
            for reply in self._receive():
                if reply.type == wire.NLMSG_ERROR and first <= reply.sequence <= self._sequence:
                    failure = _failure(reply)
                    if failure is not None:
                        failures[reply.sequence - first] = failure
                    if reply.sequence == self._sequence:
                        return failures

    def ask(
        self, messages: Sequence[Message], question: Message
    ) -> tuple[dict[int, Failure], Reply | Failure]:
        """As `transact`, with a question behind the messages in the same send; its answer needs no acknowledgement."""
        first = self._sequence + 1
        self._send([*messages, question], ack_last=False)
        failures: dict[int, Failure] = {}
        while True:
            for reply in self._receive():
                failure = _failure(reply) if reply.type == wire.NLMSG_ERROR else None
                if reply.sequence == self._sequence:
                    return failures, failure or reply
                if failure is not None and reply.sequence >= first:
                    failures[reply.sequence - first] = failure

    def query(self, messages: Sequence[Message]) -> list[Reply | Failure]:
        """Send requests that are answered by one message each; the answers in the order of the requests."""
        if not messages:
            return []
        first = self._sequence + 1
        self._send(messages, ack_last=False)
        answers: dict[int, Reply | Failure] = {}
        while len(answers) < len(messages):
            for reply in self._receive():
                if first <= reply.sequence <= self._sequence:
                    failure = _failure(reply) if reply.type == wire.NLMSG_ERROR else None
                    answers[reply.sequence - first] = failure or reply
        return [answers[index] for index in range(len(messages))]

    def dump(self, kind: int, body: bytes) -> list[Reply]:
        """All objects of one kind. A dump that the kernel marks as interrupted by a change is repeated.

        Raises KernelError for an error in the dump's end message, and when it is torn again and again (EAGAIN).
        """
        return self.dump_runs(kind, body, 0)[1]

    def dump_runs(self, kind: int, body: bytes, alike: int) -> tuple[list[Run], list[Reply]]:
        """The same, without taking apart what is alike: ten thousand entries of a table are a few runs, and a rest.

        `alike`: in how many bytes behind the header, too; 0 for a dump without runs.
        """
        for _ in range(_DUMP_TRIES):
            found = self._dump_once(kind, body, alike)
            if found is not None:
                return found
        raise KernelError("the kernel's tables change faster than they can be read", errno=errno_names.EAGAIN)

    def _dump_once(self, kind: int, body: bytes, alike: int) -> tuple[list[Run], list[Reply]] | None:
        self._send([Message(kind, wire.NLM_F_DUMP, body)], ack_last=False)
        runs: list[Run] = []
        replies: list[Reply] = []
        torn = False
        while True:
            buffer, start = self._receive_bytes(), 0
            if alike and (run := _run(buffer, self._sequence, alike)) is not None:
                runs.append(run)
                start = len(run.buffer)
            for reply in _replies(buffer, start):
                if reply.sequence != self._sequence:
                    continue
                torn = torn or bool(reply.flags & wire.NLM_F_DUMP_INTR)
                if reply.type in (wire.NLMSG_DONE, wire.NLMSG_ERROR):
                    failure = _failure(reply)
                    if failure is not None:
                        raise KernelError(f"reading the kernel's tables: {failure}", errno=failure.errno)
                    return None if torn else (runs, replies)
                replies.append(reply)

    def _send(self, messages: Sequence[Request], *, ack_last: bool) -> None:
        parts: list[bytes] = []
        pack, first = wire.HEADER.pack, self._sequence + 1
        self._sequence += len(messages)
        for sequence, (kind, flags, body) in enumerate(messages, first):
            parts += (pack(16 + len(body), kind, flags | wire.NLM_F_REQUEST, sequence, 0), body)
            if len(body) & 3:
                parts.append(b"\0" * (-len(body) & 3))
        if ack_last:
            kind, flags, body = messages[-1]
            last = -3 if len(body) & 3 else -2
            parts[last] = pack(
                16 + len(body), kind, flags | wire.NLM_F_REQUEST | wire.NLM_F_ACK, self._sequence, 0
            )
        self._send_bytes(b"".join(parts))

    def _send_bytes(self, data: bytes) -> None:
        try:
            self._socket.send(data)
        except OSError as error:
            raise KernelError(f"sending to the kernel: {error.strerror}", errno=error.errno or 0) from error

    def _receive(self) -> Iterator[Reply]:
        return _replies(self._receive_bytes(), 0)

    def _receive_bytes(self) -> bytes:
        try:
            return self._socket.recv(_RECEIVE)
        except (TimeoutError, BlockingIOError) as error:
            raise DeadlineExceeded(f"the kernel did not answer within {_TIMEOUT} s") from error
        except OSError as error:
            raise KernelError(
                f"receiving from the kernel: {error.strerror}", errno=error.errno or 0
            ) from error


def _replies(buffer: bytes, start: int) -> Iterator[Reply]:
    """The messages in `buffer` from `start` on."""
    while start + 16 <= len(buffer):
        length, kind, flags, sequence, _ = wire.HEADER.unpack_from(buffer, start)
        if length < 16 or start + length > len(buffer):
            return
        yield Reply(kind, flags, sequence, buffer, start + 16, start + length)
        start += (length + 3) & ~3


def _run(buffer: bytes, sequence: int, alike: int) -> Run | None:
    """The messages at the start of `buffer` if they begin alike, all that there is room for at the size of the first."""
    size, kind, flags, number, _ = wire.HEADER.unpack_from(buffer)
    count = len(buffer) // size if size else 0
    if count < 2 or size & 3 or size < 16 + alike or number != sequence:
        return None
    if flags & wire.NLM_F_DUMP_INTR or kind < wire.NLMSG_MIN_TYPE:
        return None
    end = count * size
    # Column by column, because a slice with a step is made in C: a dozen times the speed of looking at each header.
    if all(buffer[at:end:size].count(buffer[at]) == count for at in range(16 + alike)):
        return Run(buffer[:end], size)
    return None


def _enlarge(sock: socket.socket) -> None:
    """Room for the case that every message of a chunk is refused."""
    with suppress(PermissionError):  # reading needs no privilege, and the default size is enough for it
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)


def _failure(reply: Reply) -> Failure | None:
    if reply.end - reply.start < 4:
        return None
    code = wire.S32.unpack_from(reply.buffer, reply.start)[0]
    if code >= 0:
        return None
    return Failure(-code, _detail(reply))


def _detail(reply: Reply) -> str | None:
    if not reply.flags & wire.NLM_F_ACK_TLVS:
        return None
    # After the error code: the header of the message concerned (NETLINK_CAP_ACK: without its payload), then TLVs. In
    # the end message of a dump there is no header in between.
    start = reply.start + (20 if reply.type == wire.NLMSG_ERROR else 4)
    for kind, first, end in wire.walk(reply.buffer, start, reply.end):
        if kind == _EXT_ACK_MESSAGE:
            return wire.get_text(reply.buffer, first, end)
    return None
