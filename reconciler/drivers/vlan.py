"""The vlan driver: the endpoint itself is the link that carries one VLAN of a link of the host. Pure.

The kernel has each VLAN of a link once, so such a network has room for one endpoint on a host; several endpoints in
one VLAN are macvlan or ipvlan with the parent eth0.50. Nothing shares the parent's queues or its MAC address, and the
sandbox receives whatever the wire sends in that VLAN.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..model import Network
from ..objects import HOST, Link, LinkRef, Vlan
from ..options import VlanOptions
from . import interface, parent
from .contract import Item, Member, Site, declare
from .shaping import shaping


class VlanDriver:
    """Networks that are one VLAN of a link of the host."""

    name = "vlan"

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
            kind=Vlan(parent=LinkRef(HOST, options.parent), id=options.id, protocol=options.protocol),
            mtu=endpoint.mtu,
            mac=endpoint.mac,
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


def _options(network: Network) -> VlanOptions:
    assert isinstance(network.options, VlanOptions)
    return network.options
