"""`suspend`: from now on nothing is changed behind somebody's back, until a time or until `resume`.

The wish is a file in the state directory, so it holds whether or not a watch runs, and for those that are started
later. A watch that runs is waited for: when this returns, it will not touch anything any more.
"""

from __future__ import annotations

import os
import time
from argparse import Namespace
from datetime import UTC, datetime
from enum import StrEnum

from ..errors import Exit, UsageError
from ..happened import Event
from ..health import Suspension
from ..render import suspended as render
from ..watch.triggers import Triggers
from ..watch.watched import Desk, now
from . import named, times
from .console import Console

_LONGEST_REASON = 500
_PATIENCE = 10.0


class _Watch(StrEnum):
    """What the watch says to it."""

    SUSPENDED = "suspended"
    SILENT = "silent"
    NONE = "none"


def run(args: Namespace, console: Console) -> int:
    """Suspend; exit code 7 when a watch runs and does not confirm within ten seconds."""
    suspension = Suspension(_reason(args.reason), now(), _until(args), _who())
    desk = named.desk(args, console)
    desk.suspend(suspension)
    if not desk.is_occupied():
        desk.note(Event("suspended", render.sentence(suspension)))
    answer = _answer(desk, suspension)
    _report(console, desk, suspension, answer)
    return Exit.TIMEOUT if answer is _Watch.SILENT else Exit.OK


def _reason(text: str) -> str:
    reason = " ".join(text.split())
    if not reason or len(reason) > _LONGEST_REASON:
        raise UsageError(
            "--reason is empty" if not reason else f"--reason has {len(reason):,} characters",
            hint=f"say in at most {_LONGEST_REASON} characters why, for whoever finds it suspended",
        )
    return reason


def _until(args: Namespace) -> str | None:
    if args.until is not None and args.span is not None:
        raise UsageError("--until and --for exclude each other", hint="leave one of them out")
    moment = datetime.now(UTC)
    if args.span is not None:
        return (moment + times.span(args.span)).isoformat(timespec="seconds")
    if args.until is not None:
        return times.future(args.until, moment).isoformat(timespec="seconds")
    return None


def _who() -> str:
    """Who types, also behind sudo; "" when nobody knows."""
    return os.environ.get("SUDO_USER") or os.environ.get("USER") or os.environ.get("LOGNAME") or ""


def _answer(desk: Desk, suspension: Suspension) -> _Watch:
    """Whether the watch says that it changes nothing, waiting for that for a while."""
    deadline = time.monotonic() + _PATIENCE
    with Triggers() as triggers:
        triggers.watch([str(desk.events)])
        while desk.is_occupied():
            report = desk.report()
            if report is not None and report.suspended == suspension:
                return _Watch.SUSPENDED
            if time.monotonic() >= deadline or triggers.wait(deadline).stop is not None:
                return _Watch.SILENT
    return _Watch.NONE


def _report(console: Console, desk: Desk, suspension: Suspension, answer: _Watch) -> None:
    if console.json:
        document = {"topology": desk.topology, "suspended": render.document(suspension), "watch": str(answer)}
        console.document(document)
    elif answer is not _Watch.SILENT:
        runs = answer is _Watch.SUSPENDED
        tail = "The watch changes nothing from now on." if runs else "No watch runs."
        console.success(f"{render.sentence(suspension)}\n{tail}\n")
    if answer is _Watch.SILENT:
        console.problem(
            f"error: topology '{desk.topology}' is suspended, but its watch has not said yet that it stopped\n"
            "  see `reconciler status`; it may be in the middle of a long change\n"
        )
