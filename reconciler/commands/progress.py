"""Progress on standard error: one line that is rewritten, on a terminal only, for what takes longer than half a second."""

from __future__ import annotations

import sys
import time
from threading import Timer

_PATIENCE = 0.5


class Progress:
    """A `Reporter` for people. `finish` wipes the line away."""

    def __init__(self, *, quiet: bool) -> None:
        self._visible = not quiet and sys.stderr.isatty()
        self._began = time.monotonic()
        self._total = 0
        self._timer: Timer | None = None
        self._dirty = False

    def started(self, total: int) -> None:
        """`total` changes are about to be made."""
        self._total = total

    def progressed(self, done: int) -> None:
        """`done` changes were tried so far."""
        if time.monotonic() - self._began > _PATIENCE:
            self._write(f"{done:,} of {self._total:,} kernel changes")

    def waiting(self, missing: int) -> None:
        """The kernel still works on `missing` objects; nobody calls again meanwhile, so a timer has to speak."""
        if self._visible:
            self._timer = Timer(_PATIENCE, self._write, [f"waiting until {missing:,} objects are ready"])
            self._timer.daemon = True
            self._timer.start()

    def finish(self) -> None:
        """Nothing more will come."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()
        if self._dirty:
            self._write("")

    def _write(self, text: str) -> None:
        if self._visible:
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()
            self._dirty = bool(text)
