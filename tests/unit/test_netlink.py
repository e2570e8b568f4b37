"""The netlink socket against a kernel that answers as scripted: torn dumps, late errors, silence."""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator

import pytest

from reconciler.errors import DeadlineExceeded, Exit, KernelError
from reconciler.kernel import wire
from reconciler.kernel.netlink import Alike, Failure, Message, Reply, Socket

LINK = wire.RTM_NEWLINK
ASK = Message(wire.RTM_GETLINK, 0, b"question")


class Scripted:
    """A socket whose answers are made by functions from the sequence number of the last request."""

    def __init__(self, *answers: object) -> None:
        self.answers = iter(answers)
        self.sent: list[bytes] = []
        self.sequence = 0

    def send(self, data: bytes) -> int:
        self.sent.append(data)
        start = 0
        while start + 16 <= len(data):
            length, _, _, self.sequence, _ = wire.HEADER.unpack_from(data, start)
            start += (length + 3) & ~3
        return len(data)

    def recv(self, size: int) -> bytes:
        answer = next(self.answers)
        if isinstance(answer, Exception):
            raise answer
        assert callable(answer)
        data: bytes = answer(self.sequence)
        assert len(data) <= size
        return data

    def close(self) -> None:
        """Nothing to close."""


def scripted(*answers: object) -> tuple[Socket, Scripted]:
    """A socket of ours on a scripted one."""
    sock = Socket()
    sock.close()
    script = Scripted(*answers)
    sock._socket = script  # type: ignore[assignment]
    return sock, script


def packed(kind: int, sequence: int, payload: bytes, flags: int = 0) -> bytes:
    body = wire.HEADER.pack(16 + len(payload), kind, flags, sequence, 0) + payload
    return body + b"\0" * (-len(body) & 3)


def item(text: bytes, flags: int = 0, *, back: int = 0) -> object:
    return lambda sequence: packed(LINK, sequence - back, text, flags)


def done(code: int = 0, flags: int = 0, extra: bytes = b"") -> object:
    return lambda sequence: packed(wire.NLMSG_DONE, sequence, struct.pack("=i", code) + extra, flags)


def error(code: int, *, back: int = 0, text: str | None = None) -> object:
    header = b"\0" * 16
    extra = wire.text(1, text) if text else b""
    flags = wire.NLM_F_ACK_TLVS if text else 0
    payload = struct.pack("=i", -code) + header + extra
    return lambda sequence: packed(wire.NLMSG_ERROR, sequence - back, payload, flags)


def payloads(replies: list[Reply]) -> list[bytes]:
    return [reply.buffer[reply.start : reply.end] for reply in replies]


def test_a_dump_is_everything_up_to_its_end() -> None:
    """Answers of an earlier request, which came late, are not part of it."""
    sock, _ = scripted(item(b"one."), item(b"old.", back=1), item(b"two."), done())
    assert payloads(sock.dump(wire.RTM_GETLINK, b"")) == [b"one.", b"two."]


@pytest.mark.parametrize("where", ["item", "end"])
def test_a_torn_dump_is_asked_for_again(where: str) -> None:
    """NLM_F_DUMP_INTR in any part spoils the whole; what was read before is not mixed in."""
    torn = wire.NLM_F_DUMP_INTR
    first = [item(b"torn", torn if where == "item" else 0), done(flags=torn if where == "end" else 0)]
    sock, script = scripted(*first, item(b"good"), done())
    assert payloads(sock.dump(wire.RTM_GETLINK, b"")) == [b"good"]
    assert len(script.sent) == 2


def test_a_dump_that_is_always_torn_is_an_error() -> None:
    """After eight attempts it says so instead of returning half of the truth."""
    sock, script = scripted(*[done(flags=wire.NLM_F_DUMP_INTR)] * 8)
    with pytest.raises(KernelError, match="change faster than they can be read") as caught:
        sock.dump(wire.RTM_GETLINK, b"")
    assert caught.value.errno == errno.EAGAIN
    assert len(script.sent) == 8


@pytest.mark.parametrize("end", [done(-errno.ENOBUFS), error(errno.EOPNOTSUPP)])
def test_an_error_at_the_end_of_a_dump_counts(end: object) -> None:
    """In the end message or in place of it: what came before is not returned as if it were all."""
    sock, _ = scripted(item(b"part"), end)
    with pytest.raises(KernelError, match="reading the kernel's tables"):
        sock.dump(wire.RTM_GETLINK, b"")


def test_the_kernels_own_words_at_the_end_of_a_dump() -> None:
    """The extended text of an end message has no header before it."""
    sock, _ = scripted(done(-errno.EINVAL, wire.NLM_F_ACK_TLVS, wire.text(1, "bad filter")))
    with pytest.raises(KernelError, match="bad filter"):
        sock.dump(wire.RTM_GETLINK, b"")


def together(*parts: object) -> object:
    """Several messages in one answer."""
    return lambda sequence: b"".join(part(sequence) for part in parts)  # type: ignore[operator]


