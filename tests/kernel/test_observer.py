"""A look that reads again only what the kernel's notices name sees the same as one that reads everything."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reconciler import pipeline
from reconciler.apply import scope_of
from reconciler.kernel import observe
from reconciler.kernel.events import Events
from reconciler.kernel.follow import Follower
from reconciler.objects import HOST, Link
from reconciler.planner import plan
from reconciler.sides import Desired, Found, Observed, Requirement, Scope
from reconciler.state import Store
from tests.world import World

SHOP: dict[str, Any] = {
    "name": "shop",
    "networks": {"front": {"subnets": ["10.10.0.0/24", "fd00:10::/64"]}, "back": {}},
    "sandboxes": {
        "web": {
            "endpoints": {"eth0": "front", "eth1": "back"},
            "routes": [{"to": "10.99.0.0/16", "via": "10.10.0.254"}],
            "sysctls": {"net.ipv4.ip_forward": 1},
        },
        "db": {"endpoints": {"eth0": "front"}},
        "app": {"endpoints": {"eth0": "back"}},
        "own": {"host": True, "sysctls": {"net.ipv4.ip_forward": 1}},
        "vm": {"netns": "vm7", "endpoints": {"eth0": "front"}},
    },
}
EDITED: list[dict[str, Any]] = [
    {**SHOP, "networks": {"front": {"subnets": ["10.10.0.0/24", "fd00:10::/64"], "mtu": 1400}, "back": {}}},
    {
        **SHOP,
        "sandboxes": {name: each for name, each in SHOP["sandboxes"].items() if name not in ("db", "vm")},
    },
    {**SHOP, "sandboxes": {**SHOP["sandboxes"], "more": {"endpoints": {"eth0": "back"}}}},
    {**SHOP, "sandboxes": {**SHOP["sandboxes"], "db": {"sysctls": {"net.ipv4.tcp_keepalive_time": 60}}}},
]
LINKS = (
    *("shop-front", "shop-back", "shop-web-eth0", "shop-web-eth1", "shop-db-eth0", "shop-app-eth0"),
    *("shop-more-eth0", "br-x"),
)
NETNS = ("shop.web", "shop.db", "shop.app", "vm7")
SEEDS = range(4)
STEPS = 40

Step = tuple[str, ...]


def a_step(draw: random.Random) -> Step:
    """Something that a person could type, which may well fail: what it names may be gone."""
    link, netns, end = draw.choice(LINKS), draw.choice(NETNS), draw.choice(("eth0", "eth1"))
    number = draw.randrange(2, 250)
    on_host: list[Step] = [
        ("ip", "link", "set", link, "mtu", str(1300 + number)),
        ("ip", "link", "set", link, draw.choice(("up", "down"))),
        ("ip", "link", "set", link, "address", f"02:00:00:00:01:{number:02x}"),
        ("ip", "link", "set", link, "master", draw.choice(("shop-front", "shop-back", "br-x"))),
        ("ip", "link", "set", link, "nomaster"),
        ("ip", "link", "add", "shop-more-eth0", "type", "bridge"),
        ("ip", "link", "set", link, "alias", "mine"),
        ("ip", "link", "set", link, "group", str(number)),
        ("ip", "link", "set", "dev", link, "type", "bridge_slave", "isolated", draw.choice(("on", "off"))),
        ("ip", "link", "set", "dev", link, "type", "bridge", "ageing_time", str(number * 100)),
        ("ip", "link", "property", "add", "dev", link, "altname", f"other{number}"),
        ("ip", "link", "del", link),
        ("ip", "link", "add", "br-x", "type", "bridge"),
        ("ip", "link", "add", link, "type", "dummy"),
        ("ip", "link", "set", link, "name", draw.choice(LINKS)),
        ("ip", "link", "set", link, "netns", netns),
        ("ip", "address", "add", f"10.10.0.{number}/24", "dev", link),
        ("ip", "address", "flush", "dev", link),
        ("ip", "route", "flush", "dev", link),
        ("ip", "route", "add", f"10.77.{number}.0/24", "dev", link),
        ("ip", "route", "add", f"10.77.{number}.0/24", "dev", link, "proto", "114"),
        (
            "tc",
            "qdisc",
            "replace",
            "dev",
            link,
            "root",
            "handle",
            "7c02:",
            *["tbf", "rate", "1mbit", "burst", "4kb", "limit", "64kb"],
        ),
        ("tc", "qdisc", "del", "dev", link, "root"),
        ("sysctl", "-qw", f"net.ipv4.ip_forward={number % 2}"),
        ("ip", "netns", "del", netns),
        ("ip", "netns", "add", netns),
        ("umount", "-l", f"/run/netns/{netns}"),
    ]
    inside: list[Step] = [
        ("ip", "link", "set", end, "mtu", str(1300 + number)),
        ("ip", "link", "set", end, "down"),
        ("ip", "link", "set", end, "up"),
        ("ip", "link", "set", end, "name", f"x{number}"),
        ("ip", "link", "set", end, "netns", draw.choice(NETNS)),
        ("ip", "link", "add", "mv0", "link", end, "type", "bridge"),
        ("ip", "link", "add", end, "type", "dummy"),
        ("ip", "link", "del", end),
        ("ip", "link", "set", "lo", "up", "alias", "nobody"),
        ("ip", "address", "add", f"10.10.0.{number}/24", "dev", end),
        ("ip", "address", "flush", "dev", end),
        ("ip", "route", "flush", "table", "main"),
        ("ip", "route", "add", f"10.77.{number}.0/24", "dev", end),
        (
            "tc",
            "qdisc",
            "replace",
            "dev",
            end,
            "root",
            "handle",
            "7c02:",
            *["tbf", "rate", "1mbit", "burst", "4kb", "limit", "64kb"],
        ),
        ("sysctl", "-qw", f"net.ipv4.ip_forward={number % 2}"),
    ]
    if draw.random() < 0.6:
        return draw.choice(on_host)
    return ("ip", "netns", "exec", netns, *draw.choice(inside))


def same(desired: Desired, one: Observed, other: Observed) -> list[str]:
    """What differs that matters, as text: what is ours, and what is to be done. Other links on the host are nobody's."""
    keys = {key for side in (one, other) for key, found in side.objects.items() if found.ours}
    keys |= desired.objects.keys() | {requirement.key for requirement in desired.requirements}
    pairs: dict[str, tuple[Any, Any]] = {
        str(key): (relevant(one.objects.get(key)), relevant(other.objects.get(key))) for key in sorted(keys)
    }
    pairs |= {
        name: (getattr(one, name), getattr(other, name)) for name in ("unready", "orphans", "same", "unknown")
    }
    first, second = plan(desired, one), plan(desired, other)
    pairs |= {
        name: (getattr(first, name), getattr(second, name)) for name in ("changes", "conflicts", "pending")
    }
    return [f"{name}: {mine} instead of {theirs}" for name, (mine, theirs) in pairs.items() if mine != theirs]


