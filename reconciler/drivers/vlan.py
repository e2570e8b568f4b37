"""The vlan driver: the endpoint itself is the link that carries one VLAN of a link of the host. Pure.

The kernel has each VLAN of a link once, so such a network has room for one endpoint on a host; several endpoints in
one VLAN are macvlan or ipvlan with the parent eth0.50. Nothing shares the parent's queues or its MAC address, and the
sandbox receives whatever the wire sends in that VLAN.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..model import Network
from ..objects import HOST, LinkRef, Vlan
from ..options import VlanOptions
from . import interface, parent
from .contract import Item, Member, Site


class VlanDriver:
    """Networks that are one VLAN of a link of the host."""

    name = "vlan"

    def network(self, site: Site, network: Network) -> Iterable[Item]:
        """The parent, awaited or made."""
        options = _options(network)
        return parent.items(site, network, options.parent, options.vlan)

    def endpoint(self, site: Site, network: Network, member: Member) -> Iterable[Item]:
        """The link in the sandbox with its addresses and parameters."""
        options = _options(network)
        kind = Vlan(parent=LinkRef(HOST, options.parent), id=options.id, protocol=options.protocol)
        return interface.items(site.owner, member, kind, member.endpoint.mtu)


def _options(network: Network) -> VlanOptions:
    assert isinstance(network.options, VlanOptions)
    return network.options
