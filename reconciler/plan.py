"""What a plan is: the ordered difference between the two sides, change by change, with the cause of each. Frozen data.

What is in a plan is exactly what `apply` executes, one change after the other. It holds nothing that could write, so a
dry run is a plan and nothing else. How one is made is the business of `planner`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property
from typing import NamedTuple, overload

from .errors import Mark
from .joined import parts
from .objects import KernelObject, Key, Value, parents
from .sides import Entries


class Action(Enum):
    """What one change does to one kernel object."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


class Cause(Enum):
    """Why a change is in the plan."""

    DECLARED = "declared"
    DRIFT = "drift"
    REMOVED = "removed"
    DEPENDENCY = "dependency"


@dataclass(frozen=True, slots=True)
class AttributeChange:
    """One attribute of a change. `forces` is True when the kernel cannot change it in place."""

    name: str
    before: Value
    after: Value
    cause: Cause
    forces: bool = False


class Change(NamedTuple):
    """One step of a plan: create, update or delete one kernel object.

    A replacement is a DELETE and a CREATE of the same key, both naming in `replaces` the attributes that force it.
    `interrupts` are topology addresses of endpoints that lose connectivity meanwhile although nothing of theirs changes.
    """

    action: Action
    before: KernelObject | None
    after: KernelObject | None
    cause: Cause
    origin: str
    mark: Mark | None = None
    attributes: tuple[AttributeChange, ...] = ()
    replaces: tuple[str, ...] = ()
    interrupts: tuple[str, ...] = ()

    @property
    def object(self) -> KernelObject:
        """The object concerned: as it will be, or as it was for a deletion."""
        obj = self.after if self.after is not None else self.before
        assert obj is not None
        return obj

    @property
    def key(self) -> Key:
        """The key of the object concerned."""
        return self.object.key


class Creations(Sequence[Change]):
    """That entries of tunnels are made, all of them for one cause: as many changes, each described to who asks for it.

    There can be ten thousands, and whoever carries them out or counts them need not ask.
    """

    def __init__(self, entries: Entries, cause: Cause) -> None:
        self.entries, self.cause = entries, cause

    def of(self, key: Key) -> Change:
        """The change that makes one of them."""
        obj, origin, mark, _ = self.entries.by_key[key]
        return Change(Action.CREATE, None, obj, self.cause, origin, mark)

    @cached_property
    def _changes(self) -> tuple[Change, ...]:
        return tuple(map(self.of, self.entries.by_key))

    def __len__(self) -> int:
        return len(self.entries.by_key)

    def __iter__(self) -> Iterator[Change]:
        return iter(self._changes)

    @overload
    def __getitem__(self, index: int) -> Change: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Change]: ...

    def __getitem__(self, index: int | slice) -> Change | Sequence[Change]:
        return self._changes[index]


def apart(changes: Sequence[Change]) -> Iterator[Change]:
    """Those that are no `Creations`: all but the many that say nothing new to who knows of one."""
    for part in parts(changes):
        if not isinstance(part, Creations):
            yield from part


@dataclass(frozen=True, slots=True)
class Conflict:
    """Why this topology cannot be applied on this host now: something foreign is in the way, or something is missing."""

    key: Key
    origin: str
    message: str
    hint: str
    mark: Mark | None = None


@dataclass(frozen=True, slots=True)
class Pending:
    """What a part of the topology waits for before it can be made: somebody else's link that is missing or down.

    `held` are the topology addresses of everything whose changes wait for it.
    """

    key: Key
    origin: str
    message: str
    hint: str
    mark: Mark | None = None
    held: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a plan that could be carried out is refused: it takes away more than was said to be meant.

    `flags` would allow it, and the hint says so; `reasons` are the single things, where the message does not say all.
    """

    message: str
    hint: str
    flags: tuple[str, ...]
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """The ordered difference. `foreign` are objects that we leave alone in places where somebody may look for them.

    What stands on something `pending` is not among the changes, but `withheld`; it comes with a later plan. So does what
    is `resting`, because somebody said so (see `hold`).
    """

    topology: str
    changes: Sequence[Change]
    conflicts: tuple[Conflict, ...] = ()
    foreign: tuple[KernelObject, ...] = ()
    unchanged: int = 0
    pending: tuple[Pending, ...] = ()
    withheld: frozenset[Key] = frozenset()
    resting: frozenset[Key] = frozenset()

    @property
    def empty(self) -> bool:
        """Nothing to do and nothing in the way."""
        return not self.changes and not self.conflicts


def hold(found: Plan, origins: Collection[str]) -> Plan:
    """`found` without what is to be done for these topology addresses, and without what stands on what is not made then.

    What is only changed in place is there anyhow, and holds nobody up.
    """
    if not origins:
        return found
    held: set[Key] = set()
    missing: set[Key] = set()
    kept: list[Change] = []
    lasting = False
    for change in found.changes:
        stands = change.action is not Action.DELETE and not missing.isdisjoint(parents(change.object))
        if change.origin not in origins and not stands:
            kept.append(change)
            continue
        held.add(change.key)
        if change.action is Action.CREATE:
            missing.add(change.key)
        lasting = lasting or change.action is Action.DELETE
    if lasting:  # what was only to be made again because that would have gone is still there
        held.update(change.key for change in kept if change.cause is Cause.DEPENDENCY)
        kept = [change for change in kept if change.cause is not Cause.DEPENDENCY]
    return replace(found, changes=tuple(kept), resting=found.resting | held)
