"""The link of the host that a network stands on: awaited, or made when its name says which VLAN it is. Pure; used by
drivers.

`eth0.50` is VLAN 50 of eth0, as everybody names it. A link of that name that somebody else made is used as it is.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..model import Network
from ..objects import HOST, Link, LinkRef, Vlan
from ..sides import Declared, Requirement
from .contract import Item, Site, network_origin


def items(site: Site, network: Network, name: str, vlan: int | None) -> Iterable[Item]:
    """What the parent `name` asks for; `vlan` is the number in its name, if it has one."""
    origin = network_origin(network)
    if vlan is None:
        yield Requirement(("link", HOST, name), origin, network.mark, f"parent '{name}'", awaited=True)
        return
    below = name.rpartition(".")[0]
    yield Requirement(("link", HOST, below), origin, network.mark, f"parent '{below}'", awaited=True)
    link = Link(
        netns=HOST,
        name=name,
        kind=Vlan(parent=LinkRef(HOST, below), id=vlan, protocol="802.1Q"),
        up=True,
        group=site.owner.group,
        alias=site.owner.alias(origin),
        addrgen="none",
    )
    yield Declared(link, origin, network.mark, yields=True)
