"""How runs end and meet: stopped by signals, two at once, two topologies, saved plans, no privilege."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.world import World

MANY = {
    "name": "many",
    "networks": {"lan": {"subnets": ["10.30.0.0/22"]}},
    "sandboxes": {"box": {"replicas": 200, "endpoints": {"eth0": "lan"}}},
}
SHOP: dict[str, Any] = {
    "name": "shop",
    "networks": {"front": {"subnets": ["10.10.0.0/24"]}},
    "sandboxes": {
        "web": {"endpoints": {"eth0": {"network": "front", "addresses": ["10.10.0.11"]}}},
        "db": {"endpoints": {"eth0": {"network": "front", "addresses": ["10.10.0.12"]}}},
    },
}


def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Returns when the condition holds; an AssertionError when it does not within that time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.005)


def held_still(world: World, command: str, file: Path, point: str) -> subprocess.Popen[str]:
    """A run that stopped itself in the middle, at `point`, and waits for SIGCONT."""
    environment = world.environment({"RECONCILER_FAILPOINT": f"{point}=stop"})
    process = world.start(sys.executable, "-m", "reconciler", command, file, "--yes", env=environment)
    until(lambda: " T " in Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii"))
    return process


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_in_the_middle(world: World, number: signal.Signals, code: int) -> None:
    """It stops between two batches, says what is left and how to go on; the next apply does the rest."""
    clean = world.snapshot()
    file = world.write("many.topo.yaml", json.dumps(MANY))
    process = held_still(world, "apply", file, "after:create.netns#5")
    process.send_signal(number)
    process.send_signal(signal.SIGCONT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert f"Stopped by {number.name}" in err
    assert f"Run `reconciler apply {file}` to go on." in err

    rest = world.reconciler("plan", file, "-o", "json").json()["changes"]
    assert 0 < len(rest) < 1001
    status = world.reconciler("status", file, "-o", "json").json()
    assert status["last_run"]["result"] == "interrupted"
    made = re.search(r"SIG[A-Z]+: ([0-9]+) of", err)
    assert made is not None
    assert status["last_run"]["created"] == int(made[1])  # what was done, not what was planned
    world.reconciler("apply", file)
    assert world.ping("many.box-1", "10.30.0.1")
    assert world.ping("many.box-200", "10.30.0.1")
    world.reconciler("plan", file, "--exit-code")
    world.reconciler("destroy", file, "--yes")
    world.assert_unchanged(clean, timeout=20)


def test_a_stopped_destroy_goes_on(world: World) -> None:
    """A destroy that is interrupted keeps its state; the next one finishes and leaves nothing."""
    clean = world.snapshot()
    file = world.write("many.topo.yaml", json.dumps(MANY))
    world.reconciler("apply", file)
    process = held_still(world, "destroy", file, "after:delete.*#5")
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGCONT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    world.reconciler("destroy", file, "--yes")
    world.assert_unchanged(clean, timeout=20)


def test_two_applies_at_once(world: World) -> None:
    """The second is told whom it meets, does nothing, and does not disturb the first."""
    clean = world.snapshot()
    file = world.write("many.topo.yaml", json.dumps(MANY))
    first = held_still(world, "apply", file, "after:create.netns#5")
    second = world.reconciler("apply", file, "--yes", exit=6)
    assert f"pid {first.pid}" in second.stderr
    first.send_signal(signal.SIGCONT)
    out, err = first.communicate(timeout=120)
    assert (first.returncode, err) == (0, ""), out
    world.reconciler("plan", file, "--exit-code")
    world.reconciler("destroy", file, "--yes")
    world.assert_unchanged(clean, timeout=20)


def test_two_topologies_do_not_see_each_other(world: World) -> None:
    """One comes, changes and goes beside the other, without a single notice about the other's links or addresses."""
    clean = world.snapshot()
    shop = world.write("shop.topo.yaml", json.dumps(SHOP))
    world.reconciler("apply", shop)
    other = {**SHOP, "name": "shop-2", "networks": {"front": {"subnets": ["10.11.0.0/24"]}}}
    other["sandboxes"] = {"web": {"endpoints": {"eth0": "front"}}}
    second = world.write("other.topo.yaml", json.dumps(other))
    world.settle()
    numbers = {link["ifindex"] for link in world.ip("link", "show")}
    before = world.observe()["namespaces"]["shop.web"]
    with world.monitor() as monitor:
        world.reconciler("apply", second)
        other["networks"]["front"]["mtu"] = 1400
        world.write("other.topo.yaml", json.dumps(other))
        world.reconciler("apply", second)
        world.reconciler("destroy", second, "--yes")
        assert [event for event in monitor.events() if event.nsid is None and event.ifindex in numbers] == []
    assert world.observe()["namespaces"]["shop.web"] == before
    world.reconciler("plan", shop, "--exit-code")
    world.reconciler("destroy", shop, "--yes")
    world.assert_unchanged(clean)


