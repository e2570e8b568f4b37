"""What only `show` asks for: policy rules, permanent neighbours and forwarding entries of one namespace. Reads only.

A forwarding dump of a bridge with a thousand ports takes the kernel seconds, so no plan waits for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from socket import AF_BRIDGE, AF_INET, AF_INET6, AF_UNSPEC

from ..objects import FdbEntry, KernelObject, Neighbour, Rule
from . import decode, wire
from .netlink import Socket


def read(netns: str, sock: Socket, names: Mapping[int, str]) -> list[KernelObject]:
    """Rules but the kernel's own, neighbours that somebody set, forwarding entries of other machines."""
    return [*_rules(netns, sock), *_neighbours(netns, sock, names), *_forwarding(netns, sock, names)]


def _rules(netns: str, sock: Socket) -> Iterator[Rule]:
    for family, version in ((AF_INET, 4), (AF_INET6, 6)):
        for reply in sock.dump(wire.RTM_GETRULE, wire.RTMSG.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)):
            record = decode.rule(reply)
            if record.protocol == wire.RTPROT_KERNEL:
                continue
            yield Rule(
                netns=netns,
                family=version,
                priority=record.priority,
                source=record.source,
                to=record.to,
                table=record.table,
                action=record.action,
            )


def _neighbours(netns: str, sock: Socket, names: Mapping[int, str]) -> Iterator[Neighbour]:
    for reply in sock.dump(wire.RTM_GETNEIGH, wire.NDMSG.pack(AF_UNSPEC, 0, 0, 0, 0)):
        record = decode.neighbour(reply)
        link = names.get(record.index)
        if record.state & wire.NUD_PERMANENT and link is not None and record.address is not None:
            yield Neighbour(netns=netns, link=link, address=record.address, mac=record.mac)


def _forwarding(netns: str, sock: Socket, names: Mapping[int, str]) -> Iterator[FdbEntry]:
    for reply in sock.dump(wire.RTM_GETNEIGH, wire.NDMSG.pack(AF_BRIDGE, 0, 0, 0, 0)):
        record = decode.neighbour(reply)
        link = names.get(record.index)
        own = record.state & wire.NUD_PERMANENT and record.address is None  # a link's own address
        if link is None or record.mac is None or own:
            continue
        learned = not record.state & (wire.NUD_NOARP | wire.NUD_PERMANENT)
        yield FdbEntry(
            netns=netns,
            link=link,
            mac=record.mac,
            of_bridge=record.in_bridge,
            learned=learned,
            dst=record.address,
        )
