"""Automatic addresses: every endpoint of a network gets what it wants, as far as there is room. Pure.

It runs when all explicit addresses of the topology are claimed. A network without room is one diagnostic for each
family, whatever the number of endpoints that go without.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from ..errors import Diagnostic
from ..ipam import Grant, Want, allocate, make_address
from ..model import Leases
from .addresses import listed
from .endpoints import EndpointDraft, make_interface
from .networks import Draft


def allocate_all(drafts: Sequence[EndpointDraft], leases: Leases, found: list[Diagnostic]) -> None:
    """Give every endpoint the addresses that it wants; networks without room are reported once a family."""
    by_network: dict[str, list[EndpointDraft]] = {}
    for draft in drafts:
        if draft.network is not None and draft.wants:
            by_network.setdefault(draft.network.name, []).append(draft)
    for group in by_network.values():
        network = group[0].network
        assert network is not None
        wants = [want for draft in group for want in draft.wants]
        grants = allocate(network.ledgers, wants, leases.endpoints)
        for draft in group:
            _grant(draft, grants)
        if network.unsettled:
            _doubt(network, group)
            continue
        for version in (4, 6):
            missing = [d for d in group if any(w.version == version and w not in grants for w in d.wants)]
            if missing:
                found.append(_no_room(network, version, missing))


def _doubt(network: Draft, group: Sequence[EndpointDraft]) -> None:
    """Who gets which address will show when the mistakes are mended; which subnet, where there is only one."""
    subnets = Counter[int](ledger.subnet.version for ledger in network.ledgers)
    for draft in group:
        draft.guessed = True
        draft.broken = draft.broken or any(subnets[want.version] > 1 for want in draft.wants)


def _grant(draft: EndpointDraft, grants: Mapping[Want, Grant]) -> None:
    for want in draft.wants:
        if grant := grants.get(want):
            interface = make_interface(want.version, grant.address, grant.subnet.prefixlen)
            draft.own.append(interface)
            draft.leased.append(str(make_address(want.version, grant.address)))
        else:
            draft.broken = True


def _no_room(network: Draft, version: int, missing: Sequence[EndpointDraft]) -> Diagnostic:
    ledgers = [ledger for ledger in network.ledgers if ledger.subnet.version == version]
    ranges = [
        str(one.subnet) if one.capacity >= one.last - one.first + 1 else f"the ip_range of {one.subnet}"
        for one in ledgers
    ]
    capacity = sum(ledger.capacity for ledger in ledgers)
    others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
    message = (
        f"no free address for '{missing[0].key}'{others} in {listed(ranges)} of network '{network.name}': "
        f"all {capacity} are in use, gateway and reserved ones included"
    )
    hint = "make the subnet or its ip_range larger, add a subnet, or remove endpoints"
    related = ((f"network '{network.name}' is here", network.mark),)
    return Diagnostic("exhausted", message, missing[0].mark, hint, related)
