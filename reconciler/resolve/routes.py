"""Routes of a sandbox: text to `StaticRoute`, and what the kernel would refuse or silently never use. Pure.

The kernel takes a next hop only where a connected prefix leads to it, and says no more than "network unreachable".
Here the message names the prefixes that there are. A given sandbox has addresses that no file declares, so nothing
is concluded there from what its endpoints lack.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from ipaddress import IPv6Network

from ..errors import Diagnostic
from ..ipam import BITS, make_network
from ..load.tree import Map
from ..model import Endpoint, IPAddress, IPInterface, IPNetwork, RouteType, StaticRoute
from . import fields
from .addresses import Fault, listed, parse_address, parse_network

MAIN_TABLE = 254
_LINK_LOCAL = IPv6Network("fe80::/10")
_V6_METRIC = 1024  # what the kernel makes of metric 0
_V6_CONNECTED_METRIC = 256


class Reach:
    """What a sandbox is connected to. `open_ended`: it may have more links and addresses than its endpoints say.

    `own` is every address known to be its own: those of its endpoints, and `foreign` ones (for the host, the gateways
    on its bridges) and without `guessed` ones, which may become others. `more_routes`: a mistake hides some.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        foreign: frozenset[IPAddress],
        guessed: frozenset[IPAddress],
        *,
        open_ended: bool,
    ) -> None:
        self.endpoints = endpoints
        self.open_ended = open_ended
        self.own = {each.ip for endpoint in endpoints for each in endpoint.addresses} - guessed | foreign
        self.owns_more = open_ended or bool(guessed)
        self.more_routes = False

    def connected(self, version: int, dev: str | None) -> list[tuple[str, IPNetwork]]:
        """The prefixes that its endpoints, or one of them, are on."""
        return [
            (endpoint.name, each.network)
            for endpoint in self.endpoints
            if dev in (None, endpoint.name)
            for each in endpoint.addresses
            if each.version == version and _leads_somewhere(each)
        ]


def effective_metric(version: int, metric: int | None) -> int:
    """The metric that the kernel uses."""
    return metric or (0 if version == 4 else _V6_METRIC)


def read_routes(source: Map, reach: Reach, found: list[Diagnostic]) -> tuple[StaticRoute, ...]:
    """The routes of one sandbox in file order; those with a mistake are reported and left out."""
    routes: list[StaticRoute] = []
    seen: dict[tuple[IPNetwork, int, int], StaticRoute] = {}
    reach.more_routes = fields.has_gap(source, "routes")
    for item in fields.maps(source, "routes"):
        route = _Reading(item, found).route()
        if fields.unknown(item, *item):
            reach.more_routes = True
            continue
        if route is None:
            continue
        _check(item, route, reach, routes, found)
        key = (route.to, route.table, effective_metric(route.to.version, route.metric))
        earlier = seen.setdefault(key, route)
        if earlier is not route:
            message = f"{_title(route)} is declared twice in table {route.table} with the same metric"
            hint = "remove one, or give it another 'metric'"
            found.append(
                Diagnostic("no-route", message, item.mark, hint, (("first declared here", earlier.mark),))
            )
        routes.append(route)
    return tuple(routes)


class _Reading:
    """One route while it is read."""

    def __init__(self, source: Map, found: list[Diagnostic]) -> None:
        self._source = source
        self._found = found

    def route(self) -> StaticRoute | None:
        before = len(self._found)
        via, src = self._address("via"), self._address("src")
        to = self._destination(via)
        if to is None or len(self._found) > before:
            return None
        metric = fields.number(self._source, "metric")
        table = fields.number(self._source, "table")
        return StaticRoute(
            to=to,
            via=via,
            dev=fields.text(self._source, "dev"),
            metric=metric or (metric if to.version == 4 else None),
            table=MAIN_TABLE if table is None else table,
            type=RouteType(fields.text(self._source, "type") or "unicast"),
            src=src,
            onlink=fields.flag(self._source, "onlink"),
            mark=self._source.mark,
        )

    def _address(self, key: str) -> IPAddress | None:
        text = fields.text(self._source, key)
        address = None if text is None else parse_address(text)
        if isinstance(address, Fault):
            self._found.append(address.at(self._source.value_mark(key)))
            return None
        return address

    def _destination(self, via: IPAddress | None) -> IPNetwork | None:
        if fields.unknown(self._source, "to"):
            return None
        text = fields.text(self._source, "to") or ""
        mark = self._source.value_mark("to")
        if text == "default":
            if via is not None:
                return make_network(via.version, 0, 0)
            if self._source.get("via") is None:
                hint = "write 'to: 0.0.0.0/0' or 'to: ::/0', or add 'via'"
                message = "'default' has no address family without 'via'"
                self._found.append(Diagnostic("no-route", message, mark, hint))
            return None
        if "/" not in text and not isinstance(address := parse_address(text), Fault):
            return make_network(address.version, int(address), BITS[address.version])
        to = parse_network(text)
        if isinstance(to, Fault):
            self._found.append(to.at(mark))
            return None
        return to


def _check(
    source: Map, route: StaticRoute, reach: Reach, earlier: Sequence[StaticRoute], found: list[Diagnostic]
) -> None:
    """Everything that makes one route useless; what follows from another mistake is not repeated."""
    fault = (
        _family_fault(route)
        or _kind_fault(route)
        or _dev_fault(route, reach)
        or _via_fault(route, reach, earlier)
        or _connected_fault(route, reach)
    )
    for verdict in (fault, _src_fault(route, reach)):
        if verdict:
            key, problem = verdict
            found.append(problem.at(source.value_mark(key)))


