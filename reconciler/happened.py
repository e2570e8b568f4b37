"""What happened, as events: one for each address that a run did something to or failed at. Pure.

The same words whoever ran: the watch tells them as they come, and an `apply` by hand leaves them in the same log.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from .apply import Result
from .plan import Plan
from .render.entries import Entry, Verb, entries, rows

_DONE = {Verb.CREATE: "created", Verb.CHANGE: "changed", Verb.REPLACE: "replaced", Verb.DELETE: "deleted"}


class Event(NamedTuple):
    """Something that happened. `address` is that of the topology, None for what concerns all of it.

    `run` is the id of the apply that it belongs to, None for what belongs to none. `revision` is the commit that was
    kept applied then, None where the files are followed in no repository.
    """

    kind: str
    message: str
    address: str | None = None
    cause: str | None = None
    run: str | None = None
    revision: str | None = None


class Became(NamedTuple):
    """What became of one entry of a plan: done when `error` is None. `what` of it was changed, "" for all of it."""

    entry: Entry
    error: str | None
    what: str


def became(todo: Plan, result: Result) -> Iterator[Became]:
    """What became of each entry of a plan; those that were not tried, because a signal came first, are left out."""
    failed = {o.change.origin: o.error for o in result.outcomes if not o.done}
    tried = {outcome.change.origin for outcome in result.outcomes}
    for entry in entries(todo.changes):
        if entry.address in failed:
            error = failed[entry.address]
            yield Became(entry, error.message if error is not None else "what it stands on failed", "")
        elif entry.address in tried:
            yield Became(entry, None, ", ".join(dict.fromkeys(row.name for row in rows(entry))))


def event(one: Became, run: str, *, then: str = "") -> Event:
    """That as an event. `then` says what comes next after a failure."""
    entry = one.entry
    if one.error is not None:
        return Event("failed", f"{one.error}{then}", entry.address, None, run)
    cause = "drift" if entry.drift else entry.changes[0].cause.value
    message = f"{_DONE[entry.verb]} {one.what}".rstrip()
    return Event(_DONE[entry.verb], message, entry.address, cause, run)
