"""What others break is healed, what they made is left alone, and what is in the way is named."""

from __future__ import annotations

import json
import signal
import time
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from tests.kernel.silence import silent
from tests.world import World

WEB = {"endpoints": {"eth0": {"network": "front", "addresses": ["10.10.0.11"]}}}
DB = {"endpoints": {"eth0": {"network": "front", "addresses": ["10.10.0.12"]}}}
SHOP: dict[str, Any] = {
    "name": "shop",
    "networks": {"front": {"subnets": ["10.10.0.0/24"]}},
    "sandboxes": {"web": WEB, "db": DB},
}
IN_WEB = ("ip", "-n", "shop.web", "link", "set", "eth0")
DAMAGE = {
    "renamed sandbox end": [("ip", "-n", "shop.web", "link", "set", "eth0", "down"), (*IN_WEB, "name", "x0")],
    "sandbox end in another namespace": [(*IN_WEB, "netns", "other")],
    "sandbox end in another sandbox": [(*IN_WEB, "down"), (*IN_WEB, "name", "eth7"), ("ip", "-n", "shop.web", "link", "set", "eth7", "netns", "shop.db")],
    "sandbox end on the host": [(*IN_WEB, "down"), (*IN_WEB, "name", "lost0"), ("ip", "-n", "shop.web", "link", "set", "lost0", "netns", "1")],
    "host end in a namespace": [("ip", "link", "set", "shop-web-eth0", "netns", "other")],
    "host end renamed": [("ip", "link", "set", "shop-web-eth0", "down"), ("ip", "link", "set", "shop-web-eth0", "name", "lost1")],
    "bridge renamed": [("ip", "link", "set", "shop-front", "down"), ("ip", "link", "set", "shop-front", "name", "lost2")],
    "loopback down": [("ip", "-n", "shop.web", "link", "set", "lo", "down")],
    "altname removed": [("ip", "link", "property", "del", "dev", "shop-front", "altname", "shop.front")],
    "everything flushed": [("ip", "-n", "shop.web", "address", "flush", "dev", "eth0"), ("ip", "-n", "shop.web", "route", "flush", "table", "all")],
    "group changed": [("ip", "link", "set", "shop-web-eth0", "group", "7")],
}  # fmt: skip


def apply(world: World, topology: dict[str, Any] = SHOP) -> Path:
    """Applies a topology and returns its file."""
    file = world.write("shop.topo.yaml", json.dumps(topology))
    world.reconciler("apply", file, "--yes")
    return file


def heal(world: World, file: Path, clean: str) -> None:
    """Apply finds something to do and does it; web reaches db; then silence, and destroy leaves nothing."""
    world.reconciler("plan", file, "--exit-code", exit=4)
    world.reconciler("apply", file, "--yes")
    assert world.ping("shop.web", "10.10.0.12")
    assert silent(world, file)
    world.reconciler("destroy", file, "--yes")
    world.assert_unchanged(clean)


@pytest.mark.parametrize("commands", DAMAGE.values(), ids=DAMAGE.keys())
def test_damage_is_healed(world: World, commands: list[tuple[str, ...]]) -> None:
    """Whatever was moved, renamed or taken away comes back, and nothing stays where it was carried to."""
    world.run("ip", "netns", "add", "other")
    clean = world.snapshot()
    file = apply(world)
    for command in commands:
        if command[-2:] == ("netns", "1"):
            world.run(
                "ip", "link", "set", "lost0", "netns", f"/proc/{keeper(world)}/ns/net", netns="shop.web"
            )
        else:
            world.run(*command)
    heal(world, file, clean)


def keeper(world: World) -> int:
    """A process on the host, to name the host's namespace by."""
    return world.start("sleep", "60").pid


def test_a_namespace_that_a_process_keeps_alive_is_replaced(world: World) -> None:
    """Its entry was removed while a program runs in it: the pair's other end is out of sight, and gets replaced."""
    clean = world.snapshot()
    file = apply(world)
    process = world.start("sleep", "60", netns="shop.web")
    world.run("ip", "netns", "del", "shop.web")
    heal(world, file, clean)
    process.kill()


# ------------------------------------------------------------------------------------------------ foreign objects


def refused(world: World, file: Path, *words: str) -> None:
    """Apply and plan say no with these words, and the kernel is told nothing."""
    world.settle()
    before = namespaces(world)
    text = (
        world.reconciler("plan", file, exit=5).stdout
        + world.reconciler("apply", file, "--yes", exit=5).stderr
    )
    for word in words:
        assert word in text
    assert namespaces(world) == before