_Verdict = tuple[str, Fault]


def _family_fault(route: StaticRoute) -> _Verdict | None:
    for key, address in (("via", route.via), ("src", route.src)):
        if address is not None and address.version != route.to.version:
            message = f"'{key}: {address}' is not of the same address family as 'to: {route.to}'"
            return key, Fault("no-route", message, f"use an IPv{route.to.version} address")
    return None


def _kind_fault(route: StaticRoute) -> _Verdict | None:
    given = [key for key, value in (("via", route.via), ("dev", route.dev), ("src", route.src)) if value]
    given += ["onlink"] if route.onlink else []
    if route.type is not RouteType.UNICAST:
        if given:
            message = f"a {route.type.value} route goes nowhere, so '{given[0]}' means nothing"
            return given[0], Fault("no-route", message, f"remove {listed(map(repr, given))}")
        return None
    if route.via is None and route.dev is None:
        message = f"{_title(route)} says neither next hop nor interface"
        return "to", Fault("no-route", message, "add 'via' or 'dev', or 'type: blackhole'")
    if route.onlink and (route.dev is None or route.via is None):
        missing = "dev" if route.dev is None else "via"
        message = f"'onlink' says that 'via' is reachable on 'dev', and there is no '{missing}'"
        return "onlink", Fault("no-route", message, f"add '{missing}', or remove 'onlink'")
    return None


def _dev_fault(route: StaticRoute, reach: Reach) -> _Verdict | None:
    names = [endpoint.name for endpoint in reach.endpoints]
    if route.dev is None or route.dev in (*names, "lo") or reach.open_ended:
        return None
    near = difflib.get_close_matches(route.dev, names, 1)
    hint = f"its endpoints: {listed(names) or 'none'}"
    message = f"'dev: {route.dev}' is no endpoint of the sandbox"
    return "dev", Fault("no-route", message, f"did you mean '{near[0]}'? {hint}" if near else hint)


def _via_fault(route: StaticRoute, reach: Reach, earlier: Sequence[StaticRoute]) -> _Verdict | None:
    via = route.via
    if via is None:
        return None
    if via in reach.own:
        message = f"'via: {via}' is an address of the sandbox itself"
        return "via", Fault("no-route", message, "name the next router instead")
    if via.version == 6 and via in _LINK_LOCAL:
        if route.dev is None:
            message = f"'via: {via}' is link-local, so it exists on every interface"
            return "via", Fault("no-route", message, "add 'dev' to say which one")
        return None
    prefixes = reach.connected(via.version, route.dev)
    here = next((prefix for _, prefix in prefixes if via in prefix), None)
    if here is not None:
        return _no_host(via, here)
    if route.onlink or reach.open_ended or reach.more_routes or _reached_by_route(via, route, earlier):
        return None
    where = f"'{route.dev}'" if route.dev else "any endpoint"
    message = f"'via: {via}' is in no connected prefix of {where}"
    shown = listed(f"{prefix} ({name})" for name, prefix in prefixes) or f"none of IPv{via.version}"
    hint = f"connected: {shown}; for a next hop beyond them add 'dev' and 'onlink: true'"
    return "via", Fault("no-route", message, hint)


def _no_host(via: IPAddress, prefix: IPNetwork) -> _Verdict | None:
    is_pair = prefix.version == 6 or prefix.prefixlen >= 31
    if is_pair or via not in (prefix.network_address, prefix.broadcast_address):
        return None
    message = f"'via: {via}' is the network or broadcast address of {prefix}"
    return "via", Fault("no-route", message, "name the next router instead")


def _reached_by_route(via: IPAddress, route: StaticRoute, earlier: Sequence[StaticRoute]) -> bool:
    """Whether a route without next hop, declared before, makes the next hop a neighbour."""
    return any(
        each.to.version == via.version
        and each.via is None
        and each.table == MAIN_TABLE
        and each.dev is not None
        and route.dev in (None, each.dev)
        and via in each.to
        for each in earlier
    )


def _connected_fault(route: StaticRoute, reach: Reach) -> _Verdict | None:
    own_metric = 0 if route.to.version == 4 else _V6_CONNECTED_METRIC
    if (
        route.table != MAIN_TABLE
        or effective_metric(route.to.version, route.metric) != own_metric
        or not route.to.prefixlen
    ):
        return None
    for name, prefix in reach.connected(route.to.version, None):
        if prefix == route.to:
            message = f"{route.to} is connected to '{name}' already, and the kernel has a route for that"
            return "to", Fault("no-route", message, "remove the route, or give it a 'metric'")
    return None


def _src_fault(route: StaticRoute, reach: Reach) -> _Verdict | None:
    if route.src is None or reach.owns_more or route.src in reach.own:
        return None
    if route.src.version != route.to.version or route.type is not RouteType.UNICAST:
        return None
    own = listed(address for address in reach.own if address.version == route.src.version) or "none"
    message = f"'src: {route.src}' is no address of the sandbox"
    return "src", Fault("no-route", message, f"its IPv{route.src.version} addresses: {own}")


def _leads_somewhere(interface: IPInterface) -> bool:
    return interface.network.prefixlen < BITS[interface.version]


def _title(route: StaticRoute) -> str:
    return (
        f"the default route of IPv{route.to.version}"
        if route.to.prefixlen == 0
        else f"the route to {route.to}"
    )
