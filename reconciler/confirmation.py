"""An apply on trial: what was before is kept until somebody confirms, and made again if nobody does in time.

Before the first change three things are on disk: until when to confirm (`confirm.json`), and the side that was there
before, object by object as the kernel showed it, with the records that went with it (`before.json`). A process of its
own (`sentry`) holds the third, a lock, and makes the old side again when the time is over. Taking back is an ordinary
plan and apply for the old side, so it may be cut short and done again like any other.

The time runs in CLOCK_BOOTTIME: a machine that sleeps does not stretch it. After a reboot nothing is left of either side.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from . import marks, pipeline, saved, serial
from .apply import Kernel, Options, Reporter, Result, apply
from .errors import LockHeld, ReconcilerError
from .health import Suspension
from .model import Leases
from .objects import HOST, Address, KernelObject, Key, Link, Netns, Veth
from .pipeline import Look
from .plan import Plan
from .sides import Declared, Desired, Requirement
from .state import PENDING, Store, boot_id

_BEFORE, _LOCK = "before.json", "confirm.lock"
_RECORDS = ("state.json", "applied.json", "protected.json")


@dataclass(frozen=True, slots=True)
class Pending:
    """An apply that waits to be confirmed. `since` and `until` are in ISO form, `deadline` is in CLOCK_BOOTTIME."""

    token: str
    since: str
    until: str
    deadline: float
    boot_id: str

    @property
    def left(self) -> float:
        """Seconds to go, negative when the time is over."""
        return self.deadline - now()

    @property
    def clock(self) -> str:
        """The time of day until which it waits."""
        return f"{self.until[11:19]} UTC"


def now() -> float:
    """The clock by which deadlines are kept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


# --------------------------------------------------------------------------------------------------------- the record


def pending(store: Store) -> Pending | None:
    """The apply of this uptime that waits to be confirmed. Raises ReconcilerError when the record is damaged."""
    data = store.kept(PENDING)
    if data is None:
        return None
    try:
        found = Pending(**data)
        datetime.fromisoformat(found.until)
        float(found.deadline)
    except (TypeError, ValueError) as error:
        raise ReconcilerError(
            f"{store.directory / PENDING} is damaged: {error}",
            hint="move it away; what was applied stays then",
        ) from error
    return found if found.boot_id == boot_id() else None


def begin(store: Store, look: Look, desired: Desired, seconds: float) -> Pending:
    """Keep what is there now, and start the time. The caller holds the store's lock and has not changed anything yet."""
    before = side_before(look, desired, store.claims(), store.protected())
    records = {name: store.text(name) for name in _RECORDS}
    leases = serial.leases_to_data(store.leases())
    store.keep(_BEFORE, {**saved.side_to_data(before), "leases": leases, "records": records})
    return _start(store, os.urandom(8).hex(), seconds)


def extend(store: Store, seconds: float) -> Pending | None:
    """Let the time start anew: everything is applied, now it can be tried. None when it was decided meanwhile."""
    found = pending(store)
    return None if found is None else _start(store, found.token, seconds)


def settle(store: Store) -> None:
    """It is decided: forget what was before. The caller holds the store's lock."""
    for name in (PENDING, _BEFORE, _LOCK):
        (store.directory / name).unlink(missing_ok=True)
    if not store.has_applied():  # nothing was there before, or nothing is there now
        store.remove()


def _start(store: Store, token: str, seconds: float) -> Pending:
    moment = datetime.now(UTC)
    until = moment + timedelta(seconds=seconds)
    found = Pending(
        token,
        moment.isoformat(timespec="seconds"),
        until.isoformat(timespec="seconds"),
        now() + seconds,
        boot_id(),
    )
    store.keep(PENDING, asdict(found))
    return found


# ---------------------------------------------------------------------------------------------------- what was before


def side_before(
    look: Look, desired: Desired, claims: Mapping[Key, object], protected: frozenset[str]
) -> Desired:
    """What the topology has on this machine now, as something to desire: that is how to come back.

    Whatever the plan does not touch is taken as it is declared; the rest as the kernel shows it, so that it comes back
    with the MAC address it had, and with what others had changed about it.
    """
    touched = {change.key for change in look.plan.changes}
    origins = {change.key: change.origin for change in look.plan.changes}
    objects: dict[Key, Declared] = {}
    for key, found in look.observed.objects.items():
        declared = desired.objects.get(key)
        if declared is not None and key not in touched and (found.ours or key in claims):
            objects[key] = declared
        elif found.ours or key in claims:
            origin = found.origin or (declared.origin if declared else origins.get(key, "topology"))
            obj = _as_desired(found.object, declared, marks.alias(desired.topology, origin))
            if obj is not None:
                objects[key] = Declared(obj, origin)
    objects = {key: _whole_pair(declared, objects) for key, declared in objects.items()}
    requirements = tuple(_requirements(objects))
    return Desired(desired.topology, objects, requirements, desired.here, protected)


