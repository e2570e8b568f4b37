"""How long an address is left alone: after failures, and where somebody undoes every repair. The time is given."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reconciler.watch.patience import CALM, FIRST, FLAPS, LONGEST, WINDOW, Patience

WEB = "sandbox/web"


def patience(jitter: float = 0.5) -> Patience:
    """With no jitter in either direction, unless another is given."""
    return Patience(lambda: jitter)


def test_each_failure_doubles_the_wait_up_to_a_minute() -> None:
    """From a tenth of a second on; until then the address is held, from then on it is not."""
    kept = patience()
    waits = [kept.failed(WEB, 0.0) for _ in range(30)]
    assert waits[:4] == [FIRST, 2 * FIRST, 4 * FIRST, 8 * FIRST]
    assert waits[-1] == LONGEST
    assert kept.held(LONGEST - 0.1) == {WEB: LONGEST}
    assert kept.held(LONGEST) == {}


def test_a_success_begins_anew() -> None:
    """The next failure is a first one."""
    kept = patience()
    kept.failed(WEB, 0.0)
    kept.failed(WEB, 1.0)
    kept.succeeded(WEB)
    assert kept.failed(WEB, 2.0) == FIRST


def test_addresses_do_not_hold_each_other() -> None:
    """One that fails does not hold up another; the first that may be tried again says when to look."""
    kept = patience()
    kept.failed("a", 0.0)
    kept.failed("b", 0.0)
    kept.failed("b", 0.0)
    assert kept.due(0.0) == FIRST
    assert kept.held(FIRST) == {"b": 2 * FIRST}
    assert kept.due(1.0) is None


def test_a_fight_is_slowed_down_and_named() -> None:
    """The fifth repair within a minute waits, each further one longer."""
    kept = patience()
    for number in range(FLAPS - 1):
        kept.repaired(WEB, "mtu", float(number))
    assert (kept.held(4.0), kept.flapping(4.0)) == ({}, [])
    kept.repaired(WEB, "mtu", 4.0)
    assert kept.held(4.0) == {WEB: 5.0}
    kept.repaired(WEB, "up", 5.0)
    assert kept.held(5.0) == {WEB: 7.0}
    (fight,) = kept.flapping(5.0)
    assert (fight.address, fight.times, fight.what) == (WEB, 6, "up")


def test_slow_drift_is_no_fight() -> None:
    """Five repairs, but never five within a minute."""
    kept = patience()
    for number in range(20):
        kept.repaired(WEB, "mtu", number * WINDOW / (FLAPS - 2))
    assert kept.flapping(20 * WINDOW) == []


def test_a_fight_ends_in_calm() -> None:
    """It is named no longer, and the next repair is answered at once."""
    kept = patience()
    for number in range(8):
        kept.repaired(WEB, "mtu", float(number))
    later = 7.0 + CALM + 1
    assert kept.flapping(later) == []
    kept.repaired(WEB, "mtu", later)
    assert kept.held(later) == {}


def test_a_fight_is_not_older_than_it_is() -> None:
    """What was repaired long before belongs to another story, and is not kept for this one."""
    kept = patience()
    for number in range(10):
        kept.repaired(WEB, "mtu", number * CALM / 3)
    began = 10 * CALM
    for number in range(FLAPS):
        kept.repaired(WEB, "mtu", began + number)
    (fight,) = kept.flapping(began + FLAPS)
    assert (fight.times, fight.seconds) == (FLAPS, FLAPS)


def test_what_is_no_longer_known_is_forgotten() -> None:
    """An address that left the files holds nothing when it comes back."""
    kept = patience()
    kept.failed(WEB, 0.0)
    kept.failed("other", 0.0)
    kept.forget(["other"])
    assert set(kept.held(0.0)) == {"other"}
    assert kept.failed(WEB, 0.0) == FIRST


@given(st.lists(st.tuples(st.sampled_from("fsr"), st.floats(0, 100)), max_size=60), st.floats(0, 1))
def test_nobody_waits_longer_than_a_minute_and_a_bit(steps: list[tuple[str, float]], jitter: float) -> None:
    """Whatever happens in whatever order."""
    kept, now = patience(jitter), 0.0
    for step, passed in steps:
        now += passed
        match step:
            case "f":
                assert 0 < kept.failed(WEB, now) <= LONGEST * 1.2
            case "s":
                kept.succeeded(WEB)
            case _:
                kept.repaired(WEB, "mtu", now)
        assert all(until - now <= LONGEST * 1.2 for until in kept.held(now).values())
