"""The macvlan driver: every endpoint is a link with a MAC address of its own on a link of the host. Pure.

Nothing is made for the network itself, unless its parent is a VLAN link that nobody has made yet, or the host wants an
address in it. The kernel does not let the parent talk to the links on it; the shim is a further one, in the host, and
the host reaches each endpoint by a route through it: a route to the whole subnet would compete with the parent's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address

from ..model import Network
from ..objects import HOST, Address, Link, LinkRef, Macvlan, Route
from ..options import MacvlanOptions
from . import interface, parent
from .contract import Item, Member, Site, declare, network_origin


class MacvlanDriver:
    """Networks on a link of the host, told apart by MAC addresses."""

    name = "macvlan"

    def network(self, site: Site, network: Network) -> Iterable[Item]:
        """The parent, awaited or made; then the host's own address in the network, if one is wanted."""
        options, origin = _options(network), network_origin(network)
        yield from parent.items(site, network, options.parent, options.vlan)
        if options.shim:
            yield from declare(origin, network.mark, *_shim(site, network, options, origin))

    def endpoint(self, site: Site, network: Network, member: Member) -> Iterable[Item]:
        """The link in the sandbox with its addresses and parameters."""
        return interface.items(site.owner, member, _kind(_options(network)), member.endpoint.mtu)


def _options(network: Network) -> MacvlanOptions:
    assert isinstance(network.options, MacvlanOptions)
    return network.options


def _kind(options: MacvlanOptions) -> Macvlan:
    sources = options.sources if options.mode == "source" else None
    return Macvlan(parent=LinkRef(HOST, options.parent), mode=options.mode, sources=sources)


def _shim(
    site: Site, network: Network, options: MacvlanOptions, origin: str
) -> Iterator[Link | Address | Route]:
    owner, name = site.owner, site.owner.link_name(network.name)
    yield Link(
        netns=HOST,
        name=name,
        kind=_kind(options),
        mtu=network.mtu,
        up=True,
        group=owner.group,
        alias=owner.alias(origin),
        altnames=(owner.altname(network.name),),
        addrgen="none",
    )
    for address in options.shim:
        yield Address(netns=HOST, link=name, address=_alone(address), permanent=True, connected=True)
    versions = {address.version for address in options.shim}
    for member in site.of(network):
        for each in member.endpoint.addresses:
            if each.version in versions and member.netns != HOST:
                metric = 0 if each.version == 4 else 1024
                yield Route(
                    netns=HOST, to=_alone(each.ip), metric=metric, type="unicast", dev=name, onlink=False
                )


def _alone(address: IPv4Address | IPv6Address) -> str:
    return f"{address}/{address.max_prefixlen}"
