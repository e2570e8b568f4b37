"""Reads the log of events, also while it is written and turned over.

Whoever follows keeps the file open: when it is turned over, what is left in it is read first, then the new one from its
beginning. A line that is not whole yet is left for later; one that is no event is left out.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

Record = Mapping[str, Any]


class EventLog:
    """The log that `path` names; made for one `with`. Nothing of it needs to exist."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._former = path.with_suffix(".1.jsonl")
        self._fd = -1
        self._rest = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def past(self) -> list[Record]:
        """Everything that is there, oldest first. To be called once, before `news`."""
        self._open()
        opened = None if self._fd < 0 else os.fstat(self._fd)
        before: list[Record] = []
        with suppress(OSError), open(self._former, "rb") as file:
            if opened is None or not os.path.samestat(os.fstat(file.fileno()), opened):
                before = list(_records(file.read().splitlines()))
        return [*before, *self.news()]

    def news(self) -> list[Record]:
        """What came since the last call."""
        found = list(self._read())
        while self._turned_over():
            found += self._read()  # what was added between our reading and the turning
            self._close()
            self._open()
            found += self._read()
        return found

    def _read(self) -> Iterator[Record]:
        if self._fd < 0:
            return
        while data := os.read(self._fd, 1 << 16):
            *lines, self._rest = (self._rest + data).split(b"\n")
            yield from _records(lines)

    def _turned_over(self) -> bool:
        """Whether the path names another file than the one that is open."""
        try:
            found = os.stat(self._path)
        except OSError:
            return False
        return self._fd < 0 or not os.path.samestat(found, os.fstat(self._fd))

    def _open(self) -> None:
        with suppress(OSError):
            self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._rest = -1, b""


def _records(lines: list[bytes]) -> Iterator[Record]:
    for line in lines:
        with suppress(ValueError, RecursionError):
            data = json.loads(line)
            if isinstance(data, dict) and isinstance(data.get("time"), str):
                yield data