def relevant(found: Found | None) -> object:
    """Of somebody's link in a place of ours only that it is there: while it is down the kernel tells no more of it."""
    if found is None or found.ours or not isinstance(found.object, Link) or found.object.up:
        return found
    return found.object.kind.name


def calm(desired: Desired, look: Callable[[], tuple[Observed, Observed]]) -> list[str]:
    """What two looks in a row say that differs, where the kernel changes nothing by itself in between."""
    left = ["?"]
    for _ in range(20):  # links come up and namespaces are cleared away in their own time
        left = same(desired, *look())
        if not left:
            break
    return left


def applied(world: World) -> str:
    """The file of the shop, which was applied."""
    world.run("ip", "netns", "add", "vm7")
    file = str(world.write("shop.topo.yaml", json.dumps(SHOP)))
    world.reconciler("apply", file, "--yes")
    return file


def begin(world: World, stack: ExitStack, file: str) -> tuple[Desired, Scope, Follower]:
    """Somebody who follows a topology that was applied; he has not looked yet."""

    def follow() -> tuple[Desired, Scope, Follower]:
        follower = stack.enter_context(Follower(Store(Path(world.state_dir), SHOP["name"])))
        return *declare(world, follower, file), follower

    return world.call(follow)


def declare(world: World, follower: Follower, file: str) -> tuple[Desired, Scope]:
    """The files are read, and that is what the follower is told to look for. Called inside."""
    loaded = pipeline.load((file,), (), Path(world.state_dir))
    follower.declare(loaded.desired)
    return loaded.desired, scope_of(loaded.desired, loaded.store.claims())


