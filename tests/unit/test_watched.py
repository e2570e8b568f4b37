"""What a watch and others leave for each other: whole, readable, and distrusted where it is damaged."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler import standing
from reconciler.errors import LockHeld, UsageError
from reconciler.happened import Event
from reconciler.health import Condition, Failing, Flapping, Reason, Suspension
from reconciler.render.status import Pulse
from reconciler.state import Store
from reconciler.watch.watched import Desk, Report, now

REPORT = Report(
    os.getpid(),
    now(),
    now(),
    "abc",
    suspended=Suspension("why", now()),
    mistakes=("lab.yaml:1:1: broken",),
    trouble={"network/lan": Condition("network/lan", Reason.CONFLICT, "in the way")},
    failing={"sandbox/a": Failing(3, "busy", now())},
    flapping={"sandbox/b": Flapping(5, "mtu")},
)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """The place of a topology that has been applied."""
    store = Store(tmp_path / "state", "lab")
    store.make()
    return Desk(store)


def test_a_report_comes_back(desk: Desk) -> None:
    """All of it, and only its owner may read it."""
    assert desk.report() is None
    desk.write(REPORT)
    assert desk.report() == REPORT
    assert (desk.events.parent / "watch.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"mistakes": 7}', "\ufffd", json.dumps({"suspended": {"x": 1}, "mistakes": []})],
)
def test_a_damaged_report_is_none(desk: Desk, text: str) -> None:
    """Nothing is believed of it."""
    (desk.events.parent / "watch.json").write_text(text)
    assert desk.report() is None


def test_a_suspension_ends_by_itself(desk: Desk) -> None:
    """It holds until its time, or until it is taken back."""
    later = datetime.now(UTC) + timedelta(hours=1)
    earlier = datetime.now(UTC) - timedelta(seconds=1)
    for suspension in (Suspension("why", now()), Suspension("why", now(), later.isoformat(), "anna")):
        desk.suspend(suspension)
        assert desk.suspension() == suspension
    assert desk.resume()
    assert not desk.resume()
    desk.suspend(Suspension("why", now(), earlier.isoformat()))
    assert desk.suspension() is None
    assert not desk.resume()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"reason": "x", "since": "", "until": "soon"}'])
def test_a_damaged_suspension_still_suspends(desk: Desk, text: str) -> None:
    """Somebody asked for rest, and it is not known until when."""
    (desk.events.parent / "suspend.json").write_text(text)
    found = desk.suspension()
    assert found is not None
    assert "damaged" in found.reason
    assert desk.resume()


def test_what_was_never_applied_cannot_be_suspended(tmp_path: Path) -> None:
    """No directory is made for it."""
    desk = Desk(Store(tmp_path, "lab"))
    with pytest.raises(UsageError, match="never applied"):
        desk.suspend(Suspension("why", now()))
    assert list(tmp_path.iterdir()) == []


def test_one_watch_at_a_time(desk: Desk) -> None:
    """Others see that there is one, and asking does not get in the way of one that starts."""
    assert not desk.is_occupied()
    with desk.occupied():
        assert desk.is_occupied()
        with pytest.raises(LockHeld, match="is watched already"), desk.occupied():
            pass
    assert not desk.is_occupied()


def test_the_pulse_of_a_watch(desk: Desk) -> None:
    """Running, silent, stopped, killed: what a report says is held against the lock and the clock."""
    assert standing.pulse(desk).pulse is Pulse.NONE
    just_now = replace(REPORT, written=now())
    long_ago = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    with desk.occupied():
        assert standing.pulse(desk).pulse is Pulse.RUNNING
        for report, pulse in (
            (just_now, Pulse.RUNNING),
            (replace(REPORT, written=long_ago), Pulse.SILENT),
            (replace(just_now, stopped=now()), Pulse.RUNNING),
        ):
            desk.write(report)
            assert standing.pulse(desk).pulse is pulse
    assert standing.pulse(desk).pulse is Pulse.STOPPED
    desk.write(just_now)
    assert standing.pulse(desk).pulse is Pulse.KILLED
    assert standing.told(desk).conditions == ()


def test_what_cannot_be_written_stops_nobody(desk: Desk) -> None:
    """A log or report that is in the way, or a directory that is gone, loses words and nothing else."""
    (desk.events.parent / "events.jsonl").symlink_to("elsewhere")
    (desk.events.parent / "watch.json").mkdir()
    desk.note(Event("changed", "lost"))
    desk.write(REPORT)
    assert desk.report() is None
    assert not (desk.events.parent / "elsewhere").exists()