def namespaces(world: World) -> Any:
    """What is seen of the kernel, without files."""
    return world.observe()["namespaces"]


@pytest.mark.parametrize("alias", ["", "mine", "reconciler:other:network/front"])
def test_a_link_that_lost_its_mark_is_foreign(world: World, alias: str) -> None:
    """Without our alias it is somebody's: named as a conflict, and not deleted, not even by destroy."""
    clean = world.snapshot()
    file = apply(world)
    index = world.ip("link", "show", "dev", "shop-front")[0]["ifindex"]
    world.run("ip", "link", "set", "shop-front", "alias", alias)
    refused(world, file, "a bridge named 'shop-front' exists that this topology did not make")
    world.reconciler("destroy", file, "--yes")
    assert world.ip("link", "show", "dev", "shop-front")[0]["ifindex"] == index
    world.run("ip", "link", "del", "shop-front")
    world.assert_unchanged(clean)


@pytest.mark.parametrize("what", ["file", "symlink", "namespace", "dangling"])
def test_something_else_at_our_place_in_run_netns(world: World, what: str) -> None:
    """It is named and left alone, and so is what a symlink points to; when it is gone, apply works."""
    world.run("ip", "netns", "add", "other")
    clean = world.snapshot()
    commands = {
        "file": ("touch", "/run/netns/shop.web"),
        "symlink": ("ln", "-s", "other", "/run/netns/shop.web"),
        "namespace": ("ip", "netns", "add", "shop.web"),
        "dangling": ("ln", "-s", "nowhere", "/run/netns/shop.web"),
    }
    world.run(*commands[what])
    file = world.write("shop.topo.yaml", json.dumps(SHOP))
    refused(world, file, "shop.web")
    world.reconciler("destroy", file, "--yes")
    world.run(*(("ip", "netns", "del", "shop.web") if what == "namespace" else ("rm", "/run/netns/shop.web")))
    world.assert_unchanged(clean)
    apply(world)
    world.reconciler("destroy", file, "--yes")
    world.assert_unchanged(clean)


def test_a_foreign_link_with_our_altname(world: World) -> None:
    """The full name is taken: said before anything is done, the link left alone."""
    clean = world.snapshot()
    world.run("ip", "link", "add", "alien0", "type", "bridge")
    world.run("ip", "link", "property", "add", "dev", "alien0", "altname", "shop.web.eth0")
    file = world.write("shop.topo.yaml", json.dumps(SHOP))
    refused(world, file, "shop.web.eth0", "alien0")
    world.reconciler("destroy", file, "--yes")
    world.run("ip", "link", "del", "alien0")
    world.assert_unchanged(clean)


def test_a_foreign_port_on_our_bridge_survives(world: World) -> None:
    """It is named in the plan of the next edit, and neither removed nor changed by it."""
    clean = world.snapshot()
    file = apply(world)
    world.run("ip", "link", "add", "guest0", "type", "veth", "peer", "name", "guest1")
    world.run("ip", "link", "set", "guest0", "master", "shop-front", "up")
    before = world.ip("-d", "link", "show", "dev", "guest0")[0]["ifindex"]
    world.write("shop.topo.yaml", json.dumps({**SHOP, "sandboxes": {"web": WEB}}))
    assert "guest0" in world.reconciler("plan", file).stdout
    world.reconciler("apply", file, "--yes")
    after = world.ip("-d", "link", "show", "dev", "guest0")[0]
    assert (after["ifindex"], after["master"]) == (before, "shop-front")
    world.reconciler("destroy", file, "--yes")
    world.run("ip", "link", "del", "guest0")
    world.assert_unchanged(clean)


# ---------------------------------------------------------------------------------------------- sandboxes given to us


