"""The data cases against the real kernel: same plans, then facts by other eyes, then nothing left behind."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests import cases, vandals
from tests.cases import Case
from tests.rtnl import Event
from tests.world import World

pytestmark = pytest.mark.many_runs
ALL = [pytest.param(case, id=case.name, marks=pytest.mark.needs(*case.needs)) for case in cases.load_all()]


def write(world: World, topology: Mapping[str, Any]) -> Path:
    """The topology as a file in the world."""
    return world.write("case.topo.yaml", json.dumps(topology))


def check_fact(world: World, fact: Mapping[str, Any]) -> None:
    """Assert one fact through `ip`, /proc or traffic."""
    match fact:
        case {"ping": address, "from": netns}:
            assert world.ping(netns, address, size=fact.get("size"), timeout=5), (
                f"no answer from {address} to {netns}"
            )
        case {"no ping": address, "from": netns}:
            assert not world.ping(netns, address, timeout=0.5), f"{address} answers {netns}"
        case {"sysctl": name, "value": value}:
            assert world.sysctl(name, netns=fact.get("in")) == value
        case {"route": to, "is": wanted}:
            shown = world.run(
                "ip", "-6" if ":" in to else "-4", "route", "show", to, netns=fact.get("in")
            ).stdout.splitlines()
            routes = [line.removeprefix(to).removesuffix("linkdown ").strip() for line in shown]
            assert ", ".join(routes) == wanted
        case {"link": name}:
            check_link(world, name, fact)
        case {"qdisc": link, "is": wanted}:
            assert qdiscs(world, link, fact.get("in")) == wanted
        case {"fdb": entries, "on": link}:
            shown = world.bridge("fdb", "show", "dev", link)
            found = {f"{each['mac']} {each['dst']}" for each in shown if "dst" in each}
            assert found == set(entries)
        case _:
            raise AssertionError(f"no such fact: {fact}")


def qdiscs(world: World, link: str, netns: str | None) -> list[str]:
    """The queueing disciplines of a link as `tc qdisc show` has them, from the root, without what says nothing."""
    shown = world.run("tc", "qdisc", "show", "dev", link, netns=netns).stdout.splitlines()
    return [re.sub(r" refcnt [0-9]+", "", line).strip() for line in shown]


def check_link(world: World, name: str, fact: Mapping[str, Any]) -> None:
    """Assert attributes of a link as `ip -d -j link` shows them."""
    arguments = ("-d", "link", "show", "dev", name)
    shown = (world.netns_ip(fact["in"], *arguments) if "in" in fact else world.ip(*arguments))[0]
    info = shown.get("linkinfo", {})
    found = {
        "mtu": shown["mtu"],
        "mac": shown["address"],
        "up": "UP" in shown["flags"],
        "master": shown.get("master"),
        "kind": info.get("info_kind"),
        "stp": info.get("info_data", {}).get("stp_state"),
        "mode": info.get("info_data", {}).get("mode"),
    }
    wanted = {key: value for key, value in fact.items() if key not in ("link", "in")}
    assert {key: found[key] for key in wanted} == wanted


def quiet_apply(world: World, file: Path, *more: str, exit: int = 0) -> None:
    """A second apply does nothing, as counted by an independent listener, and a plan has nothing to say."""

    def apply() -> None:
        applied = world.reconciler("apply", file, *more, "--yes", "-o", "json", exit=exit).json()
        assert (applied["changes"], applied["messages"]) == ([], 0)

    assert heard_each_time(world, apply) == []
    assert world.reconciler("plan", file, *more, "-o", "json").json()["changes"] == []


def heard_each_time(world: World, act: Callable[[], object]) -> list[Event]:
    """What the kernel reports while `act` runs, however often that is.

    It may still report what followed from something earlier, so a noise that does not repeat is not ours.
    """
    heard: list[Event] = []
    for _ in range(3):
        world.settle()
        with world.monitor() as monitor:
            act()
            heard = monitor.events()
        if not heard:
            break
    return heard


@pytest.mark.parametrize("case", ALL)
def test_case(case: Case, world: World) -> None:
    """Plan, apply, facts, silence, decoys, destroy: the machine is as it was."""
    for step in case.setup:
        vandals.on_world(world, step)
    decoys = world.decoys("shop")
    world.settle()
    clean = world.snapshot()
    more = () if case.host is None else ("--host", case.host)
    if case.before is not None:
        world.reconciler("apply", write(world, case.before), *more, "--yes")
    for step in case.breaks:
        vandals.on_world(world, step)
    world.settle(dad=False)

    file = write(world, case.edited)
    planned = world.reconciler("plan", file, *more, "-o", "json", exit=5 if case.conflicts else 0).json()
    assert [cases.json_line(change) for change in planned["changes"]] == list(case.plan)
    assert [conflict["message"] for conflict in planned["conflicts"]] == list(case.conflicts)
    assert [pending["message"] for pending in planned["pending"]] == list(case.pending)

    if case.conflicts:
        assert heard_each_time(world, lambda: world.reconciler("apply", file, *more, "--yes", exit=5)) == []
        world.reconciler("destroy", "--name", case.edited["name"], "--yes")
        world.assert_unchanged(clean)
        decoys.check()
        return
    done = 4 if case.pending else 0
    applied = world.reconciler("apply", file, *more, "--yes", "-o", "json", exit=done).json()
    assert [cases.json_line(change) for change in applied["changes"]] == list(case.plan)
    for fact in case.facts:
        check_fact(world, fact)
    quiet_apply(world, file, *more, exit=done)
    decoys.check()
    world.reconciler("destroy", file, *more, "--yes")
    if not any("add" in step for step in case.breaks):
        world.assert_unchanged(clean)
    decoys.check()
