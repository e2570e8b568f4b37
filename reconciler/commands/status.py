"""`status`: what the last run did, and one look at whether everything is in sync and works now."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from .. import pipeline
from ..errors import Exit
from ..kernel.linux import Linux
from ..model import Topology
from ..pipeline import Loaded, Look
from ..render import entries
from ..render import status as render
from ..render.entries import Entry, Verb
from ..render.status import Condition, StatusView
from ..state import Run
from .console import Console
from .inputs import inputs, state_dir


def run(args: Namespace, console: Console) -> int:
    """The state of every address; exit code 4 (or N) when asked and something is not ready."""
    named = inputs(args)
    loaded = pipeline.load(named.paths, named.overrides, state_dir(args), args.host)
    look = pipeline.look(loaded.desired, loaded.store, Linux(loaded.store))
    view = _view(loaded, look)
    if console.json:
        console.document(render.document(view))
    else:
        console.result(render.text(view, console.out))
    if view.bad and args.exit_code is not None:
        code: int = args.exit_code
        return code
    return Exit.OK


def _view(loaded: Loaded, look: Look) -> StatusView:
    history = loaded.store.history()
    last = history[-1] if history else None
    interrupted = loaded.store.interrupted()
    return StatusView(
        loaded.topology.name,
        tuple(_conditions(loaded, look)),
        last,
        0.0 if last is None else _age(last),
        last is not None and last.digest != loaded.expanded.digest,
        None if interrupted is None else f"{interrupted.command} of {interrupted.started}",
    )


def _age(last: Run) -> float:
    try:
        return max(0.0, (datetime.now(UTC) - datetime.fromisoformat(last.started)).total_seconds())
    except (ValueError, TypeError):  # a record from elsewhere
        return 0.0


def _conditions(loaded: Loaded, look: Look) -> Iterator[Condition]:
    found = {entry.address: entry for entry in entries.entries(look.plan.changes)}
    obstacles = {conflict.origin: f"conflict: {conflict.message}" for conflict in look.plan.conflicts}
    for pending in look.plan.pending:
        for origin in (pending.origin, *pending.held):
            obstacles.setdefault(origin, f"waiting: {pending.message}")
    unready = {
        loaded.desired.objects[key].origin: why
        for key, why in look.observed.unready.items()
        if key in loaded.desired.objects
    }
    declared = list(_addresses(loaded.local))
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
