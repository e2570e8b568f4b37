"""SIGINT and SIGTERM as a flag that is looked at between batches, so that a stop is always a clean one.

The handler only remembers; nothing is torn down in the middle of a batch. Pressing Ctrl-C again changes nothing: a batch takes
milliseconds, and stopping inside one would leave a change half made.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupts:
    """Remembers the first signal that asked for a stop."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None

    def note(self, number: int, _frame: FrameType | None) -> None:
        """The signal handler."""
        if self.received is None:
            self.received = signal.Signals(number)


@contextmanager
def deferred() -> Iterator[Interrupts]:
    """Within the body SIGINT and SIGTERM only set the flag. Main thread only."""
    interrupts = Interrupts()
    previous = {number: signal.signal(number, interrupts.note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupts
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
