"""What stands in the way of something declared: a foreign object in its place, or one that the kernel holds against it.

Pure. Each answer is in words for people: what is there, and what to do about it; nothing that this finds is ever touched.
"""

from __future__ import annotations

from collections.abc import Mapping

from .comparison import compare
from .objects import Address, FdbEntry, KernelObject, Key, Link, Neighbour, Netns, Port, Qdisc, Route, Sysctl
from .sides import Found, Observed
from .tenants import Tenants

Problem = tuple[str, str]


class Obstacles:
    """What others hold, of what was observed. `apart` is the part of it in which anything foreign can be."""

    def __init__(self, observed: Observed, apart: Mapping[Key, Found]) -> None:
        self._observed = observed
        self._names = {
            (found.object.netns, name): found.object.name
            for found in apart.values()
            if isinstance(found.object, Link) and not found.ours
            for name in (found.object.name, *(found.object.altnames or ()))
        }
        self._tenants = Tenants(apart.values())

    def problem(self, desired: KernelObject, found: Found | None) -> Problem | None:
        """Why `desired` cannot be made, or what was `found` of that key not be made into it; with what to do."""
        if isinstance(desired, Link) and (problem := self._taken(desired) or self._tenants.problem(desired)):
            return problem
        return None if found is None or found.ours else self._foreign(desired, found)

    def _taken(self, link: Link) -> Problem | None:
        """Names and alternative names are one space, in which a foreign link may hold one that we need."""
        for name in (link.name, *(link.altnames or ())):
            holder = self._names.get((link.netns, name), link.name)
            if holder != link.name:
                return (
                    f"link '{holder}', which this topology did not make, holds the name '{name}'",
                    f"take the name from it: ip link property del dev {holder} altname {name}"
                    if holder != name
                    else "rename it",
                )
        return None

    def _foreign(self, desired: KernelObject, found: Found) -> Problem | None:
        match desired, found.object:
            case Sysctl(), _:
                return None
            case Port(), Port(master=held):
                # A bridge of ours may hand it on to another one of ours.
                if held in (None, desired.master) or self._observed.is_ours(
                    ("link", desired.netns, held or "")
                ):
                    return None
                return (
                    f"link '{desired.name}' is already a port of '{held}'",
                    f"take it out of '{held}' first",
                )
            case Netns(), _:
                return (
                    f"a namespace '{desired.netns}' exists that this topology did not make",
                    "rename the sandbox, or declare it as given with `netns:`",
                )
            case Link(), Link(kind=kind):
                what = kind.name or "device"
                return (
                    f"a {what} named '{desired.name}' exists that this topology did not make",
                    "remove or rename it, or choose another name in the file",
                )
            case Qdisc(), Qdisc(discipline=discipline, netns=where, link=link):
                tc = f"tc -n {where}" if where and "/" not in where and ":" not in where else "tc"
                return (
                    f"a queueing discipline '{discipline}' is on link '{link}' that this topology did not set",
                    f"remove it: {tc} qdisc del dev {link} root; or take the bandwidth and impairment out of the file",
                )
            case ((Address() | Route()), _):
                if not compare(desired, found.object) or self._is_inside_ours(desired):
                    return None
                what = (
                    f"{desired.kind_name} {desired.key[-1] if isinstance(desired, Address) else desired.to}"
                )
                return (
                    f"another {what} exists there that this topology did not make",
                    "remove it, or change the file",
                )
            case ((FdbEntry() | Neighbour()), _):
                if not compare(desired, found.object):
                    return None
                place = desired.mac if isinstance(desired, FdbEntry) else desired.address
                return (
                    f"another program put an entry for {place} on '{desired.link}', and says otherwise",
                    "keep that program away from this link",
                )
            case _:
                return None

    def _is_inside_ours(self, obj: Address | Route) -> bool:
        link = obj.link if isinstance(obj, Address) else obj.dev
        held = [("netns", obj.netns), ("link", obj.netns, link)] if link else [("netns", obj.netns)]
        return any(map(self._observed.is_ours, held))
