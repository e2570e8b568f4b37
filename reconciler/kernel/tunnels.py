"""The tables of our VXLAN devices: who is behind which host, and which of the host's own ports is whose. Reads only.

Only devices with our mark are asked, and the ports of the bridges that they are plugged into, each by its number, so a
host without an overlay pays nothing and the kernel filters. What is static on a device of ours is ours, because nobody
else has business there; what another daemon has learned (extern_learn) is foreign, and what the kernel has learned by
itself is nobody's and left out. Ten thousand entries are usual, so this decodes by hand what `decode` does by table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from socket import AF_BRIDGE, AF_INET, AF_INET6, inet_ntop

from .. import marks
from ..objects import HOST, FdbEntry, Neighbour
from . import wire
from .assemble import Entry
from .decode import LinkRecord
from .netlink import Reply, Socket

_STATIC = wire.NUD_PERMANENT | wire.NUD_NOARP
_HEADER = wire.NDMSG.size


def read(sock: Socket, topology: str, links: Iterable[LinkRecord]) -> list[Entry]:
    """The entries on the VXLAN devices of `topology`, and in their bridges on ports of its own."""
    links = list(links)
    found: list[Entry] = []
    bridges: set[int | None] = set()
    for record in links:
        if record.kind == "vxlan" and (origin := _origin(record, topology)) is not None:
            found += _forwarding(sock, record, origin)
            found += _neighbours(sock, record, origin)
            bridges.add(record.master or -1)
    for record in links:
        # Where the tunnel is gone, a port that gets nothing unknown tells that it is one of such a bridge.
        is_port = record.kind != "vxlan" and (record.master in bridges or record.flood is False)
        if is_port and (origin := _origin(record, topology)) is not None:
            found += _forwarding(sock, record, origin)
    return found


def _origin(record: LinkRecord, topology: str) -> str | None:
    owner = marks.owner(record.alias)
    return owner.origin if owner is not None and owner.topology == topology else None


def _forwarding(sock: Socket, record: LinkRecord, origin: str) -> Iterator[Entry]:
    """A device's own entries if it is a VXLAN device, else what its bridge has for it."""
    of_bridge, name = record.kind != "vxlan", record.name
    for reply in sock.dump(wire.RTM_GETNEIGH, wire.NDMSG.pack(AF_BRIDGE, record.index, 0, 0, 0)):
        _, index, state, flags, _ = wire.NDMSG.unpack_from(reply.buffer, reply.start)
        if index != record.index or not state & _STATIC:
            continue
        mac, address, in_bridge = _parts(reply)
        if in_bridge is not of_bridge or (of_bridge and state & wire.NUD_PERMANENT):
            continue  # the permanent ones of a bridge are its ports' own addresses
        entry = FdbEntry(
            netns=HOST,
            link=name,
            mac=mac,
            of_bridge=of_bridge,
            dst=_text(address) if address else None,
            sticky=bool(flags & wire.NTF_STICKY) if of_bridge else None,
        )
        yield Entry(entry, not flags & wire.NTF_EXT_LEARNED, origin)


def _neighbours(sock: Socket, record: LinkRecord, origin: str) -> Iterator[Entry]:
    for family in (AF_INET, AF_INET6):
        body = wire.NDMSG.pack(family, 0, 0, 0, 0) + wire.u32(wire.NDA_IFINDEX, record.index)
        for reply in sock.dump(wire.RTM_GETNEIGH, body):
            _, index, state, flags, _ = wire.NDMSG.unpack_from(reply.buffer, reply.start)
            if index != record.index or not state & wire.NUD_PERMANENT:
                continue
            mac, address, _ = _parts(reply)
            if address:
                entry = Neighbour(netns=HOST, link=record.name, address=inet_ntop(family, address), mac=mac)
                yield Entry(entry, not flags & wire.NTF_EXT_LEARNED, origin)


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
