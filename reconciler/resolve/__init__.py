"""Canonical tree to `Topology`: references, addresses, routes; everything that a schema cannot check. Pure.

`resolve` either returns a complete topology, where every address is allocated and every name leads somewhere, or
raises one TopologyError with every mistake there is. To find them all, a part that is wrong is carried along and
marked, and nothing is concluded from what it lacks: one mistake gives one diagnostic.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..errors import Diagnostic, Mark, TopologyError
from ..model import IPAddress, IPNetwork, Leases, Network, Sandbox, Topology
from ..source import paused_gc
from ..tree import Map
from . import fields
from .allocation import allocate_all
from .endpoints import Reader
from .hosts import check_own_addresses, check_spans, places, read_hosts, slices
from .interfaces import finish_endpoints
from .limits import check_ports
from .linknames import check_host_names
from .networks import Draft, drawn, read_networks
from .parents import check_parents
from .ranges import RangeIndex
from .sandboxes import SandboxDraft, check_host_settings, check_sharing, finish_sandbox, read_sandbox

__all__ = ["needs_pool", "places", "read_hosts", "resolve"]

_NUMBERS = re.compile(r"[0-9]+")


def needs_pool(tree: Map) -> bool:
    """Whether any network draws from the default pools, so that it matters which prefixes the host already uses."""
    return any(
        subnet.get("draw") is not None
        for _, network, _ in fields.sections(tree, "networks")
        for subnet in fields.maps(network, "subnets")
    )


def resolve(
    tree: Map,
    *,
    name_mark: Mark | None,
    files: tuple[str, ...],
    leases: Leases,
    taken: Sequence[IPNetwork] = (),
) -> tuple[Topology, Leases]:
    """The topology of a canonical tree, and what was allocated automatically for it.

    `taken` are prefixes that default pools avoid; prefixes that this topology itself put into the kernel are no part of
    it. The new leases replace the old ones: what is gone from the files is released. Raises TopologyError.
    """
    with paused_gc():
        return _resolve(tree, name_mark, files, leases, taken)


def _resolve(
    tree: Map,
    name_mark: Mark | None,
    files: tuple[str, ...],
    leases: Leases,
    taken: Sequence[IPNetwork],
) -> tuple[Topology, Leases]:
    found: list[Diagnostic] = []
    name = _name(tree, name_mark, found)
    hosts = read_hosts(tree, found)
    networks = read_networks(tree, name, leases, taken, found)
    drafts = _read_sandboxes(tree, networks, found)
    endpoints = [endpoint for draft in drafts for endpoint in draft.endpoints]
    allocate_all(endpoints, leases, found)
    finished = {each: draft.finish() for each, draft in networks.items()}
    sandboxes = _finish(name, drafts, finished, found)
    check_sharing(name, drafts, found)
    check_host_settings(drafts, found)
    found += check_spans(finished, sandboxes.values())
    found += check_own_addresses(finished, sandboxes.values())
    of_hosts = [
        one
        for part in slices(hosts, finished, sandboxes)
        for one in (
            *check_parents(part.networks, part.sandboxes),
            *check_ports(part.networks, part.sandboxes),
            *check_host_names(name, part.networks, part.sandboxes),
        )
    ]
    found += dict.fromkeys(of_hosts)  # what is wrong on several hosts is said once
    if found:
        raise TopologyError(_without_repetition(found))
    topology = Topology(name, finished, sandboxes, files, hosts)
    return topology, Leases(
        networks=drawn(networks),
        endpoints={endpoint.key: tuple(endpoint.leased) for endpoint in endpoints if endpoint.leased},
    )


def _name(tree: Map, mark: Mark | None, found: list[Diagnostic]) -> str:
    name = fields.text(tree, "name")
    if not name:
        hint = "add 'name: …' at the top of one file"
        found.append(Diagnostic("missing-key", "the topology has no name", mark, hint))
    return name or ""


def _read_sandboxes(tree: Map, networks: dict[str, Draft], found: list[Diagnostic]) -> list[SandboxDraft]:
    index = RangeIndex(one for draft in networks.values() for one in draft.ranges)
    reader = Reader(networks, index, found)
    drafts: list[SandboxDraft] = []
    hosts = fields.section(tree, "hosts")
    for name, source, mark in fields.sections(tree, "sandboxes"):
        draft = read_sandbox(name, source, mark, hosts, found)
        for interface, endpoint, endpoint_mark in fields.sections(source, "endpoints"):
            draft.endpoints.append(reader.read(name, interface, endpoint, endpoint_mark))
        drafts.append(draft)
    return drafts


def _finish(
    topology: str, drafts: Sequence[SandboxDraft], networks: dict[str, Network], found: list[Diagnostic]
) -> dict[str, Sandbox]:
    on_bridges: frozenset[IPAddress] = frozenset(
        subnet.gateway
        for network in networks.values()
        if network.options.traits.holds_gateway
        for subnet in network.subnets
        if subnet.gateway is not None
    )
    endpoints = iter(
        finish_endpoints(topology, [endpoint for draft in drafts for endpoint in draft.endpoints], found)
    )
    return {
        draft.name: finish_sandbox(
            draft, [next(endpoints) for _ in draft.endpoints], networks, on_bridges, found
        )
        for draft in drafts
    }


def _without_repetition(found: Iterable[Diagnostic]) -> list[Diagnostic]:
    """One diagnostic for what a template does wrong in each of its replicas: the first, with their number."""
    groups: dict[tuple[str, Mark | None, str], list[Diagnostic]] = {}
    for one in found:
        groups.setdefault((one.code, one.mark, _NUMBERS.sub("#", one.message)), []).append(one)
    return [
        replace(group[0], message=f"{group[0].message} (and {len(group) - 1} more like this)")
        if len(group) > 1
        else group[0]
        for group in groups.values()
    ]
