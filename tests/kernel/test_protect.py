"""What is protected stays, whoever would take it away, until it is named or given up."""

from __future__ import annotations

import json
from typing import Any

from tests.watching import watching
from tests.world import World

FRONT = {"subnets": ["10.10.0.0/24"], "protect": True}
LAB: dict[str, Any] = {
    "name": "lab",
    "networks": {"front": FRONT, "back": {"subnets": ["10.20.0.0/24"]}},
    "sandboxes": {
        "a": {"endpoints": {"eth0": "front"}},
        "db": {"protect": True, "endpoints": {"eth0": "front"}},
    },
}
WITHOUT_DB = {**LAB, "sandboxes": {"a": LAB["sandboxes"]["a"]}}


def lab(world: World, topology: dict[str, Any]) -> Any:
    """The file with that in it."""
    return world.write("lab.topo.yaml", json.dumps(topology))


def test_an_edit_that_drops_it_is_refused(world: World) -> None:
    """With the key gone as well; nothing else of the edit is done; the plan says so before; by name it goes."""
    clean = world.snapshot()
    world.reconciler("apply", lab(world, LAB))
    edited = lab(world, {**WITHOUT_DB, "networks": {"front": FRONT}})
    planned = world.reconciler("plan", edited).stdout
    assert (
        "note: apply refuses this, since it would take away what is protected in topology 'lab'\n" in planned
    )
    assert "  sandbox/db is protected and would be deleted\n  add --allow-delete sandbox/db" in planned
    refused = world.reconciler("apply", edited, "--yes", exit=5).stderr
    assert "sandbox/db is protected and would be deleted" in refused
    assert "--allow-delete sandbox/db" in refused
    assert world.netns() == ["lab.a", "lab.db"]
    assert world.ip("link", "show", "lab-back")
    stalled = world.reconciler("status", edited, "-o", "json").json()["conditions"]
    assert ("sandbox/db", "Protected") in [(one["address"], one["reason"]) for one in stalled]

    assert "front" in world.reconciler("destroy", edited, "--yes", exit=5).stderr
    destroying = world.reconciler("plan", "--destroy", edited, "-o", "json").json()["refusals"]
    assert [one["flags"] for one in destroying] == [
        ["--allow-delete network/front", "--allow-delete sandbox/db"]
    ]
    world.reconciler("apply", edited, "--yes", "--allow-delete", "sandbox/db")
    assert world.netns() == ["lab.a"]
    world.reconciler("destroy", "--name", "lab", "--yes", "--allow-delete", "network/*")
    world.assert_unchanged(clean)


def test_a_replacement_is_refused_and_a_change_in_place_is_not(world: World) -> None:
    """Another driver needs another device; another MTU does not."""
    world.reconciler("apply", lab(world, LAB))
    world.reconciler(
        "apply", lab(world, {**LAB, "networks": {**LAB["networks"], "front": {**FRONT, "mtu": 1400}}})
    )
    renamed = {**FRONT, "options": {"name": "br-front"}}
    edited = lab(world, {**LAB, "networks": {**LAB["networks"], "front": renamed}})
    world.reconciler("plan", edited, "--out", world.root / "files" / "plan")
    for words in ((edited,), (world.root / "files" / "plan",)):
        refused = world.reconciler("apply", *words, "--yes", exit=5).stderr
        assert "network/front is protected and would be replaced" in refused
    given_up = {**renamed, "protect": False}
    world.reconciler(
        "apply", lab(world, {**LAB, "networks": {**LAB["networks"], "front": given_up}}), "--yes"
    )
    assert world.ip("link", "show", "br-front")
    world.reconciler("destroy", "--name", "lab", "--yes", "--allow-delete", "sandbox/db")


def test_a_mark_that_comes_or_goes_alone_is_remembered(world: World) -> None:
    """Although the kernel needs no change for it."""
    plain = {**LAB, "sandboxes": {**LAB["sandboxes"], "db": {"endpoints": {"eth0": "front"}}}}
    world.reconciler("apply", lab(world, plain))
    assert "In sync" in world.reconciler("apply", lab(world, LAB)).stdout
    world.reconciler("apply", lab(world, WITHOUT_DB), "--yes", exit=5)
    assert "In sync" in world.reconciler("apply", lab(world, plain)).stdout
    world.reconciler("apply", lab(world, WITHOUT_DB), "--yes")
    assert world.netns() == ["lab.a"]
    world.reconciler("destroy", "--name", "lab", "--yes", "--allow-delete", "*")


def test_a_watch_refuses_too_and_follows_what_was_done_by_hand(world: World) -> None:
    """It keeps the last good topology; after an apply that was allowed to, it does not make again what is gone."""
    with watching(world, LAB) as watch:
        watch.edit(WITHOUT_DB)
        assert "protected" in watch.kind("mistake")["message"]
        world.reconciler("apply", watch.file, "--yes", "--allow-delete", "sandbox/db")
        watch.kind("files")
        watch.reports("mistakes", [])
        assert world.netns() == ["lab.a"]
        world.run("ip", "link", "set", "lab-front", "down")
        watch.kind("changed", "network/front")
        assert world.netns() == ["lab.a"]
    world.reconciler("destroy", "--name", "lab", "--yes", "--allow-delete", "network/front")