def test_a_saved_plan_is_refused_after_drift(world: World) -> None:
    """What moved meanwhile is named, and nothing is done; when it is put back, the plan fits again."""
    clean = world.snapshot()
    file = world.write("shop.topo.yaml", json.dumps(SHOP))
    world.reconciler("apply", file)
    more = {**SHOP, "sandboxes": {**SHOP["sandboxes"], "app": {"endpoints": {"eth0": "front"}}}}
    world.write("shop.topo.yaml", json.dumps(more))
    plan = file.with_name("shop.plan")
    world.reconciler("plan", file, "--out", plan)
    world.run("ip", "link", "set", "shop-web-eth0", "down")

    refused = world.reconciler("apply", plan, "--yes", exit=5)

    assert "needed now: update link shop-web-eth0" in refused.stderr
    assert "shop.app" not in world.netns()
    world.run("ip", "link", "set", "shop-web-eth0", "up")
    world.reconciler("apply", plan)
    assert world.ping("shop.app", "10.10.0.11")
    world.reconciler("plan", file, "--exit-code")
    world.reconciler("destroy", file, "--yes")
    world.run("rm", plan)
    world.assert_unchanged(clean)


def unprivileged(world: World, *args: str | Path) -> subprocess.CompletedProcess[str]:
    """A run as nobody, without any capability, with a state directory that it may write."""
    drop = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=-all")
    command = (sys.executable, "-B", "-m", "reconciler", *args)
    return world.run(*drop, *command, env=world.environment(), check=False)


def test_without_privilege(world: World) -> None:
    """Checking files works; whatever needs the kernel's consent ends with exit code 8 and says what to do."""
    clean = world.snapshot()
    world.run("chmod", "755", world.root)
    world.run("mkdir", "-m", "777", world.state_dir)
    file = world.write("shop.topo.yaml", json.dumps(SHOP))
    assert unprivileged(world, "validate", file).returncode == 0
    assert unprivileged(world, "config", file).returncode == 0
    assert unprivileged(world, "plan", file).returncode == 0
    refused = unprivileged(world, "apply", file, "--yes")
    assert refused.returncode == 8, refused.stdout + refused.stderr
    assert "run as root" in refused.stderr
    assert world.netns() == []
    world.run("rm", "-r", world.state_dir)
    world.assert_unchanged(clean)


@pytest.mark.needs("vlan")
def test_a_vlan_that_is_taken_out_of_sight_is_told(world: World) -> None:
    """The kernel has each VLAN of a link once, also where the one that has it was moved into a namespace of others."""
    for command in (
        "ip link add up0 type veth peer name up1",
        "ip link set up0 up",
        "ip link set up1 up",
        "ip link add link up0 name hidden type vlan id 50",
        "ip netns add theirs",
        "ip link set hidden netns theirs",
    ):
        world.run(*command.split())
    lan = {"driver": "vlan", "subnets": ["10.50.0.0/24"], "options": {"parent": "up0", "id": 50}}
    topology = {
        "name": "shop",
        "networks": {"lan": lan},
        "sandboxes": {"web": {"endpoints": {"eth0": "lan"}}},
    }
    failed = world.reconciler("apply", world.write("shop.topo.yaml", json.dumps(topology)), exit=1)
    assert "the parent has this VLAN already" in failed.stdout + failed.stderr
