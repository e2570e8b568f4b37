"""Whether each address of a topology is as declared and works, and if not, why. Pure.

The truth of `status` and of the watch: a condition is made from one look at the kernel and the plan that it leads to.
What was done before never makes an address ready or not; it only explains why what differs is not being mended.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from . import guard
from .health import Condition, Known, Reason
from .model import Topology
from .pipeline import Look
from .render import entries
from .render.entries import Entry, Verb
from .sides import Desired

NOTHING = Known()


def conditions(
    topology: Topology, desired: Desired, look: Look, known: Known = NOTHING
) -> Iterator[Condition]:
    """One for each address that is declared on this host, in their order; then those of what is to go."""
    if (whole := known.failing.get("topology")) is not None:
        yield Condition("topology", Reason.FAILING, _failing(whole.tries, whole.message, whole.next))
    found = {entry.address: entry for entry in entries.entries(look.plan.changes)}
    obstacles = _obstacles(look, guard.endangered(look.plan, desired, known.protected))
    unready = {
        desired.objects[key].origin: why
        for key, why in look.observed.unready.items()
        if key in desired.objects
    }
    declared = dict.fromkeys(_addresses(topology))
    for address in [*declared, *(address for address in found if address not in declared)]:
        yield obstacles.get(address) or _condition(address, found.get(address), unready, known)


def _obstacles(look: Look, protected: Mapping[str, Verb]) -> Mapping[str, Condition]:
    found = {c.origin: Condition(c.origin, Reason.CONFLICT, c.message) for c in look.plan.conflicts}
    for pending in look.plan.pending:
        for origin in (pending.origin, *pending.held):
            found.setdefault(origin, Condition(origin, Reason.WAITING, pending.message))
    for address, verb in protected.items():
        message = f"is protected, and would be {verb.value}d; --allow-delete {address} lets an apply do it"
        found.setdefault(address, Condition(address, Reason.PROTECTED, message))
    return found


def _addresses(topology: Topology) -> Iterator[str]:
    yield from (f"network/{name}" for name in topology.networks)
    for sandbox in topology.sandboxes.values():
        yield f"sandbox/{sandbox.name}"
        yield from (f"sandbox/{sandbox.name}/endpoint/{endpoint.name}" for endpoint in sandbox.endpoints)


def _condition(address: str, entry: Entry | None, unready: Mapping[str, str], known: Known) -> Condition:
    if entry is not None:
        return _pending(entry, known)
    if address in unready:
        return Condition(address, Reason.NOT_READY, unready[address])
    return Condition(address, Reason.IN_SYNC)


def _pending(entry: Entry, known: Known) -> Condition:
    """Something is to be done; what keeps it from being done goes before why it is to be."""
    address, message = entry.address, _difference(entry)
    failing, flapping = known.failing.get(address), known.flapping.get(address)
    if known.suspension is not None:
        return Condition(address, Reason.SUSPENDED, message)
    if failing is not None:
        why = _failing(failing.tries, failing.message, failing.next)
        return Condition(address, Reason.FAILING, f"{message}; {why}")
    if flapping is not None and flapping.next is not None:
        why = f"undone {flapping.times} times by somebody else; repaired again at {_clock(flapping.next)}"
        return Condition(address, Reason.FLAPPING, f"{message}; {why}")
    if known.detect_only:
        return Condition(address, Reason.DETECT_ONLY, message)
    if entry.drift:
        return Condition(address, Reason.DRIFTED, message)
    return Condition(address, Reason.UNDECLARED if entry.verb is Verb.DELETE else Reason.NOT_APPLIED, message)


def _failing(tries: int, message: str, then: str) -> str:
    times = "once" if tries == 1 else f"{tries} times"
    return f"failed {times}, lately: {message}; tried again at {_clock(then)}"


def _clock(time: str) -> str:
    """Of a time in ISO form, UTC, what matters within a minute or two."""
    return f"{time[11:19]} UTC"


def _difference(entry: Entry) -> str:
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
