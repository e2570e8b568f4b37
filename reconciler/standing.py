"""How a topology stands on this host: one look at the kernel, and what its watch and the state directory add to it.

Of a watch that no longer runs nothing is believed but that it was there: what it said was true then.
"""

from __future__ import annotations

from datetime import UTC, datetime

from . import confirmation
from .conditions import conditions
from .health import Known
from .pipeline import Loaded, Look
from .render.status import NO_WATCH, Pulse, StatusView, WatchView
from .watch.watched import Desk

_GRACE = 10.0


def seen(loaded: Loaded, look: Look) -> StatusView:
    """What was seen just now, explained by what is known."""
    desk = Desk(loaded.store)
    watch = pulse(desk)
    last = loaded.store.last_run()
    interrupted = loaded.store.interrupted()
    found = known(desk)
    return StatusView(
        loaded.topology.name,
        tuple(conditions(loaded.local, loaded.desired, look, found)),
        last,
        0.0 if last is None else _age(last.started),
        last is not None and last.digest != loaded.expanded.digest,
        None if interrupted is None else f"{interrupted.command} of {interrupted.started}",
        found.suspension,
        watch,
    )


def told(desk: Desk) -> StatusView:
    """What can be said without looking: what the watch says, if one runs."""
    watch = pulse(desk)
    last = desk.store.last_run()
    interrupted = desk.store.interrupted()
    trouble = watch.report.trouble if watch.runs and watch.report is not None else {}
    return StatusView(
        desk.topology,
        tuple(trouble.values()),
        last,
        0.0 if last is None else _age(last.started),
        edited=False,
        interrupted=None if interrupted is None else f"{interrupted.command} of {interrupted.started}",
        suspension=desk.suspension() or confirmation.rest(desk.store),
        watch=watch,
        hearsay=True,
    )


def known(desk: Desk) -> Known:
    """What explains why something differs: somebody's wish, and what a watch says that runs."""
    watch, suspension = pulse(desk), desk.suspension() or confirmation.rest(desk.store)
    if watch.report is None or not watch.runs:
        return Known(suspension, protected=desk.store.protected())
    report = watch.report
    return Known(suspension, report.failing, report.flapping, report.detect_only, desk.store.protected())


def pulse(desk: Desk) -> WatchView:
    """Whether a watch runs, and how it is."""
    occupied, report = desk.is_occupied(), desk.report()
    if report is None:
        return WatchView(Pulse.RUNNING) if occupied else NO_WATCH
    heard = _age(report.written)
    passed = None if report.passed is None else _age(report.passed)
    if not occupied:
        return WatchView(Pulse.KILLED if report.stopped is None else Pulse.STOPPED, report, heard, passed)
    if report.stopped is not None:  # of the one before
        return WatchView(Pulse.RUNNING)
    late = heard > 2 * report.resync + _GRACE
    return WatchView(Pulse.SILENT if late else Pulse.RUNNING, report, heard, passed)


def _age(time: str) -> float:
    """Seconds since then."""
    try:
        return max(0.0, (datetime.now(UTC) - datetime.fromisoformat(time)).total_seconds())
    except (ValueError, TypeError):  # a record from elsewhere
        return 0.0
