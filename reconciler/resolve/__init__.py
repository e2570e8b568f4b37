"""Canonical tree to `Topology`: references, addresses, routes; everything that a schema cannot check. Pure.

`resolve` either returns a complete topology, where every address is allocated and every name leads somewhere, or
raises one TopologyError with every mistake there is. To find them all, a part that is wrong is carried along and
marked, and nothing is concluded from what it lacks: one mistake gives one diagnostic.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NoReturn

from ..errors import Diagnostic, Mark, TopologyError
from ..garbage import left_lying
from ..load.expand import Expanded
from ..load.tree import Map
from ..model import IPAddress, IPNetwork, Leases, Network, Sandbox, Topology
from . import fields
from .allocation import allocate_all
from .endpoints import Reader
from .hosts import check_own_addresses, check_spans, places, read_hosts, slices
from .interfaces import finish_endpoints
from .limits import check_ports
from .linknames import check_host_names
from .networks import Draft, drawn, read_networks
from .overlays import check_gateways, fit_overlays
from .pairs import check_pairs
from .parents import check_parents
from .ranges import RangeIndex
from .reachability import read_checks
from .sandboxes import SandboxDraft, check_host_settings, check_sharing, finish_sandbox, read_sandbox
from .stacks import settle_stack

__all__ = ["needs_pool", "places", "read_hosts", "refuse", "resolve"]

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
    vnis: Mapping[str, int] | None = None,
) -> tuple[Topology, Leases]:
    """The topology of a canonical tree, and what was allocated automatically for it.

    `taken` are prefixes that default pools avoid; prefixes that this topology itself put into the kernel are no part of
    it. `vnis` are the locked numbers of networks in tunnels. The new leases replace the old ones: what is gone from the
    files is released. Raises TopologyError.
    """
    with left_lying():
        return _resolve(tree, name_mark, files, leases, taken, vnis or {}, ())


def refuse(expanded: Expanded) -> NoReturn:
    """Raise TopologyError with the mistakes of these files, and with all of meaning that can be told beside them."""
    with left_lying():
        _resolve(expanded.tree, expanded.name_mark, expanded.files, Leases(), (), {}, expanded.mistakes)
    raise AssertionError("only for files that have mistakes")


def _resolve(
    tree: Map,
    name_mark: Mark | None,
    files: tuple[str, ...],
    leases: Leases,
    taken: Sequence[IPNetwork],
    vnis: Mapping[str, int],
    mistakes: Sequence[Diagnostic],
) -> tuple[Topology, Leases]:
    found: list[Diagnostic] = []
    name = _name(tree, name_mark, found)
    hosts = read_hosts(tree, found)
    networks = read_networks(tree, name, leases, taken, found)
    fit_overlays(name, networks, tree, hosts, vnis, found)
    drafts = _read_sandboxes(tree, networks, found)
    endpoints = [endpoint for draft in drafts for endpoint in draft.endpoints]
    allocate_all(endpoints, leases, found)
    finished = {each: draft.finish() for each, draft in networks.items()}
    plain = {each: finished[each] for each, draft in networks.items() if draft.options_are_known}
    sandboxes = _finish(name, drafts, finished, _on_bridges(plain.values()), found)
    check_sharing(name, drafts, found)
    check_host_settings(drafts, found)
    settled = {each: network for each, network in plain.items() if not networks[each].unsettled}
    placed = {draft.name: sandboxes[draft.name] for draft in drafts if draft.is_placed}
    found += check_spans(plain, placed.values())
    found += check_own_addresses(settled, placed.values())
    found += check_gateways(settled.values(), sandboxes.values())
    of_hosts = [
        one
        for part in slices(hosts, plain, placed)
        for one in (
            *check_parents(part.networks, part.sandboxes),
            *check_pairs(part.networks, part.sandboxes),
            *check_ports([each for each in part.networks if each.name in settled], part.sandboxes),
            *check_host_names(name, part.networks, part.sandboxes),
        )
    ]
    found += dict.fromkeys(of_hosts)  # what is wrong on several hosts is said once
    checks = read_checks(tree, finished, sandboxes, found, is_whole=not (found or mistakes))
    if found or mistakes:
        raise TopologyError([*mistakes, *_without_repetition(found)])
    topology = Topology(name, finished, sandboxes, files, hosts, checks)
    return topology, Leases(
        networks=drawn(networks),
        endpoints={endpoint.key: tuple(endpoint.leased) for endpoint in endpoints if endpoint.leased},
    )


def _name(tree: Map, mark: Mark | None, found: list[Diagnostic]) -> str:
    name = fields.text(tree, "name")
    if not name and not fields.unknown(tree, "name"):
        hint = "add 'name: …' at the top of one file"
        found.append(Diagnostic("missing-key", "the topology has no name", mark, hint))
    return name or ""


def _read_sandboxes(tree: Map, networks: dict[str, Draft], found: list[Diagnostic]) -> list[SandboxDraft]:
    index = RangeIndex(one for draft in networks.values() for one in draft.ranges)
    reader = Reader(networks, index, found, all_are_known=not fields.may_have_more(tree, "networks"))
    drafts: list[SandboxDraft] = []
    hosts = fields.section(tree, "hosts")
    for name, source, mark in fields.sections(tree, "sandboxes"):
        draft = read_sandbox(name, source, mark, hosts, found)
        for interface, endpoint, endpoint_mark in fields.sections(source, "endpoints"):
            draft.endpoints.append(reader.read(name, interface, endpoint, endpoint_mark))
        settle_stack(draft, found)
        drafts.append(draft)
    if _may_have_more_endpoints(tree, drafts):
        for network in networks.values():
            network.unsettled = True
    return drafts


def _may_have_more_endpoints(tree: Map, drafts: Sequence[SandboxDraft]) -> bool:
    """Whether a mistake hides an endpoint, or which network one joins: it may take an address of any network."""
    nowhere = [each for draft in drafts for each in draft.endpoints if each.network is None]
    return (
        fields.may_have_more(tree, "sandboxes")
        or any(fields.may_have_more(draft.source, "endpoints") for draft in drafts)
        or any(fields.unknown(endpoint.source, "network") for endpoint in nowhere)
    )


def _on_bridges(networks: Iterable[Network]) -> frozenset[IPAddress]:
    """The gateways that the host itself holds."""
    return frozenset(
        subnet.gateway
        for network in networks
        if network.options.traits.holds_gateway
        for subnet in network.subnets
        if subnet.gateway is not None
    )


def _finish(
    topology: str,
    drafts: Sequence[SandboxDraft],
    networks: dict[str, Network],
    on_bridges: frozenset[IPAddress],
    found: list[Diagnostic],
) -> dict[str, Sandbox]:
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
