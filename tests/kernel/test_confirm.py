"""`apply --confirm`: what nobody confirms is taken back, whoever is killed meanwhile, and the machine is as before."""

from __future__ import annotations

import copy
import difflib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import snapshot
from tests.watching import PATIENCE, watching
from tests.world import World

pytestmark = pytest.mark.usefixtures("no_dad")
LAB: dict[str, Any] = {
    "name": "lab",
    "networks": {
        "front": {"subnets": ["10.10.0.0/24"]},
        "back": {"subnets": ["10.20.0.0/24", "fd00:20::/64"]},
    },
    "sandboxes": {
        "a": {"endpoints": {"eth0": "front", "eth1": "back"}, "sysctls": {"net.core.somaxconn": 77}},
        "b": {
            "endpoints": {"eth0": "front"},
            "routes": [{"to": "10.99.0.0/16", "via": "10.10.0.1"}],
        },
        "router": {"host": True, "sysctls": {"net.ipv4.conf.default.rp_filter": 2}},
    },
}


def edited() -> dict[str, Any]:
    """The same with something added, something removed, something changed in place and something replaced."""
    lab = copy.deepcopy(LAB)
    lab["networks"]["front"]["mtu"] = 1400
    lab["sandboxes"]["a"]["endpoints"] = {"eth0": "back", "eth2": "front"}
    lab["sandboxes"]["a"]["sysctls"] = {}
    del lab["sandboxes"]["b"]
    lab["sandboxes"]["c"] = {"endpoints": {"eth0": {"network": "front", "mac": "02:00:00:00:00:07"}}}
    lab["sandboxes"]["router"]["sysctls"] = {"net.ipv4.ip_forward": 1}
    return lab


LOGS = ("/history.json", "/journal.jsonl", "/events.jsonl", "/lock")  # what happened is not undone


def machine(world: World) -> str:
    """Everything that can be seen, but for the logs."""
    world.settle(dad=False)
    seen = world.observe()
    seen["files"] = {path: text for path, text in seen["files"].items() if not path.endswith(LOGS)}
    return snapshot.canonical(seen)


def until(wanted: Callable[[], bool], what: str = "it") -> None:
    deadline = time.monotonic() + PATIENCE
    while not wanted():
        assert time.monotonic() < deadline, f"{what} never happened"
        time.sleep(0.05)


def assert_back(world: World, before: str) -> None:
    until(lambda: not pending(world), "the way back")
    deadline = time.monotonic() + PATIENCE
    while (after := machine(world)) != before:  # namespaces go a little later
        if time.monotonic() > deadline:
            lines = difflib.unified_diff(
                before.splitlines(), after.splitlines(), "before", "after", lineterm=""
            )
            raise AssertionError("\n".join(list(lines)[:100]))
        time.sleep(0.05)


def prepared(world: World) -> tuple[Path, str]:
    """The first topology is there, with a difference that others made; the file of the edit; what is seen."""
    file = world.write("lab.topo.yaml", json.dumps(LAB))
    world.reconciler("apply", file)
    world.run("ip", "link", "set", "lab-b-eth0", "mtu", "1300")
    world.write("edited.topo.yaml", json.dumps(edited()))
    world.settle()
    return file.with_name("edited.topo.yaml"), machine(world)


def begun(
    world: World, file: Path, seconds: float, env: dict[str, str] | None = None
) -> subprocess.Popen[str]:
    """A client that waits for the confirmation."""
    command = [sys.executable, "-m", "reconciler", "apply", str(file), "--yes", "--confirm", f"{seconds}s"]
    process = world.start(*command, env=world.environment(env))
    assert process.stderr is not None
    for line in process.stderr:
        if "Keep it with" in line:
            return process
    raise AssertionError(process.communicate()[0])


def sentry(world: World) -> int:
    return int(world.call((world.state_dir / "lab" / "confirm.lock").read_text))


def pending(world: World) -> bool:
    return world.call((world.state_dir / "lab" / "confirm.json").exists)


# ----------------------------------------------------------------------------------------------------- nobody is killed


def test_a_first_apply_that_nobody_confirms(world: World) -> None:
    """The machine is as if nothing had ever been applied, state directory included."""
    clean = world.snapshot()
    file = world.write("lab.topo.yaml", json.dumps(LAB))
    done = world.reconciler("apply", file, "--confirm", "1s", exit=5)
    assert "Not confirmed: what was before is back." in done.stderr
    world.assert_unchanged(clean)


def test_an_edit_that_nobody_confirms(world: World) -> None:
    """Everything is as before to the byte: MAC addresses, settings, and what others had changed."""
    file, before = prepared(world)
    world.reconciler("apply", file, "--yes", "--confirm", "1s", exit=5)
    assert_back(world, before)
    world.reconciler("plan", world.root / "files" / "lab.topo.yaml", "--exit-code", exit=4)
    world.reconciler("destroy", "--name", "lab", "--yes")


