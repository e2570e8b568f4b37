"""What a run has to report, for every format: the run as data, and what in it deserves somebody's attention. Pure.

A report is made from what the run knows, never from what it printed. `findings` is the one place that decides what is an
error and what only a warning; formats differ in spelling alone. Creations and changes that the files ask for are what
everybody expects: they are in the plan, and are no findings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from ..errors import Exit, Mark, ReconcilerError, TopologyError
from ..plan import Plan
from ..verdict import Verdict
from . import entries, verified, words
from .entries import Entry, Verb
from .plan import PlanView
from .status import StatusView

if TYPE_CHECKING:
    from ..apply import Result

Lines = Callable[[str], Sequence[str] | None]


@dataclass(frozen=True, slots=True)
class Report:
    """One run. `document` makes what `-o json` would print, `digest` that of a saved plan; `time` is in seconds since 1970.

    `lines` gives the lines of a topology file for excerpts, None for what must not be quoted.
    """

    command: str
    version: str = ""
    exit_code: int = 0
    time: float = 0.0
    seconds: float = 0.0
    topology: str | None = None
    files: tuple[str, ...] = ()
    digest: str | None = None
    error: ReconcilerError | None = None
    view: PlanView | None = None
    result: Result | None = None
    status: StatusView | None = None
    verdicts: tuple[Verdict, ...] = ()
    document: Callable[[], dict[str, Any]] = dict
    lines: Lines = lambda _: None

    @property
    def plan(self) -> Plan | None:
        """The plan, where there is one."""
        return None if self.view is None else self.view.plan


class Level(Enum):
    """How bad a finding is."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that deserves attention. `code` says what sort of thing it is, `about` is an address of the topology."""

    code: str
    level: Level
    message: str
    mark: Mark | None = None
    hint: str | None = None
    about: str | None = None
    related: tuple[tuple[str, Mark], ...] = ()

    @property
    def whole(self) -> str:
        """Address, message and hint in one line."""
        about = f"{self.about}: " if self.about else ""
        return f"{about}{self.message}" + (f" ({self.hint})" if self.hint else "")


_MEANINGS = {
    Verb.REPLACE: "is replaced: its connections break",
    Verb.DELETE: "is deleted",
    Verb.CHANGE: "differs from what was applied",
    Verb.CREATE: "was applied and is gone",
}


def findings(report: Report) -> list[Finding]:
    """Everything that deserves attention: errors first, each group in the order of the run."""
    found = [
        *_of_error(report.error),
        *_of_plan(report.plan),
        *_of_objections(report.view),
        *_of_result(report.result),
        *_of_status(report.status),
        *_of_verdicts(report.verdicts),
    ]
    return sorted(found, key=lambda one: one.level is not Level.ERROR)


def _of_error(error: ReconcilerError | None) -> Iterator[Finding]:
    if isinstance(error, TopologyError):
        for one in error.diagnostics:
            yield Finding(one.code, Level.ERROR, one.message, one.mark, one.hint, related=one.related)
    elif error is not None:
        reasons = "; ".join(getattr(error, "reasons", ()))
        message = f"{error.message}: {reasons}" if reasons else error.message
        yield Finding(_code(error.exit_code), Level.ERROR, message, None, error.hint)


def _code(code: Exit) -> str:
    return {Exit.FAILED: "failed", Exit.USAGE: "usage"}.get(code, code.name.lower())


def _of_plan(plan: Plan | None) -> Iterator[Finding]:
    if plan is None:
        return
    for one in plan.conflicts:
        yield Finding("conflict", Level.ERROR, one.message, one.mark, one.hint, one.origin)
    for waiting in plan.pending:
        yield Finding("pending", Level.WARNING, waiting.message, waiting.mark, waiting.hint, waiting.origin)
    for entry in entries.entries(plan.changes):
        code = {Verb.REPLACE: "replacement", Verb.DELETE: "deletion"}.get(entry.verb)
        if code is not None or entry.drift:
            yield Finding(code or "drift", Level.WARNING, _said(entry), entry.mark, about=entry.address)


def _of_objections(view: PlanView | None) -> Iterator[Finding]:
    for one in view.objections if view is not None else ():
        reasons = f": {'; '.join(one.reasons)}" if one.reasons else ""
        yield Finding("refused", Level.WARNING, f"{one.message}{reasons}", None, one.hint)


def _said(entry: Entry) -> str:
    detail = "; ".join(f"{row.name} {row.before} → {row.after}" for row in entries.rows(entry))
    cut = f"; interrupts {', '.join(entry.interrupts)}" if entry.interrupts else ""
    because = " (drift)" if entry.drift and entry.verb in (Verb.REPLACE, Verb.DELETE) else ""
    return f"{_MEANINGS[entry.verb]}{because}{f': {detail}' if detail else ''}{cut}"


def _of_result(result: Result | None) -> Iterator[Finding]:
    if result is None:
        return
    for outcome in result.outcomes:
        if outcome.error is not None:
            change = outcome.change
            yield Finding(
                "failed", Level.ERROR, outcome.error.message, change.mark, outcome.error.hint, change.origin
            )
    for change in result.remaining.changes if result.remaining is not None else ():
        what = f"{words.operation(change)} was done, and the kernel does not show it"
        yield Finding("verify", Level.ERROR, what, change.mark, about=change.origin)
    for key, why in sorted(result.unready.items()):
        yield Finding("not-ready", Level.WARNING, f"{' '.join(part for part in key if part)}: {why}")
    if result.interrupted is not None:
        yield Finding("interrupted", Level.ERROR, f"stopped by {result.interrupted.name}")


def _of_status(status: StatusView | None) -> Iterator[Finding]:
    for condition in status.conditions if status is not None else ():
        if not condition.ready:
            yield Finding("not-ready", Level.WARNING, condition.words, about=condition.address)


def _of_verdicts(verdicts: Sequence[Verdict]) -> Iterator[Finding]:
    for each in verdicts:
        if not each.holds:
            name = verified.name(each.check)
            yield Finding("check", Level.ERROR, verified.contrast(each), each.check.mark, about=name)
