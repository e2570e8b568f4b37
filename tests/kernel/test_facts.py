"""Questions about features, asked of the real kernel: right, and without a trace."""

from __future__ import annotations

import json
import re
import sys

import pytest

from reconciler.features import FEATURES, Fact, Sort, Verdict
from reconciler.kernel import facts
from tests import features as tried
from tests.world import World

_UNPRIVILEGED = ("setpriv", "--bounding-set", "-net_admin,-sys_admin", "--", sys.executable)


def _probe() -> list[Fact]:
    return facts.probe(FEATURES.values())


def test_the_answers_are_those_of_a_trial(world: World) -> None:
    """A kernel that is asked answers as one in which the thing is made."""
    told = {fact.name: fact for fact in world.call(_probe)}
    for name in told.keys() & tried.FEATURES.keys():
        reason = tried.lack(name)
        assert told[name].verdict is (Verdict.MISSING if reason else Verdict.PRESENT), (told[name], reason)


def test_asking_makes_nothing(world: World) -> None:
    """Whatever the kernel knows, no link, queue or file is there afterwards that was not before."""
    before = world.snapshot()
    world.call(_probe)
    world.assert_unchanged(before)
    assert "noqueue" in world.run("tc", "qdisc", "show", "dev", "lo").stdout


def test_a_queue_of_somebody_else_is_left_alone(world: World) -> None:
    """Where the loopback already has one, that it knows others is not found out, and not denied."""
    world.run(
        "tc", "qdisc", "add", "dev", "lo", "root", "tbf", "rate", "1mbit", "burst", "10k", "latency", "9ms"
    )
    before = world.run("tc", "qdisc", "show", "dev", "lo").stdout
    told = {fact.name: fact.verdict for fact in world.call(_probe)}
    assert world.run("tc", "qdisc", "show", "dev", "lo").stdout == before
    for name, feature in FEATURES.items():
        if feature.sort is Sort.QDISC:
            assert told[name] is not Verdict.MISSING or tried.lack(name)


def test_without_privilege_nothing_is_known_and_nothing_fails(world: World) -> None:
    """A kernel that does not answer is not a kernel that cannot."""
    ask = "from reconciler.kernel.facts import FEATURES, lacks; print(lacks(FEATURES))"
    assert world.run(*_UNPRIVILEGED, "-c", ask, env=world.environment()).stdout == "{}\n"


LAB = "name: lab\nnetworks: {lan: {subnets: [10.10.0.0/24]}}\nsandboxes: {web: {endpoints: {eth0: lan}}}\n"

WITHOUT_BRIDGES = """
import sys
from reconciler import cli
from reconciler.features import Lack
from reconciler.kernel.linux import Linux
Linux.lacks = lambda _, names: {n: Lack("the kernel says no", "get it") for n in names if n == "bridge"}
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.parametrize("command", ["plan", "apply"])
def test_what_this_host_lacks_is_said_before_anything_is_touched(world: World, command: str) -> None:
    """Exit code 8 with the line that needs it; no link, namespace, directory or lease was made, nothing was asked."""
    path = world.write("lab.yaml", LAB)
    before = world.snapshot()
    argv = (sys.executable, "-c", WITHOUT_BRIDGES, command, path, "-o", "json")
    done = world.run(*argv, env=world.environment(), check=False)
    assert done.returncode == 8
    reason = f"{path}:2:12: network/lan needs link kind 'bridge', which this kernel lacks (the kernel says no); get it"
    assert json.loads(done.stdout)["error"]["reasons"] == [reason]
    assert reason in done.stderr
    world.assert_unchanged(before)


def test_doctor_finds_this_host_able(world: World) -> None:
    """A host in which the tests can run holds bridge topologies, and looking makes and writes nothing."""
    before = world.snapshot()
    assert world.reconciler("doctor").stdout.endswith("\n\nThis host can hold bridge topologies.\n")
    told = world.reconciler("doctor", "-o", "json").json()
    assert told["able"] is True
    assert {fact["name"] for fact in told["features"]} >= {"CAP_NET_ADMIN", *FEATURES}
    assert all(fact["remedy"] for fact in told["features"] if fact["verdict"] == "missing")
    world.assert_unchanged(before)


def test_doctor_says_what_a_topology_needs(world: World) -> None:
    """With a file only what it needs is shown, each with the first line that needs it."""
    path = world.write("lab.yaml", LAB)
    told = world.reconciler("doctor", path, "-o", "json").json()
    needed = {fact["name"]: fact["needed_by"] for fact in told["features"] if fact["name"] in FEATURES}
    assert needed == {
        "bridge": f"{path}:2:12: network/lan",
        "veth": f"{path}:3:31: sandbox/web/endpoint/eth0",
    }
    assert told["topology"] == "lab"


@pytest.mark.parametrize("files", [(), ("lab.yaml",)])
def test_doctor_without_privilege_finds_the_host_unable(world: World, files: tuple[str, ...]) -> None:
    """Exit code 8, the capabilities named; what could not be asked is unknown."""
    paths = [world.write(name, LAB) for name in files]
    argv = (*_UNPRIVILEGED, "-m", "reconciler", "doctor")
    done = world.run(*argv, *paths, env=world.environment(), check=False)
    assert done.returncode == 8, done.stderr
    assert "Missing: CAP_NET_ADMIN, CAP_SYS_ADMIN." in done.stdout
    assert re.search("^bridge +unknown +.* asking needs CAP_NET_ADMIN$", done.stdout, re.MULTILINE)
