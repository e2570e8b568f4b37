"""The ipvlan driver: every endpoint is a link that shares the MAC address of a link of the host. Pure.

In mode l2 endpoints are told apart by address behind one MAC address, for switches and clouds that allow no more. In
l3 and l3s the parent routes between them: there is neither ARP nor neighbour discovery, broadcast and multicast go
nowhere, and the wire needs a route to the network by the host's address.

The kernel keeps mode and flag once for a parent. Every link asks for them all the same: whichever comes first sets
them, for the others there is nothing left to do.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..model import Network
from ..objects import (
    HOST,
    Ipvlan,
    Link,
    LinkRef,
)
from ..options import IpvlanOptions
from . import interface, parent
from .contract import Item, Member, Site, declare
from .shaping import shaping


class IpvlanDriver:
    """Networks on a link of the host, told apart by IP addresses."""

    name = "ipvlan"

    def network(self, site: Site, network: Network) -> Iterable[Item]:
        """The parent, awaited or made."""
        options = _options(network)
        return parent.items(site, network, options.parent, options.vlan)

    def endpoint(self, site: Site, network: Network, member: Member) -> Iterable[Item]:
        """The link in the sandbox with its addresses and parameters."""
        options, endpoint = _options(network), member.endpoint
        link = Link(
            netns=member.netns,
            name=endpoint.name,
            kind=Ipvlan(parent=LinkRef(HOST, options.parent), mode=options.mode, flag=options.flag),
            mtu=endpoint.mtu,
            up=True,
            group=site.owner.group,
            alias=site.owner.alias(member.origin),
            addrgen=None if interface.has_v6(endpoint) else "none",
        )
        return declare(
            member.origin,
            endpoint.mark,
            link,
            *shaping(endpoint, link.ref, None),
            *interface.parameters(member),
            *interface.addresses(member),
        )


def _options(network: Network) -> IpvlanOptions:
    assert isinstance(network.options, IpvlanOptions)
    return network.options
