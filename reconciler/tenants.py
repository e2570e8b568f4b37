"""What links of others forbid: on a parent that we stand on, and in the tunnels of this host. Pure.

A parent hands what it receives to one taker, and some of what it keeps is kept once for all links on it. So a link of
ours could be refused by the kernel, or worse, be granted and change somebody else's: the kernel lets the last ipvlan
link decide the mode of all others. What is in a namespace that nobody looks at cannot be told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property

from .objects import HOST, Bridge, Ipvlan, Link, LinkRef, Macvlan, Vlan, Vxlan, parent
from .sides import Found

_Tunnel = tuple[int | None, int | None, bool]


def _tunnel(kind: Vxlan) -> _Tunnel:
    """The kernel has one VXLAN device for each VNI, UDP port and address family (vxlan_vni_in_use)."""
    return kind.vni, kind.udp_port, ":" in (kind.local or "")


class Tenants:
    """Foreign links, by the parent that they stand on."""

    def __init__(self, observed: Iterable[Found]) -> None:
        self._observed = observed

    @cached_property
    def _links(self) -> dict[LinkRef, Link]:
        return {
            found.object.ref: found.object
            for found in self._observed
            if isinstance(found.object, Link) and not found.ours
        }

    @cached_property
    def _on(self) -> dict[LinkRef, list[Link]]:
        on: dict[LinkRef, list[Link]] = defaultdict(list)
        for link in self._links.values():
            if (below := parent(link)) is not None:
                on[below].append(link)
        return on

    @cached_property
    def _tunnels(self) -> dict[_Tunnel, Link]:
        return {
            _tunnel(link.kind): link
            for link in self._links.values()
            if isinstance(link.kind, Vxlan) and link.netns == HOST
        }

    def problem(self, link: Link) -> tuple[str, str] | None:
        """Why `link` cannot be here, or not on its parent, and what to do about it."""
        if isinstance(link.kind, Vxlan) and (held := self._tunnels.get(_tunnel(link.kind))):
            return (
                f"link '{held.name}', which is no part of this topology, holds VNI {link.kind.vni} on UDP port {link.kind.udp_port}",
                "give the network another 'vni', or remove that link",
            )
        below = parent(link)
        if below is None:
            return None
        if not isinstance(link.kind, Vlan) and (bridge := self._bridge_of(below)):
            return f"parent '{below}' is a port of the bridge '{bridge}'", f"take it out of '{bridge}' first"
        if (held := self._links.get(below)) is not None and (link.mtu or 0) > (held.mtu or 0):
            return (
                f"parent '{below}' has mtu {held.mtu}, and cannot carry {link.mtu}",
                "lower the mtu in the file, or raise that of the parent",
            )
        for other in self._on.get(below, ()):
            if other.ref != link.ref and (message := _clash(link, other)):
                hint = "this topology did not make it, and does not change it; choose another parent"
                return f"parent '{below}' {message}", hint
        return None

    def _bridge_of(self, below: LinkRef) -> str | None:
        held = self._links.get(below)
        if held is None or not held.master:
            return None
        master = self._links.get(LinkRef(below.netns, held.master))
        return master.name if master is not None and isinstance(master.kind, Bridge) else None


def _clash(link: Link, other: Link) -> str | None:
    match link.kind, other.kind:
        case Vlan() as ours, Vlan() as theirs if (ours.id, ours.protocol) == (theirs.id, theirs.protocol):
            return f"has VLAN {ours.id} already: '{other.ref}'"
        case (Macvlan(), Ipvlan()) | (Ipvlan(), Macvlan()):
            return f"carries a link of kind {other.kind.name}: '{other.ref}'"
        case Macvlan(mode=mode), Macvlan(mode=theirs) if "passthru" in (mode, theirs):
            return f"carries '{other.ref}', and mode passthru takes the whole link"
        case Ipvlan() as ours, Ipvlan() as theirs if (ours.mode, ours.flag) != (theirs.mode, theirs.flag):
            return f"has mode {theirs.mode}, flag {theirs.flag}, by '{other.ref}'"
        case _:
            return None
