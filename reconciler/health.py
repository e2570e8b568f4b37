"""The words for how an address of a topology is, and what is known of why: data only, shared by status and the watch.

Every address is in one of three states. Ready: as declared, and it works. Reconciling: not yet, and nothing is known
that keeps the next apply, or the watch, from getting it there. Stalled: it does not get there by itself soon. The
reasons are one word each and stable, for programs; the message is for people and may be worded anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class State(StrEnum):
    """How an address is."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"


class Reason(StrEnum):
    """Why an address is in its state; docs/operations.md explains each."""

    IN_SYNC = "InSync"
    NOT_APPLIED = "NotApplied"
    DRIFTED = "Drifted"
    UNDECLARED = "Undeclared"
    NOT_READY = "NotReady"
    WAITING = "WaitingForParent"
    FAILING = "Failing"
    CONFLICT = "Conflict"
    FLAPPING = "Flapping"
    SUSPENDED = "Suspended"
    DETECT_ONLY = "DetectOnly"
    PROTECTED = "Protected"


STALLED = frozenset(
    {Reason.FAILING, Reason.CONFLICT, Reason.FLAPPING, Reason.SUSPENDED, Reason.DETECT_ONLY, Reason.PROTECTED}
)


@dataclass(frozen=True, slots=True)
class Condition:
    """How one address is. `message` says more than the reason, "" where there is no more to say."""

    address: str
    reason: Reason
    message: str = ""

    @property
    def state(self) -> State:
        """Which of the three states the reason means."""
        if self.reason is Reason.IN_SYNC:
            return State.READY
        return State.STALLED if self.reason in STALLED else State.RECONCILING

    @property
    def ready(self) -> bool:
        """Whether it is as declared and works."""
        return self.reason is Reason.IN_SYNC

    @property
    def words(self) -> str:
        """Reason and message in one."""
        return f"{self.reason}: {self.message}" if self.message else str(self.reason)


@dataclass(frozen=True, slots=True)
class Suspension:
    """Somebody's wish that nothing is changed. Times are in ISO form; `until` None is for good. `by` may be unknown."""

    reason: str
    since: str
    until: str | None = None
    by: str = ""

    def holds(self, now: datetime) -> bool:
        """Whether it is still in force. Raises ValueError or TypeError for what is no time with a zone."""
        return self.until is None or now < datetime.fromisoformat(self.until)


@dataclass(frozen=True, slots=True)
class Failing:
    """What was tried `tries` times in a row without success: the last error, and when it is tried again (ISO form)."""

    tries: int
    message: str
    next: str


@dataclass(frozen=True, slots=True)
class Flapping:
    """What somebody else undid `times` times: `what` of it, and until when (ISO form) it is left alone, None: now is fine."""

    times: int
    what: str
    next: str | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What one look cannot tell: what stands in the way of getting what differs as declared.

    `protected` are the addresses that were protected when they were applied.
    """

    suspension: Suspension | None = None
    failing: Mapping[str, Failing] = field(default_factory=dict)
    flapping: Mapping[str, Flapping] = field(default_factory=dict)
    detect_only: bool = False
    protected: frozenset[str] = frozenset()
