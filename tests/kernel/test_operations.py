"""Working beside a watch: hands off while it is suspended, and answers that are true when it fails, fights or is dead."""

from __future__ import annotations

import json
import signal
import sys
from typing import Any

from tests.watching import watching
from tests.world import World

LAB: dict[str, Any] = {
    "name": "lab",
    "networks": {"front": {"subnets": ["10.10.0.0/24"]}},
    "sandboxes": {"a": {"endpoints": {"eth0": {"network": "front", "addresses": ["10.10.0.11"]}}}},
}


RECONCILER = (sys.executable, "-m", "reconciler")


def mtu(world: World) -> int:
    """Of the bridge."""
    found: int = world.ip("link", "show", "lab-front")[0]["mtu"]
    return found


def spoil(world: World, value: int) -> None:
    """Somebody changes the bridge."""
    world.run("ip", "link", "set", "lab-front", "mtu", str(value))


def conditions(world: World, *words: str) -> dict[str, tuple[str, str]]:
    """State and reason of what is not ready."""
    found = world.reconciler("status", *words, "-o", "json").json()["conditions"]
    return {one["address"]: (one["state"], one["reason"]) for one in found if not one["ready"]}


def test_a_suspended_watch_looks_and_does_not_touch(world: World) -> None:
    """From the moment that suspend returns; everybody is told; an apply by hand works; resume makes good at once."""
    with watching(world, LAB) as watch:
        file = watch.file
        said = world.reconciler("suspend", file, "--reason", "db upgrade").stdout
        assert "The watch changes nothing from now on." in said
        spoil(world, 1400)
        assert watch.kind("drift", "network/front")["message"] == "differs: mtu (drift)"
        assert mtu(world) == 1400
        assert conditions(world, str(file)) == {"network/front": ("Stalled", "Suspended")}
        assert conditions(world, "--name", "lab") == {"network/front": ("Stalled", "Suspended")}
        for command in ("plan", "apply"):
            assert "db upgrade" in world.reconciler(command, file).stderr
        assert mtu(world) == 1500
        watch.reports("trouble", {})
        spoil(world, 1410)
        watch.kind("drift", "network/front")
        assert "the watch goes on" in world.reconciler("resume", "--name", "lab").stdout
        watch.kind("changed", "network/front")
        assert mtu(world) == 1500
        assert "was not suspended" in world.reconciler("resume", file).stdout
    world.reconciler("destroy", "--name", "lab", "--yes")


def test_a_suspension_is_there_before_the_watch_and_ends_by_itself(world: World) -> None:
    """A watch that is started later does nothing until its time, and wakes for it although nothing happens."""
    clean = world.snapshot()
    world.reconciler("apply", world.write("lab.topo.yaml", json.dumps(LAB)))
    spoil(world, 1400)
    suspend = ("suspend", "--name", "lab", "--reason", "x")
    assert "No watch runs." in world.reconciler(*suspend).stdout
    with watching(world, LAB) as watch:
        assert mtu(world) == 1400
        world.reconciler(*suspend, "--for", "2s")
        watch.kind("resumed")
        watch.kind("changed", "network/front")
        assert mtu(world) == 1500
    world.reconciler("destroy", "--name", "lab", "--yes")
    world.assert_unchanged(clean)


def test_status_is_not_deceived_by_a_dead_watch(world: World) -> None:
    """Running, killed, stopped: what it said is only believed while it is there."""
    with watching(world, LAB) as watch:
        file = watch.file
        running = world.reconciler("status", file, "-o", "json").json()["watch"]
        assert (running["state"], running["pid"]) == ("running", watch.report()["pid"])
        world.reconciler("suspend", file, "--reason", "x")
        spoil(world, 1400)
        watch.kind("drift", "network/front")
        watch.signal(signal.SIGKILL)
        watch.process.wait()
        world.reconciler("resume", file)
        assert "ended without a word" in world.reconciler("status", file).stdout
        assert conditions(world, str(file)) == {"network/front": ("Reconciling", "Drifted")}
        assert world.reconciler("status", "--name", "lab", "-o", "json").json()["conditions"] == []
    with watching(world, LAB):
        pass
    assert "The last one stopped" in world.reconciler("status", file).stdout
    world.reconciler("destroy", "--name", "lab", "--yes")


