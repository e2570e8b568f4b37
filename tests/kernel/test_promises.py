"""Promises of the README that no other test is about: broken files, traffic, and the way that led here."""

from __future__ import annotations

import difflib
import json
import signal
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.world import World

FRONT = {"front": {"subnets": ["10.10.0.0/24", "fd00:10::/64"]}}
WEB = {"endpoints": {"eth0": {"network": "front", "addresses": ["10.10.0.5", "fd00:10::5"]}}}
DB = {"endpoints": {"eth0": {"network": "front", "addresses": ["10.10.0.6"]}}}
SMALL = {"name": "shop", "networks": FRONT, "sandboxes": {"web": WEB, "db": DB}}
BACK = {"internal": True, "subnets": ["10.20.0.0/24"], "mtu": 1400}
LARGE = {
    "name": "shop",
    "networks": {**FRONT, "back": BACK},
    "sandboxes": {
        "web": {"endpoints": {**WEB["endpoints"], "eth1": {"network": "back", "addresses": ["10.20.0.5"]}}},
        "db": DB,
        "cache": {"endpoints": {"eth0": {"network": "back", "addresses": ["10.20.0.7"]}}},
    },
}
OTHER = {
    "name": "shop",
    "networks": {"front": {"subnets": ["10.30.0.0/24"]}},
    "sandboxes": {
        "db": {"endpoints": {"net0": "front"}, "routes": [{"to": "10.99.0.0/16", "type": "blackhole"}]}
    },
}
TEXT = json.dumps(LARGE, indent=1)


def apply(world: World, topology: Mapping[str, Any]) -> Path:
    """Applies a topology and returns its file."""
    file = world.write("shop.topo.yaml", json.dumps(topology))
    world.reconciler("apply", file, "--yes", "--max-deletes", "20")
    return file


def seen(world: World) -> list[str]:
    """The lines of the masked snapshot without what is not configuration but past.

    That is the contents of the state directory, and the IPv6 groups that the kernel joins for a device: whether it leaves
    them when IPv6 is switched off depends on whether the device has had an address.
    """
    world.settle()
    data = json.loads(world.snapshot(masked=True))
    data["files"] = {name: what for name, what in data["files"].items() if not name.startswith("STATE")}
    for netns in data["namespaces"].values():
        netns["fdb"] = [entry for entry in netns["fdb"] if not entry["mac"].startswith("33:33:")]
    return json.dumps(data, indent=1).splitlines()


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(TEXT[: len(TEXT) // 2], id="half written"),
        pytest.param("", id="empty"),
        pytest.param("name: shop\nname: shop\n", id="duplicate key"),
        pytest.param("name: shop\ninclude: [gone.yaml]\n", id="missing include"),
        pytest.param(TEXT.replace('"web"', '"web": {"netns": 5}, "w"'), id="wrong type"),
        pytest.param(TEXT.replace('"network": "back"', '"network": "bakc"'), id="unknown network"),
        pytest.param(TEXT.replace("10.20.0.7", "10.20.0.5"), id="double address"),
        pytest.param(TEXT.replace('"mtu": 1400', '"driver": "macvlan"'), id="not yet"),
    ],
)
def test_a_broken_file_changes_nothing(world: World, broken: str) -> None:
    """With a topology applied, neither plan nor apply of a broken version of its file changes the machine."""
    file = apply(world, LARGE)
    before = world.snapshot()
    world.write("shop.topo.yaml", broken)
    world.reconciler("plan", file, exit=3)
    world.reconciler("apply", file, "--yes", exit=3)
    world.write("shop.topo.yaml", json.dumps(LARGE))
    world.assert_unchanged(before)


def test_traffic_goes_on_without_us(world: World) -> None:
    """After apply no process of ours is left, and one that is killed in an edit leaves what is not edited connected."""
    apply(world, SMALL)
    assert world.ping("shop.web", "10.10.0.6")
    large = world.write("large.topo.yaml", json.dumps(LARGE))
    steps = len(world.reconciler("plan", large, "-o", "json").json()["changes"])
    assert steps > 8
    for step in range(1, steps + 1, 4):
        point = {"RECONCILER_FAILPOINT": f"after:*.*#{step}=kill"}
        world.reconciler("apply", large, "--yes", env=point, exit=-signal.SIGKILL)
        assert world.ping("shop.web", "10.10.0.6", timeout=2)
        apply(world, SMALL)


@pytest.mark.many_runs
@pytest.mark.usefixtures("no_dad")
def test_every_way_leads_to_the_same_network(world: World) -> None:
    """From any topology to any other the machine is the same as when that one is applied to a clean machine."""
    topologies = {"small": SMALL, "large": LARGE, "other": OTHER}
    fresh = {}
    for name, topology in topologies.items():
        file = apply(world, topology)
        fresh[name] = seen(world)
        world.reconciler("destroy", file, "--yes")
    for before, after in pairwise(["small", "large", "other", "small", "other", "large", "small"]):
        apply(world, topologies[before])
        apply(world, topologies[after])
        difference = difflib.unified_diff(
            fresh[after], seen(world), after, f"{before} to {after}", n=8, lineterm=""
        )
        assert not (text := "\n".join(difference)), text
