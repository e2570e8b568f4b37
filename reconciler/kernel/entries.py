"""Entries of tables as bytes: what makes a forwarding entry or a neighbour, and what the kernel says of one. Pure.

Both are the same but for the header: who is where travels as the same attributes in the same order in both directions.
So it is packed in one place, and what was declared can be recognised in a dump without taking the dump apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from operator import add
from socket import AF_BRIDGE, AF_INET, AF_INET6, inet_pton
from struct import Struct
from typing import NamedTuple

from .. import marks
from ..objects import FdbEntry, Key, Neighbour, goes_to_several
from ..sides import Entries, Table
from . import wire
from .netlink import Alike, Request

_LLADDR, _LLADDR_SIZE = wire.ATTRIBUTE.pack(10, wire.NDA_LLADDR), 12
_LLADDRS = Struct(f"{_LLADDR_SIZE}s")
_DST_V4, _DST_V6 = wire.ATTRIBUTE.pack(8, wire.NDA_DST), wire.ATTRIBUTE.pack(20, wire.NDA_DST)
_REPLACE, _APPEND = wire.NLM_F_CREATE | wire.NLM_F_REPLACE, wire.NLM_F_CREATE | wire.NLM_F_APPEND
_OUR_PROTOCOL = wire.u8(wire.NDA_PROTOCOL, marks.PROTOCOL)
_RTN_UNICAST = 1
_AT_ONCE = 512  # so that what belongs together is in the processor's cache: twice the speed


# A link, its origin, and AF_BRIDGE for forwarding entries or the family of neighbours.
Place = tuple[str, str, int]


def messages(
    entries: Sequence[FdbEntry | Neighbour], indexes: Mapping[str, int], *, delete: bool = False
) -> list[Request]:
    """What makes each entry, or deletes it, on links with these indexes. One that was learned there is no obstacle."""
    pairs = zip(entries, attributes(entries), strict=True)
    if delete:
        return [_deletion(entry, indexes[entry.link], packed) for entry, packed in pairs]
    v4 = {link: _neighbour_header(AF_INET, index) for link, index in indexes.items()}
    v6 = {link: _neighbour_header(AF_INET6, index) for link, index in indexes.items()}
    return [
        (wire.RTM_NEWNEIGH, _REPLACE, (v6 if ":" in e.address else v4)[e.link] + packed + _OUR_PROTOCOL)
        if isinstance(e, Neighbour)
        else (
            wire.RTM_NEWNEIGH,
            _APPEND if goes_to_several(e.mac) else _REPLACE,
            _forwarding_header(indexes[e.link], e.of_bridge, e.sticky) + packed,
        )
        for e, packed in pairs
    ]


def _deletion(entry: FdbEntry | Neighbour, index: int, packed: bytes) -> Request:
    """By what tells it from all others, which for most is what its attributes begin with."""
    if isinstance(entry, Neighbour):
        head, size = _neighbour_header(_family(entry), index), len(_address(entry.address))
    else:
        head = _forwarding_header(index, entry.of_bridge, entry.sticky)
        size = len(packed) if goes_to_several(entry.mac) else _LLADDR_SIZE
    return wire.RTM_DELNEIGH, 0, head + packed[:size]


def told(family: int, index: int) -> bytes:
    """How the kernel begins what it says of an entry of ours that is in no bridge: all before the attributes."""
    state, flags = _OF_DEVICE if family == AF_BRIDGE else (wire.NUD_PERMANENT, 0)
    return wire.NDMSG.pack(family, index, state, flags, _RTN_UNICAST)


@lru_cache(2)  # a watch looks again and again for the same ones, and now and then makes a few of them
def expected(entries: Entries) -> Mapping[Place, Mapping[bytes, Key]]:
    """By place, the attributes of what is declared, each with the key of its entry; all of a place are of one length.

    What is of another length, or leaves something open, is not among them: nothing is to be recognised there.
    """
    found: dict[Place, Mapping[bytes, Key]] = {}
    for table in entries.tables.hosts:
        pieces = dict(zip(_forwarding(table), table.keys, strict=True))
        found[table.link, table.origin, AF_BRIDGE] = _of_length(pieces, len(next(iter(pieces))))
    for table in entries.tables.neighbours:
        pieces = dict(zip(_neighbours(table), table.keys, strict=True))
        for family, address in ((AF_INET, _DST_V4 + bytes(4)), (AF_INET6, _DST_V6 + bytes(16))):
            if some := _of_length(pieces, len(address) + _LLADDR_SIZE):
                found[table.link, table.origin, family] = some
    return found


def _of_length(pieces: Mapping[bytes, Key], size: int) -> Mapping[bytes, Key]:
    if {*map(len, pieces)} == {size}:
        return pieces
    return {piece: key for piece, key in pieces.items() if len(piece) == size}


def _forwarding(table: Table) -> Iterator[bytes]:
    hosts = {host: _address(host) for host in {*table.places}}
    for macs, places in _few(table):
        yield from map(add, _lladdrs(macs), map(hosts.__getitem__, places))


def _neighbours(table: Table) -> Iterator[bytes]:
    for macs, places in _few(table):
        yield from map(add, map(_address, places), _lladdrs(macs))


def _few(table: Table) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
    for start in range(0, len(table.keys), _AT_ONCE):
        yield table.macs[start : start + _AT_ONCE], table.places[start : start + _AT_ONCE]


class Bundle(NamedTuple):
    """Entries of one table, packed."""

    link: str
    family: int
    keys: Sequence[Key]
    pieces: Sequence[bytes]

    def creation(self, index: int, start: int, count: int) -> Alike:
        """What makes as many of them from `start` on, on the link with this index."""
        pieces = self.pieces[start : start + count]
        if self.family == AF_BRIDGE:
            head = _forwarding_header(index, of_bridge=False, sticky=None)
            return Alike(wire.RTM_NEWNEIGH, _REPLACE, head, pieces)
        return Alike(
            wire.RTM_NEWNEIGH, _REPLACE, _neighbour_header(self.family, index), pieces, _OUR_PROTOCOL
        )


def bundles(entries: Entries) -> tuple[list[Bundle], list[Key]]:
    """Declared entries as they travel together; and those that go another way, because they leave something open or
    are for several hosts, which their keys name.
    """
    found: list[Bundle] = []
    for (link, _, family), pieces in expected(entries).items():
        several = family == AF_BRIDGE and any(key[-1] for key in pieces.values())
        single = {piece: key for piece, key in pieces.items() if not key[-1]} if several else pieces
        if single:
            found.append(Bundle(link, family, list(single.values()), list(single)))
    if sum(len(bundle.keys) for bundle in found) == len(entries.by_key):
        return found, []
    bundled = {key for bundle in found for key in bundle.keys}
    return found, [key for key in entries.by_key if key not in bundled]


def attributes(entries: Sequence[FdbEntry | Neighbour]) -> list[bytes]:
    """For each entry who is where, in the order in which the kernel says it."""
    distinct = list(dict.fromkeys([entry.mac or "" for entry in entries]))
    macs = dict(zip(distinct, _lladdrs(distinct), strict=True))
    hosts = {host: _address(host) for host in {e.dst for e in entries if type(e) is FdbEntry} if host}
    return [
        _address(entry.address) + macs[entry.mac or ""]
        if isinstance(entry, Neighbour)
        else macs[entry.mac] + (hosts[entry.dst] if entry.dst else b"")
        for entry in entries
    ]


def _lladdrs(macs: Sequence[str]) -> list[bytes]:
    """All at once, because to parse and pack them one by one takes half of the time of everything here."""
    if not macs:
        return []
    begin, padding = _LLADDR.hex(), "0000"
    text = begin + (padding + begin).join(macs) + padding
    raw = bytes.fromhex(text.replace(":", ""))
    if {*map(len, macs)} - {17} or len(raw) != _LLADDR_SIZE * len(macs):
        raise ValueError(f"not MAC addresses: {macs}")
    return [packed for (packed,) in _LLADDRS.iter_unpack(raw)]


_OF_DEVICE = (wire.NUD_NOARP | wire.NUD_PERMANENT, wire.NTF_SELF)


@lru_cache(16)
def _neighbour_header(family: int, index: int) -> bytes:
    return wire.NDMSG.pack(family, index, wire.NUD_PERMANENT, 0, 0)


@lru_cache(16)
def _forwarding_header(index: int, of_bridge: bool, sticky: bool | None) -> bytes:  # noqa: FBT001
    state, flags = _OF_DEVICE
    if of_bridge:
        state, flags = wire.NUD_NOARP, wire.NTF_MASTER | (wire.NTF_STICKY if sticky else 0)
    return wire.NDMSG.pack(AF_BRIDGE, index, state, flags, 0)


def _family(entry: FdbEntry | Neighbour) -> int:
    if isinstance(entry, FdbEntry):
        return AF_BRIDGE
    return AF_INET6 if ":" in entry.address else AF_INET


def _address(text: str) -> bytes:
    return _DST_V6 + inet_pton(AF_INET6, text) if ":" in text else _DST_V4 + inet_pton(AF_INET, text)
