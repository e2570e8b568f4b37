"""What is protected: found in a plan whatever happens to it, and let go only by name."""

from __future__ import annotations

import pytest

from reconciler import guard
from reconciler.errors import Refused
from reconciler.objects import HOST, Address, Bridge, Link, Netns
from reconciler.plan import Action, Cause, Change, Plan
from reconciler.render.entries import Verb
from reconciler.sides import Declared, Desired

BRIDGE = Link(netns=HOST, name="br0", kind=Bridge())
DB = Netns(netns="lab.db")
GONE = Change(Action.DELETE, BRIDGE, None, Cause.REMOVED, "network/lan")
REPLACED = (
    Change(Action.DELETE, BRIDGE, None, Cause.DECLARED, "network/lan", replaces=("kind",)),
    Change(Action.CREATE, None, BRIDGE, Cause.DECLARED, "network/lan", replaces=("kind",)),
)
IN_PLACE = Change(Action.UPDATE, BRIDGE, BRIDGE, Cause.DECLARED, "network/lan")
DECLARED = {BRIDGE.key: Declared(BRIDGE, "network/lan")}


@pytest.mark.parametrize(
    ("changes", "desired", "remembered", "expected"),
    [
        ((GONE,), Desired("lab"), {"network/lan"}, {"network/lan": Verb.DELETE}),
        ((GONE,), Desired("lab"), {"network/other"}, {}),
        (
            REPLACED,
            Desired("lab", DECLARED, protected=frozenset({"network/lan"})),
            (),
            {"network/lan": Verb.REPLACE},
        ),
        (REPLACED, Desired("lab", DECLARED), {"network/lan"}, {}),
        ((IN_PLACE,), Desired("lab", DECLARED, protected=frozenset({"network/lan"})), (), {}),
    ],
    ids=["dropped", "another", "replaced", "given up", "in place"],
)
def test_what_is_endangered(
    changes: tuple[Change, ...], desired: Desired, remembered: set[str], expected: dict[str, Verb]
) -> None:
    """Of what is declared the files say whether it is protected; what they dropped is remembered."""
    assert guard.endangered(Plan("lab", changes), desired, remembered) == expected


def test_a_given_sandbox_goes_with_what_we_made_in_it() -> None:
    """Its namespace is not ours to delete, so the end of its endpoints and addresses is its end."""
    gone = Change(
        Action.DELETE,
        Address(netns="/vm", link="e", address="10.0.0.2/24"),
        None,
        Cause.REMOVED,
        "sandbox/vm/endpoint/e",
    )
    assert guard.endangered(Plan("lab", (gone,)), Desired("lab"), {"sandbox/vm"}) == {
        "sandbox/vm": Verb.DELETE
    }


def test_an_endpoint_of_a_protected_sandbox_may_go() -> None:
    """As long as the sandbox itself stays."""
    desired = Desired("lab", {DB.key: Declared(DB, "sandbox/db")}, protected=frozenset({"sandbox/db"}))
    gone = Change(Action.DELETE, BRIDGE, None, Cause.REMOVED, "sandbox/db/endpoint/eth0")
    assert guard.endangered(Plan("lab", (gone,)), desired, {"sandbox/db"}) == {}


def test_a_refusal_names_all_and_says_what_lets_them_go() -> None:
    """Each with what would happen; a pattern lets several go."""
    changes = (GONE, Change(Action.DELETE, DB, None, Cause.REMOVED, "sandbox/db"))
    both = Plan("lab", changes), Desired("lab"), {"network/lan", "sandbox/db"}
    with pytest.raises(Refused) as refused:
        guard.check_protected(*both, ())
    assert refused.value.reasons == (
        "network/lan is protected and would be deleted",
        "sandbox/db is protected and would be deleted",
    )
    assert refused.value.hint == "add --allow-delete network/lan --allow-delete sandbox/db if that is meant"
    with pytest.raises(Refused, match="protected") as refused:
        guard.check_protected(*both, ("sandbox/*",))
    assert refused.value.reasons == ("network/lan is protected and would be deleted",)
    guard.check_protected(*both, ("sandbox/*", "network/lan"))