def test_confirmed(world: World) -> None:
    """It stays, and nothing of the trial does; confirming again is refused."""
    file, _ = prepared(world)
    client = begun(world, file, 60)
    world.reconciler("confirm", file)
    assert client.wait(PATIENCE) == 0
    world.reconciler("plan", file, "--exit-code")
    left = world.call(lambda: sorted(entry.name for entry in (world.state_dir / "lab").iterdir()))
    assert not {"confirm.json", "before.json", "confirm.lock"} & set(left)
    world.reconciler("confirm", "--name", "lab", exit=5)
    world.reconciler("destroy", "--name", "lab", "--yes")


def test_taken_back_on_request(world: World) -> None:
    """`confirm --revert` does not wait for the time-out, and the client that waits says what became."""
    file, before = prepared(world)
    client = begun(world, file, 60)
    world.reconciler("confirm", "--name", "lab", "--revert")
    assert client.wait(PATIENCE) == 5
    assert_back(world, before)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_no_is_said_by_a_signal(world: World, number: signal.Signals, code: int) -> None:
    """Ctrl-C or SIGTERM to the client that waits takes it back at once."""
    file, before = prepared(world)
    client = begun(world, file, 60)
    client.send_signal(number)
    assert client.wait(PATIENCE) == code
    assert_back(world, before)


def test_an_apply_that_fails_is_not_tried(world: World) -> None:
    """What fails half-way is taken back at once."""
    file, before = prepared(world)
    env = {"RECONCILER_FAILPOINT": "before:create.link:*eth2*=EBUSY"}
    done = world.reconciler("apply", file, "--yes", "--confirm", "60s", exit=1, env=env)
    assert "What was before is back." in done.stderr
    assert_back(world, before)


def test_everything_deleted_by_mistake(world: World) -> None:
    """An emptied file that was allowed to delete everything: all of it comes back."""
    _, before = prepared(world)
    empty = world.write("empty.topo.yaml", json.dumps({"name": "lab"}))
    world.reconciler("apply", empty, "--yes", "--allow-empty", "--confirm", "1s", exit=5)
    assert_back(world, before)
    client = begun_with(world, empty, "--allow-empty")
    world.reconciler("confirm", "--name", "lab")
    assert client.wait(PATIENCE) == 0
    assert not world.call((world.state_dir / "lab").exists)


def begun_with(world: World, file: Path, option: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "reconciler", "apply", str(file), "--yes", option, "--confirm", "60s"]
    process = world.start(*command, env=world.environment())
    until(lambda: pending(world) and not world.netns(), "the apply")
    assert process.stderr is not None
    for line in process.stderr:
        if "Keep it with" in line:
            break
    return process


# ---------------------------------------------------------------------------------------------------- somebody is killed


def test_the_client_is_killed(world: World) -> None:
    """Whoever started it is gone, by kill -9: it is taken back when the time is over, and not before."""
    file, before = prepared(world)
    client = begun(world, file, 3)
    client.kill()
    client.wait(PATIENCE)
    assert pending(world)
    assert_back(world, before)
    until(lambda: not pending(world))


def test_the_client_is_killed_in_the_middle(world: World) -> None:
    """Killed while it changes things: the sentry was there before the first change."""
    file, before = prepared(world)
    env = {"RECONCILER_FAILPOINT": "after:create.link:*eth2*=kill"}
    world.reconciler("apply", file, "--yes", "--confirm", "1s", exit=-9, env=env)
    assert_back(world, before)


def test_a_terminal_that_is_closed_decides_nothing(world: World) -> None:
    """SIGHUP ends the client; somebody who comes back can still confirm."""
    file, _ = prepared(world)
    client = begun(world, file, 60)
    client.send_signal(signal.SIGHUP)
    client.wait(PATIENCE)
    world.reconciler("confirm", "--name", "lab")
    world.reconciler("plan", file, "--exit-code")
    world.reconciler("destroy", "--name", "lab", "--yes")


def test_the_sentry_is_killed(world: World) -> None:
    """The client that waits sees it and takes back itself."""
    file, before = prepared(world)
    client = begun(world, file, 60)
    os.kill(sentry(world), signal.SIGKILL)
    assert client.wait(PATIENCE) == 5
    assert_back(world, before)


def test_the_sentry_is_told_to_end(world: World) -> None:
    """As when the machine is shut down: it takes back at once, without a client."""
    file, before = prepared(world)
    client = begun(world, file, 60)
    client.kill()
    os.kill(sentry(world), signal.SIGTERM)
    assert_back(world, before)


