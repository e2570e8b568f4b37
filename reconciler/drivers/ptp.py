"""The ptp driver: a veth pair and nothing between its ends. Pure.

With two endpoints a network is the pair of their links, with one it is a pair between that sandbox and the host. Then
the host's end has the gateway's address with the prefix of the subnet, as either end of any cable: the host reaches
the sandbox by the connected route, and neither side needs a route to a single address, as there are no others.

One message creates both ends, so one of them makes the other: the one whose namespace comes first in the order of
creation. The host's end is an interface of the host, with a sandbox at the other side: it takes no router from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..model import Network
from ..objects import HOST, Address, Link, LinkRef, Sysctl, Veth
from . import interface
from .contract import Item, Member, Site, declare


class PtpDriver:
    """Networks of two ends."""

    name = "ptp"

    def network(self, site: Site, network: Network) -> Iterable[Item]:
        """Nothing."""
        return ()

    def endpoint(self, site: Site, network: Network, member: Member) -> Iterable[Item]:
        """The end in the sandbox, with its addresses and parameters; the host's end too, if that is the other."""
        mtu = interface.usual_mtu(member.endpoint.mtu)
        other = next((each for each in site.of(network) if each.origin != member.origin), None)
        if other is None:
            outer = LinkRef(HOST, site.owner.link_name(member.sandbox.name, member.endpoint.name))
            yield from declare(member.origin, member.endpoint.mark, *_host_end(site, network, member, outer))
            yield from interface.items(site.owner, member, Veth(peer=outer, made_by_peer=True), mtu, outer)
        else:
            outer = LinkRef(other.netns, other.endpoint.name)
            second = _place(site, network, other) < _place(site, network, member)
            yield from interface.items(site.owner, member, Veth(peer=outer, made_by_peer=second), mtu)


def _place(site: Site, network: Network, member: Member) -> tuple[int, int]:
    """When its end would be made: the host's links come first, then sandbox after sandbox."""
    order = -1 if member.netns == HOST else site.namespaces[member.netns]
    return order, site.of(network).index(member)


def _host_end(
    site: Site, network: Network, member: Member, end: LinkRef
) -> Iterator[Link | Sysctl | Address]:
    owner, mtu = site.owner, interface.usual_mtu(member.endpoint.mtu)
    v6 = any(subnet.subnet.version == 6 for subnet in network.subnets)
    small = interface.is_small(mtu)
    yield Link(
        netns=HOST,
        name=end.name,
        kind=Veth(peer=LinkRef(member.netns, member.endpoint.name)),
        mtu=mtu,
        up=True,
        group=owner.group,
        alias=owner.alias(member.origin),
        altnames=(owner.altname(member.sandbox.name, member.endpoint.name),),
        addrgen=None if small or v6 else "none",
    )
    base = f"net/ipv6/conf/{end.name}"
    if not small:
        yield Sysctl(netns=HOST, path=f"{base}/disable_ipv6", value="0" if v6 else "1")
    if v6:
        yield Sysctl(netns=HOST, path=f"{base}/accept_ra", value="0")
        yield Sysctl(netns=HOST, path=f"{base}/accept_dad", value="0")
    for subnet in network.subnets:
        if subnet.gateway is not None:
            text = f"{subnet.gateway}/{subnet.subnet.prefixlen}"
            yield Address(netns=HOST, link=end.name, address=text, permanent=True, connected=True)