def test_sandboxes_given_by_name_path_pid_and_host(world: World) -> None:
    """Four ways to name a stack that is not ours: all get their endpoint, none keeps anything afterwards."""
    world.run("ip", "netns", "add", "vm1")
    world.run("mkdir", "/run/elsewhere")
    world.run(
        "sh",
        "-c",
        "ip netns add vm2 && touch /run/elsewhere/vm2 && mount --bind /run/netns/vm2 /run/elsewhere/vm2",
    )
    world.run("ip", "netns", "add", "vm3")
    process = world.start("sleep", "120", netns="vm3")
    clean = world.snapshot()
    sandboxes = {
        "a": {"netns": "vm1", "endpoints": {"eth5": {"network": "front", "addresses": ["10.10.0.11"]}}},
        "b": {
            "netns": "/run/elsewhere/vm2",
            "endpoints": {"eth5": {"network": "front", "addresses": ["10.10.0.12"]}},
        },
        "c": {
            "pid": process.pid,
            "endpoints": {"eth5": {"network": "front", "addresses": ["10.10.0.13"]}},
            "sysctls": {"net.ipv4.ip_forward": 1},
            "routes": [{"to": "10.99.0.0/16", "type": "blackhole"}],
        },
        "d": {
            "host": True,
            "endpoints": {"front5": {"network": "front", "addresses": ["10.10.0.14"]}},
            "sysctls": {"net.ipv4.ip_forward": 1},
            "routes": [{"to": "10.98.0.0/16", "via": "10.10.0.11"}],
        },
    }
    networks = {"front": {"subnets": ["10.10.0.0/24"], "options": {"address": False}}}
    file = apply(world, {"name": "shop", "networks": networks, "sandboxes": sandboxes})
    ends = (("vm1", 11), ("vm2", 12), ("vm3", 13), (None, 14))
    for (netns, own), (_, other) in permutations(ends, 2):
        assert world.ping(netns, f"10.10.0.{other}"), f"10.10.0.{own} does not reach 10.10.0.{other}"
    assert world.sysctl("net.ipv4.ip_forward") == world.sysctl("net.ipv4.ip_forward", netns="vm3") == "1"
    assert silent(world, file)
    world.reconciler("destroy", file, "--yes")
    world.assert_unchanged(clean)
    process.send_signal(signal.SIGTERM)


def test_host_parameters_are_given_back_when_the_line_goes(world: World) -> None:
    """An edit that no longer asks for a parameter restores the value of before the first apply."""
    clean = world.snapshot()
    host = {"host": True, "sysctls": {"net.ipv4.ip_forward": 1, "net.core.somaxconn": 1000}}
    before = world.sysctl("net.core.somaxconn")
    file = apply(world, {"name": "shop", "sandboxes": {"me": host}})
    host["sysctls"] = {"net.core.somaxconn": 2000}
    apply(world, {"name": "shop", "sandboxes": {"me": host}})
    assert (world.sysctl("net.ipv4.ip_forward"), world.sysctl("net.core.somaxconn")) == ("0", "2000")
    world.reconciler("destroy", file, "--yes")
    assert world.sysctl("net.core.somaxconn") == before
    world.assert_unchanged(clean)


def test_a_given_process_that_ended(world: World) -> None:
    """Its namespace is gone with it: apply says which is missing, the rest is left, destroy takes everything back."""
    world.run("ip", "netns", "add", "vm")
    clean = world.snapshot()
    process = world.start("unshare", "-n", "sleep", "120")
    until_in_its_own(world, process.pid)
    vm = {
        "pid": process.pid,
        "endpoints": {"eth5": {"network": "front", "addresses": ["10.10.0.13"]}},
        "sysctls": {"net.ipv4.ip_forward": 1},
    }
    file = apply(world, {**SHOP, "sandboxes": {"web": WEB, "vm": vm}})
    assert world.ping("shop.web", "10.10.0.13")
    process.kill()
    process.communicate()
    until_gone(world, "shop-vm-eth5")  # the kernel takes a namespace down in its own time
    refused(world, file, f"namespace of pid {process.pid} does not exist")
    assert world.ping("shop.web", "10.10.0.1")
    world.reconciler("destroy", file, "--yes")
    world.assert_unchanged(clean)


def until_gone(world: World, link: str) -> None:
    """Returns when the host has no such link any more."""
    deadline = time.monotonic() + 5
    with world.monitor() as monitor:
        while any(each["ifname"] == link for each in world.ip("link")):
            assert time.monotonic() < deadline
            monitor.wait(0.1)


def until_in_its_own(world: World, pid: int) -> None:
    """Returns when the process has a network namespace of its own."""
    host = world.call(lambda: Path("/proc/thread-self/ns/net").readlink())
    deadline = time.monotonic() + 5
    while Path(f"/proc/{pid}/ns/net").readlink() == host:
        assert time.monotonic() < deadline
