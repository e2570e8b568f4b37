"""The state directory: what neither the kernel nor the files can say.

Per topology: a lock, the address leases, claims (what we changed on things that carry no mark of ours, with the value
before), what the last apply established (only to tell drift from an edit), the journal of a running apply, and a
short history. Losing all of it loses no network: ownership is in the kernel.

Files are written to a temporary name, synced and renamed. The journal is only appended, and not synced: what it
describes does not survive a crash of the machine either. Claims and the applied record are void after a reboot.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from . import serial
from .errors import LockHeld, ReconcilerError, Unsupported
from .model import Leases
from .objects import KernelObject, Key, Value
from .plan import Change

_HISTORY = 50
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Run:
    """One apply or destroy, for the history. `started` is UTC in ISO form, `seconds` the whole run."""

    started: str
    command: str
    digest: str
    created: int
    changed: int
    replaced: int
    deleted: int
    result: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Interrupted:
    """An apply that never finished. `announced` are the keys that it was about to create."""

    started: str
    command: str
    announced: frozenset[Key]


@dataclass(frozen=True, slots=True)
class _Saved:
    """Contents of state.json; `boot_id` says to which uptime the claims belong."""

    leases: Leases
    claims: Mapping[Key, Value]
    boot_id: str


class Store:
    """The state of one topology below `directory`."""

    def __init__(self, directory: Path, topology: str) -> None:
        self.root = directory
        self.directory = directory / topology
        self.topology = topology

    # -- lock --------------------------------------------------------------------------------------------------

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the topology's lock. Raises LockHeld when another process has it."""
        fd = self._locked_fd()
        try:
            yield
        finally:
            if self.directory.is_dir() and os.listdir(self.directory) == ["lock"]:
                self.remove()  # refused before anything was done: leave no trace
            os.close(fd)

    def _locked_fd(self) -> int:
        path = self.directory / "lock"
        while True:
            self._make_directory()
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.read(fd, 32).decode(errors="replace").strip() or "unknown"
                os.close(fd)
                message = f"another reconciler (pid {holder}) works on topology '{self.topology}'"
                raise LockHeld(message, hint="wait for it, or stop it") from None
            # A destroy that just finished may have removed the file between our open and our lock.
            if _same_file(fd, path):
                os.ftruncate(fd, 0)
                os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
                return fd
            os.close(fd)

    def _make_directory(self) -> None:
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except PermissionError as error:
            raise Unsupported(
                f"the state directory {self.directory} cannot be written",
                hint="run as root, or choose --state-dir",
            ) from error

    # -- reading -----------------------------------------------------------------------------------------------

    def leases(self) -> Leases:
        """Addresses handed out before."""
        return self._saved().leases

    def claims(self) -> Mapping[Key, Value]:
        """Keys of what we changed on unmarked things since boot, with the value before."""
        saved = self._saved()
        return saved.claims if saved.boot_id == boot_id() else {}

    def applied(self) -> dict[Key, KernelObject]:
        """What the last apply established since boot. Parsed on every call."""
        data = self._read("applied.json")
        if data is None or data.get("boot_id") != boot_id():
            return {}
        with _damaged(self.directory / "applied.json"):
            objects = [serial.from_data(item) for item in data["objects"]]
        return {obj.key: obj for obj in objects}

    def has_applied(self) -> bool:
        """Whether there is any record of an apply."""
        return (self.directory / "applied.json").exists()

    def interrupted(self) -> Interrupted | None:
        """The apply that was cut short, None when the last one came to its end."""
        try:
            lines = (self.directory / "journal.jsonl").read_text().splitlines()
        except FileNotFoundError:
            return None
        except PermissionError:
            return None
        records = [record for line in lines if (record := _journal_record(line)) is not None]
        if not records or records[-1].get("event") == "end":
            return None
        announced = {tuple(key) for record in records for key in record.get("creates", ())}
        first = records[0]
        return Interrupted(str(first.get("started", "")), str(first.get("command", "")), frozenset(announced))

    def history(self) -> tuple[Run, ...]:
        """The last runs, oldest first."""
        data = self._read("history.json")
        with _damaged(self.directory / "history.json"):
            return tuple(Run(**item) for item in (data or {}).get("runs", ()))

    def _saved(self) -> _Saved:
        data = self._read("state.json")
        if data is None:
            return _Saved(Leases(), {}, boot_id())
        with _damaged(self.directory / "state.json"):
            networks = {name: tuple(prefixes) for name, prefixes in data["leases"]["networks"].items()}
            endpoints = {name: tuple(addresses) for name, addresses in data["leases"]["endpoints"].items()}
            claims = {tuple(item["key"]): item["before"] for item in data["claims"]}
            return _Saved(Leases(networks, endpoints), claims, data["boot_id"])

    def _read(self, name: str) -> dict[str, Any] | None:
        path = self.directory / name
        try:
            text = path.read_text()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except PermissionError as error:
            raise Unsupported(f"{path} cannot be read", hint="run as root, or choose --state-dir") from error
        with _damaged(path):
            data = json.loads(text)
            if not isinstance(data, dict):
                raise ValueError("not a JSON object")
            return data

    # -- writing: only while holding the lock ------------------------------------------------------------------

    def save(self, leases: Leases, claims: Mapping[Key, Value]) -> None:
        """Replace leases and claims."""
        data = {
            "format_version": "1.0",
            "boot_id": boot_id(),
            "leases": {"networks": dict(leases.networks), "endpoints": dict(leases.endpoints)},
            "claims": [{"key": key, "before": claims[key]} for key in sorted(claims)],
        }
        self._write("state.json", data)

    def save_applied(self, objects: Sequence[KernelObject]) -> None:
        """Replace the record of what is established."""
        self._write(
            "applied.json", {"boot_id": boot_id(), "objects": [serial.to_data(obj) for obj in objects]}
        )

    def add_history(self, run: Run) -> None:
        """Append one run, dropping the oldest beyond fifty."""
        runs = [*self.history(), replace(run, seconds=round(run.seconds, 3))][-_HISTORY:]
        self._write("history.json", {"format_version": "1.0", "runs": [asdict(item) for item in runs]})

    @contextmanager
    def journal(self, started: str, command: str) -> Iterator[Journal]:
        """The journal of one apply. It is closed as complete unless the process dies in the body."""
        fd = os.open(
            self.directory / "journal.jsonl", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600
        )
        try:
            journal = Journal(fd)
            journal.record({"event": "begin", "started": started, "command": command, "boot_id": boot_id()})
            yield journal
            journal.record({"event": "end"})
        finally:
            os.close(fd)

    def remove(self) -> None:
        """Forget the topology: after a destroy nothing of it stays, directories included."""
        for name in ("state.json", "applied.json", "history.json", "journal.jsonl", "lock"):
            (self.directory / name).unlink(missing_ok=True)
        for directory in (self.directory, self.root):
            with suppress(OSError):  # not empty: other topologies, or somebody's files
                directory.rmdir()

    def _write(self, name: str, data: Mapping[str, Any]) -> None:
        path, temporary = self.directory / name, self.directory / f".{name}.new"
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(fd, "w") as file:
            file.write(
                json.dumps(data, separators=(",", ":"))
            )  # not json.dump: that one never uses the C encoder
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        directory = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


