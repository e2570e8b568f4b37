"""What is remembered between runs, what it is good for, and what happens without it: addresses, state, reboot."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tests.kernel.silence import silent
from tests.world import World

SHOP: dict[str, Any] = {
    "name": "shop",
    "networks": {"front": {"subnets": ["10.10.0.0/24", "fd00:10::/64"]}, "back": {}},
    "sandboxes": {name: {"endpoints": {"eth0": "front", "eth1": "back"}} for name in ("web", "db", "app")},
}


def apply(world: World, topology: dict[str, Any]) -> Path:
    """Applies a topology and returns its file."""
    file = world.write("shop.topo.yaml", json.dumps(topology))
    world.reconciler("apply", file, "--yes")
    return file


def without(*names: str) -> dict[str, Any]:
    """SHOP without some sandboxes."""
    return {**SHOP, "sandboxes": {k: v for k, v in SHOP["sandboxes"].items() if k not in names}}


def ends(world: World, sandbox: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    """MAC and global addresses of each interface of a sandbox."""
    return {
        link["ifname"]: (
            link["address"],
            tuple(sorted(a["local"] for a in link["addr_info"] if a["scope"] == "global")),
        )
        for link in world.netns_ip(f"shop.{sandbox}", "address", "show")
        if link["ifname"] != "lo"
    }


def test_addresses_and_macs_stay(world: World) -> None:
    """Through edits of others, loss and re-creation: who is declared keeps what it had."""
    clean = world.snapshot()
    file = apply(world, SHOP)
    first = {name: ends(world, name) for name in ("web", "db", "app")}
    world.run("ip", "netns", "del", "shop.app")
    apply(world, SHOP)
    assert {name: ends(world, name) for name in first} == first
    apply(world, without("web"))
    apply(world, {**SHOP, "sandboxes": {"aaa": SHOP["sandboxes"]["web"], **without("web")["sandboxes"]}})
    assert ends(world, "app") == first["app"]
    assert ends(world, "db") == first["db"]
    world.reconciler("destroy", file, "--yes")
    world.assert_unchanged(clean)


def test_addresses_of_who_left_are_free_again(world: World) -> None:
    """A network with room for two takes in a newcomer only after somebody left."""
    clean = world.snapshot()
    small = {
        "name": "shop",
        "networks": {"front": {"subnets": ["10.10.0.0/30"], "options": {"address": False}}},
    }
    ends_of = {"endpoints": {"eth0": "front"}}
    apply(world, {**small, "sandboxes": {"a": ends_of, "b": ends_of}})
    file = world.write(
        "shop.topo.yaml", json.dumps({**small, "sandboxes": {"a": ends_of, "b": ends_of, "c": ends_of}})
    )
    assert "10.10.0.0/30" in world.reconciler("apply", file, exit=3).stderr
    apply(world, {**small, "sandboxes": {"a": ends_of, "c": ends_of}})
    assert world.ping("shop.a", "10.10.0.2")
    world.reconciler("destroy", file, "--yes")
    world.assert_unchanged(clean)


def test_without_the_state_directory_nothing_is_lost(world: World) -> None:
    """The same file finds everything as it is; ownership is in the kernel, and destroy finds it all."""
    world.run(
        "ip", "netns", "add", "other"
    )  # that an apply made the netns directory is known to the state only
    clean = world.snapshot()
    file = apply(world, SHOP)
    before = {name: ends(world, name) for name in ("web", "db", "app")}
    world.run("rm", "-r", world.state_dir)
    assert silent(world, file)
    assert {name: ends(world, name) for name in before} == before
    world.run("rm", "-r", world.state_dir)
    world.reconciler("destroy", "--name", "shop", "--yes")
    world.assert_unchanged(clean)


def test_without_the_state_directory_an_edit_converges(world: World) -> None:
    """Addresses that were dealt may change hands, but the result holds together."""
    world.run(
        "ip", "netns", "add", "other"
    )  # that an apply made the netns directory is known to the state only
    clean = world.snapshot()
    file = apply(world, SHOP)
    world.run("rm", "-r", world.state_dir)
    apply(world, without("web"))
    world.reconciler("plan", file, "--exit-code")
    address = next(a for a in ends(world, "db")["eth0"][1] if "." in a)
    assert world.ping("shop.app", address)
    world.reconciler("destroy", file, "--yes")
    world.assert_unchanged(clean)


def test_after_a_reboot(world: World) -> None:
    """State of an earlier boot, an empty kernel: everything is made, as before, and nothing is called drift."""
    clean = world.snapshot()
    host = {"host": True, "sysctls": {"net.core.somaxconn": 1000}}
    topology = {**SHOP, "sandboxes": {**SHOP["sandboxes"], "me": host}}
    file = apply(world, topology)
    before = {name: ends(world, name)["eth0"][1] for name in ("web", "db", "app")}
    prior = world.run("cat", world.state_dir / "shop/state.json").stdout
    world.run("cp", "-r", world.state_dir, world.root / "kept")
    world.reconciler("destroy", file, "--yes")
    world.run("cp", "-r", world.root / "kept", world.state_dir)
    world.run("rm", "-r", world.root / "kept")
    for name in ("state.json", "applied.json"):
        text = world.run("cat", world.state_dir / "shop" / name).stdout
        assert '"boot_id":"' in text
        other = re.sub(r'"boot_id":"[^"]*"', '"boot_id":"00000000-0000-0000-0000-000000000000"', text)
        world.run("tee", world.state_dir / "shop" / name, input=other)
    assert "somaxconn" in prior

    planned = world.reconciler("plan", file, "-o", "json").json()["changes"]
    assert {change["cause"] for change in planned} == {"declared"}
    world.reconciler("apply", file)
    assert {name: ends(world, name)["eth0"][1] for name in before} == before
    world.reconciler("destroy", file, "--yes")
    world.assert_unchanged(clean)


def test_damaged_state_is_named_and_changes_nothing(world: World) -> None:
    """A state file that is no JSON: the file is named with what to do, and the kernel is left alone."""
    clean = world.snapshot()
    file = apply(world, SHOP)
    world.run("tee", world.state_dir / "shop/state.json", input="{")
    world.settle()
    with world.monitor() as monitor:
        said = world.reconciler("apply", file, "--yes", exit=1).stderr
        assert monitor.events() == []
    assert "state.json is damaged" in said
    assert "move it away" in said
    assert "former values" in said
    world.run("rm", world.state_dir / "shop/state.json")
    world.reconciler("destroy", file, "--yes")
    world.assert_unchanged(clean)


def test_damaged_memory_stops_nothing_and_is_replaced(world: World) -> None:
    """What was applied and what runs there were only explain: a warning names the file, and the next apply writes it anew."""
    clean = world.snapshot()
    file = apply(world, SHOP)
    for name in ("applied.json", "history.json"):
        world.run("truncate", "--size", "20", world.state_dir / "shop" / name)
    world.run("ip", "link", "set", "eth0", "down", netns="shop.web")
    damaged = f"warning: {world.state_dir}/shop/applied.json is damaged"
    assert world.reconciler("plan", file).stderr.count(damaged) == 1
    status = world.reconciler("status", file).stderr
    assert damaged in status
    assert f"warning: {world.state_dir}/shop/history.json is damaged" in status
    assert damaged in world.reconciler("drift", file).stderr
    tried = world.reconciler("apply", file, "--confirm", "1s", exit=5)
    assert tried.stderr.count(damaged) == 1
    assert not world.ping("shop.web", "10.10.0.1")
    world.reconciler("apply", file)
    assert world.ping("shop.web", "10.10.0.1")
    world.run("ip", "link", "set", "eth0", "down", netns="shop.web")
    again = world.reconciler("plan", file)
    assert "drift" in again.stdout
    assert "damaged" not in again.stderr + world.reconciler("status", file).stderr
    for name in ("applied.json", "history.json"):
        world.run("truncate", "--size", "20", world.state_dir / "shop" / name)
    world.reconciler("destroy", file, "--yes")
    world.assert_unchanged(clean)
