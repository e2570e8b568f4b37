"""What is left of a plan when something in it has to rest, and what an apply of that says of the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reconciler import pipeline
from reconciler.apply import Options, Result, apply
from reconciler.objects import HOST, Address, Bridge, Link, LinkRef, Netns, Route, Veth
from reconciler.pipeline import Loaded
from reconciler.plan import Action, Cause, Change, Plan, hold
from tests.fake import FakeKernel
from tests.unit.test_cases import Quiet, load, look, run

BRIDGE = Link(netns=HOST, name="br0", kind=Bridge(), mtu=1500)
PORT = Link(netns=HOST, name="web0", kind=Veth(peer=LinkRef("web", "eth0")), master="br0")
NETNS = Netns(netns="web")
END = Link(netns="web", name="eth0", kind=Veth(peer=LinkRef(HOST, "web0"), made_by_peer=True))
ADDRESS = Address(netns="web", link="eth0", address="10.0.0.2/24")
SECOND = Address(netns="web", link="eth0", address="10.0.0.3/24")
ROUTE = Route(netns="web", to="0.0.0.0/0", via="10.0.0.1", dev="eth0")
OTHER = Netns(netns="db")
LAB = {
    "name": "lab",
    "networks": {"lan": {"subnets": ["10.10.0.0/24"]}},
    "sandboxes": {"web": {"endpoints": {"eth0": "lan"}}},
}
LAN, WEB, ETH0, DB = "network/lan", "sandbox/web", "sandbox/web/endpoint/eth0", "sandbox/db"


def create(obj: Any, origin: str, cause: Cause = Cause.DRIFT, *, replaces: tuple[str, ...] = ()) -> Change:
    """Something is to be made."""
    return Change(Action.CREATE, None, obj, cause, origin, replaces=replaces)


def update(obj: Any, origin: str, cause: Cause = Cause.DRIFT) -> Change:
    """Something is to be changed in place."""
    return Change(Action.UPDATE, obj, obj, cause, origin)


def delete(obj: Any, origin: str, cause: Cause = Cause.DRIFT, *, replaces: tuple[str, ...] = ()) -> Change:
    """Something is to be deleted."""
    return Change(Action.DELETE, obj, None, cause, origin, replaces=replaces)


MADE = (
    create(OTHER, DB),
    create(BRIDGE, LAN),
    create(NETNS, WEB),
    create(PORT, ETH0),
    create(END, ETH0),
    create(ADDRESS, ETH0),
    create(ROUTE, WEB),
)
REPLACED = (
    delete(BRIDGE, LAN, replaces=("kind",)),
    create(OTHER, DB),
    create(BRIDGE, LAN, replaces=("kind",)),
    update(PORT, ETH0, Cause.DEPENDENCY),
)
FIRST = (delete(ADDRESS, ETH0), create(SECOND, WEB, Cause.DEPENDENCY), create(OTHER, DB))
IN_PLACE = (update(BRIDGE, LAN), create(NETNS, WEB), create(PORT, ETH0), create(END, ETH0))


@pytest.mark.parametrize(
    ("changes", "origins", "left"),
    [
        pytest.param(MADE, {DB}, MADE[1:], id="only that"),
        pytest.param(MADE, {"sandbox/unknown"}, MADE, id="what has nothing to do"),
        pytest.param(MADE, {ETH0}, MADE[:3], id="a route over a link that is not made"),
        pytest.param(MADE, {WEB}, MADE[:2], id="all of a namespace that is not made"),
        pytest.param(MADE, {LAN}, (MADE[0], MADE[2]), id="a port of a bridge that is not made"),
        pytest.param(IN_PLACE, {LAN}, IN_PLACE[1:], id="a port of a bridge that is there"),
        pytest.param(REPLACED, {LAN}, (REPLACED[1],), id="what would only have been lost by a replacement"),
        pytest.param(FIRST, {ETH0}, FIRST[2:], id="what would only have been lost by a deletion"),
        pytest.param(
            (delete(END, ETH0), delete(NETNS, WEB)),
            {WEB},
            (delete(END, ETH0),),
            id="a deletion stands on nothing",
        ),
    ],
)
def test_what_is_left(changes: tuple[Change, ...], origins: set[str], left: tuple[Change, ...]) -> None:
    """In the same order; what rests is named by key."""
    found = hold(Plan("lab", changes, unchanged=7, resting=frozenset({("netns", "before")})), origins)
    assert found.changes == left
    resting = {change.key for change in changes} - {change.key for change in left}
    assert found.resting == resting | {("netns", "before")}
    assert found.unchanged == 7


def test_nothing_rests() -> None:
    """The plan is the plan."""
    found = Plan("lab", MADE)
    assert hold(found, ()) is found


def applied_without(loaded: Loaded, kernel: FakeKernel, origins: set[str]) -> Result:
    """An apply of everything else."""
    todo, options = hold(look(loaded, kernel).plan, origins), Options(wait=False)
    return apply(todo, loaded.desired, loaded.leases, kernel, loaded.store, reporter=Quiet(), options=options)


def test_an_apply_says_what_it_left(tmp_path: Path) -> None:
    """What rested is nothing that went wrong, but whoever asks how things are must see it."""
    loaded, kernel = load(tmp_path, LAB), FakeKernel()
    with loaded.store.lock():
        result = applied_without(loaded, kernel, {ETH0})
    assert result.remaining is None
    assert result.seen is not None
    observed, left = result.seen
    assert observed == look(loaded, kernel).observed
    assert {change.key for change in left.changes} == result.plan.resting


def test_what_rests_stays_drift(tmp_path: Path) -> None:
    """Whatever else is applied meanwhile: it was established once, and the files did not change."""
    loaded, kernel = load(tmp_path, LAB), FakeKernel()
    run(loaded, kernel)
    kernel.delete(("netns", "lab.web"))
    kernel.delete(("address", HOST, "lab-lan", "10.10.0.1/24"))
    with loaded.store.lock():
        applied_without(loaded, kernel, {WEB, ETH0})
        left = pipeline.look(loaded.desired, loaded.store, kernel, loaded.store.applied()).plan
    assert not [change for change in left.changes if change.origin == LAN]
    assert {change.cause for change in left.changes} == {Cause.DRIFT}
