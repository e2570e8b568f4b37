"""That a topology is suspended, as one sentence and for programs. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ..health import Suspension
from .style import local, safe


def sentence(suspension: Suspension) -> str:
    """Since when, by whom, until when and why."""
    since = f" since {local(suspension.since)}" if suspension.since else ""
    who = f" by {safe(suspension.by)}" if suspension.by else ""
    until = f", until {local(suspension.until)}" if suspension.until is not None else ""
    return f"Suspended{since}{who}{until}: {safe(suspension.reason)}"


def document(suspension: Suspension | None) -> dict[str, Any] | None:
    """The same for programs."""
    return None if suspension is None else asdict(suspension)
