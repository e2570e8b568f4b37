"""The watch: what others undo is made good, what is wrong with the files changes nothing, and it ends as it should."""

from __future__ import annotations

import json
import signal
from typing import Any

from tests.watching import watching
from tests.world import World

LAB: dict[str, Any] = {
    "name": "lab",
    "networks": {"front": {"subnets": ["10.10.0.0/24"]}},
    "sandboxes": {
        "a": {"endpoints": {"eth0": {"network": "front", "addresses": ["10.10.0.11"]}}},
        "b": {"endpoints": {"eth0": {"network": "front", "addresses": ["10.10.0.12"]}}},
    },
}


def in_sync(world: World, topology: dict[str, Any] = LAB) -> None:
    """A fresh process that looks at everything finds nothing to do."""
    file = world.write("again.topo.yaml", json.dumps(topology))
    world.reconciler("plan", file, "--exit-code")


def test_what_docker_does_not_notice(world: World) -> None:
    """The bridge loses its address and goes down, an endpoint and a whole namespace are deleted: all is healed."""
    clean = world.snapshot()
    with watching(world, LAB) as watch:
        world.run("ip", "address", "del", "10.10.0.1/24", "dev", "lab-front")
        watch.kind("changed", "network/front")
        assert world.ping("lab.a", "10.10.0.1")

        world.run("ip", "link", "set", "lab-front", "down")
        watch.kind("changed", "network/front")
        assert world.ping("lab.a", "10.10.0.12")

        world.run("ip", "link", "del", "lab-b-eth0")
        assert watch.kind("created", "sandbox/b/endpoint/eth0")["cause"] == "drift"
        assert world.ping("lab.a", "10.10.0.12")

        world.run("ip", "netns", "del", "lab.b")  # its link in the host goes a little later, or is replaced
        watch.until(
            lambda e: e["address"] == "sandbox/b/endpoint/eth0" and e["kind"] in ("created", "replaced")
        )
        assert world.ping("lab.a", "10.10.0.12")

        world.run("ip", "address", "flush", "dev", "eth0", netns="lab.a")
        watch.kind("changed", "sandbox/a/endpoint/eth0")
        assert world.ping("lab.b", "10.10.0.11")
        watch.reports("trouble", {})
    in_sync(world)
    world.reconciler("destroy", "--name", "lab", "--yes")
    world.assert_unchanged(clean)


def test_files_that_are_wrong_change_nothing(world: World) -> None:
    """Broken, empty, emptied, gone: the last good topology stays and is kept; a good one is taken over."""
    clean = world.snapshot()
    with watching(world, LAB) as watch:
        for text in (
            "name: [",
            "",
            json.dumps({**LAB, "sandboxes": {}, "networks": {}}),
            json.dumps({**LAB, "name": "x"}),
        ):
            world.write("lab.topo.yaml", text)
            watch.kind("mistake")
        world.call(watch.file.unlink)
        watch.kind("mistake")
        world.run("ip", "link", "set", "lab-front", "down")
        watch.kind("changed", "network/front")
        assert world.netns() == ["lab.a", "lab.b"]

        edited = {**LAB, "sandboxes": {"a": LAB["sandboxes"]["a"]}}
        world.write("lab.topo.yaml", json.dumps(edited))
        watch.kind("files")
        watch.kind("deleted", "sandbox/b")
        watch.reports("mistakes", [])
        watch.edit(LAB)
        watch.kind("created", "sandbox/b/endpoint/eth0")
    in_sync(world)
    world.reconciler("destroy", "--name", "lab", "--yes")
    world.assert_unchanged(clean)


