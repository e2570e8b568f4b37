"""What makes a watch look: files, the kernel, signals, and the clock, all at one place to wait.

Nothing here says what happened, only that something may have: whoever waited looks for himself. A file is watched by
all directories on the way to it, because editors rename over, config maps swap a link and git replaces whole trees.
Where inotify cannot be had, or says nothing as on a network's file system, the clock still finds a change.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any, Protocol, Self

from .folders import Folders, Names

_STOPS = (signal.SIGTERM, signal.SIGINT)
_LINKS = 40  # as many as the kernel follows


class Heard(Protocol):
    """The kernel: one descriptor that is readable when it said something, one with a condition when mounts changed."""

    def fileno(self) -> int:
        """Its notices."""

    def mounts(self) -> int:
        """The table of mounts."""


@dataclass(slots=True)
class Woken:
    """Why a wait ended. Nothing set: the time ran out."""

    kernel: bool = False
    files: bool = False
    source: bool = False
    reload: bool = False
    stop: signal.Signals | None = None


class Triggers:
    """Waits. Main thread only, because of the signals; made for one `with`. Without `kernel` it does not matter.

    `source` is a descriptor that is readable when there is news of where files come from.
    """

    def __init__(self, kernel: Heard | None = None, source: int | None = None) -> None:
        self._kernel = kernel
        self._source = [] if source is None else [source]
        self._woken = Woken()
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._files = _folders()
        self._former: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for number in (*_STOPS, signal.SIGHUP):
            self._former[number] = signal.signal(number, self._signalled)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
        if self._files is not None:
            self._files.close()
        os.close(self._reader)
        os.close(self._writer)

    @property
    def stop(self) -> signal.Signals | None:
        """The signal that asked for an end, as soon as it came: who is about to begin something need not wait for it."""
        return self._woken.stop

    def watch(self, files: Iterable[str], alone: Iterable[str] = ()) -> None:
        """From now on whatever happens beside these files wakes, or in them when they are directories; of those that
        are watched `alone` only what happens to themselves. To be said again after each change, for a file may be
        another one then, or its directory.
        """
        if self._files is not None:
            self._files.watch(_directories(files, alone))

    def wait(self, until: float) -> Woken:
        """What happened, at once or when it does, at the latest at the monotonic time `until`."""
        timeout = max(0.0, until - time.monotonic())
        files = [] if self._files is None else [self._files.fileno()]
        kernel = [] if self._kernel is None else [self._kernel.fileno()]
        mounts = [] if self._kernel is None else [self._kernel.mounts()]
        with suppress(InterruptedError):
            waited = [self._reader, *files, *kernel, *self._source]
            readable, _, changed = select.select(waited, [], mounts, timeout)
            if changed or any(number in readable for number in kernel):
                self._woken.kernel = True
            self._woken.source = any(number in readable for number in self._source)
            if self._reader in readable:
                self._forget_signals()
            if self._files is not None and self._files.fileno() in readable:
                self._woken.files = self._files.drain() or self._woken.files
        woken, self._woken = self._woken, Woken(stop=self._woken.stop)
        return woken

    def _forget_signals(self) -> None:
        with suppress(BlockingIOError):
            while os.read(self._reader, 4096):
                pass

    def _signalled(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self._woken.reload = True
        elif self._woken.stop is None:
            self._woken.stop = signal.Signals(number)
        with suppress(OSError):  # full: awake already; closed: nobody listens any more
            os.write(self._writer, b"s")


def _folders() -> Folders | None:
    try:
        return Folders()
    except OSError:  # no more of them for this user
        return None


def _directories(files: Iterable[str], alone: Iterable[str]) -> dict[str, Names]:
    """What to watch to notice whatever may become of these paths: each directory with the names in it that matter."""
    found: dict[str, set[str] | None] = {}
    for file in files:
        for directory, name in _steps(file):
            _add(found, directory, name)
        found[os.path.dirname(os.path.abspath(file))] = None
        found[os.path.dirname(os.path.realpath(file))] = None
        if os.path.isdir(file):
            found[os.path.abspath(file)] = None
    for file in alone:
        for directory, name in _steps(file):
            _add(found, directory, name)
    return {directory: None if names is None else frozenset(names) for directory, names in found.items()}


def _add(found: dict[str, set[str] | None], directory: str, name: str) -> None:
    names = found.setdefault(directory, set())
    if names is not None:
        names.add(name)


def _steps(path: str) -> Iterator[tuple[str, str]]:
    """Every directory on the way to a file, through links, each with the name that leads on from there."""
    rest = [part for part in os.path.abspath(path).split("/") if part]
    directory, links = "/", 0
    while rest:
        name = rest.pop(0)
        if name in (".", ".."):
            directory = os.path.dirname(directory) if name == ".." else directory
            continue
        yield directory, name
        here = os.path.join(directory, name)
        try:
            target = os.readlink(here)
        except OSError:  # no link, or nothing at all
            directory = here
            continue
        links += 1
        if links > _LINKS:
            return
        directory = "/" if target.startswith("/") else directory
        rest = [part for part in target.split("/") if part] + rest
