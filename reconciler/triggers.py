"""What makes a watch look: files, the kernel, signals, and the clock, all at one place to wait.

Nothing here says what happened, only that something may have: whoever waited looks for himself. Files are watched by
their directories, because editors rename over, config maps swap a link and git replaces whole trees; the watching
threads only write a byte into a pipe. Where inotify cannot be had, the clock still finds a change.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any, Protocol, Self

_STOPS = (signal.SIGTERM, signal.SIGINT)


class Readable(Protocol):
    """Something to wait for."""

    def fileno(self) -> int:
        """Its file descriptor."""


@dataclass(slots=True)
class Woken:
    """Why a wait ended. Nothing set: the time ran out."""

    kernel: bool = False
    files: bool = False
    reload: bool = False
    stop: signal.Signals | None = None


class Triggers:
    """Waits. Main thread only, because of the signals; made for one `with`. Without `kernel` it does not matter."""

    def __init__(self, kernel: Readable | None = None) -> None:
        self._kernel = kernel
        self._woken = Woken()
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._watcher: Any = None
        self._directories: Mapping[str, object] = {}
        self._former: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for number in (*_STOPS, signal.SIGHUP):
            self._former[number] = signal.signal(number, self._signalled)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
        self._unwatch()
        os.close(self._reader)
        os.close(self._writer)

    @property
    def stop(self) -> signal.Signals | None:
        """The signal that asked for an end, as soon as it came: who is about to begin something need not wait for it."""
        return self._woken.stop

    def watch(self, files: Iterable[str]) -> None:
        """From now on changes in the directories of these files, and of what they are links to, wake."""
        wanted = {directory: _identity(directory) for directory in _directories(files)}
        if wanted != self._directories or self._watcher is None:
            self._unwatch()
            self._directories = wanted
            self._watcher = _watcher(wanted, self._wake)

    def wait(self, until: float) -> Woken:
        """What happened, at once or when it does, at the latest at the monotonic time `until`."""
        timeout = max(0.0, until - time.monotonic())
        with suppress(InterruptedError):
            kernel = [] if self._kernel is None else [self._kernel.fileno()]
            readable, _, _ = select.select([self._reader, *kernel], [], [], timeout)
            if kernel and kernel[0] in readable:
                self._woken.kernel = True
            if self._reader in readable:
                self._hear()
        woken, self._woken = self._woken, Woken(stop=self._woken.stop)
        return woken

    def _hear(self) -> None:
        with suppress(BlockingIOError):
            while data := os.read(self._reader, 4096):
                self._woken.files = self._woken.files or b"f" in data

    def _wake(self, what: bytes = b"f") -> None:
        with suppress(OSError):  # full: awake already; closed: nobody listens any more
            os.write(self._writer, what)

    def _signalled(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self._woken.reload = True
        elif self._woken.stop is None:
            self._woken.stop = signal.Signals(number)
        self._wake(b"s")

    def _unwatch(self) -> None:
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher.join()
            self._watcher = None


def _directories(files: Iterable[str]) -> Iterable[str]:
    for file in files:
        yield os.path.dirname(os.path.abspath(file))
        yield os.path.dirname(os.path.realpath(file))
        if os.path.isdir(file):
            yield os.path.abspath(file)


def _identity(directory: str) -> object:
    """Another one when the directory was removed and made again: what was watched then is gone."""
    try:
        info = os.stat(directory)
    except OSError:
        return None
    return (info.st_dev, info.st_ino)


def _watcher(directories: Collection[str], wake: Any) -> Any:
    """A running watchdog, None when the machine has no inotify watches left."""
    from watchdog.events import FileSystemEventHandler
    from watchdog.observers import Observer

    logging.getLogger("watchdog").setLevel(logging.ERROR)  # it warns of what comes while it is stopped

    class Handler(FileSystemEventHandler):
        def on_any_event(self, event: Any) -> None:
            if event.event_type not in ("opened", "closed_no_write"):  # that is us, reading
                wake()

    observer = Observer()
    handler = Handler()
    for directory in directories:
        with suppress(OSError):  # gone, or no watches left: the clock finds what happens there
            observer.schedule(handler, directory, recursive=False)
    try:
        observer.start()
    except OSError:
        return None
    return observer
