"""Notices of changes in directories, by watchdog: its threads write a byte into a pipe, which is all that is waited for.

A directory is watched with the names in it that matter; everything else that happens there wakes nobody. To ask again
for a directory that is watched already changes nothing, unless another one has taken its place: then that one is
watched. So whoever asks again after each notice follows a path through whatever becomes of its parts.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from watchdog.events import (
    DirAttribEvent,
    DirCreatedEvent,
    DirDeletedEvent,
    DirModifiedEvent,
    DirMovedEvent,
    FileAttribEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import ObservedWatch

# Not "modified": who writes is not done, and says so by closing the file. Not "opened": that is us, reading.
_TELLING = frozenset(("created", "moved", "deleted", "closed", "attrib"))
# What the kernel is asked for, else it would tell of everybody who reads in a directory such as /tmp. The "modified" ones
# are how watchdog is told to ask for "attrib" as well.
_ASKED: list[type[FileSystemEvent]] = [
    FileCreatedEvent,
    FileMovedEvent,
    FileDeletedEvent,
    FileClosedEvent,
    FileAttribEvent,
    FileModifiedEvent,
    DirCreatedEvent,
    DirMovedEvent,
    DirDeletedEvent,
    DirAttribEvent,
    DirModifiedEvent,
]

# The names in a directory that matter, None for all of them.
Names = frozenset[str] | None


@dataclass(slots=True)
class _Watched:
    watch: ObservedWatch
    handler: _Handler
    identity: tuple[int, int]


class Folders:
    """A set of watched directories. `fileno` is readable when there is something to hear."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._watched: dict[str, _Watched] = {}
        self._observer = Observer()
        self._observer.start()

    def close(self) -> None:
        """End all watches."""
        self._observer.stop()
        self._observer.join()
        os.close(self._reader)
        os.close(self._writer)

    def fileno(self) -> int:
        """For a selector."""
        return self._reader

    def watch(self, directories: Mapping[str, Names]) -> None:
        """From now on these and no others. What cannot be watched, because it is gone or too many are, is left out."""
        wanted: dict[str, Names] = {}
        for directory, names in directories.items():
            path = os.path.realpath(directory)
            wanted[path] = _both(names, wanted[path]) if path in wanted else names
        for path in self._watched.keys() - wanted.keys():
            self._forget(path)
        for path, names in wanted.items():
            self._follow(path, names)

    def drain(self) -> bool:
        """Hear everything that was said so far; whether there was anything. Never waits."""
        heard = False
        with suppress(BlockingIOError):
            while os.read(self._reader, 4096):
                heard = True
        return heard

    def _follow(self, path: str, names: Names) -> None:
        try:
            info = os.stat(path)
        except OSError:
            self._forget(path)
            return
        identity = (info.st_dev, info.st_ino)
        known = self._watched.get(path)
        if known is not None and known.identity == identity:
            known.handler.names = names
            return
        self._forget(path)
        handler = _Handler(self._writer, path, names)
        with suppress(OSError):  # gone since, or no watches left: the clock finds what happens there
            watch = self._observer.schedule(handler, path, recursive=False, event_filter=_ASKED)
            self._watched[path] = _Watched(watch, handler, identity)

    def _forget(self, path: str) -> None:
        if (known := self._watched.pop(path, None)) is not None:
            with suppress(KeyError):  # it went with its directory
                self._observer.unschedule(known.watch)


class _Handler(FileSystemEventHandler):
    """Called in watchdog's thread: says that something happened, if it happened to a name that matters."""

    def __init__(self, writer: int, directory: str, names: Names) -> None:
        self._writer, self._directory = writer, directory
        self.names = names

    def on_any_event(self, event: FileSystemEvent) -> None:
        """One event of the directory."""
        if event.event_type in _TELLING and any(map(self._matters, (event.src_path, event.dest_path))):
            with suppress(OSError):  # full: awake already; closed: nobody listens any more
                os.write(self._writer, b"f")

    def _matters(self, path: bytes | str) -> bool:
        text = os.fsdecode(path)
        if text == self._directory:
            return True
        directory, name = os.path.split(text)
        return directory == self._directory and (self.names is None or name in self.names)


def _both(one: Names, other: Names) -> Names:
    return None if one is None or other is None else one | other
