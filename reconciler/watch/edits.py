"""Whether the files say something new, and whether they can be read yet: who waits for edits asks here.

What a file was when it was taken over is noted before it is read, so what changes while it is read is another edit.
Where a mistake keeps us from knowing which files there are, those that it names count as well.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from ..errors import TopologyError
from ..load.files import Signature, is_being_written, signature

AGAIN = 1.0


class Edits:
    """Follows the files that `named` on a command line mean, and those that they led to when they were read."""

    def __init__(self, named: Sequence[str]) -> None:
        self.named = tuple(named)
        self.due: float | None = None
        self._led: tuple[str, ...] = ()
        self._awaited: tuple[str, ...] = ()
        self._taken: Signature | None = None

    @property
    def paths(self) -> tuple[str, ...]:
        """Where edits are seen."""
        return (*self.named, *self._led, *self._awaited)

    def pending(self) -> bool:
        """Whether there is something new."""
        return self._taken is None or self._now() != self._taken

    def is_due(self, now: float) -> bool:
        """Whether it is time to ask although nothing was heard; that is so once."""
        due = self.due is not None and now >= self.due
        self.due = None if due else self.due
        return due

    def settled(self, before: Signature) -> bool:
        """Whether they are as they were, and nobody has one open for writing."""
        return before == self._now() and not any(
            is_being_written(entry[0]) for entry in before if len(entry) > 1
        )

    def look(self) -> Signature:
        """What they are now, for `settled`."""
        return self._now()

    def take(self) -> None:
        """They are about to be read."""
        self._taken = self._now()

    def was_read(self, led: Sequence[str]) -> None:
        """They were, and led to these files; of those that are new to us nobody knows what they were before."""
        self._awaited = ()
        self._follow(led)

    def failed(self, error: TopologyError) -> None:
        """They could not be read."""
        blamed = [one.mark.file for one in error.diagnostics if one.mark is not None]
        self._awaited = tuple(one.awaits for one in error.diagnostics if one.awaits is not None)
        self._follow(dict.fromkeys((*self._led, *blamed)))

    def later(self) -> None:
        """Ask again in a while: they are being written."""
        self._taken, self.due = None, time.monotonic() + AGAIN

    def _follow(self, led: Iterable[str]) -> None:
        before = {entry[0] for entry in self._taken or ()}
        self._led = tuple(led)
        if not before.issuperset((*self._led, *self._awaited)):
            self._taken, self.due = None, time.monotonic()

    def _now(self) -> Signature:
        return signature((*self.named, *self._awaited), self._led)
