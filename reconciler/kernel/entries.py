"""Entries of tables as bytes: what makes a forwarding entry or a neighbour, and what the kernel says of one. Pure.

Both are the same but for the header: who is where travels as the same attributes in the same order in both directions.
So it is packed in one place, and what was declared can be recognised in a dump without taking the dump apart.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache
from socket import AF_BRIDGE, AF_INET, AF_INET6, inet_pton
from typing import NamedTuple

from .. import marks
from ..objects import HOST, FdbEntry, Key, Neighbour, goes_to_several
from ..sides import Entries
from . import wire
from .netlink import Message

_LLADDR = wire.ATTRIBUTE.pack(10, wire.NDA_LLADDR)
_OUR_PROTOCOL = wire.u8(wire.NDA_PROTOCOL, marks.PROTOCOL)
_RTN_UNICAST = 1


class Table(NamedTuple):
    """One table of one device: `family` is AF_BRIDGE for its forwarding entries, else that of its neighbours."""

    link: str
    origin: str
    family: int


def message(entry: FdbEntry | Neighbour, index: int, *, delete: bool = False) -> Message:
    """What makes an entry on the link with that index, or deletes it. One that was learned there is no obstacle."""
    several = isinstance(entry, FdbEntry) and goes_to_several(entry.mac)
    body = _header(entry, index) + (_place(entry) if delete and not several else attributes(entry))
    if delete:
        return Message(wire.RTM_DELNEIGH, 0, body)
    if isinstance(entry, Neighbour):
        body += _OUR_PROTOCOL
    how = wire.NLM_F_APPEND if several else wire.NLM_F_REPLACE
    return Message(wire.RTM_NEWNEIGH, wire.NLM_F_CREATE | how, body)


def told(family: int, index: int) -> bytes:
    """How the kernel begins what it says of an entry of ours that is in no bridge: all before the attributes."""
    state, flags = _OF_DEVICE if family == AF_BRIDGE else (wire.NUD_PERMANENT, 0)
    return wire.NDMSG.pack(family, index, state, flags, _RTN_UNICAST)


@lru_cache(1)  # a watch looks again and again for the same ones
def expected(entries: Entries) -> Mapping[Table, Mapping[bytes, Key]]:
    """By table, the attributes of what is declared, each with the key of its entry; all of a table are of one length.

    What is of another length, or leaves something open, is not among them: nothing is to be recognised there.
    """
    found: defaultdict[Table, dict[bytes, Key]] = defaultdict(dict)
    lengths: dict[Table, int] = {}
    for key, declared in entries.by_key.items():
        here = declared.object.netns == HOST
        match declared.object:
            case FdbEntry(of_bridge=False, learned=False, dst=str(), sticky=None) as entry if here:
                table = Table(entry.link, declared.origin, AF_BRIDGE)
            case Neighbour(mac=str()) as entry if here:
                table = Table(entry.link, declared.origin, _family(entry))
            case _:
                continue
        packed = attributes(entry)
        if lengths.setdefault(table, len(packed)) == len(packed):
            found[table][packed] = key
    return found


def attributes(entry: FdbEntry | Neighbour) -> bytes:
    """Who is where, in the order in which the kernel says it."""
    if isinstance(entry, Neighbour):
        return _address(entry.address) + _lladdr(entry.mac or "")
    return _lladdr(entry.mac) if entry.dst is None else _lladdr(entry.mac) + _host(entry.dst)


def _place(entry: FdbEntry | Neighbour) -> bytes:
    """Only what tells an entry from all others."""
    return _address(entry.address) if isinstance(entry, Neighbour) else _lladdr(entry.mac)


_OF_DEVICE = (wire.NUD_NOARP | wire.NUD_PERMANENT, wire.NTF_SELF)


def _header(entry: FdbEntry | Neighbour, index: int) -> bytes:
    if isinstance(entry, Neighbour):
        state, flags = wire.NUD_PERMANENT, 0
    elif entry.of_bridge:
        state, flags = wire.NUD_NOARP, wire.NTF_MASTER | (wire.NTF_STICKY if entry.sticky else 0)
    else:
        state, flags = _OF_DEVICE
    return wire.NDMSG.pack(_family(entry), index, state, flags, 0)


def _family(entry: FdbEntry | Neighbour) -> int:
    if isinstance(entry, FdbEntry):
        return AF_BRIDGE
    return AF_INET6 if ":" in entry.address else AF_INET


def _address(text: str) -> bytes:
    return wire.attribute(wire.NDA_DST, inet_pton(AF_INET6 if ":" in text else AF_INET, text))


_host = lru_cache(4096)(_address)  # there are as many as there are, and ten times the entries


@lru_cache(16)  # most are asked for twice in a row, for the entry and for the neighbour of an endpoint
def _lladdr(mac: str) -> bytes:
    return _LLADDR + bytes.fromhex(mac.replace(":", "")) + b"\0\0"
