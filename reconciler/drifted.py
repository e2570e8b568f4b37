"""Of a plan only what is drift: what somebody changed since it was established, and not what the files ask for anew.

Pure. What follows from drift belongs to it, because one cannot be without the other: the endpoints of a bridge that has
to be made again, a network that waits for a link of the host which somebody removed. A thing that is replaced for the
files' sake and differs in something else besides is shown with that alone, as a change in place.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from .objects import Key
from .plan import Action, Cause, Change, Plan


def drifted(found: Plan, applied: Collection[Key]) -> Plan:
    """`found` without everything that is no drift. `applied` are the keys of what the last apply established."""
    own = [one for change in found.changes for one in _own(change)]
    concerned = {change.origin for change in own} | {name for change in own for name in change.interrupts}
    changes: list[Change] = []
    for change in found.changes:
        if change.cause is Cause.DEPENDENCY and change.origin in concerned:
            changes.append(change)
        else:
            changes.extend(_own(change))
    lost = not found.withheld.isdisjoint(applied)
    return replace(
        found,
        changes=tuple(changes),
        conflicts=tuple(conflict for conflict in found.conflicts if conflict.key in applied),
        pending=found.pending if lost else (),
    )


def _own(change: Change) -> Iterator[Change]:
    """What of a change is drift; nothing if nothing is."""
    attributes = tuple(one for one in change.attributes if one.cause is Cause.DRIFT)
    if change.cause is Cause.DRIFT:
        yield change
    elif attributes and any(one.forces for one in attributes):
        yield change._replace(attributes=attributes)
    elif attributes and change.action is not Action.CREATE:
        yield change._replace(action=Action.UPDATE, attributes=attributes, replaces=(), interrupts=())
