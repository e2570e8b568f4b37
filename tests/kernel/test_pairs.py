"""Cables into namespaces that were given: what is taken back, also where nobody leads there any more."""

from __future__ import annotations

import signal
from itertools import count

import pytest

from tests.world import World

TOPOLOGY = """
name: shop
networks: {one: {driver: ptp, subnets: [10.70.0.0/24]}, two: {driver: ptp, subnets: [10.71.0.0/24]}}
sandboxes:
  a: {endpoints: {eth1: one}}
  seven: {netns: vm7, endpoints: {eth1: one, eth2: two}}
  eight: {netns: vm8, endpoints: {eth2: two}}
"""


@pytest.mark.needs("veth")
@pytest.mark.parametrize("by_name", [False, True])
def test_destroy_takes_every_end_back(world: World, by_name: bool) -> None:
    """With the file or without it, namespaces that were given have no cable of ours any more."""
    for name in ("vm7", "vm8"):
        world.run("ip", "netns", "add", name)
    clean = world.snapshot()
    file = world.write("shop.topo.yaml", TOPOLOGY)
    world.reconciler("apply", file)
    assert world.ping("shop.a", "10.70.0.2")
    assert world.ping("vm8", "10.71.0.1")
    world.reconciler("destroy", *(["--name", "shop"] if by_name else [file]), "--yes")
    world.assert_unchanged(clean)


@pytest.mark.needs("veth")
def test_namespace_that_is_gone_is_in_nobodys_way(world: World) -> None:
    """A given namespace that somebody has deleted took its ends along; destroy takes back the rest."""
    world.run("ip", "netns", "add", "vm8")
    clean = world.snapshot()
    world.run("ip", "netns", "add", "vm7")
    world.reconciler("apply", world.write("shop.topo.yaml", TOPOLOGY))
    world.run("ip", "netns", "del", "vm7")
    world.reconciler("destroy", "--name", "shop", "--yes")
    world.settle()
    world.assert_unchanged(clean)


@pytest.mark.needs("veth")
@pytest.mark.timeout(300)
@pytest.mark.many_runs
def test_killed_at_every_step(world: World) -> None:
    """A cable of which a kill left one end without a mark is found by the other; the next run ends right."""
    for name in ("vm7", "vm8"):
        world.run("ip", "netns", "add", name)
    clean = world.snapshot()
    file = world.write("shop.topo.yaml", TOPOLOGY)
    for step in count(1):
        point = {"RECONCILER_FAILPOINT": f"after:*.*#{step}=kill"}
        died = world.reconciler("apply", file, "--yes", env=point, exit=None).code
        if died == 0:
            assert step > 9
            break
        assert died == -signal.SIGKILL
        if step % 2:
            world.reconciler("apply", file, "--yes")
            assert world.ping("shop.a", "10.70.0.2")
            assert world.ping("vm8", "10.71.0.1")
        world.reconciler("destroy", "--name", "shop", "--yes")
        world.assert_unchanged(clean)
