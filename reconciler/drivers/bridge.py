"""The bridge driver: a network is a bridge device in the host, an endpoint is a veth pair plugged into it. Pure.

The bridge gets a MAC of its own: without one the kernel gives it that of its lowest port, and neighbours would lose
the gateway whenever an endpoint comes or goes. IPv6 is switched off on a bridge without IPv6 subnet, and router
advertisements are never accepted from one: a sandbox must not become the host's router (CVE-2020-13401).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2s

from ..model import Endpoint, IPAddress, Network, Sandbox
from ..objects import HOST, Address, Bridge, BridgePort, Link, LinkRef, Port, Sysctl, Veth
from ..sides import Requirement
from .contract import Item, Owner, declare, endpoint_origin, network_origin

# What a new link has. It is asked for in so many words, so that taking a value out of the file brings it back.
_MTU = 1500
_AGEING_TIME, _FORWARD_DELAY = 30000, 1500
_MINIMUM_V6_MTU = 1280  # below it the kernel takes IPv6 off a link, its parameters included


class BridgeDriver:
    """Networks on Linux bridges."""

    name = "bridge"

    def network(self, owner: Owner, network: Network) -> Iterable[Item]:
        """The bridge device, or the demand for the adopted one; then its parameters, extra ports and addresses."""
        origin, bridge = network_origin(network), device_name(owner, network)
        if network.options.adopt:
            key = ("link", HOST, bridge)
            yield Requirement(key, origin, network.mark, f"bridge '{bridge}' to adopt", "bridge")
        else:
            yield from declare(origin, network.mark, _bridge(owner, network, origin, bridge))
            yield from declare(origin, network.mark, *_parameters(network, bridge))
        yield from _extra_ports(network, origin, bridge)
        yield from declare(origin, network.mark, *_addresses(network, bridge))

    def endpoint(
        self, owner: Owner, network: Network, sandbox: Sandbox, endpoint: Endpoint, netns: str
    ) -> Iterable[Item]:
        """The host end in the bridge, the sandbox end with its addresses and parameters."""
        origin = endpoint_origin(sandbox, endpoint)
        outer = LinkRef(HOST, owner.link_name(sandbox.name, endpoint.name))
        inner = LinkRef(netns, endpoint.name)
        mtu = _endpoint_mtu(network, endpoint)
        small = mtu is not None and mtu < _MINIMUM_V6_MTU
        no_v6 = None if small else "none"
        host_end = Link(
            netns=outer.netns,
            name=outer.name,
            kind=Veth(peer=inner),
            port=_port(network),
            mtu=mtu,
            up=True,
            master=device_name(owner, network),
            group=owner.group,
            alias=owner.alias(origin),
            altnames=(owner.altname(sandbox.name, endpoint.name),),
            addrgen=no_v6,
        )
        sandbox_end = Link(
            netns=inner.netns,
            name=inner.name,
            kind=Veth(peer=outer, made_by_peer=True),
            mtu=mtu,
            mac=endpoint.mac,
            up=True,
            group=owner.group,
            alias=owner.alias(origin),
            addrgen=None if _has_v6(endpoint) else no_v6,
        )
        addresses = (
            Address(netns=netns, link=endpoint.name, address=str(address), permanent=True)
            for address in endpoint.addresses
        )
        return declare(
            origin,
            endpoint.mark,
            host_end,
            sandbox_end,
            *_sysctls(sandbox, endpoint, netns, small=small),
            *addresses,
        )


def device_name(owner: Owner, network: Network) -> str:
    """The bridge device of a network: as declared, or derived."""
    return network.options.name or owner.link_name(network.name)


def _bridge(owner: Owner, network: Network, origin: str, name: str) -> Link:
    options = network.options
    return Link(
        netns=HOST,
        name=name,
        kind=Bridge(
            stp=bool(options.stp),
            ageing_time=_AGEING_TIME if options.ageing_time is None else options.ageing_time,
            forward_delay=_FORWARD_DELAY if options.forward_delay is None else options.forward_delay,
        ),
        mtu=_MTU if network.mtu is None else network.mtu,
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
    if endpoint.mtu is None and not network.options.adopt:
        return _MTU
    return endpoint.mtu


def _parameters(network: Network, bridge: str) -> Iterator[Sysctl]:
    if network.mtu is not None and network.mtu < _MINIMUM_V6_MTU:
        return
    base = f"net/ipv6/conf/{bridge}"
    if any(subnet.subnet.version == 6 for subnet in network.subnets):
        yield Sysctl(netns=HOST, path=f"{base}/accept_ra", value="0")
        yield Sysctl(netns=HOST, path=f"{base}/disable_ipv6", value="0")
    else:
        yield Sysctl(netns=HOST, path=f"{base}/disable_ipv6", value="1")


def _extra_ports(network: Network, origin: str, bridge: str) -> Iterator[Item]:
    for name in network.options.ports:
        what = f"host link '{name}' to plug into '{bridge}'"
        yield Requirement(("link", HOST, name), origin, network.mark, what)
        yield from declare(origin, network.mark, Port(netns=HOST, name=name, master=bridge))


def _addresses(network: Network, bridge: str) -> Iterator[Address]:
    if not network.options.address:
        return
    for subnet in network.subnets:
        if subnet.gateway is not None:
            text = _with_prefix(subnet.gateway, subnet.subnet.prefixlen)
            yield Address(netns=HOST, link=bridge, address=text, permanent=True)


def _with_prefix(address: IPAddress, length: int) -> str:
    return f"{address}/{length}"


def _port(network: Network) -> BridgePort:
    return BridgePort(isolated=network.options.isolated, hairpin=network.options.hairpin)


def _sysctls(sandbox: Sandbox, endpoint: Endpoint, netns: str, *, small: bool) -> Iterator[Sysctl]:
    """Declared ones come first and win: with addresses of its own an endpoint needs no router to give it any.

    `small`: the MTU leaves no room for IPv6, so there are no parameters for it.
    """
    for path, value in endpoint.sysctls.items():
        yield Sysctl(netns=netns, path=path, value=value)
    base = f"net/ipv6/conf/{endpoint.name}"
    if _has_v6(endpoint):
        yield Sysctl(netns=netns, path=f"{base}/disable_ipv6", value="0")
        yield Sysctl(netns=netns, path=f"{base}/accept_ra", value="0")
    # New links inherit it from the sandbox (see `compile`); said again for a link that was there before.
    if not small and any(_has_v6(each) for each in sandbox.endpoints):
        yield Sysctl(netns=netns, path=f"{base}/accept_dad", value="0")


def _has_v6(endpoint: Endpoint) -> bool:
    return any(address.version == 6 for address in endpoint.addresses)
