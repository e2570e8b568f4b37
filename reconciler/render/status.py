"""The state of a topology on this host, address by address, as text and as JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from ..health import Condition, State, Suspension
from ..history import Run
from . import suspended
from .history import counts
from .style import Style, columns, counted, duration, local, safe

if TYPE_CHECKING:
    from ..watch.watched import Following, Report

_COLORS = {State.STALLED: "red", State.RECONCILING: "yellow"}


class Pulse(StrEnum):
    """How a watch is: silent means that it runs and gave no sign of life for too long."""

    RUNNING = "running"
    SILENT = "silent"
    STOPPED = "stopped"
    KILLED = "killed"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class WatchView:
    """What is known of the topology's watch. `heard` is seconds since its last sign of life, `passed` since its last pass."""

    pulse: Pulse
    report: Report | None = None
    heard: float = 0.0
    passed: float | None = None

    @property
    def runs(self) -> bool:
        """Whether there is one."""
        return self.pulse in (Pulse.RUNNING, Pulse.SILENT)


NO_WATCH = WatchView(Pulse.NONE)


@dataclass(frozen=True, slots=True)
class StatusView:
    """Everything that `status` shows. `age` is seconds since the last run began; `edited`: files changed since.

    `hearsay`: the conditions are what the watch says, not what was seen.
    """

    topology: str
    conditions: Sequence[Condition]
    last: Run | None
    age: float
    edited: bool
    interrupted: str | None = None
    suspension: Suspension | None = None
    watch: WatchView = NO_WATCH
    hearsay: bool = False

    @property
    def bad(self) -> int:
        """How many addresses are not ready."""
        return sum(1 for condition in self.conditions if not condition.ready)


def text(view: StatusView, style: Style) -> str:
    """A table, then what is to be known about it, the count last."""
    lines = []
    if view.conditions:
        rows = [("ADDRESS", "STATE", "REASON", "MESSAGE")]
        rows += [(safe(c.address), str(c.state), str(c.reason), safe(c.message)) for c in view.conditions]
        head, *body = columns(rows)
        lines.append(style.paint(head, "bold"))
        lines += [
            line if condition.ready else style.paint(line, _COLORS[condition.state])
            for line, condition in zip(body, view.conditions, strict=True)
        ]
        lines.append("")
    return "\n".join([*lines, *_sentences(view)]) + "\n"


def _sentences(view: StatusView) -> Iterator[str]:
    if view.interrupted is not None:
        yield f"A run was cut short: {safe(view.interrupted)}. Apply again to complete it."
    if view.last is None:
        yield f"Topology '{safe(view.topology)}' was never applied here."
    else:
        yield _run(view.last, view.age)
    if view.edited:
        yield "The files have changed since."
    if view.suspension is not None:
        yield suspended.sentence(view.suspension)
    yield from _watch(view.watch)
    if view.bad:
        of = "" if view.hearsay else f" of {len(view.conditions):,}"
        yield f"{view.bad:,}{of} not ready."
    elif not view.hearsay:
        yield f"In sync: {counted(len(view.conditions), 'object')} ready."
    elif view.watch.runs:
        yield "All ready, says the watch."


def _watch(watch: WatchView) -> Iterator[str]:
    report = watch.report
    if report is None or not watch.runs:
        yield _absent(watch)
        return
    passed = "" if watch.passed is None else f", the last {ago(watch.passed)}"
    overruns = f", {counted(report.overruns, 'overrun')}" if report.overruns else ""
    mode = "only looks" if report.detect_only else f"{report.repaired:,} repaired"
    yield (
        f"Watched since {local(report.started)} (pid {report.pid}): "
        f"{report.passes:,} {'pass' if report.passes == 1 else 'passes'}{passed}; {mode}{overruns}."
    )
    if watch.pulse is Pulse.SILENT:
        yield f"The watch gave no sign of life for {ago(watch.heard).removesuffix(' ago')}: it may hang."
    if report.following is not None:
        yield from _following(report.following)
    if report.mistakes:
        since = "" if report.mistaken is None else f" since {local(report.mistaken)}"
        yield f"The files are wrong{since}; what was read before is kept:"
        yield from (f"  {safe(mistake)}" for mistake in report.mistakes)
    for address, flap in report.flapping.items():
        what = f" ({safe(flap.what)})" if flap.what else ""
        yield f"Flapping: {safe(address)} was undone {flap.times} times by somebody else{what}."


def _following(following: Following) -> Iterator[str]:
    branch = f"branch {safe(following.branch)}" if following.branch else "its default branch"
    commit = "nothing yet" if following.commit is None else f"commit {following.commit[:12]}"
    since = "" if following.since is None else f" since {local(following.since)}"
    signer = "" if following.signer is None else f", signed by {safe(following.signer)}"
    fetched = ", not fetched yet" if following.fetched is None else f"; fetched {local(following.fetched)}"
    yield f"Follows {safe(following.url)} ({branch}): {commit}{since}{signer}{fetched}."
    if following.unreachable is not None:
        yield f"Cannot be fetched, what is applied stays: {safe(following.unreachable)}"


def _absent(watch: WatchView) -> str:
    report = watch.report
    if watch.pulse is Pulse.KILLED and report is not None:
        return (
            f"No watch runs. The last one (pid {report.pid}) ended without a word; "
            f"it was last heard of {ago(watch.heard)}."
        )
    if watch.pulse is Pulse.STOPPED:
        return f"No watch runs. The last one stopped {ago(watch.heard)}."
    return "A watch is starting." if watch.runs else "No watch runs."


def _run(run: Run, age: float) -> str:
    took = duration(run.seconds)
    return f"Last run: {safe(run.command)} {ago(age)}, {run.result}: {counts(run)} kernel objects in {took}."


def ago(seconds: float) -> str:
    """How long ago something was, in its largest unit."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit} ago"
    return "just now" if seconds < 1 else f"{int(seconds)} s ago"


def document(view: StatusView) -> dict[str, Any]:
    """The same for programs."""
    return {
        "topology": view.topology,
        "ready": view.bad == 0 and (not view.hearsay or view.watch.runs),
        "conditions": [condition(item) for item in view.conditions],
        "conditions_from": "watch" if view.hearsay else "kernel",
        "last_run": None if view.last is None else asdict(view.last),
        "files_changed_since": view.edited,
        "interrupted": view.interrupted,
        "suspended": suspended.document(view.suspension),
        "watch": _watch_document(view.watch),
    }


def condition(item: Condition) -> dict[str, Any]:
    """One condition for programs."""
    return {
        "address": item.address,
        "ready": item.ready,
        "state": str(item.state),
        "reason": str(item.reason),
        "message": item.message,
    }


def _watch_document(watch: WatchView) -> dict[str, Any]:
    found: dict[str, Any] = {"state": str(watch.pulse)}
    if watch.report is None:
        return found
    report = asdict(watch.report)
    for name in ("trouble", "suspended"):  # said above, of now
        del report[name]
    return found | report
