"""Entries by their bytes: what is recognised by them is what comparing object by object finds, on tables of all sorts,
packed here by hand; and what is sent in bundles is what would be sent one by one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from socket import AF_BRIDGE, AF_INET, AF_INET6, inet_aton, inet_pton

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.kernel import tunnels, wire
from reconciler.kernel.decode import LinkRecord
from reconciler.kernel.entries import bundles, messages
from reconciler.kernel.netlink import Socket
from reconciler.objects import FLOOD, HOST, FdbEntry, Key, Neighbour
from reconciler.planner import plan
from reconciler.sides import Declared, Desired, Found, Held, Observed, Scope

DEVICE = LinkRecord(7, up=True, name="shop-vx", kind="vxlan", alias="reconciler:shop:network/back")
PERMANENT, NOARP, REACHABLE = 0x80, 0x40, 0x02
SELF, LEARNED = 0x02, 0x10
DST, LLADDR, CACHEINFO, PROBES, PORT, OF_BRIDGE, PROTOCOL = 1, 2, 3, 4, 6, 9, 12
MACS = [f"02:42:0a:00:00:{number:02x}" for number in range(40)]
HOSTS = ["198.51.100.1", "198.51.100.2", "fd00::1"]
Entry = FdbEntry | Neighbour


def attribute(kind: int, payload: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(payload), kind) + payload + b"\0" * (-len(payload) & 3)


def packed_address(text: str) -> bytes:
    return inet_pton(AF_INET6, text) if ":" in text else inet_aton(text)


def said(entry: Entry, oddity: str) -> tuple[int, bytes] | None:
    """The family of an entry and what the kernel says of it, odd in some way; None when it is not there."""
    flags = LEARNED if oddity == "learned by a daemon" else 0
    state = REACHABLE if oddity == "not static" else PERMANENT
    index = 8 if oddity == "of another link" else DEVICE.index
    times = attribute(CACHEINFO, bytes(16))
    if oddity == "missing":
        return None
    mac = bytes.fromhex((entry.mac or "").replace(":", ""))
    if isinstance(entry, FdbEntry):
        family, state, flags = AF_BRIDGE, state | (0 if state == REACHABLE else NOARP), flags | SELF
        body = attribute(LLADDR, mac)
        if oddity == "of the bridge":
            body += attribute(OF_BRIDGE, struct.pack("=i", 2))
        else:
            moved = oddity == "elsewhere" and entry.mac != FLOOD  # of that one there may be another
            body += attribute(DST, packed_address(HOSTS[0] if moved else entry.dst or ""))
        body += attribute(PORT, b"\x12\xb5") if oddity == "with more" else b""
    else:
        family = AF_INET6 if ":" in entry.address else AF_INET
        body = attribute(DST, packed_address(entry.address))
        body += attribute(LLADDR, bytes(6) if oddity == "elsewhere" else mac) + attribute(PROBES, bytes(4))
        body += attribute(PROTOCOL, b"\xc7") if oddity != "with more" else b""
    return family, struct.pack("=BxxxiHBB", family, index, state, flags, 1) + body + times


ODDITIES = ["missing", "elsewhere", "learned by a daemon", "not static", "of another link", "with more"]
ODDITIES += ["of the bridge"]


class Tables:
    """A socket on tables: each dump gives those of the family asked for, a few at a time."""

    def __init__(self, messages: Sequence[tuple[int, bytes]], at_once: int) -> None:
        self.messages, self.at_once = messages, at_once
        self.waiting: list[bytes] = []

    def send(self, request: bytes) -> None:
        sequence, family = struct.unpack_from("=I", request, 8)[0], request[16]
        parts = [
            struct.pack("=IHHII", 16 + len(body), 28, 2, sequence, 1) + body
            for of, body in self.messages
            if of == family
        ]
        parts.append(struct.pack("=IHHIIi", 20, 3, 2, sequence, 1, 0))
        self.waiting = [
            b"".join(parts[start : start + self.at_once]) for start in range(0, len(parts), self.at_once)
        ]

    def recv(self, size: int) -> bytes:
        return self.waiting.pop(0)


def look(
    declared: Mapping[Key, Declared], messages: Sequence[tuple[int, bytes]], at_once: int
) -> tuple[Desired, Observed]:
    """One look at the tables, by somebody who knows what is declared."""
    desired = Desired("shop", declared)
    sock = Socket()
    sock.close()
    sock._socket = Tables(messages, at_once)  # type: ignore[assignment]
    entries, as_declared = tunnels.read(sock, Scope("shop", entries=desired.entries), [DEVICE])
    found: dict[Key, Found] = {}
    for entry, ours, origin in entries:
        found.setdefault(entry.key, Found(entry, ours, origin))
    return desired, Observed(Held(found, as_declared))


def declare(entries: Sequence[Entry]) -> dict[Key, Declared]:
    return {entry.key: Declared(entry, "network/back") for entry in entries}


def forwarding(number: int, host: str) -> FdbEntry:
    return FdbEntry(netns=HOST, link="shop-vx", mac=MACS[number], dst=host)


def neighbour(number: int, address: str) -> Neighbour:
    return Neighbour(netns=HOST, link="shop-vx", address=address.format(number), mac=MACS[number])


NUMBERS = st.integers(min_value=0, max_value=len(MACS) - 1)
ENTRIES = st.one_of(
    st.builds(forwarding, NUMBERS, st.sampled_from(HOSTS)),
    st.builds(lambda host: FdbEntry(netns=HOST, link="shop-vx", mac=FLOOD, dst=host), st.sampled_from(HOSTS)),
    st.builds(neighbour, NUMBERS, st.sampled_from(["10.0.0.{}", "fd00::1:{}"])),
)
TABLES = st.lists(ENTRIES, unique_by=lambda entry: entry.key, max_size=40)


@given(
    TABLES,
    TABLES,
    st.dictionaries(st.integers(min_value=0, max_value=39), st.sampled_from(ODDITIES), max_size=6),
    st.sampled_from(["", "", *ODDITIES]),
    st.sampled_from([1, 3, 16, 1000]),
)
@settings(deadline=None, max_examples=300)
def test_what_is_recognised_is_what_comparing_finds(
    declared: list[Entry], others: list[Entry], odd: dict[int, str], usual: str, at_once: int
) -> None:
    """Who knows what is declared sees the same objects, and plans the same, as who takes every message apart."""
    kept = declare(declared)
    held = {**kept, **{key: other for key, other in declare(others).items() if key not in kept}}
    told = [said(each.object, odd.get(n, usual)) for n, each in enumerate(held.values())]  # type: ignore[arg-type]
    messages = [message for message in told if message is not None]
    desired, knowing = look(kept, messages, at_once)
    _, plain = look({}, messages, at_once)
    assert plain.as_declared == {}
    assert dict(knowing.objects) == dict(plain.objects)
    assert len(knowing.objects) == len(plain.objects)
    assert plan(desired, knowing) == plan(desired, plain)


def test_a_table_as_declared_is_recognised_whole() -> None:
    """Nothing of it is described once more, whichever family it is of, and however the kernel cuts the dump."""
    for host, address in (("198.51.100.1", "10.0.0.{}"), ("fd00::1", "fd00::1:{}")):
        entries = [forwarding(n, host) for n in range(40)] + [neighbour(n, address) for n in range(40)]
        messages = [message for entry in entries if (message := said(entry, "")) is not None]
        for at_once in (1, 7, 1000):
            desired, observed = look(declare(entries), messages, at_once)
            assert observed.apart == {}
            assert observed.as_declared is desired.entries.by_key


@given(TABLES, st.sampled_from([1, 3, 512]))
def test_what_travels_together_says_the_same(declared: list[Entry], at_once: int) -> None:
    """To make entries in bundles, and the few others one by one, tells the kernel what making each of them tells it."""
    alike, others = bundles(Desired("shop", declare(declared)).entries)
    sent = {
        key: message
        for bundle in alike
        for start in range(0, len(bundle.keys), at_once)
        for key, message in zip(
            bundle.keys[start : start + at_once],
            split(bundle.creation(DEVICE.index, start, at_once).packed(1)),
            strict=True,
        )
    }
    assert sorted([*sent, *others]) == sorted(entry.key for entry in declared)
    singly = [entry for entry in declared if entry.key in sent]
    expected = messages(singly, {DEVICE.name: DEVICE.index})
    assert [sent[entry.key] for entry in singly] == [(kind, flags, body) for kind, flags, body in expected]
    assert all(isinstance(entry, FdbEntry) for entry in declared if entry.key in others)


def split(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Type, flags and body of each message, without what says that it is one of many."""
    start = 0
    while start < len(data):
        length, kind, flags = struct.unpack_from("=IHH", data, start)
        yield kind, flags & ~(wire.NLM_F_REQUEST | wire.NLM_F_ACK), data[start + 16 : start + length]
        start += length + 3 & ~3


def test_the_usual_ones_all_travel_together() -> None:
    """Of entries as an overlay has them none is left to be sent by itself; only what goes to several hosts is."""
    usual = [forwarding(n, HOSTS[0]) for n in range(40)] + [neighbour(n, "10.0.0.{}") for n in range(40)]
    to_all = [FdbEntry(netns=HOST, link="shop-vx", mac=FLOOD, dst=host) for host in HOSTS[:2]]
    alike, others = bundles(Desired("shop", declare([*to_all, *usual])).entries)
    assert sum(len(bundle.keys) for bundle in alike) == 80
    assert others == [entry.key for entry in to_all]
