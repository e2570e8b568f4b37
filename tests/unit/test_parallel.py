"""Work that two threads share: the order of results, what is raised, and what happens when there is no thread."""

from __future__ import annotations

import threading

import pytest

from reconciler.kernel import parallel


def test_results_come_in_the_order_of_the_items() -> None:
    """Whoever did it, each result stands where its item stood."""
    assert parallel.each(lambda item: item * 10, range(101)) == [item * 10 for item in range(101)]


def test_two_threads_work_at_once() -> None:
    """Two items can wait for each other, which one thread alone would do for ever."""
    meeting = threading.Barrier(2, timeout=10)
    parallel.each(lambda _: meeting.wait(), range(20))


@pytest.mark.parametrize("bad", [10, 11])
def test_an_exception_of_either_thread_is_raised(bad: int) -> None:
    """It reaches the caller, after the other thread has done its share."""
    done: list[int] = []

    def work(item: int) -> None:
        if item == bad:
            raise KeyError(item)
        done.append(item)

    with pytest.raises(KeyError):
        parallel.each(work, range(20))
    assert sorted(done) == [item for item in range(20) if item % 2 != bad % 2 or item < bad]


def test_no_thread_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the limit of processes the work is done all the same."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert parallel.each(lambda item: item, range(20)) == list(range(20))
