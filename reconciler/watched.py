"""What a watch leaves in the state directory for others to read, and what others leave there for it.

`watch.json` is the last thing that it can say of itself, `events.jsonl` what happened, one JSON object a line,
`suspend.json` somebody's wish that it does nothing for a while. A lock of its own, held as long as it runs, tells a
watch that runs from one that died; the topology's lock is taken only for the moments in which something is done.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .errors import LockHeld, UsageError
from .state import Store

_LARGEST = 4 << 20


@dataclass(frozen=True, slots=True)
class Suspension:
    """Somebody's wish that nothing is changed, `until` a time in ISO form or for good."""

    reason: str
    since: str
    until: str | None = None

    def holds(self, now: datetime) -> bool:
        """Whether it is still in force."""
        return self.until is None or now < datetime.fromisoformat(self.until)


@dataclass(frozen=True, slots=True)
class Report:
    """What a watch says of itself. Times are UTC in ISO form. `trouble` has a line for each address that is not ready.

    `mistakes` are those of the files as they are now, while the last good topology is kept.
    """

    pid: int
    started: str
    written: str
    digest: str
    passes: int = 0
    repaired: int = 0
    overruns: int = 0
    detect_only: bool = False
    suspended: str | None = None
    mistakes: tuple[str, ...] = ()
    trouble: Mapping[str, str] = field(default_factory=dict)
    flapping: Mapping[str, str] = field(default_factory=dict)


class Desk:
    """The place of one topology's watch in the state directory."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._directory = store.directory
        self.topology = store.topology

    @contextmanager
    def occupied(self) -> Iterator[None]:
        """Be the one watch of the topology. Raises LockHeld when there is another."""
        self._store.make()
        fd = os.open(self._path("watch.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(fd, 32).decode(errors="replace").strip() or "unknown"
            os.close(fd)
            message = f"topology '{self.topology}' is watched already (pid {holder})"
            raise LockHeld(message, hint="stop that one first") from None
        try:
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            with suppress(OSError):
                os.unlink(self._path("watch.lock"))
            os.close(fd)

    def is_occupied(self) -> bool:
        """Whether a watch runs."""
        try:
            fd = os.open(self._path("watch.lock"), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    # -- its own words -------------------------------------------------------------------------------------------

    def report(self) -> Report | None:
        """The last that a watch said, None when there is nothing that can be read."""
        data = self._read("watch.json")
        try:
            return None if data is None else Report(**{**data, "mistakes": tuple(data["mistakes"])})
        except (TypeError, KeyError):
            return None

    def write(self, report: Report) -> None:
        """Say something new."""
        self._write("watch.json", asdict(report))

    def note(self, event: Mapping[str, object]) -> None:
        """Add an event to the log, which is turned over when it is full."""
        path = self._path("events.jsonl")
        with suppress(FileNotFoundError):
            if path.stat().st_size > _LARGEST:
                path.replace(self._path("events.1.jsonl"))
        line = json.dumps(event, separators=(",", ":")) + "\n"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.write(fd, line.encode())
        finally:
            os.close(fd)

    @property
    def events(self) -> Path:
        """The log of events."""
        return self._path("events.jsonl")

    # -- the wishes of others ------------------------------------------------------------------------------------

    def suspension(self) -> Suspension | None:
        """The wish that is in force now."""
        data = self._read("suspend.json")
        try:
            found = None if data is None else Suspension(**data)
            return found if found is not None and found.holds(datetime.now(UTC)) else None
        except (TypeError, ValueError):
            return Suspension("the file suspend.json is damaged", "", None)

    def suspend(self, suspension: Suspension) -> None:
        """Ask for rest."""
        if not self._directory.is_dir():
            raise UsageError(
                f"topology '{self.topology}' was never applied here", hint="see `reconciler show`"
            )
        self._write("suspend.json", asdict(suspension))

    def resume(self) -> bool:
        """Take the wish back; whether there was one."""
        try:
            os.unlink(self._path("suspend.json"))
        except FileNotFoundError:
            return False
        return True

    def _path(self, name: str) -> Path:
        return self._directory / name

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            data = json.loads(self._path(name).read_text())
        except (OSError, ValueError):
            return None if not self._path(name).exists() else {}
        return data if isinstance(data, dict) else {}

    def _write(self, name: str, data: Mapping[str, Any]) -> None:
        """Whole or not at all; not synced: after a crash of the machine nobody needs it."""
        temporary = self._path(f".{name}.new")
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(fd, "w") as file:
            json.dump(data, file, indent=1)
            file.write("\n")
        temporary.replace(self._path(name))


def now() -> str:
    """The time as it is written everywhere here."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
