"""Names in the host: of namespaces and of links, deterministic and readable. Pure.

The kernel gives link names 15 bytes. Where `topology-part-part` fits, it is the name; otherwise a readable stem
plus 30 bits of hash. The full name is always the altname, which may be longer. A dot never occurs in the names of
the file, so `topology.sandbox` can be split in one way only.
"""

from __future__ import annotations

import base64
from hashlib import blake2s

IFNAMSIZ = 15


def netns(topology: str, sandbox: str) -> str:
    """The entry of a sandbox in the netns directory, as `ip netns` shows it."""
    return f"{topology}.{sandbox}"


def link(topology: str, *parts: str) -> str:
    """The name of a link in the host namespace, at most 15 bytes."""
    plain = "-".join((topology, *parts))
    if len(plain) <= IFNAMSIZ:
        return plain
    digest = base64.b32encode(blake2s("\0".join((topology, *parts)).encode(), digest_size=5).digest())
    stem, room = "-".join(parts), IFNAMSIZ - 7
    if len(stem) > room:
        stem = parts[0][:room].rstrip("-")  # half an interface name would only mislead
    return f"{stem}-{digest.decode().lower()[:6]}"


def tunnel(topology: str, network: str) -> str:
    """The name of the VXLAN device of a network in tunnels."""
    return link(topology, network, "vxlan")


def altname(topology: str, *parts: str) -> str:
    """The full name of a link, unique in the host namespace."""
    return ".".join((topology, *parts))
