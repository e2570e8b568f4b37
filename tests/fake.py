"""A kernel made of a dict, with the rules of the real one as far as a plan depends on them.

It refuses what the real one refuses (a second object of the same key, a child without its parent), removes what the
real one removes by itself (`effects`), and fills in what the real one chooses. The cases in tests/cases run against
it and against the real kernel, which keeps it honest.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields, replace
from ipaddress import ip_interface
from typing import Any, TypeVar

from reconciler import marks, names
from reconciler.effects import Lost
from reconciler.errors import KernelError
from reconciler.features import Lack
from reconciler.interrupts import Interrupts
from reconciler.objects import (
    HOST,
    Address,
    Bridge,
    BridgePort,
    FdbEntry,
    Ipvlan,
    KernelObject,
    Key,
    Link,
    Neighbour,
    Netns,
    OtherKind,
    Port,
    Qdisc,
    Route,
    Sysctl,
    Veth,
    Vxlan,
    parents,
)
from reconciler.outcome import Outcome
from reconciler.plan import Action, Change
from reconciler.sides import Found, Observed, Scope
from reconciler.state import Store

T = TypeVar("T")


class FakeKernel:
    """Implements `apply.Kernel`. `fail_at` makes the n-th change (from 1) fail with EBUSY, `kill_at` raises Killed.

    `missing` are features that it lacks.
    """

    def __init__(self, *, fail_at: int = 0, kill_at: int = 0) -> None:
        self.objects: dict[Key, KernelObject] = {}
        self.marked: set[Key] = set()
        self.messages = 0
        self.priors: dict[Key, str] = {}
        self.missing: set[str] = set()
        self.fail_at, self.kill_at, self.tried = fail_at, kill_at, 0
        self.failed: set[Key] = set()

    # -- what apply needs ------------------------------------------------------------------------------------------

    def addresses(self) -> dict[str, str]:
        """Those of the host's links."""
        found = (obj for obj in self.objects.values() if isinstance(obj, Address) and obj.netns == HOST)
        return {obj.address.partition("/")[0]: obj.link for obj in found}

    def observe(self, scope: Scope) -> Observed:
        """Everything, with ownership decided as the real one does; a run is over, and the next may try all of it again."""
        self.failed.clear()
        found: dict[Key, Found] = {}
        for key, obj in sorted(self.objects.items(), key=lambda item: _rank(item[1])):
            if isinstance(obj, Sysctl) and key not in scope.sysctls:
                continue
            ours, origin = self._owner(obj, scope, found)
            found[key] = Found(obj, ours, origin)
            if isinstance(obj, Link) and obj.netns == HOST and not ours:
                port = Port(netns=HOST, name=obj.name, master=obj.master, port=obj.port)
                found[port.key] = Found(port, ours=False)
        same = {name: HOST for name in scope.given if name == "/proc/self/ns/net"}
        return Observed(found, same=same)

    def lacks(self, names: Collection[str]) -> dict[str, Lack]:
        """Those of the features that are in `missing`."""
        return {name: Lack("the kernel says no", "get it") for name in names if name in self.missing}

    def execute(self, changes: Sequence[Change], note: Callable[[Mapping[Key, str]], None]) -> list[Outcome]:
        """One change after the other; what depends on a failed one is blocked."""
        self.note = note
        outcomes = []
        for change in changes:
            self.tried += 1
            if self.tried == self.kill_at:
                raise Killed
            needed = () if change.action is Action.DELETE else (change.key, *parents(change.object))
            blocker = next((key for key in needed if key in self.failed), None)
            error = None
            if blocker is None:
                error = self._refusal(change) if self.tried != self.fail_at else _error(errno.EBUSY)
                if error is None:
                    self._carry_out(change)
                    self.messages += 1
            if blocker or error:
                self.failed.add(change.key)
            outcomes.append(Outcome(change, error, blocker))
        return outcomes

    def wait_ready(
        self, scope: Scope, unready: Mapping[Key, str], timeout: float, interrupts: Interrupts
    ) -> Mapping[Key, str]:
        """Nothing here ever is unready."""
        return {}

    def clean_up(self, store: Store) -> None:
        """There are no directories."""
        store.remove()

    # -- the rules -------------------------------------------------------------------------------------------------

    def _owner(self, obj: KernelObject, scope: Scope, found: Mapping[Key, Found]) -> tuple[bool, str | None]:
        match obj:
            case Link(alias=None, kind=Veth(peer=peer)) if peer is not None:
                other = self.objects.get(("link", *peer))  # the other end of a link of ours is ours
                if not isinstance(other, Link) or other.alias is None:
                    return False, None
                return self._owner(other, scope, found)
            case Netns(alias=alias) | Link(alias=alias):
                owner = marks.owner(alias)
                if owner is None or owner.topology != scope.topology:
                    return False, None
                if isinstance(obj, Netns):
                    sandbox = owner.origin.removeprefix("sandbox/")
                    return obj.netns == names.netns(scope.topology, sandbox), owner.origin
                return True, owner.origin
            case FdbEntry(link=link) | Neighbour(link=link):
                above = found.get(("link", obj.netns, link))
                return (False, None) if above is None else (above.ours, above.origin)
            case Address(link=link) | Route(dev=link):
                if obj.key not in self.marked:
                    return False, None
                on_link: Key = ("link", obj.netns, link or "")
                inside: Key = ("netns", obj.netns)
                for parent in (on_link, inside) if isinstance(obj, Address) else (inside,):
                    if (above := found.get(parent)) is not None and above.ours:
                        return True, above.origin
                return obj.key in scope.claims, None
            case Qdisc(link=link, discipline=discipline, handle=handle):
                above = found.get(("link", obj.netns, link))
                if above is None or not above.ours or marks.QDISCS.get(discipline or "") != handle:
                    return False, None
                return True, above.origin
            case _:
                return False, None

    def _refusal(self, change: Change) -> KernelError | None:
        obj = change.object
        if change.action is Action.DELETE:
            # One end of a pair goes with the other; that it is gone already is what was wanted.
            tolerated = isinstance(obj, Port) or (isinstance(obj, Link) and isinstance(obj.kind, Veth))
            return None if tolerated or obj.key in self.objects else _error(errno.ENODEV)
        missing = [key for key in parents(obj) if key not in self.objects and key != ("netns", HOST)]
        if missing and not isinstance(obj, Sysctl):
            return _error(errno.ENODEV)
        by_peer = isinstance(obj, Link) and isinstance(obj.kind, Veth) and obj.kind.made_by_peer
        exists = obj.key in self.objects
        by_peer = by_peer or isinstance(obj, Sysctl | FdbEntry | Neighbour)  # these are made to be as asked
        if change.action is Action.CREATE and exists and not by_peer:
            return _error(errno.EEXIST)
        if change.action is Action.UPDATE and not exists and not isinstance(obj, Port):
            return _error(errno.ENODEV)
        if isinstance(obj, Link) and isinstance(obj.kind, Vxlan) and change.action is Action.CREATE:
            taken = [
                other.kind
                for other in self.objects.values()
                if isinstance(other, Link) and isinstance(other.kind, Vxlan)
            ]
            if any((k.vni, k.udp_port) == (obj.kind.vni, obj.kind.udp_port) for k in taken):
                return _error(errno.EEXIST)
        return None

    def _carry_out(self, change: Change) -> None:
        obj = change.object
        match change.action, obj:
            case Action.DELETE, Sysctl():
                self.objects[obj.key] = obj
            case Action.DELETE, Port():
                self._enslave(obj, None)
            case Action.DELETE, _:
                self.delete(obj.key)
            case _, Port():
                self._enslave(obj, obj.master)
            case _, Address() | Route():
                self.put(obj, marked=True)
            case _:
                if isinstance(obj, Sysctl):
                    old = self.objects.get(obj.key)  # a new namespace or link comes with all its parameters
                    held = str(old.value) if isinstance(old, Sysctl) else "0"
                    if obj.key not in self.priors:
                        self.priors[obj.key] = held
                        self.note({obj.key: held})
                self.put(obj)

    # -- hands of the kernel and of vandals ------------------------------------------------------------------------

    def put(self, obj: KernelObject, *, marked: bool = False) -> None:
        """Create `obj`, or bring what it asks for onto the object that is there."""
        there = self.objects.get(obj.key)
        if isinstance(obj, Link):
            obj = _link(obj, there if isinstance(there, Link) else None)
            self._make_peer(obj)
        elif isinstance(obj, Address):
            obj = replace(obj, permanent=True, connected=True, secondary=self._is_secondary(obj))
        elif there is not None and not isinstance(obj, Route | Qdisc):  # these are replaced as a whole
            obj = _over(there, obj)
        self.objects[obj.key] = obj
        if marked:
            self.marked.add(obj.key)
        if isinstance(obj, Link):
            self.fit_ipv6(obj)
            self.share_mode(obj)
            self.fit_neighbours(obj)

    def fit_ipv6(self, link: Link) -> None:
        """Below 1,280 bytes a link has no IPv6, and gets it back as on a new link (addrconf_notify)."""
        if (link.mtu or 1500) >= 1280:
            if link.addrgen is None:
                self.objects[link.key] = replace(link, addrgen="eui64")
            return
        self.objects[link.key] = replace(link, addrgen=None)
        for key, obj in list(self.objects.items()):
            if key[:3] == ("address", link.netns, link.name) and ":" in key[3]:
                del self.objects[key]
            here = isinstance(obj, Sysctl) and obj.netns == link.netns
            if here and key[2].startswith(f"net/ipv6/conf/{link.name}/"):
                del self.objects[key]

    def share_mode(self, link: Link) -> None:
        """Mode and flag are those of the parent: what one ipvlan link has, all on its parent have (ipvlan_main.c)."""
        if not isinstance(link.kind, Ipvlan):
            return
        for key, obj in list(self.objects.items()):
            if isinstance(obj, Link) and isinstance(obj.kind, Ipvlan) and obj.kind.parent == link.kind.parent:
                kind = replace(obj.kind, mode=link.kind.mode, flag=link.kind.flag)
                self.objects[key] = replace(obj, kind=kind)

    def fit_neighbours(self, link: Link) -> None:
        """A link that goes down forgets its neighbours, permanent ones included (neigh_ifdown)."""
        if link.up is False:
            for key in [key for key in self.objects if key[:3] == ("neighbour", link.netns, link.name)]:
                del self.objects[key]

    def cut_off(self, where: str, subnet: str, link: str | None) -> None:
        """Delete the route to a subnet which the kernel made with the first address in it."""
        inside = (
            obj
            for obj in self.objects.values()
            if isinstance(obj, Address) and obj.netns == where and not obj.secondary
            if str(ip_interface(obj.address).network) == subnet and link in (None, obj.link)
        )
        first = next(inside)
        self.objects[first.key] = replace(first, connected=False)

    def delete(self, key: Key) -> None:
        """Delete an object and what goes with it."""
        lost = Lost(self.objects)
        lost.delete([key])
        for gone in lost.gone:
            self.objects.pop(gone, None)
            self.marked.discard(gone)
        for released in lost.released:
            held = self.objects[released]
            if isinstance(held, Link):
                self.objects[released] = replace(held, master=None, port=None)

    def _make_peer(self, link: Link) -> None:
        peer = link.kind.peer if isinstance(link.kind, Veth) else None
        if peer is not None and ("link", *peer) not in self.objects:
            other = Link(netns=peer.netns, name=peer.name, kind=Veth(peer=link.ref))
            self.objects[other.key] = _link(other, None)

    def _is_secondary(self, new: Address) -> bool:
        network = ip_interface(new.address).network
        return network.version == 4 and any(
            isinstance(old, Address)
            and (old.netns, old.link) == (new.netns, new.link)
            and old.key != new.key
            and ip_interface(old.address).network == network
            for old in self.objects.values()
        )

    def _enslave(self, port: Port, master: str | None) -> None:
        link = self.objects["link", port.netns, port.name]
        assert isinstance(link, Link)
        self.objects[link.key] = replace(link, master=master, port=BridgePort() if master else None)


