"""Where one value of the topology comes from, as text. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import Mark
from .style import Style, safe


@dataclass(frozen=True, slots=True)
class Explained:
    """A value, how it came about (`declared`, `defaults`, `allocated`, …), the words for that, and its place if any."""

    path: str
    value: object
    kind: str
    why: str
    mark: Mark | None = None


def text(found: Sequence[Explained], style: Style) -> str:
    """One value a line, and beneath it where it comes from."""
    lines = []
    for item in found:
        at = f" at {safe(str(item.mark))}" if item.mark is not None else ""
        lines.append(f"{style.paint(safe(item.path), 'bold')} = {_shown(item.value)}")
        lines.append(f"  {safe(item.why)}{at}")
    return "\n".join(lines) + "\n"


def document(found: Sequence[Explained]) -> dict[str, Any]:
    """The same for programs."""
    return {
        "values": [
            {
                "path": item.path,
                "value": item.value,
                "origin": item.kind,
                "why": item.why,
                "source": None
                if item.mark is None
                else {"file": item.mark.file, "line": item.mark.line, "col": item.mark.col},
            }
            for item in found
        ]
    }


def _shown(value: object) -> str:
    if value is None:
        return "not set"
    return safe(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
