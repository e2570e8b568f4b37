"""Sequences in parts: plans and outcomes of ten thousands of entries, for who looks at them one by one and who does not."""

from __future__ import annotations

from reconciler.errors import KernelError
from reconciler.joined import Joined, parts
from reconciler.objects import HOST, Neighbour, Netns
from reconciler.outcome import Done, Outcome, done, undone
from reconciler.plan import Action, Cause, Change, Creations, apart
from reconciler.sides import Declared, Entries

OTHER = Change(Action.CREATE, None, Netns(netns="lab.a"), Cause.DECLARED, "sandbox/a")
NEIGHBOURS = [
    Neighbour(netns=HOST, link="vx", address=f"10.0.0.{n}", mac="02:00:00:00:00:01") for n in (1, 2, 3)
]
MANY = Creations(Entries({each.key: Declared(each, "network/back") for each in NEIGHBOURS}), Cause.DRIFT)
SINGLY = [Change(Action.CREATE, None, each, Cause.DRIFT, "network/back") for each in NEIGHBOURS]


def test_parts_are_one_sequence() -> None:
    """As long as all of them, in order, equal to a tuple of the same, and flat however it was put together."""
    both = Joined(([OTHER], (), Joined((MANY, [OTHER]))))
    assert [*both] == [OTHER, *SINGLY, OTHER]
    assert both == (OTHER, *SINGLY, OTHER)
    assert (OTHER, *SINGLY, OTHER) == both
    assert both != (OTHER,)
    assert (len(both), both[0], both[-1], both[1:3]) == (5, OTHER, OTHER, tuple(SINGLY[:2]))
    assert parts(both) == ([OTHER], MANY, [OTHER])
    assert not Joined(((), []))
    assert parts(()) == ()


def test_creations_are_changes() -> None:
    """Each by itself says what it would say alone; who wants only the others is not given them."""
    assert [*MANY] == SINGLY
    assert (MANY[1], MANY[:2], len(MANY)) == (SINGLY[1], tuple(SINGLY[:2]), 3)
    assert MANY.of(NEIGHBOURS[2].key) == SINGLY[2]
    assert [*apart(Joined(([OTHER], MANY)))] == [OTHER]
    assert [*apart(tuple(SINGLY))] == SINGLY


def test_what_was_done() -> None:
    """Of outcomes in parts, as of a list of the same."""
    failed = Outcome(OTHER, KernelError("no", errno=16))
    outcomes = Joined((Done(MANY), [failed, Outcome(OTHER)]))
    assert [*outcomes] == [*map(Outcome, SINGLY), failed, Outcome(OTHER)]
    assert (outcomes[1], Done(MANY)[0], [*Done(MANY)[1:]]) == (
        Outcome(SINGLY[1]),
        Outcome(SINGLY[0]),
        [*map(Outcome, SINGLY[1:])],
    )
    assert undone(outcomes) == undone(tuple(outcomes)) == [failed]
    assert done(outcomes) == done(tuple(outcomes)) == (*SINGLY, OTHER)
