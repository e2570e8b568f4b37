"""Times as people write them on a command line: `2h`, `1h30m`, `18:00`, `2026-11-24 18:00`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from ..errors import UsageError

_SPAN = re.compile(r"(?:(\d{1,4})d)?(?:(\d{1,5})h)?(?:(\d{1,6})m(?:in)?)?(?:(\d{1,8})s)?")
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


def span(text: str) -> timedelta:
    """How long `text` is. Raises UsageError."""
    match = _SPAN.fullmatch(text.strip().replace(" ", ""))
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups()) if match else (0, 0, 0, 0)
    found = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    if not found:
        raise UsageError(f"'{text}' is no length of time", hint="as in 30s, 15m, 2h, 1h30m or 3d")
    return found


def future(text: str, now: datetime) -> datetime:
    """A time to come, UTC; a time of day is the next one. Raises UsageError."""
    found = _time(text, now)
    if found is None:
        raise UsageError(f"'{text}' is no time", hint="as in 18:00 or '2026-11-24 18:00', in local time")
    if _CLOCK.fullmatch(text.strip()) and found <= now:
        found += timedelta(days=1)
    if found <= now:
        raise UsageError(f"'{text}' is in the past")
    return found


def past(text: str, now: datetime) -> datetime:
    """A time that was, UTC: a time of day is the last one, a length of time is so long ago. Raises UsageError."""
    found = _time(text, now)
    if found is None:
        try:
            return now - span(text)
        except UsageError:
            hint = "as in 10m (so long ago), 18:00 or '2026-11-24 18:00', in local time"
            raise UsageError(f"'{text}' is no time", hint=hint) from None
    if _CLOCK.fullmatch(text.strip()) and found > now:
        found -= timedelta(days=1)
    return found


def _time(text: str, now: datetime) -> datetime | None:
    """A time of today, or one in ISO form; without a zone it is local time. None for what is neither."""
    if (clock := _CLOCK.fullmatch(text.strip())) is not None:
        today = now.astimezone()
        return today.replace(hour=int(clock[1]), minute=int(clock[2]), second=0, microsecond=0).astimezone(
            UTC
        )
    try:
        return datetime.fromisoformat(text.strip()).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
