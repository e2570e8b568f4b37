"""Looks at a remote repository again and again, beside the loop: a thread whose every answer wakes who waits for it.

A fetch may take minutes, and nothing that is to be repaired waits for it. Failures are asked again less and less often.
All times are spread at random, so that a thousand machines that follow one repository do not ask at once.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from random import Random, SystemRandom

from ..errors import ReconcilerError, Refused
from .git import Git

LONGEST = 900.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What one look found. `base` is the applied commit that `commit` was held against, None before the first.

    `refused` says why the commit is not to be followed, `unreachable` why there is none.
    """

    at: str
    base: str | None = None
    commit: str | None = None
    signer: str | None = None
    refused: Refused | None = None
    unreachable: ReconcilerError | None = None


class Fetching:
    """The thread. `look` is called in it and must not raise; `git` is what it may be in the middle of when it is to end."""

    def __init__(self, look: Callable[[], Answer], git: Git, interval: float) -> None:
        self._look, self._git, self._interval = look, git, interval
        self._random = SystemRandom()
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._asked = threading.Event()
        self._guard = threading.Lock()
        self._found: Answer | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="git", daemon=True)
        self._failures = 0

    def start(self, *, at_once: bool) -> None:
        """Begin, with a look or with a wait."""
        if at_once:
            self._asked.set()
        self._thread.start()

    def close(self) -> None:
        """End, with whatever git does. Returns when nothing of it is left."""
        self._ending.set()
        self._asked.set()
        self._git.stop()
        if self._thread.ident is not None:
            self._thread.join()
        os.close(self._reader)
        os.close(self._writer)

    def fileno(self) -> int:
        """Readable when there is an answer."""
        return self._reader

    def ask(self) -> None:
        """Look now, or once more if that is being done."""
        self._failures = 0
        self._asked.set()

    def take(self) -> Answer | None:
        """The newest answer that was not taken yet."""
        with suppress(BlockingIOError):
            os.read(self._reader, 4096)
        with self._guard:
            found, self._found = self._found, None
        return found

    def _run(self) -> None:
        while True:
            self._asked.wait(pause(self._interval, self._failures, self._random))
            if self._ending.is_set():
                return
            self._asked.clear()
            found = self._look()
            self._failures = self._failures + 1 if found.unreachable is not None else 0
            with self._guard:
                self._found = found
            with suppress(BlockingIOError):  # full: awake already
                os.write(self._writer, b"g")


def pause(interval: float, failures: int, random: Random) -> float:
    """Seconds until the next look: the interval, twice that after each failure up to a bound, give or take a fifth."""
    return min(interval * 2.0 ** min(failures, 20), max(interval, LONGEST)) * random.uniform(0.8, 1.2)
