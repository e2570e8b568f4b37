"""Entries of tables as bytes: what makes a forwarding entry or a neighbour, and what the kernel says of one. Pure.

Both are the same but for the header: who is where travels as the same attributes in the same order in both directions.
So it is packed in one place, and what was declared can be recognised in a dump without taking the dump apart.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import islice
from socket import AF_BRIDGE, AF_INET, AF_INET6, inet_pton

from .. import marks
from ..objects import ENTRIES, FdbEntry, Key, Neighbour, goes_to_several
from ..sides import Entries
from . import wire
from .netlink import Request

_LLADDR, _LLADDR_SIZE = wire.ATTRIBUTE.pack(10, wire.NDA_LLADDR), 12
_DST_V4, _DST_V6 = wire.ATTRIBUTE.pack(8, wire.NDA_DST), wire.ATTRIBUTE.pack(20, wire.NDA_DST)
_REPLACE, _APPEND = wire.NLM_F_CREATE | wire.NLM_F_REPLACE, wire.NLM_F_CREATE | wire.NLM_F_APPEND
_OUR_PROTOCOL = wire.u8(wire.NDA_PROTOCOL, marks.PROTOCOL)
_RTN_UNICAST = 1
_AT_ONCE = 512  # so that what belongs together is in the processor's cache: twice the speed


Table = tuple[
    str, str, int
]  # link, its origin, and AF_BRIDGE for forwarding entries or the family of neighbours


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


@lru_cache(1)  # a watch looks again and again for the same ones
def expected(entries: Entries) -> Mapping[Table, Mapping[bytes, Key]]:
    """By table, the attributes of what is declared, each with the key of its entry; all of a table are of one length.

    What is of another length, or leaves something open, is not among them: nothing is to be recognised there.
    """
    tables: defaultdict[Table, dict[bytes, Key]] = defaultdict(dict)
    items = iter(entries.by_key.items())
    while some := list(islice(items, _AT_ONCE)):
        plain = [
            (key, entry, declared.origin)
            for key, declared in some
            if isinstance(entry := declared.object, ENTRIES) and entry.is_plain
        ]
        packed = attributes([entry for _, entry, _ in plain])
        for (key, entry, origin), piece in zip(plain, packed, strict=True):
            tables[entry.link, origin, _family(entry)][piece] = key
    return {table: _of_one_length(pieces) for table, pieces in tables.items()}


def _of_one_length(pieces: dict[bytes, Key]) -> dict[bytes, Key]:
    size = len(next(iter(pieces)))
    if all(len(piece) == size for piece in pieces):
        return pieces
    return {piece: key for piece, key in pieces.items() if len(piece) == size}


def attributes(entries: Sequence[FdbEntry | Neighbour]) -> list[bytes]:
    """For each entry who is where, in the order in which the kernel says it."""
    macs = _lladdrs(list(dict.fromkeys([entry.mac or "" for entry in entries])))
    hosts = {host: _address(host) for host in {e.dst for e in entries if type(e) is FdbEntry} if host}
    return [
        _address(entry.address) + macs[entry.mac or ""]
        if isinstance(entry, Neighbour)
        else macs[entry.mac] + (hosts[entry.dst] if entry.dst else b"")
        for entry in entries
    ]


def _lladdrs(macs: Sequence[str]) -> dict[str, bytes]:
    """All at once, because to parse and pack them one by one takes half of the time of everything here."""
    raw = bytes.fromhex("".join(macs).replace(":", ""))
    if {len(mac) for mac in macs} - {17} or len(raw) != 6 * len(macs):
        raise ValueError(f"not MAC addresses: {macs}")
    packed = (raw[start : start + 6] for start in range(0, len(raw), 6))
    return {mac: _LLADDR + each + b"\0\0" for mac, each in zip(macs, packed, strict=True)}


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
