"""What goes wrong with each address, as a watch tells it to others: `Patience` with the clock of the machine.

Times that others read are in ISO form and computed once: a report that said the same in other words every time would be
written every time, and wake whoever reads it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta

from ..health import Failing, Flapping
from . import patience
from .patience import Patience


class Setbacks:
    """Remembers them for one watch. `jitter` returns a number from 0 to 1."""

    def __init__(self, jitter: Callable[[], float]) -> None:
        self._patience = Patience(jitter)
        self._resting: dict[str, str] = {}
        self._known_flaps: set[str] = set()
        self.failing: dict[str, Failing] = {}

    def failed(self, address: str, error: str) -> float:
        """Note a failure; in how many seconds it is tried again."""
        wait = self._patience.failed(address, time.monotonic())
        self.failing[address] = Failing(self._patience.failures(address), error, _in(wait))
        return wait

    def succeeded(self, address: str) -> None:
        """It is as it should be, by whose hand ever."""
        self._patience.succeeded(address)
        self.failing.pop(address, None)

    def repaired(self, address: str, what: str) -> None:
        """What somebody else had changed was put right."""
        now = time.monotonic()
        self._patience.repaired(address, what, now)
        until = self._patience.held(now).get(address)
        if until is not None:
            self._resting[address] = _in(until - now)

    def held(self) -> Collection[str]:
        """The addresses that are not to be touched now."""
        return self._patience.held(time.monotonic())

    def due(self) -> float | None:
        """The monotonic time at which the next of them may be touched again."""
        return self._patience.due(time.monotonic())

    def flapping(self) -> dict[str, Flapping]:
        """What somebody else keeps undoing."""
        held = self.held()
        return {
            flap.address: Flapping(
                flap.times, flap.what, self._resting.get(flap.address) if flap.address in held else None
            )
            for flap in self._patience.flapping(time.monotonic())
        }

    def new_flaps(self) -> list[patience.Flapping]:
        """What began to flap since this was asked before."""
        found = self._patience.flapping(time.monotonic())
        new = [flap for flap in found if flap.address not in self._known_flaps]
        self._known_flaps = {flap.address for flap in found}
        return new

    def forget(self, known: Collection[str]) -> None:
        """Drop what is remembered of addresses that are no longer known."""
        self._patience.forget(known)
        for address in [*(self.failing.keys() - set(known)), *(self._resting.keys() - set(known))]:
            self.failing.pop(address, None)
            self._resting.pop(address, None)


def _in(seconds: float) -> str:
    """The time in so many seconds."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="seconds")
