"""Events as lines. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .style import Style, local, safe

COLORS = {
    "failed": "red",
    "mistake": "red",
    "flapping": "red",
    "waiting": "yellow",
    "unreachable": "yellow",
    "suspended": "yellow",
}


# How much each kind matters, as syslog numbers it; what is not here is 6, information.
LEVELS = {
    "failed": 3,
    "mistake": 3,
    "flapping": 4,
    "overrun": 4,
    "waiting": 4,
    "unreachable": 4,
    "drift": 4,
    "suspended": 5,
    "resumed": 5,
    "started": 5,
    "ready": 5,
    "reload": 5,
    "files": 5,
    "reached": 5,
    "stopped": 5,
}
NAMES = {3: "error", 4: "warning", 5: "notice", 6: "info"}


def level(kind: str) -> int:
    """How much an event of a kind matters: 3 an error, 4 a warning, 5 a notice, 6 information."""
    return LEVELS.get(kind, 6)


def line(event: Mapping[str, Any], style: Style) -> str:
    """When, what about, what, why; and of which run, for which commit, when it was part of one."""
    commit = f" for {safe(str(event['revision']))[:12]}" if event.get("revision") else ""
    run = f"  [{safe(str(event['run']))}{commit}]" if event.get("run") else ""
    return f"{local(str(event.get('time', '')))}  {words(event, style)}{style.paint(run, 'dim')}\n"


def words(event: Mapping[str, Any], style: Style) -> str:
    """The same without time and run."""
    address, cause = event.get("address"), event.get("cause")
    subject = f"{safe(str(address))}: " if address else ""
    message = safe(str(event.get("message", "")))
    why = f" ({cause})" if cause in ("drift", "removed") and f"({cause})" not in message else ""
    kind = event.get("kind")
    return f"{subject}{style.paint(message, COLORS[kind]) if kind in COLORS else message}{why}"
