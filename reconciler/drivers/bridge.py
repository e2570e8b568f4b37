"""The bridge driver: a network is a bridge device in the host, an endpoint is a veth pair plugged into it. Pure.

The bridge gets a MAC of its own: without one the kernel gives it that of its lowest port, and neighbours would lose
the gateway whenever an endpoint comes or goes. IPv6 is switched off on a bridge without IPv6 subnet, and router
advertisements are never accepted from one: a sandbox must not become the host's router (CVE-2020-13401).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2s

from ..model import Endpoint, IPAddress, Network
from ..objects import HOST, Address, Bridge, BridgePort, Link, Port, Sysctl
from ..options import BridgeOptions
from ..sides import Requirement
from . import interface, pair
from .contract import Item, Member, Owner, Site, declare, network_origin
from .shaping import shaping

# What a new link has. It is asked for in so many words, so that taking a value out of the file brings it back.
_AGEING_TIME, _FORWARD_DELAY = 30000, 1500


class BridgeDriver:
    """Networks on Linux bridges."""

    name = "bridge"

    def network(self, site: Site, network: Network) -> Iterable[Item]:
        """The bridge device, or the demand for the adopted one; then its parameters, extra ports and addresses."""
        owner = site.owner
        origin, bridge = network_origin(network), device_name(owner, network)
        if _options(network).adopt:
            key = ("link", HOST, bridge)
            yield Requirement(key, origin, network.mark, f"bridge '{bridge}' to adopt", "bridge")
        else:
            yield from declare(origin, network.mark, _bridge(owner, network, origin, bridge))
            yield from declare(origin, network.mark, *_parameters(network, bridge))
        yield from _extra_ports(network, origin, bridge)
        yield from declare(origin, network.mark, *_addresses(network, bridge))

    def endpoint(self, site: Site, network: Network, member: Member) -> Iterable[Item]:
        """The host end in the bridge, the sandbox end with its addresses and parameters."""
        mtu = _endpoint_mtu(network, member.endpoint)
        host_end, sandbox_end = pair.pair(
            site.owner, member, device_name(site.owner, network), _port(network), mtu
        )
        return declare(
            member.origin,
            member.endpoint.mark,
            host_end,
            sandbox_end,
            *shaping(member.endpoint, sandbox_end.ref, host_end.ref),
            *interface.parameters(member, small=interface.is_small(mtu)),
            *interface.addresses(member),
        )


def device_name(owner: Owner, network: Network) -> str:
    """The bridge device of a network: as declared, or derived."""
    return _options(network).name or owner.link_name(network.name)


def _options(network: Network) -> BridgeOptions:
    assert isinstance(network.options, BridgeOptions)
    return network.options


def _bridge(owner: Owner, network: Network, origin: str, name: str) -> Link:
    options = _options(network)
    return Link(
        netns=HOST,
        name=name,
        kind=Bridge(
            stp=bool(options.stp),
            ageing_time=_AGEING_TIME if options.ageing_time is None else options.ageing_time,
            forward_delay=_FORWARD_DELAY if options.forward_delay is None else options.forward_delay,
        ),
        mtu=interface.usual_mtu(network.mtu),
        mac=options.mac or _mac(owner, network),
        up=True,
        group=owner.group,
        alias=owner.alias(origin),
        altnames=(owner.altname(network.name),),
    )


def _mac(owner: Owner, network: Network) -> str:
    digest = blake2s(f"{owner.topology}\0{network.name}".encode(), digest_size=5).digest()
    return ":".join(f"{byte:02x}" for byte in (0x02, *digest))


def _endpoint_mtu(network: Network, endpoint: Endpoint) -> int | None:
    """As declared, else the usual one; on an adopted bridge the kernel fits the bridge to its ports, so nothing is asked."""
    return endpoint.mtu if _options(network).adopt else interface.usual_mtu(endpoint.mtu)


def _parameters(network: Network, bridge: str) -> Iterator[Sysctl]:
    if interface.is_small(network.mtu):
        return
    base = f"net/ipv6/conf/{bridge}"
    if any(subnet.subnet.version == 6 for subnet in network.subnets):
        yield Sysctl(netns=HOST, path=f"{base}/accept_ra", value="0")
        yield Sysctl(netns=HOST, path=f"{base}/disable_ipv6", value="0")
    else:
        yield Sysctl(netns=HOST, path=f"{base}/disable_ipv6", value="1")


def _extra_ports(network: Network, origin: str, bridge: str) -> Iterator[Item]:
    for name in _options(network).ports:
        what = f"host link '{name}' to plug into '{bridge}'"
        yield Requirement(("link", HOST, name), origin, network.mark, what)
        yield from declare(origin, network.mark, Port(netns=HOST, name=name, master=bridge))


def _addresses(network: Network, bridge: str) -> Iterator[Address]:
    if not _options(network).address:
        return
    for subnet in network.subnets:
        if subnet.gateway is not None:
            text = _with_prefix(subnet.gateway, subnet.subnet.prefixlen)
            yield Address(netns=HOST, link=bridge, address=text, permanent=True, connected=True)


def _with_prefix(address: IPAddress, length: int) -> str:
    return f"{address}/{length}"


def _port(network: Network) -> BridgePort:
    return BridgePort(isolated=_options(network).isolated, hairpin=_options(network).hairpin)
