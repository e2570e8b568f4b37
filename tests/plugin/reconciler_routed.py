"""A driver without a bridge: each sandbox hangs on the host by a veth pair, and the host has a route to each address.

The sandbox sends everything to one link-local gateway, which is the host's end of its own pair; all ends have the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Address
from typing import Any

from reconciler.drivers.contract import Item, Member, Site, declare
from reconciler.model import Network
from reconciler.objects import (
    HOST,
    Address,
    Link,
    LinkRef,
    Route,
    Veth,
)
from reconciler.options import PluginOptions, Traits

GATEWAY = "169.254.1.1"


class Routed:
    """Networks in which every packet is routed."""

    api_version = 1
    name = "routed"
    traits = Traits(host_ends=True)
    options_schema: Mapping[str, Any] = {
        "description": "Options of the routed driver.",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "gateway": {
                "description": f"The gateway as the sandboxes see it, a link-local address. Omitted: {GATEWAY}.",
                "type": "string",
                "x-also-known-as": ["gw"],
            },
        },
    }

    def problems(self, options: Mapping[str, Any]) -> Iterator[str]:
        """What the schema cannot check."""
        try:
            if not IPv4Address(options.get("gateway", GATEWAY)).is_link_local:
                yield f"the gateway {options['gateway']} is not link-local (169.254.0.0/16)"
        except ValueError as error:
            yield str(error)

    def network(self, site: Site, network: Network) -> Iterable[Item]:
        """Nothing: there is no link of the network's own."""
        return ()

    def endpoint(self, site: Site, network: Network, member: Member) -> Iterable[Item]:
        """Both ends, the address alone, and a route in each direction."""
        owner, endpoint = site.owner, member.endpoint
        outer = LinkRef(HOST, owner.link_name(member.sandbox.name, endpoint.name))
        inner = LinkRef(member.netns, endpoint.name)
        alias = owner.alias(member.origin)
        yield from declare(
            member.origin,
            endpoint.mark,
            Link(
                netns=HOST,
                name=outer.name,
                kind=Veth(peer=inner),
                mtu=endpoint.mtu,
                up=True,
                group=owner.group,
                alias=alias,
                altnames=(owner.altname(member.sandbox.name, endpoint.name),),
                addrgen="none",
            ),
            Link(
                netns=inner.netns,
                name=inner.name,
                kind=Veth(peer=outer, made_by_peer=True),
                mtu=endpoint.mtu,
                mac=endpoint.mac,
                up=True,
                group=owner.group,
                alias=alias,
                addrgen="none",
            ),
        )
        gateway = _gateway(network)
        for address in endpoint.addresses:
            yield from declare(
                member.origin,
                endpoint.mark,
                Address(netns=inner.netns, link=inner.name, address=f"{address.ip}/32", permanent=True),
                Route(netns=HOST, to=f"{address.ip}/32", type="unicast", dev=outer.name),
            )
        yield from declare(
            member.origin,
            endpoint.mark,
            Address(netns=HOST, link=outer.name, address=f"{gateway}/32", permanent=True),
            Route(netns=inner.netns, to=f"{gateway}/32", type="unicast", dev=inner.name),
            Route(netns=inner.netns, to="0.0.0.0/0", type="unicast", via=gateway, dev=inner.name),
        )


def _gateway(network: Network) -> str:
    assert isinstance(network.options, PluginOptions)
    return str(network.options.values.get("gateway", GATEWAY))
