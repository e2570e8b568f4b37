"""Whether each address of a topology is as declared and works, and if not, why. Pure.

The truth of `status` and of the watch: a condition is made from one look at the kernel and the plan that it leads to,
never from what was done before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from .model import Topology
from .pipeline import Look
from .render import entries
from .render.entries import Entry, Verb
from .render.status import Condition
from .sides import Desired


def conditions(topology: Topology, desired: Desired, look: Look) -> Iterator[Condition]:
    """One for each address that is declared on this host, in their order; then those of what is to go."""
    found = {entry.address: entry for entry in entries.entries(look.plan.changes)}
    obstacles = {conflict.origin: f"conflict: {conflict.message}" for conflict in look.plan.conflicts}
    for pending in look.plan.pending:
        for origin in (pending.origin, *pending.held):
            obstacles.setdefault(origin, f"waiting: {pending.message}")
    unready = {
        desired.objects[key].origin: why
        for key, why in look.observed.unready.items()
        if key in desired.objects
    }
    declared = list(_addresses(topology))
    for address in declared:
        yield _condition(address, found.get(address), obstacles, unready)
    for address, entry in found.items():
        if address not in declared:
            yield _condition(address, entry, obstacles, unready)


def _addresses(topology: Topology) -> Iterator[str]:
    yield from (f"network/{name}" for name in topology.networks)
    for sandbox in topology.sandboxes.values():
        yield f"sandbox/{sandbox.name}"
        yield from (f"sandbox/{sandbox.name}/endpoint/{endpoint.name}" for endpoint in sandbox.endpoints)


def _condition(
    address: str, entry: Entry | None, obstacles: Mapping[str, str], unready: Mapping[str, str]
) -> Condition:
    if address in obstacles:
        return Condition(address, ready=False, reason=obstacles[address])
    if entry is not None:
        return Condition(address, ready=False, reason=_pending(entry))
    if address in unready:
        return Condition(address, ready=False, reason=unready[address])
    return Condition(address, ready=True, reason="in sync")


def _pending(entry: Entry) -> str:
    drift = " (drift)" if entry.drift else ""
    names = ", ".join(row.name for row in entries.rows(entry))
    match entry.verb:
        case Verb.CREATE:
            return f"missing{drift}"
        case Verb.DELETE:
            return "no longer declared"
        case Verb.REPLACE:
            return f"must be replaced: {names or 'follows another replacement'}{drift}"
        case Verb.CHANGE:
            return f"differs: {names}{drift}"