@pytest.mark.parametrize("seed", SEEDS)
def test_a_partial_look_sees_everything(world: World, seed: int) -> None:
    """After each of many random acts of vandalism, applied to what an apply made."""
    file = applied(world)
    draw = random.Random(seed)
    with ExitStack() as stack:
        desired, scope, follower = begin(world, stack, file)

        def both() -> tuple[Observed, Observed]:
            return follower.observe(scope), observe.observe(scope)  # what was declared last

        world.call(both)
        done: list[str] = []
        for _ in range(STEPS):
            step = a_step(draw)
            done.append(" ".join(step) + (" (refused)" if world.run(*step, check=False).returncode else ""))
            differences = world.call(calm, desired, both)
            assert not differences, "\n".join((*done, "", *differences))
            if draw.random() < 0.1:
                world.reconciler("apply", file, "--yes", exit=None)
                done.append("apply")
            if draw.random() < 0.1:
                edited = draw.choice([SHOP, *EDITED])
                world.write("shop.topo.yaml", json.dumps(edited))
                desired, scope = world.call(declare, world, follower, file)
                done.append("edit")


def test_an_edit_is_no_reason_to_read_everything(world: World) -> None:
    """Only one that brings links in the host of which we were not told; and it is a reason to look in any case."""
    file = applied(world)
    with ExitStack() as stack:
        _, scope, follower = begin(world, stack, file)
        world.call(follower.observe, scope)
        world.settle()
        world.call(follower.observe, scope)
        for edited, again in ((SHOP, False), (EDITED[0], False), (EDITED[2], True)):
            before = dict(follower._observer.tables)
            world.write("shop.topo.yaml", json.dumps(edited))
            _, scope = world.call(declare, world, follower, file)
            assert follower.listen()
            world.call(follower.observe, scope)
            assert (follower._observer.tables["shop.web"] is not before["shop.web"]) is again


def test_a_link_that_matters_only_now_is_seen(world: World) -> None:
    """It was there before, and what was told of it then was of no interest."""
    file = str(world.write("lab.topo.yaml", json.dumps({"name": "shop", "networks": {"front": {}}})))
    world.reconciler("apply", file, "--yes")
    with ExitStack() as stack:
        desired, scope, follower = begin(world, stack, file)
        parent = ("link", HOST, "br-x")
        world.call(follower.observe, scope)
        world.run("ip", "link", "add", "br-x", "type", "bridge")
        assert parent not in world.call(follower.observe, scope).objects
        wanted = Requirement(parent, "network/front", None, "parent 'br-x'")
        world.call(follower.declare, replace(desired, requirements=(wanted,)))
        assert follower.listen()
        assert parent in world.call(follower.observe, scope).objects


@pytest.mark.parametrize("where", [None, "shop.web"])
@pytest.mark.parametrize("subnet", ["10.10.0.0/24", "fd00:10::/64"])
def test_a_lost_subnet_is_heard(world: World, where: str | None, subnet: str) -> None:
    """That of a bridge in the host as well, where most notices about routes are nobody's business here."""
    file = applied(world)
    with ExitStack() as stack:
        desired, scope, follower = begin(world, stack, file)
        world.call(follower.observe, scope)
        world.settle()
        assert not plan(desired, world.call(follower.observe, scope)).changes
        world.run("ip", "route", "del", subnet, netns=where)
        assert follower.listen()
        assert plan(desired, world.call(follower.observe, scope)).changes


def test_an_overrun_makes_everything_stale(world: World) -> None:
    """With room for little, a flood of notices is lost: that is counted once told, and leads to a look at everything."""
    world.run("ip", "link", "add", "br-x", "type", "bridge")
    events = world.call(Events, 4096)
    with events:
        lines = "\n".join(f"address add 10.0.{n // 250}.{n % 250 + 1}/32 dev br-x" for n in range(500))
        world.run("ip", "-batch", "-", input=lines)
        assert events.drain() == observe.EVERYTHING
        assert events.counters.overruns == 1
        world.run("ip", "link", "set", "br-x", "mtu", "1400")
        assert not events.drain()
        assert events.counters.heard > 0
