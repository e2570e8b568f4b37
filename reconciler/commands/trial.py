"""An apply on trial, as seen by whoever started it: the time to confirm counts down, and then it is told what became.

The one who waits here decides nothing. He may be killed, or lose his terminal, and the sentry goes on without him; only
Ctrl-C and SIGTERM say something, namely no.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from contextlib import ExitStack
from datetime import timedelta
from typing import Self

from .. import confirmation, sentry
from ..apply import Kernel, Result
from ..confirmation import Pending
from ..errors import Exit, LockHeld, ReconcilerError
from ..interrupts import Interrupts, deferred
from ..kernel.linux import Linux
from ..pipeline import Look
from ..sides import Desired
from ..state import Store
from ..watch.watched import Desk
from .console import Console

_TICK = 0.2


class Trial:
    """One apply that has to be confirmed within `time` after it was done."""

    def __init__(self, time: timedelta, console: Console) -> None:
        self._seconds, self._console = time.total_seconds(), console
        self._store: Store | None = None
        self._sentry: sentry.Process | None = None
        self._pending: Pending | None = None
        self._interrupts = Interrupts()
        self._held = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def check(self, store: Store) -> None:
        """Raise LockHeld where a watch would apply the same files again, confirmed or not."""
        desk = Desk(store)
        if desk.is_occupied() and desk.suspension() is None:
            message = f"topology '{store.topology}' is watched, and the watch asks nobody to confirm"
            raise LockHeld(message, hint="`reconciler suspend` it first")

    def begin(self, store: Store, look: Look, desired: Desired) -> None:
        """Keep what is there, and have somebody on guard, before anything is changed.

        From now on Ctrl-C means no, at every moment.
        """
        self._interrupts = self._held.enter_context(deferred())
        pending = confirmation.begin(store, look, desired, self._seconds)
        self._store = store
        try:
            self._sentry = sentry.start(store, pending)
        except ReconcilerError:
            confirmation.settle(store)
            raise

    def applied(self, result: Result, kernel: Kernel) -> None:
        """It is done, and the time starts; what failed or was stopped is taken back at once, not tried."""
        assert self._store is not None
        if result.interrupted is not None or result.exit_code is Exit.FAILED:
            _revert(self._store, kernel, self._console)
            if self._sentry is not None:
                self._sentry.send_signal(signal.SIGTERM)
            if confirmation.pending(self._store) is None:
                self._console.problem("What was before is back.\n")
            return
        self._pending = confirmation.extend(self._store, self._seconds)

    def outcome(self, code: int) -> int:
        """Wait for the decision, without the topology's lock; the exit code with it."""
        if self._pending is None or self._store is None or self._sentry is None:
            return code
        name = self._store.topology
        self._console.notice(
            f"\nKeep it with `reconciler confirm --name {name}` until {self._pending.clock}; "
            "Ctrl-C takes it back at once.\n"
        )
        became = self._wait(self._sentry, self._pending)
        if became == sentry.CONFIRMED:
            self._console.notice("Confirmed.\n")
            return code
        if became not in (sentry.REVERTED, sentry.FAILED):
            became = self._instead(self._store)
        if became == sentry.FAILED:
            problem = "error: not confirmed, and not everything could be taken back\n"
            self._console.problem(f"{problem}  see `reconciler events --name {name}`\n")
            return Exit.FAILED
        self._console.problem("Not confirmed: what was before is back.\n")
        if (number := self._interrupts.received) is not None:
            return Exit.INTERRUPTED if number is signal.SIGINT else Exit.TERMINATED
        return Exit.REFUSED

    def _wait(self, process: sentry.Process, pending: Pending) -> int:
        """How the sentry ended. The countdown is for terminals."""
        fd = os.pidfd_open(process.pid)
        told = False
        try:
            while not select.select([fd], [], [], _TICK)[0]:
                if self._interrupts.received is not None and not told:
                    told = True
                    process.send_signal(signal.SIGTERM)
                self._count(max(0.0, pending.left))
        finally:
            os.close(fd)
            self._count(None)
        return process.wait()

    def _count(self, left: float | None) -> None:
        if sys.stderr.isatty() and not self._console.quiet:
            sys.stderr.write("\r\x1b[K" if left is None else f"\r\x1b[K{left:.0f} s left to confirm")
            sys.stderr.flush()

    def _instead(self, store: Store) -> int:
        """The sentry was killed: nobody else would take it back."""
        with store.lock():
            if confirmation.pending(store) is None:
                return sentry.CONFIRMED
            _revert(store, Linux(store), self._console)
            return sentry.REVERTED if confirmation.pending(store) is None else sentry.FAILED


def settled(store: Store, console: Console) -> bool:
    """Take back what was not confirmed in time, where the one who would have done it is gone; whether there was any.

    The caller holds the lock. Raises LockHeld while it is not decided yet.
    """
    if not confirmation.orphaned(store):
        confirmation.refuse(store)
        return False
    console.notice(
        f"note: an apply of topology '{store.topology}' was not confirmed in time, and whoever would have taken it "
        "back was killed; what was before comes first\n"
    )
    _revert(store, Linux(store), console)
    if confirmation.pending(store) is not None:
        raise ReconcilerError(
            f"what was before cannot all be made again for topology '{store.topology}'",
            hint="`reconciler confirm` keeps what is there now",
        )
    return True


def _revert(store: Store, kernel: Kernel, console: Console) -> None:
    result = confirmation.revert(store, kernel)
    for outcome in result.outcomes:
        if outcome.error is not None:
            console.problem(f"error: {outcome.change.origin}: {outcome.error.message}\n")
