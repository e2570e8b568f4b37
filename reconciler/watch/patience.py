"""How long to leave an address of the topology alone: after failures, and where somebody else keeps undoing our work.

Pure: the time is given, and so is the source of jitter. A failure doubles the wait, from a tenth of a second to a
minute. A repair is no failure, but the fifth of the same address within a minute means that two programs fight over
it; from then on each further repair waits longer, so the fight is never at full speed, and it has a name.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

FIRST, LONGEST = 0.1, 60.0
FLAPS, WINDOW, CALM = 5, 60.0, 300.0
_SLOWEST = 60.0


@dataclass(frozen=True, slots=True)
class Flapping:
    """An address that was repaired `times` within `seconds`; `what` differed the last time."""

    address: str
    times: int
    seconds: float
    what: str


@dataclass(slots=True)
class _Record:
    failures: int = 0
    slowed: int = 0
    until: float = 0.0
    what: str = ""
    repairs: deque[float] = field(default_factory=lambda: deque(maxlen=50))


class Patience:
    """Remembers what happened to each address. `jitter` returns a number from 0 to 1; times are seconds, monotonic."""

    def __init__(self, jitter: Callable[[], float]) -> None:
        self._jitter = jitter
        self._records: dict[str, _Record] = {}

    def held(self, now: float) -> dict[str, float]:
        """The addresses that are not to be touched now, with the time from which they are."""
        return {address: record.until for address, record in self._records.items() if record.until > now}

    def due(self, now: float) -> float | None:
        """When the next of them may be touched again."""
        return min(self.held(now).values(), default=None)

    def failed(self, address: str, now: float) -> float:
        """A change of it failed; seconds until it may be tried again."""
        record = self._records.setdefault(address, _Record())
        record.failures += 1
        wait = min(LONGEST, FIRST * 2.0 ** min(record.failures - 1, 20)) * (0.8 + 0.4 * self._jitter())
        record.until = now + wait
        return wait

    def failures(self, address: str) -> int:
        """How often it failed since it last succeeded."""
        record = self._records.get(address)
        return 0 if record is None else record.failures

    def succeeded(self, address: str) -> None:
        """A change of it was made."""
        if (record := self._records.get(address)) is not None:
            record.failures = 0

    def repaired(self, address: str, what: str, now: float) -> None:
        """What somebody else had changed was put right."""
        record = self._records.setdefault(address, _Record())
        if record.repairs and now - record.repairs[-1] > CALM:
            record.slowed = 0
        while record.repairs and now - record.repairs[0] > CALM:
            record.repairs.popleft()
        record.what = what
        record.repairs.append(now)
        if len(_recent(record, now)) >= FLAPS:
            record.slowed += 1
            record.until = now + min(_SLOWEST, 2.0 ** (record.slowed - 1)) * (0.8 + 0.4 * self._jitter())

    def flapping(self, now: float) -> list[Flapping]:
        """The addresses that somebody fights over."""
        return [
            Flapping(address, len(record.repairs), now - record.repairs[0], record.what)
            for address, record in self._records.items()
            if record.slowed and now - record.repairs[-1] < CALM
        ]

    def forget(self, known: Collection[str]) -> None:
        """Drop what is remembered of addresses that are no longer known."""
        for address in self._records.keys() - set(known):
            del self._records[address]


def _recent(record: _Record, now: float) -> list[float]:
    return [time for time in record.repairs if now - time <= WINDOW]
