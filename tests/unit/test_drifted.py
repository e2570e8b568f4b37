"""What of a plan is drift: changes, attributes, what follows from them, and nothing else."""

from __future__ import annotations

from reconciler.drifted import drifted
from reconciler.objects import HOST, Address, Bridge, Link
from reconciler.plan import Action, AttributeChange, Cause, Change, Conflict, Pending, Plan

BRIDGE = Link(netns=HOST, name="br0", kind=Bridge(), mtu=1500)
ADDRESS = Address(netns=HOST, link="br0", address="10.0.0.1/24")


def update(*attributes: AttributeChange, cause: Cause = Cause.DECLARED) -> Change:
    """A change in place of the bridge."""
    return Change(Action.UPDATE, BRIDGE, BRIDGE, cause, "network/lan", attributes=attributes)


def attribute(name: str, cause: Cause, *, forces: bool = False) -> AttributeChange:
    """One that is one thing and shall be another."""
    return AttributeChange(name, 1, 2, cause, forces)


def test_what_the_files_ask_for_is_left_out() -> None:
    """New, changed and removed things are no drift; what is missing that was there is."""
    created = Change(Action.CREATE, None, ADDRESS, Cause.DECLARED, "network/lan")
    removed = Change(Action.DELETE, ADDRESS, None, Cause.REMOVED, "network/old")
    lost = Change(Action.CREATE, None, ADDRESS, Cause.DRIFT, "network/lan")
    edited = update(attribute("mtu", Cause.DECLARED))
    assert drifted(Plan("lab", (created, removed, lost, edited)), ()).changes == (lost,)


def test_one_attribute_may_be_drift_and_another_not() -> None:
    """Only that one is shown."""
    mixed = update(attribute("mtu", Cause.DECLARED), attribute("up", Cause.DRIFT))
    (found,) = drifted(Plan("lab", (mixed,)), ()).changes
    assert [one.name for one in found.attributes] == ["up"]


def test_a_replacement_for_the_files_sake_is_not_shown_as_one() -> None:
    """What differs besides is a change in place."""
    attributes = (attribute("kind", Cause.DECLARED, forces=True), attribute("up", Cause.DRIFT))
    replaced = [
        Change(action, before, after, Cause.DECLARED, "network/lan", None, attributes, ("kind",))
        for action, before, after in ((Action.DELETE, BRIDGE, None), (Action.CREATE, None, BRIDGE))
    ]
    (found,) = drifted(Plan("lab", tuple(replaced)), ()).changes
    assert (found.action, found.replaces, [one.name for one in found.attributes]) == (
        Action.UPDATE,
        (),
        ["up"],
    )


def test_what_follows_from_drift_belongs_to_it() -> None:
    """An address that goes with the link is made again; one that goes with an edit is not drift."""
    lost = Change(Action.DELETE, BRIDGE, None, Cause.DRIFT, "network/lan", interrupts=("sandbox/a",))
    again = [
        Change(Action.CREATE, None, ADDRESS, Cause.DEPENDENCY, origin)
        for origin in ("network/lan", "sandbox/a", "network/other")
    ]
    changes = drifted(Plan("lab", (lost, *again)), ()).changes
    assert [change.origin for change in changes] == ["network/lan", "network/lan", "sandbox/a"]


def test_what_waits_or_is_in_the_way_is_drift_if_it_was_there() -> None:
    """A parent that was removed, a name that somebody took."""
    pending = Pending(("link", HOST, "eth1"), "network/lan", "link eth1 is down", "")
    conflicts = tuple(
        Conflict(("link", HOST, name), "network/lan", "somebody else's", "") for name in ("br0", "br1")
    )
    found = Plan("lab", (), conflicts, pending=(pending,), withheld=frozenset({BRIDGE.key}))
    before = drifted(found, ())
    assert (before.conflicts, before.pending) == ((), ())
    after = drifted(found, {BRIDGE.key})
    assert (after.conflicts, after.pending) == (conflicts[:1], (pending,))
