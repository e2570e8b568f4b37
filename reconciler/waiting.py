"""Waits until a topology is as it should be, without asking again and again: whoever knows wakes us.

Where a watch runs, its report says whether it is done, and the state directory when there is a new report. With files
the kernel is looked at as well, whenever it says that something changed: the last word is what it shows. Nothing needs
to be there yet: not the topology, not the watch.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from enum import StrEnum
from typing import NamedTuple

from . import pipeline, standing
from .conditions import conditions
from .errors import TopologyError, UsageError
from .health import Condition, Reason
from .kernel.follow import Follower
from .load.files import signature
from .pipeline import Loaded
from .render.status import Pulse
from .watch.triggers import Triggers
from .watch.watched import Desk, Report

_QUIET = 0.02


class Goal(StrEnum):
    """What is waited for. Synced: as declared. Ready: and working, as far as the kernel can tell."""

    READY = "ready"
    SYNCED = "synced"


class Answer(NamedTuple):
    """What came of the waiting: success if nothing is `missing`. `stop` is the signal that ended it, if one did."""

    missing: tuple[str, ...]
    stop: signal.Signals | None = None


class Files:
    """The topology as its files say, and say anew when they were edited; a mistake in them changes nothing."""

    def __init__(self, load: Callable[[], Loaded], named: Sequence[str]) -> None:
        self._load, self._named = load, named
        self.loaded = load()
        self._signature = signature(named, self.loaded.expanded.files)

    @property
    def paths(self) -> list[str]:
        """Where edits are seen."""
        return [*self._named, *self.loaded.expanded.files]

    def edited(self) -> bool:
        """Whether they say something new, which is then `loaded`."""
        found = signature(self._named, self.loaded.expanded.files)
        if found == self._signature:
            return False
        self._signature = found
        with suppress(TopologyError, UsageError):
            loaded = self._load()
            if loaded.topology.name == self.loaded.topology.name:
                self.loaded = loaded
                return True
        return False


def wait(desk: Desk, files: Files | None, goal: Goal, timeout: float) -> Answer:
    """Until the goal is reached, at most `timeout` seconds. Without `files` only what a watch says can be known."""
    deadline = time.monotonic() + timeout
    if files is None:
        with Triggers() as triggers:
            return _told(desk, goal, deadline, triggers)
    with Follower(desk.store) as kernel, Triggers(kernel) as triggers:
        kernel.declare(files.loaded.desired)
        while True:
            triggers.watch([*places(desk), *files.paths])
            last = time.monotonic() >= deadline
            kernel.listen()
            missing = _said(desk, files.loaded, goal)
            if last or not missing:
                missing = missing or _seen(files.loaded, kernel, goal)
            if last or not missing:
                return Answer(missing)
            woken = triggers.wait(deadline)
            more = triggers.wait(min(deadline, time.monotonic() + _QUIET))  # a burst is one look
            if (stop := woken.stop or more.stop) is not None:
                return Answer(missing, stop)
            if not woken.kernel or more.files:
                kernel.distrust()  # an apply that ended, or the time: some of what was done makes no event
            if files.edited():
                kernel.declare(files.loaded.desired)


def _told(desk: Desk, goal: Goal, deadline: float, triggers: Triggers) -> Answer:
    while True:
        triggers.watch(places(desk))
        missing = _said(desk, None, goal)
        if not missing or time.monotonic() >= deadline:
            return Answer(missing)
        if (stop := triggers.wait(deadline).stop) is not None:
            return Answer(missing, stop)


def places(desk: Desk) -> Sequence[str]:
    """What to watch to hear of a topology's watch and wishes; as long as there is no place for them, where it would be."""
    directory = desk.events.parent
    return [str(path) for path in (desk.events, directory, directory.parent) if path.parent.is_dir()]


def _said(desk: Desk, loaded: Loaded | None, goal: Goal) -> tuple[str, ...]:
    """What is missing by the words of the watch; without one nothing, if there are files to look by."""
    watch = standing.pulse(desk)
    if watch.pulse is Pulse.RUNNING:
        return _reported(watch.report, loaded, goal)
    if loaded is not None:
        return ()
    return ("the watch gives no sign of life" if watch.runs else "no watch runs",)


def _reported(report: Report | None, loaded: Loaded | None, goal: Goal) -> tuple[str, ...]:
    if report is None or report.passed is None:
        return ("the watch has not looked yet",)
    if report.mistakes:
        return tuple(f"the files are wrong: {mistake}" for mistake in report.mistakes)
    if loaded is not None and report.digest != loaded.expanded.digest:
        return ("the watch has not taken over these files yet",)
    return _short(report.trouble.values(), goal)


def _seen(loaded: Loaded, kernel: Follower, goal: Goal) -> tuple[str, ...]:
    look = pipeline.look(loaded.desired, loaded.store, kernel)
    known = standing.known(Desk(loaded.store))
    return _short(conditions(loaded.local, loaded.desired, look, known), goal)


def _short(found: Iterable[Condition], goal: Goal) -> tuple[str, ...]:
    return tuple(
        f"{one.address}: {one.words}"
        for one in found
        if not one.ready and not (goal is Goal.SYNCED and one.reason is Reason.NOT_READY)
    )
