"""The log of events as its readers see it: nothing twice, nothing left out when it is turned over, nothing torn."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.happened import Event
from reconciler.state import Store
from reconciler.watch import watched
from reconciler.watch.eventlog import EventLog, Record
from reconciler.watch.watched import Desk


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A place in the state directory whose log is turned over after every few events."""
    monkeypatch.setattr(watched, "_LARGEST", 300)
    store = Store(tmp_path, "lab")
    store.make()
    return Desk(store)


@pytest.fixture
def log(desk: Desk) -> Iterator[EventLog]:
    """Its log, open."""
    with EventLog(desk.events) as log:
        yield log


def messages(records: list[Record]) -> list[str]:
    """What they say."""
    return [record["message"] for record in records]


def test_nothing_has_happened(log: EventLog) -> None:
    """No log is an empty log."""
    assert log.past() == []
    assert log.news() == []


def test_what_was_turned_over_comes_first(desk: Desk, log: EventLog) -> None:
    """The former log and the present one are read as one."""
    for number in range(4):
        desk.note(Event("changed", str(number)))
    assert desk.events.with_suffix(".1.jsonl").exists()
    assert messages(log.past()) == ["0", "1", "2", "3"]


def test_following_over_turns(desk: Desk, log: EventLog) -> None:
    """Each event is seen once, also those that were written just before the log was turned over."""
    assert log.past() == []
    seen: list[str] = []
    for number in range(20):
        desk.note(Event("changed", str(number)))
        if number % 2:
            seen += messages(log.news())
    assert seen == [str(number) for number in range(20)]


def test_a_line_that_is_not_whole_is_left_for_later(desk: Desk, log: EventLog) -> None:
    """What another process is just writing is no mistake; what is no event is passed over."""
    desk.note(Event("changed", "first"))
    whole = json.dumps({"time": "2026-11-24T10:00:00+00:00", "message": "second"})
    with desk.events.open("a") as file:
        file.write(f"garbage\n[1]\n{{}}\n{whole[:20]}")
        file.flush()
        assert messages(log.past()) == ["first"]
        file.write(f"{whole[20:]}\n")
    assert messages(log.news()) == ["second"]


def test_a_log_that_went_away_and_came_again(desk: Desk, log: EventLog) -> None:
    """After a destroy and another apply it is followed on."""
    desk.note(Event("changed", "before"))
    assert messages(log.past()) == ["before"]
    desk.store.remove()
    assert log.news() == []
    desk.store.make()
    desk.note(Event("changed", "after"))
    assert messages(log.news()) == ["after"]


def test_many_events_are_one_write(desk: Desk, log: EventLog) -> None:
    """An apply leaves one for each address."""
    desk.note(
        *(Event("created", "created", f"sandbox/s{number}", "declared", "1a2b3c4d") for number in range(3))
    )
    found = log.past()
    assert [record["address"] for record in found] == ["sandbox/s0", "sandbox/s1", "sandbox/s2"]
    assert set(found[0]) == {"time", "topology", "kind", "message", "address", "cause", "run", "revision"}
