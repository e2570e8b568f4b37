"""When "done" is said: both times, with and without waiting, and what more than a bridge can take is refused."""

from __future__ import annotations

import json
import re
import signal
import sys

from tests.world import World

LAB = {
    "name": "lab",
    "networks": {"lan": {"subnets": ["10.30.0.0/24"], "options": {"stp": True, "forward_delay": 2}}},
    "sandboxes": {"a": {"endpoints": {"eth0": "lan"}}, "b": {"endpoints": {"eth0": "lan"}}},
}


def test_apply_waits_until_ports_forward(world: World) -> None:
    """With STP a port listens and learns for twice the delay; afterwards the first packet arrives."""
    clean = world.snapshot()
    file = world.write("lab.topo.yaml", json.dumps(LAB))
    said = world.reconciler("apply", file).stdout
    times = re.search(r"Configured in ([0-9.]+) (m?s), ready in ([0-9.]+) s", said)
    assert times is not None, said
    assert float(times[3]) >= 3.9
    assert world.ping("lab.a", "10.30.0.3", timeout=1.5)
    world.reconciler("destroy", file, "--yes")
    world.assert_unchanged(clean)


def test_no_wait_returns_at_once(world: World) -> None:
    """It says only when things were configured, with ports that are not ready yet; status tells which."""
    clean = world.snapshot()
    file = world.write("lab.topo.yaml", json.dumps(LAB))
    said = world.reconciler("apply", file, "--no-wait").stdout
    assert "Configured in" in said
    assert "ready in" not in said
    unready = world.reconciler("status", file, "--exit-code", exit=4).stdout
    assert re.search(r"bridge port is (listening|learning)", unready)
    world.reconciler("destroy", file, "--yes")
    world.assert_unchanged(clean)


def test_a_time_out_names_what_is_missing(world: World) -> None:
    """Exit code 7 when the time was too short; everything is configured, and a later apply has nothing to do."""
    clean = world.snapshot()
    file = world.write("lab.topo.yaml", json.dumps(LAB))
    late = world.reconciler("apply", file, "--timeout", "0.5", exit=7)
    assert "sandbox/a/endpoint/eth0" in late.stdout + late.stderr
    world.reconciler("plan", file, "--exit-code")
    world.reconciler("destroy", file, "--yes")
    world.assert_unchanged(clean)


def test_more_endpoints_than_a_bridge_takes(world: World) -> None:
    """1,030 endpoints on one bridge are refused with the limit's number before anything is made."""
    clean = world.snapshot()
    many = {
        "name": "many",
        "networks": {"lan": {"subnets": ["10.40.0.0/20"]}},
        "sandboxes": {"box": {"replicas": 1030, "endpoints": {"eth0": "lan"}}},
    }
    file = world.write("many.topo.yaml", json.dumps(many))
    refused = world.reconciler("apply", file, "--yes", exit=3)
    assert "needs 1030 bridge ports" in refused.stderr
    assert "1023" in refused.stderr
    world.assert_unchanged(clean)


def test_stopped_while_it_waits(world: World) -> None:
    """Ctrl-C during the wait ends it at once; everything is configured, so there is nothing to go on with."""
    clean = world.snapshot()
    slow = json.loads(json.dumps(LAB).replace('"forward_delay": 2', '"forward_delay": 20'))
    file = world.write("lab.topo.yaml", json.dumps(slow))
    process = world.start(sys.executable, "-m", "reconciler", "apply", file, env=world.environment())
    with world.monitor() as monitor:
        while "lab.b" not in world.netns() or not world.netns_ip("lab.b", "route", "show", "default"):
            assert process.poll() is None
            monitor.wait(0.05)
            monitor.events()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)  # the bridge's ports need forty
    assert process.returncode == 130
    world.reconciler("plan", file, "--exit-code")
    world.reconciler("destroy", file, "--yes")
    world.assert_unchanged(clean)