def _as_desired(obj: KernelObject, declared: Declared | None, alias: str) -> KernelObject | None:
    """An observed object as one to make, None for what comes by itself or cannot be made."""
    if (
        isinstance(obj, Netns | Link) and marks.owner(obj.alias) is None
    ):  # the other end of a pair has the mark
        obj = replace(obj, alias=alias)
    if isinstance(obj, Link) and isinstance(obj.kind, Veth):
        same = declared is not None and isinstance(declared.object, Link) and declared.object.kind
        obj = replace(obj, kind=replace(obj.kind, made_by_peer=isinstance(same, Veth) and same.made_by_peer))
    if isinstance(obj, Address) and not obj.connected:  # nobody can take the kernel's own route away again
        obj = replace(obj, connected=None)
    try:
        serial.check_desired(obj)
    except ValueError:
        return None
    return obj


def _whole_pair(declared: Declared, objects: Mapping[Key, Declared]) -> Declared:
    """One end of a pair makes the other: that of the host, else the first by name."""
    obj = declared.object
    if not isinstance(obj, Link) or not isinstance(obj.kind, Veth) or obj.kind.peer is None:
        return declared
    peer = obj.kind.peer
    other = objects.get(("link", *peer))
    second = (obj.netns != HOST, obj.netns, obj.name) > (peer.netns != HOST, peer.netns, peer.name)
    made = other is not None and second
    return declared._replace(object=replace(obj, kind=replace(obj.kind, made_by_peer=made)))


def _requirements(objects: Mapping[Key, Declared]) -> Iterator[Requirement]:
    """What these objects stand on and do not bring along."""
    known: set[Key] = {("netns", HOST)}
    known |= {key for key, declared in objects.items() if isinstance(declared.object, Netns | Link)}
    for declared in objects.values():
        for place in saved.places(declared.object):
            if place not in known:
                known.add(place)
                what = f"{'namespace' if place[0] == 'netns' else 'link'} '{place[-1]}'"
                yield Requirement(place, declared.origin, None, what)


# ------------------------------------------------------------------------------------------------------- taking back


class _Silent:
    """A reporter for somebody whom nobody watches."""

    def started(self, total: int) -> None:
        """Ignored."""

    def progressed(self, done: int) -> None:
        """Ignored."""

    def waiting(self, missing: int) -> None:
        """Ignored."""


def revert(store: Store, kernel: Kernel, reporter: Reporter | None = None) -> Result:
    """Make what was before, and forget the trial if that worked. The caller holds the store's lock.

    Raises ReconcilerError for a record that cannot be read, and what a look and an apply raise.
    """
    before, leases, records = _read_before(store)
    look = pipeline.look(before, store, kernel)
    todo: Plan = replace(look.plan, conflicts=())  # what stands on something in the way is withheld already
    options = Options(wait=False, command="revert", digest="")
    result = apply(todo, before, leases, kernel, store, reporter=reporter or _Silent(), options=options)
    if result.remaining is None and result.interrupted is None and not look.plan.conflicts:
        if before.objects:
            for name, text in records.items():
                store.put_back(name, text)
        settle(store)
    return result


def _read_before(store: Store) -> tuple[Desired, Leases, Mapping[str, str | None]]:
    path = store.directory / _BEFORE
    data: Mapping[str, Any] | None = store.kept(_BEFORE)
    try:
        if data is None:
            raise ValueError("it is not there")
        before = saved.side_from_data(data)
        if before.topology != store.topology:
            raise ValueError(f"it is of topology {before.topology}")
        records = {name: data["records"][name] for name in _RECORDS}
        return before, serial.leases_from_data(data["leases"]), records
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ReconcilerError(
            f"what was before cannot be made again, {path} is damaged: {error}",
            hint="`reconciler confirm` keeps what is there now; then apply what you want",
        ) from error


# ------------------------------------------------------------------------------------------------- for everybody else


@contextmanager
def guarded(store: Store) -> Iterator[None]:
    """Be the one who takes back when the time is over. Raises LockHeld when somebody is."""
    fd = os.open(store.directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockHeld(f"somebody guards the apply of topology '{store.topology}' already") from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(fd)


def guardian(store: Store) -> int | None:
    """The process that will take back, None when it is gone."""
    try:
        fd = os.open(store.directory / _LOCK, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        with suppress(ValueError):
            return int(os.pread(fd, 32, 0))
    finally:
        os.close(fd)
    return None


def orphaned(store: Store) -> bool:
    """Whether an apply was not confirmed in time and nobody is left who would take it back."""
    found = pending(store)
    return found is not None and found.left <= 0 and guardian(store) is None


def refuse(store: Store) -> None:
    """Raise LockHeld while an apply waits to be confirmed, or is being taken back."""
    found = pending(store)
    if found is None:
        return
    name = store.topology
    if found.left <= 0:
        message = f"the apply of topology '{name}' was not confirmed in time, and is being taken back"
        raise LockHeld(message, hint="wait for that")
    message = f"an apply of topology '{name}' waits to be confirmed until {found.clock}"
    hint = f"`reconciler confirm --name {name}` keeps it, with --revert it is taken back at once"
    raise LockHeld(message, hint=hint)


def rest(store: Store) -> Suspension | None:
    """What it means for a watch: it changes nothing until that is decided."""
    try:
        found = pending(store)
    except ReconcilerError as error:
        return Suspension(str(error), "", None)
    if found is None:
        return None
    if found.left <= 0:
        return Suspension("an apply was not confirmed in time, and is taken back", found.since)
    return Suspension("an apply waits to be confirmed, or is taken back then", found.since, found.until)