def test_what_fails_and_what_flaps_is_stalled(world: World) -> None:
    """Each with its reason, and with what is known about when it is tried again."""
    with watching(world, LAB) as watch:
        file = str(watch.file)
        for _ in range(5):
            spoil(world, 1400)
            watch.kind("changed", "network/front")
        watch.kind("flapping", "network/front")
        found: dict[str, tuple[str, str]] = {}
        for _ in range(5):  # it rests for twice as long each time, until we are fast enough to see it
            spoil(world, 1400)
            if found := conditions(world, file):
                break
            watch.kind("changed", "network/front")
        assert found == {"network/front": ("Stalled", "Flapping")}
        watch.kind("changed", "network/front")
        status = world.reconciler("status", file, "-o", "json").json()
        flap = status["watch"]["flapping"]["network/front"]
        assert (flap["what"], flap["times"] > 5) == ("mtu", True)
        assert f"undone {flap['times']} times" in world.reconciler("status", file).stdout
        world.write("lab.topo.yaml", "name: lab\nnetworks: [")
        watch.kind("mistake")
        told = world.reconciler("status", "--name", "lab").stdout
        assert "The files are wrong since" in told
        assert "a value is missing here" in told
        assert "says what the watch knows" in world.reconciler("status", file, exit=3).stderr
    world.reconciler("destroy", "--name", "lab", "--yes")


def test_events_are_followed_and_runs_are_kept(world: World) -> None:
    """What an apply and a watch do is in one log, each with its run; the runs are in the history."""
    file = world.write("lab.topo.yaml", json.dumps(LAB))
    world.reconciler("apply", file)
    follow = world.start(
        *RECONCILER, "events", "--name", "lab", "--follow", "-o", "json", env=world.environment()
    )
    assert follow.stdout is not None
    assert json.loads(follow.stdout.readline())["topology"] == "lab"
    by_hand = [json.loads(follow.stdout.readline()) for _ in range(3)]
    assert {event["address"] for event in by_hand} == {
        "network/front",
        "sandbox/a",
        "sandbox/a/endpoint/eth0",
    }
    with watching(world, LAB) as watch:
        spoil(world, 1400)
        watch.kind("changed", "network/front")
        while (event := json.loads(follow.stdout.readline()))["kind"] != "changed":
            pass
        assert (event["address"], event["cause"]) == ("network/front", "drift")
    follow.send_signal(signal.SIGINT)
    assert follow.wait(20) == 130
    runs = world.reconciler("history", file, "-o", "json").json()["runs"]
    assert [(run["command"], run["cause"], run["id"]) for run in runs] == [
        ("apply", "declared", by_hand[0]["run"]),
        ("watch", "drift", event["run"]),
    ]
    found = world.reconciler("events", file, "--address", "network/*", "-n", "1", "-o", "json").json()
    assert [one["run"] for one in found["events"]] == [event["run"]]
    world.reconciler("destroy", "--name", "lab", "--yes")


def test_status_is_said_again_when_something_changes(world: World) -> None:
    """Without a watch too: the kernel's own events are enough."""
    file = world.write("lab.topo.yaml", json.dumps(LAB))
    world.reconciler("apply", file)
    status = world.start(*RECONCILER, "status", file, "--watch", "-o", "json", env=world.environment())
    assert status.stdout is not None
    assert json.loads(status.stdout.readline())["topology"] == "lab"
    assert json.loads(status.stdout.readline())["ready"] is True
    spoil(world, 1400)
    assert json.loads(status.stdout.readline())["ready"] is False
    world.reconciler("suspend", file, "--reason", "x")
    assert json.loads(status.stdout.readline())["suspended"]["reason"] == "x"
    status.send_signal(signal.SIGTERM)
    assert status.wait(20) == 143
    world.reconciler("destroy", "--name", "lab", "--yes")


