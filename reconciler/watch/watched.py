"""What a watch leaves in the state directory for others to read, and what others leave there for it.

`watch.json` is the last thing that it can say of itself, `events.jsonl` what happened, one JSON object a line,
`suspend.json` somebody's wish that it does nothing for a while. A lock of its own, held as long as it runs, tells a
watch that runs from one that died; the topology's lock is taken only for the moments in which something is done.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..errors import LockHeld, Unsupported, UsageError
from ..happened import Event
from ..health import Condition, Failing, Flapping, Reason, Suspension
from ..state import Store

_LARGEST = 4 << 20
_ASKED = 10


@dataclass(frozen=True, slots=True)
class Following:
    """The Git repository that a watch follows, by its URL without secrets. `branch` is None for the repository's default.

    `commit` is what is kept applied, `since` when it was taken over, `signer` whose signature it has. `fetched` is when
    the repository was last reached, by this watch; `unreachable` why it is not reached now. `refused` is a newer commit
    that was not taken; why, the report's `mistakes` say.
    """

    url: str
    branch: str | None
    path: str | None
    commit: str | None
    since: str | None
    signer: str | None = None
    fetched: str | None = None
    unreachable: str | None = None
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What a watch says of itself. Times are UTC in ISO form, None for what is not so.

    `written` is the last sign of life: at least one comes every `resync` seconds. `passed` is the end of the last pass.
    `trouble` has an entry for each address that is not ready, `failing` and `flapping` for those of which more is known.
    `mistakes` are those of the files as they are since `mistaken`, while the last good topology is kept. `stopped` is
    when the watch ended; without it, a watch that does not run was killed. `following` is where the files come from when
    that is a repository.
    """

    pid: int
    started: str
    written: str
    digest: str
    resync: float = 60.0
    passed: str | None = None
    stopped: str | None = None
    passes: int = 0
    repaired: int = 0
    overruns: int = 0
    detect_only: bool = False
    suspended: Suspension | None = None
    mistakes: tuple[str, ...] = ()
    mistaken: str | None = None
    trouble: Mapping[str, Condition] = field(default_factory=dict)
    failing: Mapping[str, Failing] = field(default_factory=dict)
    flapping: Mapping[str, Flapping] = field(default_factory=dict)
    following: Following | None = None


class Desk:
    """The place of one topology's watch in the state directory."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._directory = store.directory
        self.topology = store.topology

    @contextmanager
    def occupied(self) -> Iterator[None]:
        """Be the one watch of the topology. Raises LockHeld when there is another."""
        self.store.make()
        fd = os.open(self._path("watch.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            _lock(fd)
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
            return None if data is None else _report(data)
        except (TypeError, KeyError, ValueError, AttributeError):
            return None

    def write(self, report: Report) -> None:
        """Say something new; what cannot be written is lost, and the old report shows by its age that it is old."""
        with suppress(OSError):
            self._write("watch.json", asdict(report))

    def note(self, *events: Event) -> None:
        """Add events to the log, which is turned over when it is full. One that cannot be written is lost: a full disk
        must not keep anybody from doing what the event tells of.
        """
        with suppress(OSError):
            self._note(events)

    def _note(self, events: Sequence[Event]) -> None:
        path = self._path("events.jsonl")
        with suppress(FileNotFoundError):
            if path.stat().st_size > _LARGEST:
                path.replace(self._path("events.1.jsonl"))
        common = {"time": now(), "topology": self.topology}
        lines = (json.dumps({**common, **event._asdict()}, separators=(",", ":")) for event in events)
        text = "".join(f"{line}\n" for line in lines)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)

    @property
    def events(self) -> Path:
        """The log of events."""
        return self._path("events.jsonl")

    @property
    def wish(self) -> Path:
        """Where others leave theirs."""
        return self._path("suspend.json")

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
        """Ask for rest; from now on, and also after a crash of the machine."""
        if not self._directory.is_dir():
            raise UsageError(
                f"topology '{self.topology}' was never applied here", hint="see `reconciler show`"
            )
        with self.store.usable():
            self._write("suspend.json", asdict(suspension), lasting=True)

    def resume(self) -> bool:
        """Take the wish back; whether one was in force."""
        was = self.suspension() is not None
        with self.store.usable(), suppress(FileNotFoundError, NotADirectoryError):
            self._path("suspend.json").unlink()
        return was

    def _path(self, name: str) -> Path:
        return self._directory / name

    def _read(self, name: str) -> dict[str, Any] | None:
        """What a file says, {} when that makes no sense, None when there is none."""
        try:
            data = json.loads(self._path(name).read_text())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except PermissionError as error:
            hint = "run as root, or choose --state-dir"
            raise Unsupported(f"{self._path(name)} cannot be read", hint=hint) from error
        except (OSError, ValueError, RecursionError):
            return {}
        return data if isinstance(data, dict) else {}

    def _write(self, name: str, data: Mapping[str, Any], *, lasting: bool = False) -> None:
        """Whole or not at all; only what is `lasting` is needed after a crash of the machine, and waits for the disk."""
        temporary = self._path(f".{name}.new")
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(fd, "w") as file:
            json.dump(data, file, indent=1)
            file.write("\n")
            if lasting:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(self._path(name))


def _lock(fd: int) -> None:
    """Raises BlockingIOError when it is held for more than the moment in which somebody asks whether it is."""
    for _ in range(_ASKED):
        with suppress(BlockingIOError):
            return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(0.01)
    return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _report(data: Mapping[str, Any]) -> Report:
    """Raises TypeError, KeyError, ValueError or AttributeError for what no watch wrote."""
    suspended, following = data["suspended"], data.get("following")
    return Report(
        **{
            **data,
            "mistakes": tuple(data["mistakes"]),
            "suspended": None if suspended is None else Suspension(**suspended),
            "following": None if following is None else Following(**following),
            "trouble": {address: _condition(found) for address, found in data["trouble"].items()},
            "failing": {address: Failing(**found) for address, found in data["failing"].items()},
            "flapping": {address: Flapping(**found) for address, found in data["flapping"].items()},
        }
    )


def _condition(data: Mapping[str, Any]) -> Condition:
    return Condition(data["address"], Reason(data["reason"]), data["message"])


def now() -> str:
    """The time as it is written everywhere here."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