def test_the_way_back_is_cut_short(world: World) -> None:
    """Sentry and client are killed while they take back: what is left is taken back by the next one."""
    clean = world.snapshot()
    file = world.write("lab.topo.yaml", json.dumps(LAB))
    env = {"RECONCILER_FAILPOINT": "after:delete.link=kill"}
    world.reconciler("apply", file, "--confirm", "1s", exit=-9, env=env)
    assert world.netns()
    world.reconciler("confirm", "--name", "lab", "--revert")
    world.assert_unchanged(clean)


@pytest.mark.parametrize("command", ["apply", "destroy"])
def test_everybody_is_killed(world: World, command: str) -> None:
    """The next command is refused while there is time to confirm; after that it takes back first, and says so."""
    clean = world.snapshot()
    file = world.write("lab.topo.yaml", json.dumps(LAB))
    world.reconciler("apply", file)
    changed = world.write("edited.topo.yaml", json.dumps(edited()))
    client = begun(world, changed, 2)
    os.kill(sentry(world), signal.SIGKILL)
    client.kill()
    client.wait(PATIENCE)
    if pending(world):
        world.reconciler("status", file)
    until(lambda: world.reconciler(command, file, "--yes", exit=None).code == 0, "the time-out")
    assert not pending(world)
    if command == "apply":
        world.reconciler("plan", file, "--exit-code")
        assert world.ping("lab.a", "10.10.0.1", timeout=5)
        world.reconciler("destroy", "--name", "lab", "--yes")
    world.assert_unchanged(clean)


def test_everybody_is_killed_and_it_says_so(world: World) -> None:
    """The note of the command that takes back, and `confirm` that comes too late takes back, too."""
    file, before = prepared(world)
    for late in (["apply", str(file), "--yes"], ["confirm", "--name", "lab"]):
        client = begun(world, file, 1)
        os.kill(sentry(world), signal.SIGKILL)
        client.kill()
        client.wait(PATIENCE)
        time.sleep(1.1)  # the time-out itself
        done = world.reconciler(*late, exit=None)
        if late[0] == "apply":
            assert "was not confirmed in time" in done.stderr
            assert done.code == 0
            world.reconciler("apply", world.root / "files" / "lab.topo.yaml", "--yes")
            world.run("ip", "link", "set", "lab-b-eth0", "mtu", "1300")
            before = machine(world)
        else:
            assert done.code == 5
            assert_back(world, before)


# ----------------------------------------------------------------------------------------------------- others meanwhile


def test_others_wait(world: World) -> None:
    """Apply and destroy are refused and name it; a watch holds still until it is decided, then goes on."""
    file, _ = prepared(world)
    client = begun(world, file, 60)
    for command in ("apply", "destroy"):
        assert "waits to be confirmed" in world.reconciler(command, file, "--yes", exit=6).stderr
    with watching(world, edited()) as watch:
        world.run("ip", "link", "set", "lab-front", "mtu", "1350")
        assert watch.kind("drift", "network/front")
        assert world.ip("link", "show", "lab-front")[0]["mtu"] == 1350
        world.reconciler("confirm", "--name", "lab")
        watch.kind("changed", "network/front")
    assert client.wait(PATIENCE) == 0
    world.reconciler("destroy", "--name", "lab", "--yes")


def test_a_watch_takes_back_when_nobody_else_can(world: World) -> None:
    """Client and sentry are killed: a watch of the old files takes back when the time is over, and keeps that."""
    file, _ = prepared(world)
    client = begun(world, file, 2)
    os.kill(sentry(world), signal.SIGKILL)
    client.kill()
    client.wait(PATIENCE)
    with watching(world, LAB, "--resync", "1") as watch:
        until(lambda: not pending(world), "the way back")
        until(lambda: world.netns() == ["lab.a", "lab.b"])
        watch.reports("trouble", {})
    world.reconciler("plan", world.root / "files" / "lab.topo.yaml", "--exit-code")
    world.reconciler("destroy", "--name", "lab", "--yes")


def test_a_watch_asks_nobody(world: World) -> None:
    """Where a watch would apply the same files, an apply on trial is refused, unless the watch is suspended."""
    with watching(world, LAB) as watch:
        world.reconciler("apply", watch.file, "--confirm", "5s", exit=6)
        world.reconciler("suspend", "--name", "lab", "--reason", "a trial")
        other = world.write("other.topo.yaml", json.dumps(edited()))
        world.reconciler("apply", other, "--yes", "--confirm", "1s", exit=5)
        assert world.netns() == ["lab.a", "lab.b"]
        world.reconciler("resume", "--name", "lab")
    world.reconciler("destroy", "--name", "lab", "--yes")
