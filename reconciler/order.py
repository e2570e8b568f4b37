"""In which order changes are made. Pure.

Deletions come before everything else, to make room; what stands on something goes before it. Creations begin with
namespaces, then the host, then sandbox by sandbox, so that each namespace is visited in one pipelined pass. What
networks are made of is up and its parameters are set before anything is plugged in: nobody hears a stray packet.
"""

from __future__ import annotations

from functools import cached_property

from .objects import (
    HOST,
    Address,
    Bridge,
    Dummy,
    FdbEntry,
    KernelObject,
    Key,
    Link,
    Neighbour,
    Netns,
    Port,
    Qdisc,
    Route,
    Rule,
    Sysctl,
    Veth,
    Vlan,
    Vxlan,
    parent,
)
from .sides import Desired

_REMOVAL = (Link, Netns, Rule, Route, Neighbour, FdbEntry, Address, Qdisc, Port, Sysctl)
_AFTER_NETNS = _REMOVAL.index(Rule)
ENTRIES = (1, 0, 8, 0)  # behind every link and address of the host: there are as many as of nothing else
_DELETION = (Rule, Route, Neighbour, FdbEntry, Address, Qdisc, Sysctl, Port, Link, Netns)


def removal(obj: KernelObject, going: frozenset[str]) -> tuple[int, bool]:
    """Whom to ask first whether it has to go: what takes most of the others along, host ends before sandbox ends.

    `going` are namespaces that go. What leads nowhere else goes with its namespace, all such links of all namespaces at
    once, where to delete one takes the kernel 20 ms. What leads out is deleted: who stays would see it for a while yet.
    """
    if isinstance(obj, Link) and obj.netns in going and _neighbourhood(obj) <= going:
        return (_AFTER_NETNS, True)
    return (_REMOVAL.index(type(obj)), obj.netns != HOST)


def _neighbourhood(link: Link) -> set[str]:
    """The namespaces of what a link is bound to: the one below, and the other end."""
    bound = [parent(link), link.kind.peer if isinstance(link.kind, Veth) else None]
    return {ref.netns for ref in bound if ref is not None}


def deletion(obj: KernelObject) -> tuple[bool, bool, str, int, Key]:
    """Sort key of a deletion: inside sandboxes first, then the host, namespaces last."""
    return (isinstance(obj, Netns), obj.netns == HOST, obj.netns, _DELETION.index(type(obj)), obj.key)


class Creation:
    """Sort keys of creations and updates; ties are broken by the order of declaration.

    Of the entries of tunnels, which stand on each other in no way, those that are not there come before all others.
    """

    def __init__(self, desired: Desired) -> None:
        self._desired = desired
        self._others = {key: index for index, key in enumerate(desired.others)}
        namespaces = (declared.object.netns for declared in desired.others.values())
        self._netns = {name: place for place, name in enumerate(dict.fromkeys(namespaces))}
        self._bases = {key for key, declared in desired.others.items() if _is_base(declared.object)}

    def of(self, obj: KernelObject) -> tuple[int, int, int, int]:
        """The sort key of one declared object that is no entry of a tunnel. All of those come at `ENTRIES`."""
        index, netns = self._others[obj.key], self._netns[obj.netns]
        if isinstance(obj, Netns):
            return (0, netns, 0, index)
        if isinstance(obj, Sysctl) and obj.link is None:
            return (0, netns, 1, index)
        if obj.netns == HOST:
            return (1, 0, self._rank(obj), index)
        return (2, netns, self._rank(obj), index)

    @cached_property
    def entries(self) -> dict[Key, int]:
        """Which place each entry of a tunnel has among all of them."""
        return {key: index for index, key in enumerate(self._desired.entries.by_key)}

    def _rank(self, obj: KernelObject) -> int:
        match obj:
            case _ if obj.key in self._bases:
                return 0
            case Sysctl(link=link):
                return 1 if ("link", obj.netns, link) in self._bases else 5
            case Port():
                return 2
            case Link(kind=Veth(made_by_peer=False)):
                return 3
            case Link():
                return 4
            case Qdisc():
                return 6
            case Address():
                return 7
            case _:
                return 9


def _is_base(obj: KernelObject) -> bool:
    """A link of the host that other links are plugged into or stand on."""
    return isinstance(obj, Link) and obj.netns == HOST and isinstance(obj.kind, Bridge | Vlan | Vxlan | Dummy)