class Killed(Exception):
    """The process is dead."""


def _error(number: int) -> KernelError:
    return KernelError(f"fake: {errno.errorcode[number]}", errno=number)


def _rank(obj: KernelObject) -> int:
    return 0 if isinstance(obj, Netns) else 1 if isinstance(obj, Link) else 2


def _over(old: T, new: T) -> T:
    asked: dict[str, Any] = {
        f.name: value
        for f in fields(new)  # type: ignore[arg-type]
        if f.init and (value := getattr(new, f.name)) is not None
    }
    return replace(old, **asked)  # type: ignore[type-var]


def _link(new: Link, old: Link | None) -> Link:
    if old is None:
        kind = new.kind
        if isinstance(kind, Bridge):
            kind = _over(Bridge(stp=False, ageing_time=30000, forward_delay=1500), kind)
        old = Link(netns=new.netns, name=new.name, kind=kind, mtu=1500, mac="02:fa:fa:fa:fa:fa", up=False)
        old = replace(old, group=0, altnames=(), addrgen="eui64")
    merged = _over(replace(old, port=None), replace(new, kind=old.kind, port=None))
    if type(new.kind) is type(old.kind) and not isinstance(new.kind, Veth | OtherKind):
        merged = replace(merged, kind=_over(old.kind, new.kind))
    if merged.master is None:
        return merged
    usual = BridgePort(isolated=False, hairpin=False, learn=True, flood=True)
    return replace(merged, port=_over(old.port or usual, new.port or BridgePort()))
