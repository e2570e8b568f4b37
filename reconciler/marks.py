"""Ownership marks: how the kernel's own objects say that a topology made them. Pure.

A link is ours when its ifalias is the mark of our topology; nothing else counts, neither its name nor its group. The
alias is self-describing, so a machine without any state directory can still tell what is whose, and a person who
looks with `ip link` can too. A namespace that we made is marked on its loopback device. Addresses and routes have no
room for text: they carry one private protocol number, and belong to the topology that owns their link or namespace.
A queueing discipline has nothing but a number that whoever makes it chooses, its handle: one of ours on a link of ours is
ours.

The group number only makes bulk deletion fast: one message for all links of a topology instead of 20 ms for each.
"""

from __future__ import annotations

from hashlib import blake2s
from typing import NamedTuple

# Free in iproute2's rt_protos and in IANA's registry of rtm_protocol users; the same number marks addresses (IFA_PROTO).
PROTOCOL = 199
# Below 8000, from where on the kernel numbers those that came without a handle; people take 1:, 10: and the like.
QDISCS = {"netem": "7c01:", "tbf": "7c02:"}
_PREFIX = "reconciler:"
_GROUP_BASE = 0x52000000


class Owner(NamedTuple):
    """What an ownership mark says: the topology, and the object's address in it (`sandbox/web/endpoint/eth0`)."""

    topology: str
    origin: str


def alias(topology: str, origin: str) -> str:
    """The ifalias text of a link, at most 255 bytes because names are bounded."""
    return f"{_PREFIX}{topology}:{origin}"


def owner(alias_text: str | None) -> Owner | None:
    """The owner that an ifalias names, None for anything that is not a mark of ours."""
    if not alias_text or not alias_text.startswith(_PREFIX):
        return None
    topology, colon, origin = alias_text[len(_PREFIX) :].partition(":")
    return Owner(topology, origin) if colon and topology and origin else None


def group(topology: str) -> int:
    """The link group of a topology: high, so that it stays clear of the small numbers that people use."""
    return _GROUP_BASE | int.from_bytes(blake2s(topology.encode(), digest_size=3).digest(), "big")