def test_one_watch_at_a_time(world: World) -> None:
    """The second is refused by name; an apply works beside the watch; a destroy would be undone and is refused."""
    with watching(world, LAB) as watch:
        file = watch.file
        assert "is watched already" in world.reconciler("watch", file, exit=6).stderr
        world.reconciler("apply", file, "--yes")
        assert "is watched" in world.reconciler("destroy", file, "--yes", exit=6).stderr
        other = {
            **LAB,
            "name": "other",
            "networks": {"front": {"subnets": ["10.11.0.0/24"]}},
            "sandboxes": {},
        }
        with watching(world, other) as second:
            world.run("ip", "link", "set", "other-front", "down")
            second.kind("changed", "network/front")
            assert watch.report()["repaired"] == 0
    world.reconciler("destroy", "--name", "lab", "--yes")
    world.reconciler("destroy", "--name", "other", "--yes")


def test_a_fight_is_slow_and_has_a_name(world: World) -> None:
    """Somebody who undoes every repair is told of, and no longer answered at once."""
    with watching(world, LAB) as watch:
        for _ in range(5):
            world.run("ip", "link", "set", "lab-front", "mtu", "1400")
            watch.kind("changed", "network/front")
        flapping = watch.kind("flapping", "network/front")
        assert "undone 5 times" in flapping["message"]
        assert "mtu" in flapping["message"]
        watch.reports("repaired", 5)
        assert watch.report()["flapping"]["network/front"]["what"] == "mtu"
    world.reconciler("destroy", "--name", "lab", "--yes")


def test_detect_only(world: World) -> None:
    """It says what differs, and changes nothing."""
    file = world.write("lab.topo.yaml", json.dumps(LAB))
    world.reconciler("apply", file)
    with watching(world, LAB, "--detect-only") as watch:
        world.run("ip", "link", "set", "lab-front", "mtu", "1400")
        assert watch.kind("drift", "network/front")["message"] == "differs: mtu (drift)"
        assert world.ip("link", "show", "lab-front")[0]["mtu"] == 1400
    world.reconciler("destroy", "--name", "lab", "--yes")


def test_reload_on_sighup_and_what_makes_no_event(world: World) -> None:
    """A kernel setting changes without notice; a signal makes the watch look at everything."""
    lab = {
        **LAB,
        "sandboxes": {
            **LAB["sandboxes"],
            "a": {**LAB["sandboxes"]["a"], "sysctls": {"net.core.somaxconn": 77}},
        },
    }
    with watching(world, lab) as watch:
        world.run("sysctl", "-qw", "net.core.somaxconn=99", netns="lab.a")
        watch.signal(signal.SIGHUP)
        watch.kind("changed", "sandbox/a")
        assert world.sysctl("net.core.somaxconn", netns="lab.a") == "77"
    world.reconciler("destroy", "--name", "lab", "--yes")


def test_a_damaged_state_does_not_end_it(world: World) -> None:
    """It says what is wrong and tries again, and goes on once that is put right."""
    with watching(world, LAB) as watch:
        state = world.state_dir / "lab" / "state.json"
        good = world.call(state.read_text)
        world.call(state.write_text, "{")
        world.run("ip", "link", "set", "lab-front", "down")
        assert "state.json is damaged" in watch.kind("failed", "topology")["message"]
        world.call(state.write_text, good)
        watch.kind("changed", "network/front")
        watch.reports("trouble", {})
    world.reconciler("destroy", "--name", "lab", "--yes")


def test_a_policy_holds_for_a_watch(world: World) -> None:
    """An edit beyond it changes nothing, a wider one lets it through, a broken one only ends what is new."""
    rules = world.write("rules.yaml", "max_sandboxes: 2\n")
    with watching(world, LAB, "--policy", str(rules)) as watch:
        watch.edit({**LAB, "sandboxes": {**LAB["sandboxes"], "c": {}}})
        assert "has 3 sandboxes, and the policy allows 2" in watch.kind("mistake")["message"]
        assert world.netns() == ["lab.a", "lab.b"]
        world.write("rules.yaml", "max_sandboxes: 3\n")
        watch.kind("created", "sandbox/c")
        world.write("rules.yaml", "max: 3\n")
        assert "'max' is not a known key" in watch.kind("mistake")["message"]
        world.run("ip", "link", "set", "lab-front", "down")
        watch.kind("changed", "network/front")