def test_drift_is_only_what_others_did(world: World) -> None:
    """Exit code 4 for it; an edit that was not applied is mentioned and not counted."""
    file = world.write("lab.topo.yaml", json.dumps(LAB))
    assert "nothing counts as drift" in world.reconciler("drift", file).stderr
    world.reconciler("apply", file)
    assert world.reconciler("drift", file).stdout.startswith("No drift. 1 network, 1 sandbox, 1 endpoint")
    world.write("lab.topo.yaml", json.dumps({**LAB, "sandboxes": {**LAB["sandboxes"], "b": None}}))
    edited = world.reconciler("drift", file)
    assert "the files ask for changes as well" in edited.stderr
    spoil(world, 1400)
    drift = world.reconciler("drift", file, exit=4).stdout
    assert "mtu  1400 → 1500  drift" in drift
    assert "sandbox/b" not in drift
    found = world.reconciler("drift", file, "-o", "json", exit=4).json()
    assert [one["address"] for one in found["changes"]] == ["network/front"]
    assert mtu(world) == 1400
    world.reconciler("destroy", "--name", "lab", "--yes")


def test_wait_by_the_kernels_events(world: World) -> None:
    """Without a watch: it ends when somebody applies, and names what is missing when nobody does."""
    file = world.write("lab.topo.yaml", json.dumps(LAB))
    late = world.reconciler("wait", file, "--timeout", "0.2", exit=7).stderr
    assert "topology 'lab' is not ready after 0.2 s" in late
    assert "network/front: NotApplied: missing" in late
    waiting = world.start(*RECONCILER, "wait", file, env=world.environment())
    world.reconciler("apply", file)
    assert waiting.wait(20) == 0
    spoil(world, 1400)
    waiting = world.start(*RECONCILER, "wait", file, "--for", "synced", env=world.environment())
    spoil(world, 1500)
    assert waiting.wait(20) == 0
    reasons = world.reconciler("wait", "--name", "lab", "--timeout", "0", "-o", "json", exit=7).json()
    assert reasons["error"]["reasons"] == ["no watch runs"]
    world.reconciler("destroy", "--name", "lab", "--yes")


def test_wait_by_what_the_watch_says(world: World) -> None:
    """Before there is a watch, while it is suspended, until an edit is taken over; a mistake is named."""
    by_name = world.start(*RECONCILER, "wait", "--name", "lab", env=world.environment())
    with watching(world, LAB) as watch:
        assert by_name.wait(20) == 0
        world.reconciler("wait", watch.file)
        world.reconciler("suspend", "--name", "lab", "--reason", "x")
        spoil(world, 1400)
        watch.kind("drift")
        for what in (("--name", "lab"), (str(watch.file),)):
            late = world.reconciler("wait", *what, "--timeout", "0.2", exit=7).stderr
            assert "network/front: Suspended: differs: mtu (drift)" in late
        by_name = world.start(*RECONCILER, "wait", "--name", "lab", env=world.environment())
        world.reconciler("resume", "--name", "lab")
        assert by_name.wait(20) == 0
        watch.edit({**LAB, "sandboxes": {**LAB["sandboxes"], "b": None}})
        world.reconciler("wait", watch.file)
        assert "lab.b" in world.netns()
        world.write("lab.topo.yaml", "name: [")
        watch.kind("mistake")
        late = world.reconciler("wait", "--name", "lab", "--timeout", "0", exit=7).stderr
        assert "the files are wrong" in late
    world.reconciler("destroy", "--name", "lab", "--yes")
