"""Kill it at any step, fail any step: the next run ends right, with no clean-up by hand."""

from __future__ import annotations

import json
import signal
from itertools import count

import pytest

from tests.world import World

# Some fifty applies each; a busy machine takes minutes for them.
pytestmark = [pytest.mark.timeout(900), pytest.mark.many_runs, pytest.mark.usefixtures("no_dad")]
TOPOLOGY = {
    "name": "shop",
    "networks": {"front": {"subnets": ["10.10.0.0/24", "fd00:10::/64"]}, "back": {"internal": True}},
    "sandboxes": {
        "web": {"endpoints": {"eth0": "front", "eth1": "back"}, "sysctls": {"net.ipv4.ip_forward": 1}},
        "db": {
            "endpoints": {"eth0": {"network": "back", "bandwidth": "10mbit"}},
            "routes": [{"to": "10.99.0.0/16", "type": "blackhole"}],
        },
    },
}
ERRNOS = ("EEXIST", "ENODEV", "EBUSY", "EPERM", "EINVAL", "ENOBUFS", "ENOMEM", "EMFILE", "ENOSPC")
KILLED = -signal.SIGKILL


def network_state(world: World) -> str:
    """The masked snapshot without what history leaves: journals, and multicast groups once joined by IPv6.

    A link that had IPv6 for a moment keeps the filter entries of its groups until it goes down.
    """
    world.settle()
    seen = json.loads(world.snapshot(masked=True))
    seen["files"] = {name: what for name, what in seen["files"].items() if not name.startswith("STATE")}
    for namespace in seen["namespaces"].values():
        namespace["fdb"] = [entry for entry in namespace["fdb"] if not entry["mac"].startswith("33:33:")]
    return json.dumps(seen, indent=1)


def reference(world: World, file: str) -> str:
    """What an undisturbed apply makes; the world is clean afterwards."""
    world.reconciler("apply", file, "--yes")
    snapshot = network_state(world)
    world.reconciler("destroy", file, "--yes")
    return snapshot


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_at_every_step_then_applied(world: World, moment: str) -> None:
    """Apply dies at change k; a second apply gives what an undisturbed one gives; destroy leaves nothing."""
    file = str(world.write("shop.topo.yaml", json.dumps(TOPOLOGY)))
    clean = world.snapshot()
    wanted = reference(world, file)
    for step in count(1):
        point = {"RECONCILER_FAILPOINT": f"{moment}:*.*#{step}=kill"}
        died = world.reconciler("apply", file, "--yes", env=point, exit=None).code
        if died == 0:
            assert step > 20
            break
        assert died == KILLED
        world.reconciler("apply", file, "--yes")
        assert network_state(world) == wanted
        world.reconciler("destroy", file, "--yes")
        world.assert_unchanged(clean)


def test_killed_at_every_step_then_destroyed(world: World) -> None:
    """Apply dies at change k; destroy alone brings the machine back to what it was."""
    file = str(world.write("shop.topo.yaml", json.dumps(TOPOLOGY)))
    clean = world.snapshot()
    for step in count(1):
        point = {"RECONCILER_FAILPOINT": f"after:*.*#{step}=kill"}
        died = world.reconciler("apply", file, "--yes", env=point, exit=None).code
        world.reconciler("destroy", file, "--yes")
        world.assert_unchanged(clean)
        if died == 0:
            assert step > 20
            break


def test_destroy_killed_at_every_step(world: World) -> None:
    """Destroy dies at change k; a second destroy finishes."""
    file = str(world.write("shop.topo.yaml", json.dumps(TOPOLOGY)))
    clean = world.snapshot()
    for step in count(1):
        world.reconciler("apply", file, "--yes")
        point = {"RECONCILER_FAILPOINT": f"after:*.*#{step}=kill"}
        died = world.reconciler("destroy", file, "--yes", env=point, exit=None).code
        world.reconciler("destroy", file, "--yes")
        world.assert_unchanged(clean)
        if died == 0:
            assert step > 3
            break


def test_failed_at_every_step(world: World) -> None:
    """Change k fails: the exit code says truly whether something is left, and the next apply finishes."""
    file = str(world.write("shop.topo.yaml", json.dumps(TOPOLOGY)))
    wanted = reference(world, file)
    steps = len(world.reconciler("plan", file, "-o", "json").json()["changes"])
    for step in range(1, steps + 1):
        name = ERRNOS[step % len(ERRNOS)]
        point = {"RECONCILER_FAILPOINT": f"before:*.*#{step}={name}"}
        result = world.reconciler("apply", file, "--yes", env=point, exit=None)
        left = world.reconciler("plan", file, "-o", "json").json()["changes"]
        assert result.code == (1 if left else 0)
        assert not left or name in result.stderr + result.stdout
        world.reconciler("apply", file, "--yes")
        assert network_state(world) == wanted
        world.reconciler("destroy", file, "--yes")


def test_orphan_of_a_killed_creation_is_repaired(world: World) -> None:
    """A plain file that a killed run announced is replaced by the namespace; one that nobody announced is foreign."""
    file = str(world.write("shop.topo.yaml", json.dumps(TOPOLOGY)))
    world.run("ip", "netns", "add", "other")  # so that the directory exists
    world.run("touch", "/run/netns/shop.web")
    refused = world.reconciler("apply", file, "--yes", exit=5)
    assert "shop.web" in refused.stdout + refused.stderr

    world.run("rm", "/run/netns/shop.web")
    point = {"RECONCILER_FAILPOINT": "before:create.netns:*web#1=kill"}
    world.reconciler("apply", file, "--yes", env=point, exit=KILLED)
    world.run("touch", "/run/netns/shop.web")  # where the kill would have left it
    world.reconciler("apply", file, "--yes")
    assert "shop.web" in world.netns()


def test_orphan_of_a_killed_creation_goes_with_the_topology(world: World) -> None:
    """Destroy alone, after a kill between the making of an entry and the mount on it, leaves nothing."""
    file = str(world.write("shop.topo.yaml", json.dumps(TOPOLOGY)))
    clean = world.snapshot()
    point = {"RECONCILER_FAILPOINT": "before:create.netns:*web#1=kill"}
    world.reconciler("apply", file, "--yes", env=point, exit=KILLED)
    world.run("touch", "/run/netns/shop.web")
    world.reconciler("destroy", file, "--yes")
    world.assert_unchanged(clean)


def test_old_values_survive_a_kill(world: World) -> None:
    """A parameter written right before a kill gets its old value back when a later file no longer declares it."""
    declared = {"name": "shop", "sandboxes": {"web": {"sysctls": {"net.ipv4.ip_forward": 1}}}}
    file = str(world.write("shop.topo.yaml", json.dumps(declared)))
    clean = world.snapshot()
    point = {"RECONCILER_FAILPOINT": "after:create.sysctl:*ip_forward#1=kill"}
    world.reconciler("apply", file, "--yes", env=point, exit=KILLED)
    world.reconciler("apply", file, "--yes")
    assert world.sysctl("net.ipv4.ip_forward", netns="shop.web") == "1"

    world.write("shop.topo.yaml", json.dumps({"name": "shop", "sandboxes": {"web": {}}}))
    world.reconciler("apply", file, "--yes")
    assert world.sysctl("net.ipv4.ip_forward", netns="shop.web") == "0"
    world.reconciler("destroy", file, "--yes")
    world.assert_unchanged(clean)
