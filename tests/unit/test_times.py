"""Times on the command line: what people write, and what is no time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from reconciler.commands import times
from reconciler.errors import UsageError

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The clock of the machine is one hour ahead of UTC."""
    monkeypatch.setenv("TZ", "CET-1")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("15m", 900),
        ("15min", 900),
        ("2h", 7200),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("3d", 259200),
    ],
)
def test_lengths(text: str, seconds: int) -> None:
    """Units may be combined, from the largest to the smallest."""
    assert times.span(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "2", "h", "0s", "-1h", "2 hours", "1m1h", "9999999999s"])
def test_what_is_no_length(text: str) -> None:
    """A number without a unit is none: minutes or seconds would be a guess."""
    with pytest.raises(UsageError, match="is no length of time"):
        times.span(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("14:00", datetime(2026, 11, 24, 13, 0, tzinfo=UTC)),
        ("13:00", datetime(2026, 11, 25, 12, 0, tzinfo=UTC)),
        ("2026-11-24 18:00", datetime(2026, 11, 24, 17, 0, tzinfo=UTC)),
        ("2026-11-24T18:00Z", datetime(2026, 11, 24, 18, 0, tzinfo=UTC)),
        ("2026-11-25", datetime(2026, 11, 24, 23, 0, tzinfo=UTC)),
    ],
)
def test_a_time_to_come(text: str, expected: datetime) -> None:
    """Local time unless it has a zone; a time of day that has been is tomorrow's."""
    assert times.future(text, NOW) == expected


@pytest.mark.parametrize(
    ("text", "why"), [("2026-11-24 12:59", "past"), ("25:00", "no time"), ("soon", "no time")]
)
def test_what_does_not_come(text: str, why: str) -> None:
    """What has been, and what is no time."""
    with pytest.raises(UsageError, match=why):
        times.future(text, NOW)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10m", datetime(2026, 11, 24, 11, 50, tzinfo=UTC)),
        ("12:00", datetime(2026, 11, 24, 11, 0, tzinfo=UTC)),
        ("14:00", datetime(2026, 11, 23, 13, 0, tzinfo=UTC)),
        ("2026-11-01", datetime(2026, 10, 31, 23, 0, tzinfo=UTC)),
    ],
)
def test_a_time_that_was(text: str, expected: datetime) -> None:
    """A length of time is so long ago; a time of day that is still to come is yesterday's."""
    assert times.past(text, NOW) == expected