class Journal:
    """Append-only record of a running apply, one JSON object a line."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def announce(self, changes: Sequence[Change]) -> None:
        """Write down what is about to happen, with what is needed to undo it, before it happens."""
        self.record(
            {
                "event": "batch",
                "creates": [change.key for change in changes if change.before is None],
                "changes": [
                    [
                        change.action.value,
                        change.key,
                        None if change.before is None else serial.to_data(change.before),
                    ]
                    for change in changes
                ],
            }
        )

    def priors(self, values: Mapping[Key, str]) -> None:
        """Write down what parameters hold that are about to be written."""
        self.record({"event": "priors", "values": [[key, value] for key, value in values.items()]})

    def record(self, data: Mapping[str, Any]) -> None:
        """Append one line."""
        os.write(self._fd, json.dumps(data, separators=(",", ":")).encode() + b"\n")


def boot_id() -> str:
    """Identifies this uptime of the machine."""
    return _BOOT_ID.read_text().strip()


def _same_file(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False


def _journal_record(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:  # the last line of a killed run may be torn
        return None
    return record if isinstance(record, dict) else None


@contextmanager
def _damaged(path: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ReconcilerError(
            f"{path} is damaged: {error}",
            hint="move it away; nothing in the kernel is lost, only automatic addresses may be dealt anew",
        ) from error
