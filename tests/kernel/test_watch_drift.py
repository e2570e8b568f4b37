"""Everything that others can change is made good, at once where the kernel tells of it; or said, where that was asked."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests import cases, features, vandals
from tests.cases import Case
from tests.kernel.test_cases import check_fact
from tests.watching import Watching, watching
from tests.world import World

DONE = ("created", "changed", "replaced", "deleted")
BROKEN = [
    pytest.param(case, id=case.name, marks=pytest.mark.needs(*case.needs))
    for case in cases.load_all()
    if case.breaks and case.before is not None and case.after is None and not case.conflicts
]


class Vandal(NamedTuple):
    """One line of the matrix, about things of its own. `address` is what differs then."""

    command: str
    address: str
    silent: bool
    conflict: bool


def matrix() -> tuple[dict[str, Any], list[Vandal]]:
    """A topology, and what is to be done to it."""
    lines = yaml.safe_load((Path(__file__).parent.parent / "drift/matrix.yaml").read_text())
    lines = [line for line in lines if "needs" not in line or features.lack(line["needs"]) is None]
    topology: dict[str, Any] = {"name": "m", "networks": {}, "sandboxes": {}}
    found = []
    for number, line in enumerate(lines, 10):
        net, box = f"n{number}", f"s{number}"
        prefix = f"10.40.{number}"
        options = {
            "isolated": True,
            "stp": False,
            "ageing_time": 300,
            "forward_delay": 15,
            "mac": f"02:00:00:00:01:{number}",
        }
        topology["networks"][net] = {"subnets": [f"{prefix}.0/24"], "mtu": 1500, "options": options}
        topology["sandboxes"][box] = {
            "endpoints": {
                "eth0": {
                    "network": net,
                    "addresses": [f"{prefix}.2"],
                    "mac": f"02:00:00:00:04:{number}",
                    "sysctls": {"net.ipv4.conf.IFNAME.rp_filter": 1, "net.ipv4.conf.IFNAME.arp_ignore": 1},
                    **({"bandwidth": "10mbit"} if "needs" in line else {}),
                }
            },
            "routes": [{"to": "10.99.0.0/16", "via": f"{prefix}.254", "metric": 50}],
            "sysctls": {"net.ipv4.ip_forward": 1, "net.core.somaxconn": 77},
        }
        words = {
            "bridge": f"m-{net}", "port": f"m-{box}-eth0", "netns": f"m.{box}", "end": "eth0", "n": number,
            "gateway": f"{prefix}.1/24", "address": f"{prefix}.2/24", "via": f"{prefix}.200", "altname": f"m.{net}",
        }  # fmt: skip
        place = {
            "network": f"network/{net}",
            "sandbox": f"sandbox/{box}",
            "endpoint": f"sandbox/{box}/endpoint/eth0",
        }
        found.append(
            Vandal(line["do"].format(**words), place[line["of"]], "silent" in line, "conflict" in line)
        )
    return topology, found


def nothing_left(
    world: World, watch: Watching, topology: Mapping[str, Any], *options: str, exit: int = 0
) -> None:
    """A full look of the watch repairs nothing more, and a fresh process finds nothing."""
    watch.signal(signal.SIGHUP)
    watch.kind("reload")
    heard = watch.until(lambda event: event["kind"] == "reloaded")
    assert [event for event in heard if event["kind"] in DONE] == []
    file = world.write("again.topo.yaml", json.dumps(topology))
    world.reconciler("plan", file, "--exit-code", *options, exit=exit)


def test_every_attribute_is_repaired(world: World) -> None:
    """Each by itself, when its notice comes; what makes none, by the next full look."""
    topology, todo = matrix()
    world.run("ip", "link", "add", "br-x", "type", "bridge")
    world.run("ip", "netns", "add", "elsewhere")
    with watching(world, topology) as watch:
        for vandal in todo:
            if vandal.conflict:
                continue
            world.run(*vandal.command.split())
            if vandal.silent:
                watch.signal(signal.SIGHUP)
            try:
                watch.until(
                    lambda event, vandal=vandal: (  # type: ignore[misc]
                        event["address"] == vandal.address
                        and event["kind"] in DONE
                        and event["cause"] == "drift"
                    )
                )
            except AssertionError as error:
                raise AssertionError(f"{vandal.command}: {error}") from error
        watch.quiet(topology)
        nothing_left(world, watch, topology)
    world.reconciler("destroy", "--name", "m", "--yes")


def test_every_attribute_is_reported(world: World) -> None:
    """With --detect-only nothing is touched, and each of them is said to differ."""
    topology, todo = matrix()
    world.run("ip", "link", "add", "br-x", "type", "bridge")
    world.run("ip", "netns", "add", "elsewhere")
    world.reconciler("apply", world.write("m.topo.yaml", json.dumps(topology)))
    with watching(world, topology, "--detect-only") as watch:
        for vandal in todo:
            world.run(*vandal.command.split())
        watch.signal(signal.SIGHUP)
        watch.kind("reloaded")
        trouble = watch.report()["trouble"]
        assert {vandal.address for vandal in todo} - trouble.keys() == set()
        assert watch.report()["repaired"] == 0


@pytest.mark.parametrize("case", BROKEN)
def test_case(case: Case, world: World) -> None:
    """What the cases break is repaired without being asked for, facts included; decoys stay as they are."""
    for step in case.setup:
        vandals.on_world(world, step)
    decoys = world.decoys("shop")
    assert case.before is not None
    host = () if case.host is None else ("--host", case.host)
    left = 4 if case.pending else 0
    with watching(world, case.before, *host) as watch:
        for step in case.breaks:
            vandals.on_world(world, step)
        watch.quiet(case.before, *host, exit=left)
        nothing_left(world, watch, case.before, *host, exit=left)
        for fact in case.facts:
            check_fact(world, fact)
    decoys.check()
