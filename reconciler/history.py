"""The history of a topology: what each run did, and how many of them are remembered. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from types import UnionType
from typing import Any

_KEPT = 50


@dataclass(frozen=True, slots=True)
class Run:
    """One apply or destroy. `started` is UTC in ISO form, `seconds` the whole run.

    `cause` is "drift" when it did nothing but make good what others had changed, else "declared". `revision` is the commit
    whose files it was for, "" where they are followed in no repository.
    """

    started: str
    command: str
    digest: str
    created: int
    changed: int
    replaced: int
    deleted: int
    result: str
    seconds: float
    id: str = ""
    cause: str = "declared"
    revision: str = ""


def appended(before: Sequence[Run], run: Run) -> list[Run]:
    """With one more, and without the oldest beyond fifty of its cause: repairs do not push the edits out."""
    runs = [*before, replace(run, seconds=round(run.seconds, 3))]
    of_its_cause = [index for index, item in enumerate(runs) if item.cause == run.cause]
    for index in reversed(of_its_cause[:-_KEPT]):
        del runs[index]
    return runs


def from_data(item: Mapping[str, Any]) -> Run:
    """A run from JSON data. Raises ValueError or TypeError for what is none."""
    run = Run(**item)
    for field in fields(Run):
        value = getattr(run, field.name)
        wanted: type | UnionType = {"str": str, "int": int}.get(str(field.type), int | float)
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise ValueError(f"{field.name} is {value!r}")
    return run
