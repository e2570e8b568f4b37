"""What a host has and lacks, as text and as JSON. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..features import Fact, Setting, Verdict
from .style import Style, columns, safe

_COLOURS = {Verdict.PRESENT: "", Verdict.UNKNOWN: "yellow"}


@dataclass(frozen=True, slots=True)
class DoctorView:
    """Everything that `doctor` shows. `topology` is the one that was asked about, None for topologies in general."""

    release: str
    topology: str | None
    facts: Sequence[Fact]
    settings: Sequence[Setting]

    @property
    def lacking(self) -> list[Fact]:
        """What is missing and vital."""
        return [fact for fact in self.facts if fact.vital and fact.verdict is Verdict.MISSING]


def text(view: DoctorView, style: Style) -> str:
    """A table of features, one of settings, and the conclusion."""
    blocks = [_features(view, style)]
    if view.settings:
        blocks.append(_settings(view, style))
    return "\n\n".join("\n".join(block) for block in (*blocks, [_conclusion(view)])) + "\n"


def _features(view: DoctorView, style: Style) -> list[str]:
    rows: list[tuple[str, ...]] = [
        ("FEATURE", "VERDICT", "NEEDED BY", "HOW TO GET IT"),
        *map(_row, view.facts),
    ]
    if style.verbose:
        told = ["HOW WE KNOW", *(safe(fact.answer) for fact in view.facts)]
        rows = [(*row[:2], answer, *row[2:]) for row, answer in zip(rows, told, strict=True)]
    head, *lines = columns(rows)
    painted = [style.paint(line, _colour(f)) for line, f in zip(lines, view.facts, strict=True)]
    return [style.paint(head, "bold"), *painted]


def _row(fact: Fact) -> tuple[str, ...]:
    note = fact.remedy or (fact.answer if fact.verdict is Verdict.UNKNOWN else "")
    return (safe(fact.name), fact.verdict.value, safe(fact.needed_by), safe(note))


def _colour(fact: Fact) -> str:
    return _COLOURS.get(fact.verdict, "red" if fact.vital else "dim")


def _settings(view: DoctorView, style: Style) -> list[str]:
    cells = ((s.name, s.value, s.meaning) for s in view.settings)
    head, *lines = columns([("SETTING", "VALUE", "MEANING"), *(tuple(map(safe, row)) for row in cells)])
    return [style.paint(head, "bold"), *lines]


def _conclusion(view: DoctorView) -> str:
    what = "bridge topologies" if view.topology is None else f"topology '{safe(view.topology)}'"
    if view.lacking:
        return f"This host cannot hold {what}. Missing: {', '.join(safe(f.name) for f in view.lacking)}."
    unknown = [safe(f.name) for f in view.facts if f.vital and f.verdict is Verdict.UNKNOWN]
    return f"This host can hold {what}" + (
        f", unless these are missing: {', '.join(unknown)}." if unknown else "."
    )


def document(view: DoctorView) -> dict[str, Any]:
    """The same for programs."""
    return {
        "topology": view.topology,
        "kernel": view.release,
        "able": not view.lacking,
        "features": [{**asdict(fact), "verdict": fact.verdict.value} for fact in view.facts],
        "settings": [setting._asdict() for setting in view.settings],
    }
