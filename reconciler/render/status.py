"""The state of a topology on this host, address by address, as text and as JSON. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from .style import Style, columns, counted, duration, safe

if TYPE_CHECKING:
    from ..state import Run


@dataclass(frozen=True, slots=True)
class Condition:
    """Whether one address of the topology is as declared and works, and if not, why."""

    address: str
    ready: bool
    reason: str


@dataclass(frozen=True, slots=True)
class StatusView:
    """Everything that `status` shows. `age` is seconds since the last run began; `edited`: files changed since."""

    topology: str
    conditions: Sequence[Condition]
    last: Run | None
    age: float
    edited: bool
    interrupted: str | None = None

    @property
    def bad(self) -> int:
        """How many addresses are not ready."""
        return sum(1 for condition in self.conditions if not condition.ready)


def text(view: StatusView, style: Style) -> str:
    """A table, then the last run and the count."""
    rows = [("ADDRESS", "READY", "STATUS")]
    rows += [(safe(c.address), "yes" if c.ready else "no", safe(c.reason)) for c in view.conditions]
    head, *lines = columns(rows)
    painted = [
        line if condition.ready else style.paint(line, "red")
        for line, condition in zip(lines, view.conditions, strict=True)
    ]
    return "\n".join([style.paint(head, "bold"), *painted, "", *_sentences(view)]) + "\n"


def _sentences(view: StatusView) -> list[str]:
    lines = []
    if view.interrupted is not None:
        lines.append(f"A run was cut short: {safe(view.interrupted)}. Apply again to complete it.")
    if view.last is None:
        lines.append(f"Topology '{safe(view.topology)}' was never applied here.")
    else:
        lines.append(_run(view.last, view.age))
    if view.edited:
        lines.append("The files have changed since.")
    if view.bad:
        lines.append(f"{view.bad:,} of {len(view.conditions):,} not ready.")
    else:
        lines.append(f"In sync: {counted(len(view.conditions), 'object')} ready.")
    return lines


def _run(run: Run, age: float) -> str:
    counts = (
        (run.created, "created"),
        (run.changed, "changed"),
        (run.replaced, "replaced"),
        (run.deleted, "deleted"),
    )
    what = ", ".join(f"{number:,} {word}" for number, word in counts if number) or "nothing"
    took = duration(run.seconds)
    return f"Last run: {safe(run.command)} {ago(age)}, {run.result}: {what} kernel objects in {took}."


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
        "ready": view.bad == 0,
        "conditions": [asdict(condition) for condition in view.conditions],
        "last_run": None if view.last is None else asdict(view.last),
        "files_changed_since": view.edited,
        "interrupted": view.interrupted,
    }
