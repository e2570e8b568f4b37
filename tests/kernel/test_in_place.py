"""What can change in place does, with no packet lost between endpoints that the edit does not concern."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.world import World

BASE: dict[str, Any] = {
    "name": "shop",
    "networks": {
        "front": {"subnets": ["10.10.0.0/24", "fd00:10::/64"]},
        "back": {"subnets": ["10.20.0.0/24"]},
    },
    "sandboxes": {
        "web": {"endpoints": {"eth0": {"network": "front", "addresses": ["10.10.0.11", "fd00:10::11"]}}},
        "db": {"endpoints": {"eth0": {"network": "front", "addresses": ["10.10.0.12", "fd00:10::12"]}}},
        "old": {"endpoints": {"eth0": "front", "eth1": "back"}},
    },
}
ALIAS = "reconciler:shop:"
KEPT = ("shop-front", "shop-web-eth0", "shop-db-eth0")


def edited(**changes: Any) -> dict[str, Any]:
    """BASE with parts replaced: `front` and `back` are networks (None: gone), everything else sandboxes."""
    copy: dict[str, Any] = json.loads(json.dumps(BASE))
    for name, body in changes.items():
        part = copy["networks" if name in ("front", "back") else "sandboxes"]
        part.pop(name, None)
        if body is not None:
            part[name] = body
    return copy


FRONT = BASE["networks"]["front"]
EDITS: Mapping[str, dict[str, Any]] = {
    "mtu": edited(front={**FRONT, "mtu": 1400}),
    "gateway": edited(
        front={"subnets": [{"subnet": "10.10.0.0/24", "gateway": "10.10.0.254"}, "fd00:10::/64"]}
    ),
    "bridge-options": edited(
        front={**FRONT, "options": {"ageing_time": 60, "forward_delay": 4, "hairpin": True}}
    ),
    "no-address": edited(front={**FRONT, "options": {"address": False}}),
    "remove-sandbox": edited(old=None),
    "add-sandboxes": edited(new={"replicas": 5, "endpoints": {"eth0": "front"}}),
    "add-network": edited(new={"endpoints": {"eth0": "front", "eth1": "back"}}),
    "remove-network": edited(back=None, old={"endpoints": {"eth0": "front"}}),
    "sandbox-parameters": edited(web={**BASE["sandboxes"]["web"], "sysctls": {"net.ipv4.ip_forward": 1}}),
    "routes": edited(
        web={**BASE["sandboxes"]["web"], "routes": [{"to": "10.99.0.0/16", "via": "10.10.0.12"}]},
    ),
    "third-subnet": edited(front={"subnets": [*FRONT["subnets"], "10.11.0.0/24"]}),
}


@contextmanager
def traffic(world: World, address: str) -> Iterator[list[str]]:
    """Pings from web every 20 ms while the block runs; afterwards the list holds how many went out and came back."""
    counts: list[str] = []
    process = world.start("ping", "-n", "-i", "0.02", address, netns="shop.web")
    assert process.stdout is not None
    while "bytes from" not in process.stdout.readline():
        assert process.poll() is None
    try:
        yield counts
    finally:
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=10)
        found = re.search(r"(\d+) packets transmitted, (\d+) received", out)
        assert found is not None, out
        counts.extend(found.groups())


def indexes(world: World) -> dict[str, int]:
    """The numbers of the links that stay."""
    host = {link["ifname"]: link["ifindex"] for link in world.ip("link", "show") if link["ifname"] in KEPT}
    inside = {
        f"{netns}/eth0": world.netns_ip(netns, "link", "show", "dev", "eth0")[0]["ifindex"]
        for netns in ("shop.web", "shop.db")
    }
    return {**host, **inside}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
def test_nothing_is_lost_by_an_edit_elsewhere(world: World, edit: dict[str, Any]) -> None:
    """Flows between untouched endpoints lose no packet, their links keep their numbers and are never deleted."""
    clean = world.snapshot()
    file = world.write("shop.topo.yaml", json.dumps(BASE))
    world.reconciler("apply", file)
    before = indexes(world)
    world.write("shop.topo.yaml", json.dumps(edit))
    with traffic(world, "10.10.0.12") as v4, traffic(world, "fd00:10::12") as v6, world.monitor() as monitor:
        world.reconciler("apply", file, "--yes")
        events = monitor.events()
    assert [event for event in events if event.kind == "dellink" and event.name in KEPT] == []
    assert v4[0] == v4[1]
    assert v6[0] == v6[1]
    assert indexes(world) == before
    world.reconciler("plan", file, "--exit-code")
    world.reconciler("destroy", file, "--yes")
    world.assert_unchanged(clean)


def test_pings_are_counted_as_lost_when_they_are(world: World) -> None:
    """The counter above can fail: an endpoint that is taken down loses packets."""
    clean = world.snapshot()
    file = world.write("shop.topo.yaml", json.dumps(BASE))
    world.reconciler("apply", file)
    with traffic(world, "10.10.0.12") as counts:
        world.run("ip", "link", "set", "shop-db-eth0", "down")
        world.reconciler("apply", file)
    assert int(counts[0]) > int(counts[1])
    world.reconciler("destroy", file, "--yes")
    world.assert_unchanged(clean)


# -------------------------------------------------------------------------------- what cannot change in place


def replacements(world: World, file: Path) -> dict[str, dict[str, Any]]:
    """The replaced objects of a plan, by the last part of their key."""
    changes = world.reconciler("plan", file, "-o", "json").json()["changes"]
    return {
        change["key"][-1]: change
        for change in changes
        if change["action"][0] == "delete" and change["forces_replacement"]
    }


def finish(world: World, file: Path, clean: str) -> None:
    """Apply repairs it, web reaches db again, and destroy leaves nothing."""
    world.reconciler("apply", file, "--yes")
    assert world.ping("shop.web", "10.10.0.12")
    world.reconciler("plan", file, "--exit-code")
    world.reconciler("destroy", file, "--yes")
    world.assert_unchanged(clean)


def test_a_host_end_with_another_peer_is_replaced(world: World) -> None:
    """A pair that was remade elsewhere under our mark: the plan names the peer as what forces the replacement."""
    clean = world.snapshot()
    file = world.write("shop.topo.yaml", json.dumps(BASE))
    world.reconciler("apply", file)
    world.run("ip", "link", "del", "shop-web-eth0")
    world.run("ip", "link", "add", "shop-web-eth0", "type", "veth", "peer", "name", "guest")
    world.run("ip", "link", "set", "shop-web-eth0", "alias", f"{ALIAS}sandbox/web/endpoint/eth0")

    found = replacements(world, file)

    assert found["shop-web-eth0"]["forces_replacement"] == ["peer"]
    assert found["shop-web-eth0"]["interrupts"] == []
    refused = world.reconciler("apply", file, exit=5)
    assert "replace sandbox/web/endpoint/eth0" in refused.stderr
    finish(world, file, clean)


def test_a_bridge_of_another_kind_is_replaced(world: World) -> None:
    """A link of another kind under the bridge's mark: the plan names the kind as what forces the replacement."""
    clean = world.snapshot()
    file = world.write("shop.topo.yaml", json.dumps(BASE))
    world.reconciler("apply", file)
    world.run("ip", "link", "del", "shop-front")
    world.run("ip", "link", "add", "shop-front", "type", "veth", "peer", "name", "guest")
    world.run("ip", "link", "set", "shop-front", "alias", f"{ALIAS}network/front")

    found = replacements(world, file)

    assert found["shop-front"]["forces_replacement"] == ["kind"]
    finish(world, file, clean)
