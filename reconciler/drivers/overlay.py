"""The overlay driver: one network over several hosts, in VXLAN tunnels between them. Pure.

On each host that has an endpoint of the network there is a bridge, and a VXLAN device as one of its ports. Nothing is
learned and nothing is searched for: the files say which endpoint is on which host, so every host knows beforehand
behind which other host a MAC address is (forwarding entries) and which MAC address an IP address has (neighbours, by
which the device answers ARP and neighbour discovery itself). What nobody knows goes nowhere.

For the bridge to learn nothing either, it has a fixed entry for each endpoint of its own, its other ports get nothing
that is unknown, and only the tunnel does: so a packet for a remote MAC address, which the bridge need not know, goes to
the tunnel and to nobody else. That halves the entries.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2s

from ..model import Network
from ..objects import FLOOD, HOST, Bridge, BridgePort, FdbEntry, Link, Neighbour, Sysctl, Vxlan
from ..options import OverlayOptions
from . import interface, pair
from .contract import Item, Member, Owner, Site, declare, network_origin
from .shaping import shaping

_AGEING_TIME, _FORWARD_DELAY = 30000, 1500


class OverlayDriver:
    """Networks in tunnels between hosts."""

    name = "overlay"

    def network(self, site: Site, network: Network) -> Iterable[Item]:
        """The bridge and the tunnel's end in it; then who is behind which other host."""
        origin = network_origin(network)
        bridge, tunnel = _bridge(site, network, origin), _tunnel(site, network, origin)
        yield from declare(origin, network.mark, bridge)
        if not interface.is_small(network.mtu):
            # It has no address: what sandboxes send is no business of the host's own stack.
            path = f"net/ipv6/conf/{bridge.name}/disable_ipv6"
            yield from declare(origin, network.mark, Sysctl(netns=HOST, path=path, value="1"))
        yield from declare(origin, network.mark, tunnel)
        if _options(network).flood:
            yield from declare(origin, network.mark, *_to_all(site, network, tunnel.name))
        for member, vtep in _elsewhere(site, network):
            entries = _entries(member, vtep, tunnel.name, neighbours=not _options(network).flood)
            yield from declare(origin, member.endpoint.mark, *entries)

    def endpoint(self, site: Site, network: Network, member: Member) -> Iterable[Item]:
        """The pair with its addresses and parameters, and the bridge's fixed entry for it."""
        mtu = member.endpoint.mtu
        port = BridgePort(isolated=False, hairpin=False, learn=_options(network).flood, flood=False)
        outer, inner = pair.pair(site.owner, member, _bridge_name(site.owner, network), port, mtu)
        yield from declare(
            member.origin,
            member.endpoint.mark,
            outer,
            inner,
            *shaping(member.endpoint, inner.ref, outer.ref),
            *interface.parameters(member, small=interface.is_small(mtu)),
            *interface.addresses(member),
        )
        if member.endpoint.mac is not None:
            known = FdbEntry(
                netns=HOST, link=outer.name, mac=member.endpoint.mac, of_bridge=True, sticky=True
            )
            yield from declare(member.origin, member.endpoint.mark, known)


def _options(network: Network) -> OverlayOptions:
    assert isinstance(network.options, OverlayOptions)
    return network.options


def _bridge_name(owner: Owner, network: Network) -> str:
    return _options(network).name or owner.link_name(network.name)


def _bridge(site: Site, network: Network, origin: str) -> Link:
    owner = site.owner
    digest = blake2s(f"{owner.topology}\0{network.name}\0{site.host or ''}".encode(), digest_size=5).digest()
    return Link(
        netns=HOST,
        name=_bridge_name(owner, network),
        kind=Bridge(stp=False, ageing_time=_AGEING_TIME, forward_delay=_FORWARD_DELAY),
        mtu=network.mtu,
        mac=f"02:{digest.hex(':')}",
        up=True,
        group=owner.group,
        alias=owner.alias(origin),
        altnames=(owner.altname(network.name),),
        addrgen=None if interface.is_small(network.mtu) else "none",
    )


def _tunnel(site: Site, network: Network, origin: str) -> Link:
    options, owner = _options(network), site.owner
    here = None if site.host is None else site.hosts[site.host]
    return Link(
        netns=HOST,
        name=owner.tunnel_name(network.name),
        kind=Vxlan(
            vni=options.vni,
            local=None if here is None else str(here.vtep),
            udp_port=options.udp_port,
            learning=False,
            proxy=not options.flood,
        ),
        port=BridgePort(isolated=False, hairpin=False, learn=False, flood=True),
        mtu=network.mtu,
        up=True,
        master=_bridge_name(owner, network),
        group=owner.group,
        alias=owner.alias(origin),
        addrgen=None if interface.is_small(network.mtu) else "none",
    )


def _elsewhere(site: Site, network: Network) -> Iterator[tuple[Member, str]]:
    """The endpoints on other hosts, each with the address of its host."""
    vteps = {name: str(host.vtep) for name, host in site.hosts.items()}
    for member, host in site.elsewhere(network):
        yield member, vteps[host.name]


def _to_all(site: Site, network: Network, tunnel: str) -> Iterator[FdbEntry]:
    """What is for everybody, or for nobody known, goes to each host that has an endpoint."""
    for vtep in dict.fromkeys(vtep for _, vtep in _elsewhere(site, network)):
        yield FdbEntry(netns=HOST, link=tunnel, mac=FLOOD, dst=vtep)


def _entries(member: Member, vtep: str, tunnel: str, *, neighbours: bool) -> Iterator[FdbEntry | Neighbour]:
    mac = member.endpoint.mac
    if mac is None:
        return
    yield FdbEntry(netns=HOST, link=tunnel, mac=mac, dst=vtep)
    if neighbours:
        for address in member.endpoint.addresses:  # as text: `.ip` makes a new object each time
            yield Neighbour(netns=HOST, link=tunnel, address=str(address).partition("/")[0], mac=mac)
