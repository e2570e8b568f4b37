"""The state directory: what neither the kernel nor the files can say.

Per topology: a lock, the address leases, claims (what we changed on things that carry no mark of ours, with the value
before), what the last apply established (only to tell drift from an edit), the journal of a running apply, and a
short history. Losing all of it loses no network: ownership is in the kernel.

Files are written to a temporary name, synced and renamed. The journal is only appended, and not synced: what it
describes does not survive a crash of the machine either. Claims and the applied record are void after a reboot.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from . import directories, history, serial
from .errors import Damaged, LockHeld, ReconcilerError, Unsupported
from .history import Run
from .journal import Interrupted, Journal, read_interrupted
from .model import Leases
from .objects import KernelObject, Key, Link, Value

__all__ = ["Interrupted", "Journal", "Store", "boot_id"]

_FILES = ("state.json", "applied.json", "history.json", "protected.json")
_OF_A_WATCH = ("watch.json", "watch.lock", "events.jsonl", "events.1.jsonl", "suspend.json")
SOURCE, SOURCES = (
    "source",
    ".source-",
)  # what a topology follows, and where that is: no topology has a dot in its name
PENDING = "confirm.json"
_OF_A_CONFIRMATION = ("before.json", "confirm.lock")
_SET_ASIDE = ("history.json", "journal.jsonl")
# What is lost with a file, where more can be said than that it is damaged.
_LOST = {
    "state.json": "put a copy in its place; without one move it away: then automatic addresses may be dealt anew, and "
    "settings of the host that were changed stay as they are, for their former values are in it",
    "history.json": "move it away, or leave that to the next apply; only the list of past runs is lost",
    "protected.json": "move it away; what the files no longer name is not protected then",
}
_ATTEMPTS = 100
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_Version = tuple[str, int, int, int, int]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Saved:
    """Contents of state.json; `boot_id` says to which uptime the claims belong."""

    leases: Leases
    claims: Mapping[Key, Value]
    boot_id: str


class Store:
    """The state of one topology below `directory`.

    What only explains counts as absent when it is damaged, and is replaced by the next run: `forgotten` has a sentence for
    each such file that was read. What a run depends on raises Damaged.
    """

    def __init__(self, directory: Path, topology: str) -> None:
        self.root = directory
        self.directory = directory / topology
        self.topology = topology
        self.forgotten: dict[str, str] = {}
        self._parsed: dict[str, tuple[_Version, Any]] = {}

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

    def make(self) -> None:
        """See to it that there is a directory."""
        with self.usable():
            directories.make(self.root)
            with suppress(FileExistsError):
                self.directory.mkdir(mode=0o700)

    def _locked_fd(self) -> int:
        for _ in range(_ATTEMPTS):
            with self.usable():
                fd = self._lock_file()
            if fd is None:
                continue
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.read(fd, 32).decode(errors="replace").strip() or "unknown"
                os.close(fd)
                message = f"another reconciler (pid {holder}) works on topology '{self.topology}'"
                raise LockHeld(message, hint="wait for it, or stop it") from None
            # A destroy that just finished may have removed the file between our open and our lock.
            if _same_file(fd, self.directory / "lock"):
                os.ftruncate(fd, 0)
                os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
                return fd
            os.close(fd)
        raise ReconcilerError(
            f"the state directory {self.directory} goes away whenever it is made",
            hint="choose another --state-dir",
        )

    def _lock_file(self) -> int | None:
        """The lock, open; None when a directory vanished meanwhile, together with a topology that was in it."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            directories.make(self.root)
            with suppress(FileExistsError):
                self.directory.mkdir(mode=0o700)
            return os.open(self.directory / "lock", flags, 0o600)
        except FileNotFoundError:
            return None

    @contextmanager
    def usable(self) -> Iterator[None]:
        """Turn what is wrong with the directory into words."""
        try:
            yield
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                message = f"the state directory {self.directory} cannot be written: {error.strerror}"
                raise Unsupported(message, hint="run as root, or choose --state-dir") from error
            if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EEXIST, errno.EISDIR):
                message = f"the state of topology '{self.topology}' cannot be kept: {error.filename}: {error.strerror}"
                hint = "move what is there out of the way, or choose another --state-dir"
                raise ReconcilerError(message, hint=hint) from error
            raise

    # -- reading -----------------------------------------------------------------------------------------------

    def leases(self) -> Leases:
        """Addresses handed out before."""
        return self._saved().leases

    def claims(self) -> Mapping[Key, Value]:
        """Keys of what we changed on unmarked things since boot, with the value before; a killed run's included."""
        saved, interrupted = self._saved(), self.interrupted()
        priors = interrupted.priors if interrupted is not None else {}
        return {**priors, **saved.claims} if saved.boot_id == boot_id() else priors

    def applied(self) -> Mapping[Key, KernelObject]:
        """What the last apply established since boot; nothing when the record is damaged, or another version's."""

        def parse(data: dict[str, Any] | None) -> dict[Key, KernelObject]:
            if data is None or not _is_current(data):
                return {}
            with _damaged(self.directory / "applied.json"):
                objects = serial.many_from_data(data)
            return {obj.key: obj for obj in objects}

        try:
            return self._unless_known("applied.json", parse)
        except Damaged as error:
            self._forget("applied.json", error, "nothing counts as drift until the next apply writes it anew")
            return {}

    def applied_links(self, netns: str) -> frozenset[str]:
        """Names of the links that the last apply established in one namespace: without parsing all the rest."""
        with suppress(Damaged), _damaged(self.directory / "applied.json"):
            data = self._read("applied.json")
            if data is None or not _is_current(data):
                return frozenset()
            items = [item for item in data["objects"] if item["kind"] == Link.kind_name]
            return frozenset(item["name"] for item in items if item["netns"] == netns)
        return frozenset()

    def has_applied(self) -> bool:
        """Whether there is any record of an apply."""
        return (self.directory / "applied.json").exists()

    def has_current(self) -> bool:
        """Whether it is of this uptime and in the form that is read; tells it by its beginning."""
        beginning = json.dumps(_current(), separators=(",", ":"))[:-1].encode()
        try:
            with open(self.directory / "applied.json", "rb") as file:
                return file.read(len(beginning)) == beginning
        except OSError:
            return False

    def protected(self) -> frozenset[str]:
        """Addresses that are not to be deleted by the way, also after the files no longer name them."""
        data = self._read("protected.json")
        with _damaged(self.directory / "protected.json"):
            return (
                frozenset(str(address) for address in data["addresses"]) if data is not None else frozenset()
            )

    def interrupted(self) -> Interrupted | None:
        """The apply that was cut short, None when the last one came to its end."""
        return read_interrupted(self.directory / "journal.jsonl", boot_id())

    def history(self) -> tuple[Run, ...]:
        """The last runs, oldest first."""
        data = self._read("history.json")
        with _damaged(self.directory / "history.json"):
            return tuple(history.from_data(item) for item in (data or {}).get("runs", ()))

    def last_run(self) -> Run | None:
        """The last of them; None as well when the history is damaged."""
        try:
            return next(reversed(self.history()), None)
        except Damaged as error:
            self._forget("history.json", error, "what the last run did is not known")
            return None

    def _forget(self, name: str, damage: Damaged, without: str) -> None:
        self.forgotten[name] = f"{damage.message}; {without}"

    def _saved(self) -> _Saved:
        def parse(data: dict[str, Any] | None) -> _Saved:
            if data is None:
                return _Saved(Leases(), {}, boot_id())
            with _damaged(self.directory / "state.json"):
                claims = dict(_claim(item) for item in data["claims"])
                return _Saved(serial.leases_from_data(data["leases"]), claims, data["boot_id"])

        return self._unless_known("state.json", parse)

    def _unless_known(self, name: str, parse: Callable[[dict[str, Any] | None], T]) -> T:
        """What a file holds; not read again while it is the very file that was read, or written here, before."""
        version = _version(self.directory / name)
        known = self._parsed.get(name)
        if known is not None and version is not None and known[0] == version:
            held: T = known[1]
            return held
        found = parse(self._read(name))
        if version is not None:
            self._parsed[name] = version, found
        return found

    def _read(self, name: str) -> dict[str, Any] | None:
        path = self.directory / name
        with _damaged(path):
            try:
                text = path.read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None
            except PermissionError as error:
                hint = "run as root, or choose --state-dir"
                raise Unsupported(f"{path} cannot be read", hint=hint) from error
            data = json.loads(text)
            if not isinstance(data, dict):
                raise ValueError("not a JSON object")
            return data

    # -- writing: only while holding the lock ------------------------------------------------------------------

    def save(self, leases: Leases, claims: Mapping[Key, Value]) -> None:
        """Replace leases and claims, unless they are what is there already."""
        wanted = _Saved(leases, dict(claims), boot_id())
        if self._holds("state.json", wanted):
            return
        data = {
            "format_version": "1.0",
            "boot_id": boot_id(),
            "leases": serial.leases_to_data(leases),
            "claims": [{"key": key, "before": claims[key]} for key in sorted(claims)],
        }
        self._write("state.json", data)
        self._remember("state.json", wanted)

    def save_applied(self, objects: Mapping[Key, KernelObject]) -> None:
        """Replace the record of what is established, unless that is what is there already."""
        if self._holds("applied.json", objects):
            return
        self._write("applied.json", {**_current(), **serial.many_to_data(objects)})
        self._remember("applied.json", objects)

    def _holds(self, name: str, wanted: object) -> bool:
        known = self._parsed.get(name)
        return known is not None and known[0] == _version(self.directory / name) and known[1] == wanted

    def _remember(self, name: str, content: object) -> None:
        if (version := _version(self.directory / name)) is not None:
            self._parsed[name] = version, content

    def save_protected(self, addresses: frozenset[str]) -> None:
        """Replace them; nothing is written when they are the same."""
        if addresses != self.protected():
            self._write("protected.json", {"format_version": "1.0", "addresses": sorted(addresses)})

    def add_history(self, run: Run) -> None:
        """Append one run. A damaged history is moved aside: it must not stop a run."""
        try:
            before = self.history()
        except Damaged:
            before = ()
            self._set_aside("history.json")
        self._write(
            "history.json",
            {"format_version": "1.0", "runs": [asdict(item) for item in history.appended(before, run)]},
        )

    @contextmanager
    def journal(self, started: str, command: str) -> Iterator[Journal]:
        """The journal of one apply. It is closed as complete unless the process dies in the body."""
        interrupted = self.interrupted()
        if interrupted is not None and interrupted.priors:  # they are about to be overwritten
            self.save(self.leases(), self.claims())
        with self.usable():
            fd = self._journal_file()
        try:
            journal = Journal(fd)
            journal.record({"event": "begin", "started": started, "command": command, "boot_id": boot_id()})
            yield journal
            journal.record({"event": "end"})
        finally:
            os.close(fd)

    def _journal_file(self) -> int:
        """The journal, open and empty. A link or directory in its place is none of ours and must not stop a run."""
        path = self.directory / "journal.jsonl"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            return os.open(path, flags, 0o600)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.EISDIR):
                raise
        self._set_aside(path.name)
        return os.open(path, flags, 0o600)

    def _set_aside(self, name: str) -> None:
        path = self.directory / name
        path.replace(path.with_name(f"{name}.damaged"))

    def remove(self) -> None:
        """Forget the topology: after a destroy nothing of it stays, directories included.

        What is needed to take the destroy itself back stays until that is decided.
        """
        if (self.directory / PENDING).exists():
            for name in _FILES:
                (self.directory / name).unlink(missing_ok=True)
            return
        names = (*_FILES, *_OF_A_WATCH, *_OF_A_CONFIRMATION)
        leftovers = (*(f".{name}.new" for name in names), *(f"{name}.damaged" for name in _SET_ASIDE))
        for name in (*names, *leftovers, "journal.jsonl", "lock"):
            with suppress(IsADirectoryError):  # not ours
                (self.directory / name).unlink(missing_ok=True)
        self._forget_source()
        with suppress(OSError):  # not empty: somebody's files
            self.directory.rmdir()
        directories.unmake(self.root)

    def follows(self, source: str) -> None:
        """Note that the topology's files come from that place beside it; one that they came from before is removed."""
        link, new = self.directory / SOURCE, self.directory / f".{SOURCE}.new"
        if link.is_symlink() and os.readlink(link) == f"../{source}":
            return
        self._forget_source()
        new.unlink(missing_ok=True)
        new.symlink_to(f"../{source}")
        new.replace(link)

    def _forget_source(self) -> None:
        link = self.directory / SOURCE
        if link.is_symlink():
            place = self.root / os.path.basename(os.readlink(link))
            if place.name.startswith(SOURCES):
                shutil.rmtree(place, ignore_errors=True)
            link.unlink()

    def keep(self, name: str, data: Mapping[str, Any]) -> None:
        """Replace a file of the topology's, whole or not at all."""
        with self.usable():
            self._write(name, data)

    def kept(self, name: str) -> dict[str, Any] | None:
        """What such a file says, None when there is none. Raises Damaged."""
        return self._read(name)

    def text(self, name: str) -> str | None:
        """The same as it is, for `put_back`; None as well when it is damaged."""
        with suppress(Damaged):
            if self._read(name) is not None:
                return (self.directory / name).read_text()
        return None

    def put_back(self, name: str, text: str | None) -> None:
        """Make such a file what `text` once was."""
        if text is None:
            (self.directory / name).unlink(missing_ok=True)
        else:
            self._write(name, json.loads(text))

    def _write(self, name: str, data: Mapping[str, Any]) -> None:
        path, temporary = self.directory / name, self.directory / f".{name}.new"
        text = json.dumps(data, separators=(",", ":"))  # not json.dump: that one never uses the C encoder
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(fd, "w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            try:
                temporary.replace(path)
            except IsADirectoryError:  # somebody's, and must not stop a run
                self._set_aside(name)
                temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        directory = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def boot_id() -> str:
    """Identifies this uptime of the machine."""
    return _BOOT_ID.read_text().strip()


def _current() -> dict[str, str]:
    """What the record of what was applied begins with. One of another uptime or form tells nothing of this kernel."""
    return {"format_version": "1.1", "boot_id": boot_id()}


def _is_current(data: Mapping[str, Any]) -> bool:
    return all(data.get(name) == value for name, value in _current().items())


def _version(path: Path) -> _Version | None:
    """What is another thing for each writing of a file that is replaced whole, and after a reboot; None without one."""
    try:
        info = os.stat(path)
    except OSError:
        return None
    return boot_id(), info.st_dev, info.st_ino, info.st_mtime_ns, info.st_size


def _same_file(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False


def _claim(item: Mapping[str, Any]) -> tuple[Key, Value]:
    """One entry of the claims. What was written to a parameter before is a text; nothing else has a value to go back to."""
    key, before = serial.key_from_data(item["key"]), item["before"]
    if not isinstance(before, str | None) or (key[0] == "sysctl" and before is None):
        raise ValueError(f"{before!r} is no value to go back to")
    return key, before


@contextmanager
def _damaged(path: Path) -> Iterator[None]:
    try:
        yield
    except (
        ValueError,
        KeyError,
        IndexError,
        TypeError,
        AttributeError,
        RecursionError,
        IsADirectoryError,
    ) as error:
        raise Damaged(f"{path} is damaged: {error}", hint=_LOST.get(path.name, "move it away")) from error
