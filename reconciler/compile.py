"""A topology compiled into kernel objects: networks by their drivers, sandboxes here. Pure.

The order of the result is declaration order with parents first; `plan` relies on it for ties and for nothing else.
What is the same for every driver (the namespace, its parameters, its routes) is not the driver's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from . import marks, names
from .drivers import every
from .drivers.contract import Driver, Item, Member, Owner, Site, declare
from .garbage import left_lying
from .model import RouteType, Sandbox, SandboxKind, StaticRoute, Topology
from .objects import HOST, Key, Netns, Route, Sysctl
from .sides import Declared, Desired, Here, Requirement

_V6_METRIC = 1024  # net/ipv6: IP6_RT_PRIO_USER, what the kernel uses when no metric is given

_ACCEPT_DAD = "net/ipv6/conf/default/accept_dad"


def compile_topology(
    topology: Topology, drivers: Mapping[str, Driver] | None = None, host: str | None = None
) -> Desired:
    """Every kernel object that `topology` declares, and what must already be there.

    With `host`, only what is to be on that host: its sandboxes, and the networks that they join.
    """
    objects: dict[Key, Declared] = {}
    requirements: list[Requirement] = []
    with left_lying():
        for item in _items(topology, drivers or every(), host):
            match item:
                case Requirement():
                    requirements.append(item)
                case Declared():
                    objects.setdefault(item.object.key, item)
    here = Here(host, str(topology.hosts[host].vtep)) if host is not None else None
    return Desired(
        topology.name, objects, tuple(requirements), here, frozenset(_protected(topology.on(host)))
    )


def _protected(topology: Topology) -> Iterator[str]:
    yield from (f"network/{network.name}" for network in topology.networks.values() if network.protect)
    yield from (f"sandbox/{sandbox.name}" for sandbox in topology.sandboxes.values() if sandbox.protect)


def namespace(topology: str, sandbox: Sandbox) -> str:
    """How the kernel layer finds the namespace of a sandbox (see `objects`)."""
    match sandbox.kind:
        case SandboxKind.MADE:
            return names.netns(topology, sandbox.name)
        case SandboxKind.PATH:
            return sandbox.where
        case SandboxKind.PID:
            return f"pid:{sandbox.where}"
        case SandboxKind.HOST:
            return HOST


def _items(topology: Topology, drivers: Mapping[str, Driver], host: str | None) -> Iterator[Item]:
    part = topology.on(host)
    site = _site(topology, host, part)
    for network in part.networks.values():
        yield from drivers[network.driver].network(site, network)
    for sandbox in part.sandboxes.values():
        netns = namespace(topology.name, sandbox)
        yield from _sandbox(topology.name, sandbox, netns)
        for member in _members(sandbox, netns):
            network = topology.networks[member.endpoint.network]
            yield from drivers[network.driver].endpoint(site, network, member)
        yield from declare(_origin(sandbox), sandbox.mark, *_default_routes(sandbox, netns))
        for route in sandbox.routes:
            yield from declare(_origin(sandbox), route.mark, _route(sandbox, route, netns))


def _site(topology: Topology, host: str | None, part: Topology) -> Site:
    members: dict[str, list[Member]] = {name: [] for name in topology.networks}
    for sandbox in topology.sandboxes.values():
        for member in _members(sandbox, namespace(topology.name, sandbox)):
            members[member.endpoint.network].append(member)
    members_of = {name: tuple(some) for name, some in members.items()}
    return Site(Owner(topology.name), members_of, host, topology.hosts, _namespaces(part))


def _members(sandbox: Sandbox, netns: str) -> Iterator[Member]:
    among_v6 = sandbox.has_v6
    return (Member(sandbox, endpoint, netns, among_v6) for endpoint in sandbox.endpoints)


def _namespaces(part: Topology) -> dict[str, int]:
    """The namespaces in which something is made, in the order of `order.Creation`."""
    used = (
        namespace(part.name, sandbox)
        for sandbox in part.sandboxes.values()
        if sandbox.kind is SandboxKind.MADE or sandbox.sysctls or sandbox.endpoints or sandbox.routes
    )
    return {netns: place for place, netns in enumerate(dict.fromkeys(used))}


def _origin(sandbox: Sandbox) -> str:
    return f"sandbox/{sandbox.name}"


def _sandbox(topology: str, sandbox: Sandbox, netns: str) -> Iterable[Item]:
    origin = _origin(sandbox)
    match sandbox.kind:
        case SandboxKind.MADE:
            yield from declare(
                origin, sandbox.mark, Netns(netns=netns, alias=marks.alias(topology, origin), up=True)
            )
        case SandboxKind.PATH | SandboxKind.PID:
            what = (
                f"namespace of pid {sandbox.where}"
                if sandbox.kind is SandboxKind.PID
                else f"namespace {netns}"
            )
            yield Requirement(("netns", netns), origin, sandbox.mark, what)
    parameters = (Sysctl(netns=netns, path=path, value=value) for path, value in sandbox.sysctls.items())
    yield from declare(origin, sandbox.mark, *parameters)
    if sandbox.kind is SandboxKind.MADE and sandbox.has_v6:
        # We know who else is there. Until a link-local address has been probed for a second or two, a sandbox that
        # routes cannot even ask for its neighbours. Set before there are links, which inherit it.
        yield from declare(origin, sandbox.mark, Sysctl(netns=netns, path=_ACCEPT_DAD, value="0"))


def _default_routes(sandbox: Sandbox, netns: str) -> Iterator[Route]:
    for gateway in sandbox.gateways:
        v4 = gateway.version == 4
        yield Route(
            netns=netns,
            to="0.0.0.0/0" if v4 else "::/0",
            metric=0 if v4 else _V6_METRIC,
            type="unicast",
            via=None if gateway.via is None else str(gateway.via),
            dev=gateway.endpoint,
            onlink=False,
        )


def _route(sandbox: Sandbox, route: StaticRoute, netns: str) -> Route:
    default_metric = 0 if route.to.version == 4 else _V6_METRIC
    return Route(
        netns=netns,
        to=str(route.to),
        table=route.table,
        metric=default_metric if route.metric is None else route.metric,
        type=route.type.value,
        via=None if route.via is None else str(route.via),
        dev=_device(sandbox, route),
        src=None if route.src is None else str(route.src),
        onlink=route.onlink if route.type is RouteType.UNICAST else None,
    )


def _device(sandbox: Sandbox, route: StaticRoute) -> str | None:
    """The endpoint a route leaves by: as declared, else the one whose prefix holds the gateway."""
    if route.dev is not None or route.via is None or route.type is not RouteType.UNICAST:
        return route.dev
    for endpoint in sandbox.endpoints:
        if any(route.via in address.network for address in endpoint.addresses):
            return endpoint.name
    return None
