"""What goes wrong with one network holds up that one; what it waits for is taken up when it comes."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from tests.watching import watching
from tests.world import World


def network(number: int, **more: Any) -> dict[str, Any]:
    """One with a subnet of its own."""
    return {"subnets": [f"10.{number}.0.0/24"], **more}


TWO: dict[str, Any] = {
    "name": "lab",
    "networks": {"good": network(10), "bad": network(11)},
    "sandboxes": {"a": {"endpoints": {"eth0": "good"}}, "b": {"endpoints": {"eth0": "bad"}}},
}


def test_a_change_that_fails_is_tried_again_and_holds_nobody_up(world: World) -> None:
    """The kernel refuses a bridge: the other network is made and mended, and the refused one when it is tried again."""
    point = {"RECONCILER_FAILPOINT": "before:create.link:*lab-bad*#1=EBUSY"}
    with watching(world, TWO, env=point) as watch:
        watch.kind("created", "network/bad")
        watch.reports("trouble", {})
        watch.reports("failing", {})
        watch.quiet(TWO)
    world.reconciler("destroy", "--name", "lab", "--yes")


def test_somebody_elses_bridge_in_the_way(world: World) -> None:
    """Only what needs its name waits; it is said what is in the way, and left alone; when it goes, all is made."""
    world.run("ip", "link", "add", "lab-bad", "type", "bridge")
    with watching(world, TWO) as watch:
        assert "lab-bad" in watch.report()["trouble"]["network/bad"]["message"]
        assert world.netns() == ["lab.a", "lab.b"]
        assert world.ping("lab.a", "10.10.0.1", timeout=5)
        world.run("ip", "link", "set", "lab-good", "mtu", "1400")
        watch.kind("changed", "network/good")
        watch.signal(signal.SIGHUP)
        watch.kind("reloaded")
        assert world.ip("link", "show", "lab-bad")[0].get("ifalias") is None
        world.run("ip", "link", "del", "lab-bad")
        watch.kind("created", "network/bad")
        watch.quiet(TWO)
        assert world.ping("lab.b", "10.11.0.1", timeout=5)
    world.reconciler("destroy", "--name", "lab", "--yes")


@pytest.mark.needs("macvlan")
def test_a_parent_that_comes_is_taken_up(world: World) -> None:
    """Without it the rest goes on; it appears, goes and comes again, and each time the watch hears of it by itself."""
    lan = network(12, driver="macvlan", options={"parent": "eth8"})
    topology = {
        **TWO,
        "networks": {"good": network(10), "lan": lan},
        "sandboxes": {"a": {"endpoints": {"eth0": "good"}}, "b": {"endpoints": {"eth0": "lan"}}},
    }
    with watching(world, topology, "--resync", "3600") as watch:
        assert "eth8" in watch.report()["trouble"]["sandbox/b/endpoint/eth0"]["message"]
        assert world.ping("lab.a", "10.10.0.1", timeout=5)
        for _ in range(2):
            world.run("ip", "link", "add", "eth8", "type", "veth", "peer", "name", "eth9")
            world.run("ip", "link", "set", "eth9", "up")
            world.run("ip", "link", "set", "eth8", "up")
            watch.kind("created", "sandbox/b/endpoint/eth0")
            watch.reports("trouble", {})
            world.run("ip", "link", "del", "eth8")
            watch.kind("waiting", "sandbox/b/endpoint/eth0")
    world.reconciler("destroy", "--name", "lab", "--yes")


def test_a_given_namespace_that_comes_is_taken_up(world: World) -> None:
    """It is made by somebody else, removed and made again; no notice of links tells of that."""
    topology = {
        **TWO,
        "sandboxes": {**TWO["sandboxes"], "vm": {"netns": "vm7", "endpoints": {"eth0": "good"}}},
    }
    with watching(world, topology, "--resync", "3600") as watch:
        assert "sandbox/vm" in watch.report()["trouble"]
        for _ in range(2):
            world.run("ip", "netns", "add", "vm7")
            watch.until(
                lambda event: (
                    event["kind"] in ("created", "replaced")
                    and event["address"] == "sandbox/vm/endpoint/eth0"
                )
            )
            watch.reports("trouble", {})
            world.run("ip", "netns", "del", "vm7")
            watch.kind("waiting", "sandbox/vm")
    world.reconciler("destroy", "--name", "lab", "--yes")
