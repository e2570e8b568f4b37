"""Who listens to a watch: what it hears, and the figures that are made of it.

The loop only tells. Counting is done here, from the same events and reports that everybody gets, so the numbers cannot
say anything else than the log does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple, Protocol

from .. import __version__
from ..happened import Event
from ..health import Reason
from ..render.metrics import Figures, Source
from .watched import Following, Report


class Pulse(NamedTuple):
    """A sign of life, with what changes too often to be part of a report.

    Of the topology: its name, the digest of its files, how many addresses it has on this host. Of the kernel's notices:
    how many were heard, and were foreign. Messages that were sent and could change something; the last pass in seconds.
    """

    topology: str
    digest: str
    addresses: int = 0
    heard: int = 0
    foreign: int = 0
    messages: int = 0
    seconds: float = 0.0


class Listener(Protocol):
    """Hears what a watch does."""

    def happened(self, event: Event) -> None:
        """One event."""

    def reported(self, report: Report) -> None:
        """The state after a pass."""

    def alive(self, pulse: Pulse) -> None:
        """The loop turns; heard before the first event, often, and as often as `Settings.rhythm` asks for."""


class Progress:
    """A reporter of `apply` for which progress is a sign of life; a watch says everything else in events."""

    def __init__(self, alive: Callable[[], None]) -> None:
        self._alive = alive

    def started(self, total: int) -> None:
        """Ignored."""

    def progressed(self, done: int) -> None:
        """One batch more."""
        self._alive()

    def waiting(self, missing: int) -> None:
        """Ignored."""


class Tally:
    """Counts what is heard."""

    def __init__(self) -> None:
        self._repaired: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._report: Report | None = None
        self._trouble: Counter[Reason] = Counter()
        self._loaded = 0.0
        self._started = 0.0

    def happened(self, event: Event) -> None:
        """One event."""
        if event.kind == "failed":
            self._failed[_kind(event.address)] += 1
        elif event.cause == "drift" and event.run is not None:
            self._repaired[_kind(event.address)] += 1

    def reported(self, report: Report) -> None:
        """The state after a pass."""
        self._report = report
        self._started = self._started or _seconds(report.started)
        if not report.mistakes:
            self._loaded = _seconds(report.written)
        self._trouble = Counter(condition.reason for condition in report.trouble.values())

    def figures(self, pulse: Pulse) -> Figures:
        """Everything counted so far."""
        report = self._report or Report(0, "", "", pulse.digest)
        known = [] if self._report is None else [a for a in report.trouble if a != "topology"]
        return Figures(
            topology=pulse.topology,
            version=__version__,
            digest=pulse.digest,
            started=self._started,
            loaded=self._loaded,
            sound=not report.mistakes,
            passed=0.0 if report.passed is None else _seconds(report.passed),
            seconds=pulse.seconds,
            passes=report.passes,
            repaired=dict(self._repaired),
            failed=dict(self._failed),
            messages=pulse.messages,
            heard=pulse.heard,
            foreign=pulse.foreign,
            overruns=report.overruns,
            conditions={**self._trouble, Reason.IN_SYNC: max(0, pulse.addresses - len(known))},
            suspended=report.suspended is not None,
            flapping=len(report.flapping),
            source=None if report.following is None else _source(report.following),
        )


def _source(following: Following) -> Source:
    return Source(
        following.url,
        following.branch or "",
        following.commit or "",
        0.0 if following.fetched is None else _seconds(following.fetched),
        following.fetched is not None and following.unreachable is None,
    )


def _kind(address: str | None) -> str:
    match (address or "topology").split("/"):
        case ["sandbox", _, "endpoint", _]:
            return "endpoint"
        case [kind, *_]:
            return kind
        case _:
            return "topology"


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()
