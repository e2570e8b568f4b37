"""What `lock` found and did, as text and as JSON. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .style import safe

if TYPE_CHECKING:
    from ..lockfile import Difference

_LISTED = 50


@dataclass(frozen=True, slots=True)
class LockView:
    """A lock file, how many entries it has to have, and in what it differs from that. `command` mends it."""

    topology: str
    path: str
    entries: int
    differences: tuple[Difference, ...]
    command: str
    check: bool


def text(view: LockView) -> str:
    """A line when all is well, else a line for each entry that differs."""
    path = safe(view.path)
    if not view.differences:
        if not view.entries:
            return f"{path}: nothing to lock, every address is in the files.\n"
        return f"{path}: up to date, {view.entries:,} {'entry' if view.entries == 1 else 'entries'}.\n"
    counts = Counter(_sign(one) for one in view.differences)
    words = (("+", "added"), ("~", "changed"), ("-", "dropped"))
    summary = ", ".join(f"{counts[sign]:,} {word}" for sign, word in words if counts[sign])
    head = f"{path} is out of date" if view.check else f"Wrote {path}"
    lines = [f"{head}: {summary}."]
    lines += [f"  {_line(one)}" for one in view.differences[:_LISTED]]
    if len(view.differences) > _LISTED:
        lines.append(f"  … and {len(view.differences) - _LISTED:,} more")
    if view.check:
        lines.append(f"`reconciler {safe(view.command)}` brings it up to date.")
    return "\n".join(lines) + "\n"


def _sign(one: Difference) -> str:
    if not one.before:
        return "+"
    return "~" if one.after else "-"


def _line(one: Difference) -> str:
    values = [", ".join(part) for part in (one.before, one.after) if part]
    return safe(f"{_sign(one)} {one.what} {one.name}  {' → '.join(values)}")


def document(view: LockView) -> dict[str, Any]:
    """The same for programs."""
    return {
        "topology": view.topology,
        "lock": view.path,
        "up_to_date": not view.differences,
        "written": bool(view.differences) and not view.check,
        "entries": view.entries,
        "differences": [
            {"kind": one.what, "name": one.name, "before": list(one.before), "after": list(one.after)}
            for one in view.differences
        ],
    }
