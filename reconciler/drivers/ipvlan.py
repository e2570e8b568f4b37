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
from ..objects import HOST, Ipvlan, LinkRef
from ..options import IpvlanOptions
from . import interface, parent
from .contract import Item, Member, Site


class IpvlanDriver:
    """Networks on a link of the host, told apart by IP addresses."""

    name = "ipvlan"

    def network(self, site: Site, network: Network) -> Iterable[Item]:
        """The parent, awaited or made."""
        options = _options(network)
        return parent.items(site, network, options.parent, options.vlan)

    def endpoint(self, site: Site, network: Network, member: Member) -> Iterable[Item]:
        """The link in the sandbox with its addresses and parameters."""
        options = _options(network)
        kind = Ipvlan(parent=LinkRef(HOST, options.parent), mode=options.mode, flag=options.flag)
        return interface.items(site.owner, member, kind, member.endpoint.mtu)


def _options(network: Network) -> IpvlanOptions:
    assert isinstance(network.options, IpvlanOptions)
    return network.options
