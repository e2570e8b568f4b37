"""The tables of our VXLAN devices: who is behind which host, and which of the host's own ports is whose. Reads only.

Only devices with our mark are asked, and the ports of the bridges that they are plugged into, each by its number, so a
host without an overlay pays nothing and the kernel filters. What is static on a device of ours is ours, because nobody
else has business there; what another daemon has learned (extern_learn) is foreign, and what the kernel has learned by
itself is nobody's and left out.

Ten thousand entries are usual, and next to all of them are as declared. What the kernel says of one that is can be told
beforehand, byte by byte, so those are recognised without being taken apart. That is all that is concluded from bytes:
whatever else there is, one that says the same in other words included, goes the way of every object.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from operator import itemgetter
from socket import AF_BRIDGE, AF_INET, AF_INET6, inet_ntop
from struct import Struct

from .. import marks
from ..objects import HOST, FdbEntry, Key, Neighbour
from ..sides import Declared, Scope
from . import wire
from .assemble import Entry
from .decode import LinkRecord
from .entries import expected, told
from .netlink import Reply, Run, Socket

_STATIC = wire.NUD_PERMANENT | wire.NUD_NOARP
_HEADER = wire.NDMSG.size
_FIRST = itemgetter(0)


def read(
    sock: Socket, scope: Scope, links: Iterable[LinkRecord]
) -> tuple[list[Entry], Mapping[Key, Declared]]:
    """The entries on the VXLAN devices of a topology, and in their bridges on ports of its own; and, instead of being
    among them, those that are exactly as the scope says that they are declared.
    """
    links = list(links)
    found: list[Entry] = []
    recognised: list[Collection[Key]] = []
    bridges: set[int | None] = set()
    for record in links:
        if record.kind == "vxlan" and (origin := _origin(record, scope.topology)) is not None:
            for family in (AF_BRIDGE, AF_INET, AF_INET6):
                wanted = expected(scope.entries).get((record.name, origin, family), {})
                keys, replies = _dump(sock, family, record.index, wanted)
                recognised.append(keys)
                found += _decoded(replies, family, record, origin)
            bridges.add(record.master or -1)
    for record in links:
        # Where the tunnel is gone, a port that gets nothing unknown tells that it is one of such a bridge.
        is_port = record.kind != "vxlan" and (record.master in bridges or record.flood is False)
        if is_port and (origin := _origin(record, scope.topology)) is not None:
            found += _decoded(_dump(sock, AF_BRIDGE, record.index, {})[1], AF_BRIDGE, record, origin)
    return found, _as_declared(scope.entries.by_key, recognised)


def _origin(record: LinkRecord, topology: str) -> str | None:
    owner = marks.owner(record.alias)
    return owner.origin if owner is not None and owner.topology == topology else None


def _as_declared(
    entries: Mapping[Key, Declared], recognised: list[Collection[Key]]
) -> Mapping[Key, Declared]:
    """Mostly it is all of them, and then they are not gone through."""
    if sum(map(len, recognised)) == len(entries):
        return entries
    return {key: entries[key] for keys in recognised for key in keys}


def _dump(
    sock: Socket, family: int, index: int, wanted: Mapping[bytes, Key]
) -> tuple[Collection[Key], Iterable[Reply]]:
    """What is in a table of one link: the keys of what is as wanted, and what was said of all else."""
    if family == AF_BRIDGE:
        body = wire.NDMSG.pack(AF_BRIDGE, index, 0, 0, 0)
    else:
        body = wire.NDMSG.pack(family, 0, 0, 0, 0) + wire.u32(wire.NDA_IFINDEX, index)
    if not wanted:
        return (), sock.dump(wire.RTM_GETNEIGH, body)
    runs, rest = sock.dump_runs(wire.RTM_GETNEIGH, body, alike=_HEADER)
    begin, size = told(family, index), len(next(iter(wanted)))
    missing, number = set(wanted), 0
    known: list[Run] = []
    for run in runs:
        if run.size >= 16 + _HEADER + size and run.buffer.startswith(begin, 16):
            missing.difference_update(map(_FIRST, _pieces(run, size)))
            number += len(run.buffer) // run.size
            known.append(run)
        else:
            rest += run.replies
    strange: list[Reply] = []
    for reply in rest:
        if (piece := _piece(reply, size)) in wanted and reply.buffer.startswith(begin, reply.start):
            missing.discard(piece)
            number += 1
        else:
            strange.append(reply)
    if not missing and number == len(
        wanted
    ):  # so each of them is one of those, as no table holds the same twice
        return wanted.values(), strange
    strange += (reply for run in known for reply in run.replies if _piece(reply, size) not in wanted)
    return [key for piece, key in wanted.items() if piece not in missing], strange


def _piece(reply: Reply, size: int) -> bytes:
    """The first attributes of a message, as many as have that size."""
    start = reply.start + _HEADER
    return reply.buffer[start : min(start + size, reply.end)]


def _pieces(run: Run, size: int) -> Iterator[tuple[bytes]]:
    """The same of each message of a run."""
    before = 16 + _HEADER
    return Struct(f"{before}x{size}s{run.size - before - size}x").iter_unpack(run.buffer)


def _decoded(replies: Iterable[Reply], family: int, record: LinkRecord, origin: str) -> Iterator[Entry]:
    of_bridge = record.kind != "vxlan"
    for reply in replies:
        _, index, state, flags, _ = wire.NDMSG.unpack_from(reply.buffer, reply.start)
        if index != record.index:
            continue
        mac, address, in_bridge = _parts(reply)
        obj: FdbEntry | Neighbour
        if family != AF_BRIDGE:
            if not state & wire.NUD_PERMANENT or not address:
                continue
            obj = Neighbour(netns=HOST, link=record.name, address=inet_ntop(family, address), mac=mac)
        else:
            # The permanent ones of a bridge are its ports' own addresses.
            if (
                not state & _STATIC
                or in_bridge is not of_bridge
                or (of_bridge and state & wire.NUD_PERMANENT)
            ):
                continue
            obj = FdbEntry(
                netns=HOST,
                link=record.name,
                mac=mac,
                of_bridge=of_bridge,
                dst=_text(address) if address else None,
                sticky=bool(flags & wire.NTF_STICKY) if of_bridge else None,
            )
        yield Entry(obj, not flags & wire.NTF_EXT_LEARNED, origin)


def _parts(reply: Reply) -> tuple[str, bytes, bool]:
    """MAC address, packed address of the other host or of the neighbour, and whether a bridge has it."""
    buffer, start, end = reply.buffer, reply.start + _HEADER, reply.end
    unpack = wire.ATTRIBUTE.unpack_from
    mac, address, in_bridge = "", b"", False
    while start + 4 <= end:
        length, kind = unpack(buffer, start)
        stop = start + length
        if length < 4 or stop > end:
            break
        if kind == wire.NDA_LLADDR:
            mac = buffer[start + 4 : stop].hex(":")
            if address:
                break  # a bridge's entry has no address, and the rest is times
        elif kind == wire.NDA_DST:
            address = buffer[start + 4 : stop]
            if mac:
                break
        elif kind == wire.NDA_MASTER:
            in_bridge = True
        start = (stop + 3) & ~3
    return mac, address, in_bridge


@lru_cache(4096)
def _text(address: bytes) -> str:
    """There are as many hosts as there are, and ten times the entries."""
    return inet_ntop(AF_INET if len(address) == 4 else AF_INET6, address)
