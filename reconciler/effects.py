"""What the kernel does on its own when something is removed. Pure.

The planner must foresee it, or the second plan would not be empty: a deleted bridge releases its ports, a deleted
parent takes the macvlan, ipvlan and VLAN links on it along, a deleted primary address the secondaries of its subnet,
and the last IPv4 address of a link all its IPv4 routes. The fake kernel of the tests uses the same functions, and the
real kernel is held against them by running the same cases.

Sources: net/ipv4/devinet.c (__inet_del_ifa, promote_secondaries=0), net/ipv4/fib_frontend.c (fib_disable_ip,
fib_sync_down_addr), net/core/dev.c (unregister_netdevice), drivers/net/veth.c (veth_dellink).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from ipaddress import ip_interface

from .objects import (
    IN_BRIDGE,
    ROOT,
    Address,
    KernelObject,
    Key,
    Link,
    Netns,
    Port,
    Qdisc,
    Route,
    Rule,
    Veth,
    parent,
)


class Lost:
    """What goes away when some objects are deleted from an observed state.

    `gone` are the keys that cease to exist, the deleted ones included; `released` are links and ports that stay but
    lose their bridge.
    """

    def __init__(self, objects: Mapping[Key, KernelObject]) -> None:
        self.gone: set[Key] = set()
        self.released: set[Key] = set()
        self.objects = objects
        self._children: dict[Key, list[Key]] | None = None

    def delete(self, keys: Iterable[Key]) -> None:
        """Add the consequences of deleting `keys`, to a fixed point."""
        todo = [key for key in keys if key not in self.gone]
        while todo:
            key = todo.pop()
            if key in self.gone:
                continue
            self.gone.add(key)
            if (obj := self.objects.get(key)) is not None:
                todo.extend(self._consequences(obj))

    def of(self, keys: Iterable[Key]) -> set[Key]:
        """What deleting `keys` alone takes away or cuts off, whatever else is being deleted."""
        alone = Lost(self.objects)
        alone._children = self._index()
        alone.delete(keys)
        return alone.gone | alone.released

    def _consequences(self, obj: KernelObject) -> list[Key]:
        match obj:
            case Netns() | Qdisc():
                return self._index().get(obj.key, [])
            case Link():
                children = self._index().get(obj.key, [])
                ports = [key for key in children if key[0] in ("link", "port") and self._is_port_of(key, obj)]
                self.released.update(ports)
                released = set(ports)
                entries = [key for port in ports for key in self._of_bridge(port)]
                return [key for key in children if key not in released] + entries + _peer(obj)
            case Address():
                return self._after_address(obj)
            case _:
                return []

    def _of_bridge(self, port: Key) -> list[Key]:
        """What the bridge of a port knows of it: lost with the bridge, although the port stays."""
        return [key for key in self._index().get(port, []) if key[0] == "fdb" and key[-1] == IN_BRIDGE]

    def _is_port_of(self, key: Key, bridge: Link) -> bool:
        obj = self.objects[key]
        return (
            isinstance(obj, Link | Port)
            and (obj.netns, obj.master) == (bridge.netns, bridge.name)
            and parent(obj) != bridge.ref
        )

    def _after_address(self, address: Address) -> list[Key]:
        local = ip_interface(address.address)
        if local.version == 6:
            return []
        on_link = [self.objects[key] for key in self._index().get(("link", address.netns, address.link), [])]
        others = [
            obj for obj in on_link if isinstance(obj, Address) and _is_v4(obj) and obj.key not in self.gone
        ]
        secondaries = [
            obj.key
            for obj in others
            if not address.secondary and ip_interface(obj.address).network == local.network
        ]
        last = len(secondaries) == len(others)
        routes = [
            obj.key
            for obj in on_link
            if isinstance(obj, Route) and "." in obj.to and (last or obj.src == str(local.ip))
        ]
        return secondaries + routes

    def _index(self) -> dict[Key, list[Key]]:
        if self._children is None:
            self._children = _children(self.objects.values())
        return self._children


def _is_v4(address: Address) -> bool:
    return ":" not in address.address


def _peer(link: Link) -> list[Key]:
    if isinstance(link.kind, Veth) and link.kind.peer is not None:
        return [("link", *link.kind.peer)]
    return []


def _children(objects: Iterable[KernelObject]) -> dict[Key, list[Key]]:
    children: dict[Key, list[Key]] = defaultdict(list)
    for obj in objects:
        if isinstance(obj, Netns):
            continue
        children["netns", obj.netns].append(obj.key)
        match obj:
            case Link() | Port():
                if obj.master:
                    children["link", obj.netns, obj.master].append(obj.key)
                if (below := parent(obj)) is not None:
                    children["link", *below].append(obj.key)
            case Route():
                if obj.dev:
                    children["link", obj.netns, obj.dev].append(obj.key)
            case Rule():
                pass
            case Qdisc(place=place) if place != ROOT:
                children["qdisc", obj.netns, obj.link, ROOT].append(obj.key)
                children["link", obj.netns, obj.link].append(obj.key)
            case _:
                if obj.link:
                    children["link", obj.netns, obj.link].append(obj.key)
    return children