def test_what_begins_alike_is_a_run() -> None:
    """Up to the first message that is other in size or in its first bytes, and only as a whole answer but for the end."""
    alike = together(item(b"same one"), item(b"same two"))
    other, longer = item(b"else one"), item(b"same, but longer")
    sock, _ = scripted(alike, together(alike, other), together(longer, alike), together(alike, done()))
    runs, rest = sock.dump_runs(wire.RTM_GETLINK, b"", alike=4)
    assert [payloads([*run.replies]) for run in runs] == [[b"same one", b"same two"]] * 2
    assert payloads(rest) == [
        b"same one",
        b"same two",
        b"else one",
        b"same, but longer",
        b"same one",
        b"same two",
    ]


@pytest.mark.parametrize("where", ["all", "first"])
def test_a_torn_run_is_asked_for_again(where: str) -> None:
    """Messages that are alike in being torn are no run either."""
    torn = wire.NLM_F_DUMP_INTR
    broken = together(item(b"torn", torn), item(b"torn", torn if where == "all" else 0))
    sock, script = scripted(broken, done(), together(item(b"all good"), item(b"all good"), done()))
    runs, rest = sock.dump_runs(wire.RTM_GETLINK, b"", alike=4)
    assert ([payloads([*run.replies]) for run in runs], rest) == ([[b"all good"] * 2], [])
    assert len(script.sent) == 2


def test_errors_are_given_to_their_messages() -> None:
    """Only the last is acknowledged; the others are heard of when they fail, with the kernel's words."""
    sock, _ = scripted(
        error(errno.EEXIST, back=2), error(errno.EINVAL, back=1, text="no such thing"), error(0)
    )
    assert sock.transact([ASK, ASK, ASK]) == {
        0: Failure(errno.EEXIST),
        1: Failure(errno.EINVAL, "no such thing"),
    }
    assert str(Failure(errno.EINVAL, "no such thing")) == "Invalid argument (EINVAL): no such thing"


def test_many_answers_in_one_datagram() -> None:
    """Messages are padded to four bytes; each is found."""

    def both(sequence: int) -> bytes:
        first = packed(wire.NLMSG_ERROR, sequence - 1, struct.pack("=i", -errno.EBUSY) + b"\0" * 17)
        return first + packed(wire.NLMSG_ERROR, sequence, struct.pack("=i", 0) + b"\0" * 16)

    sock, _ = scripted(both)
    assert sock.transact([ASK, ASK]) == {0: Failure(errno.EBUSY)}


def test_answers_come_in_the_order_of_the_questions() -> None:
    """Whatever order the kernel answers in; a refusal is an answer too."""
    sock, _ = scripted(item(b"last"), error(errno.ENODEV, back=1))
    refused, reply = sock.query([ASK, ASK])
    assert refused == Failure(errno.ENODEV)
    assert isinstance(reply, Reply)
    assert payloads([reply]) == [b"last"]


def test_every_message_is_sent_padded_and_numbered() -> None:
    """The kernel reads a batch as a row of messages; only the last asks for an acknowledgement."""
    sock, script = scripted(error(0))
    sock.transact([Message(1, 0, b"abc"), Message(2, 0, b"defg")])
    headers = list(_headers(script.sent[0]))
    assert [(kind, flags) for _, kind, flags, _ in headers] == [(1, 1), (2, 1 | wire.NLM_F_ACK)]
    assert [number for *_, number in headers] == [1, 2]


def test_messages_that_are_alike_are_sent_as_others_are() -> None:
    """Byte by byte, and each refusal finds its message, also in a second send."""
    middles, flags = [b"one", b"two", b"six"], wire.NLM_F_CREATE
    alike, plain = scripted(error(errno.EEXIST, back=1), error(0)), scripted(error(0))
    assert alike[0].transact_alike(Alike(28, flags, b"head", middles, b"end")) == {1: Failure(errno.EEXIST)}
    assert plain[0].transact([Message(28, flags, b"head" + middle + b"end") for middle in middles]) == {}
    assert alike[1].sent == plain[1].sent
    alike[1].answers = iter([error(errno.EBUSY)])
    assert alike[0].transact_alike(Alike(28, flags, b"head", middles[:1])) == {0: Failure(errno.EBUSY)}


def _headers(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    start = 0
    while start < len(data):
        length, kind, flags, number, _ = wire.HEADER.unpack_from(data, start)
        yield length, kind, flags, number
        start += (length + 3) & ~3


def test_silence_is_a_time_out() -> None:
    """Exit code 7, not a hang."""
    sock, _ = scripted(TimeoutError())
    with pytest.raises(DeadlineExceeded, match="did not answer within") as caught:
        sock.transact([ASK])
    assert caught.value.exit_code is Exit.TIMEOUT


def test_an_overrun_is_an_error() -> None:
    """ENOBUFS when receiving: acknowledgements were lost, so nobody may think that all is well."""
    sock, _ = scripted(OSError(errno.ENOBUFS, "No buffer space available"))
    with pytest.raises(KernelError, match="receiving from the kernel") as caught:
        sock.transact([ASK])
    assert caught.value.errno == errno.ENOBUFS


def test_nothing_to_send_sends_nothing() -> None:
    """No message, no system call."""
    sock, script = scripted()
    assert (sock.transact([]), sock.query([]), script.sent) == ({}, [], [])
