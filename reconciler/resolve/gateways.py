"""Which endpoint gives a sandbox its default route, for IPv4 and IPv6 independently. Pure.

The highest `gateway_priority` wins; ties go to the interface name that a person would call the first (eth2 before
eth10). Candidates are endpoints of networks that are not internal and have a gateway in a subnet where the endpoint
itself has an address; a gateway that the sandbox owns makes it the router, which has no use for a route to itself.

A given sandbox came with routes of its own. It gets a default route from here only through an endpoint that declares
`gateway_priority`: that is the one line that says so.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache

from ..ipam import BITS
from ..model import DefaultGateway, Endpoint, IPAddress, Network, StaticRoute
from .routes import MAIN_TABLE, effective_metric

_DIGITS = re.compile(r"([0-9]+)")


def default_gateways(
    endpoints: Sequence[Endpoint],
    networks: Mapping[str, Network],
    routes: Sequence[StaticRoute],
    own: Collection[IPAddress],
) -> tuple[DefaultGateway, ...]:
    """At most one gateway a family, v4 first; none where the sandbox declares that very route itself.

    `endpoints` are the candidates, `own` every address that the sandbox has.
    """
    result: list[DefaultGateway] = []
    for version in BITS:
        if any(_is_default(route, version) for route in routes):
            continue
        best = min(_candidates(version, endpoints, networks, own), default=None, key=lambda each: each[0])
        if best:
            result.append(best[1])
    return tuple(result)


@lru_cache(maxsize=4096)
def natural(name: str) -> tuple[tuple[int, str], ...]:
    """A sort key under which eth2 comes before eth10."""
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in _DIGITS.split(name) if part)


_Rank = tuple[int, tuple[tuple[int, str], ...]]


def _candidates(
    version: int, endpoints: Sequence[Endpoint], networks: Mapping[str, Network], own: Collection[IPAddress]
) -> Iterator[tuple[_Rank, DefaultGateway]]:
    for endpoint in endpoints:
        network = networks.get(endpoint.network)
        if network is None or network.internal:
            continue
        rank = (-endpoint.gateway_priority, natural(endpoint.name))
        if network.options.traits.routes_on_link:
            if any(address.version == version for address in endpoint.addresses):
                yield rank, DefaultGateway(version, None, endpoint.name)
        elif (gateway := _gateway(version, endpoint, network, own)) is not None:
            yield rank, DefaultGateway(version, gateway, endpoint.name)


def _gateway(
    version: int, endpoint: Endpoint, network: Network, own: Collection[IPAddress]
) -> IPAddress | None:
    for address in endpoint.addresses:
        if address.version != version:
            continue
        for subnet in network.subnets:
            if subnet.gateway is not None and subnet.subnet == address.network and subnet.gateway not in own:
                return subnet.gateway
    return None


def _is_default(route: StaticRoute, version: int) -> bool:
    return (
        route.to.version == version
        and route.to.prefixlen == 0
        and route.table == MAIN_TABLE
        and effective_metric(version, route.metric) == effective_metric(version, None)
    )
