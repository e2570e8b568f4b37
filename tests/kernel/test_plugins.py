"""A driver from another distribution, installed by pip and allowed by root, used for real."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.world import World

PACKAGE = Path(__file__).parent.parent / "plugin"
NETWORK = {"driver": "routed", "subnets": [{"subnet": "10.60.0.0/24", "gateway": False}]}
LAB = {
    "name": "lab",
    "networks": {"flat": NETWORK},
    "sandboxes": {"a": {"endpoints": {"eth0": "flat"}}, "b": {"endpoints": {"eth0": "flat"}}},
}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the example package installed in it."""
    target = tmp_path_factory.mktemp("plugin")
    command = [
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--disable-pip-version-check",
    ]
    subprocess.run([sys.executable, "-m", *command, "--target", target, PACKAGE], check=True)
    return target


@pytest.fixture
def environment(world: World, installed: Path) -> dict[str, str]:
    """Variables under which the plug-in is found; /etc is a copy that only this world sees."""
    world.run("mkdir", "/run/etc")
    world.run("cp", "-a", "/etc/.", "/run/etc")
    world.run("mount", "--bind", "/run/etc", "/etc")
    world.run("mkdir", "-p", "/etc/reconciler")
    return {"PYTHONPATH": f"{world.environment()['PYTHONPATH']}:{installed}"}


def allow(world: World, text: str = "routed\n", mode: str = "644") -> None:
    """Root's list of drivers."""
    world.run("tee", "/etc/reconciler/drivers", input=text)
    world.run("chmod", mode, "/etc/reconciler/drivers")


def test_a_plugin_is_a_driver_like_others(world: World, environment: dict[str, str]) -> None:
    """Plan, apply, traffic, silence, drift, destroy: all of that comes by itself."""
    allow(world)
    clean = world.snapshot()
    file = world.write("lab.topo.yaml", json.dumps(LAB))
    world.reconciler("apply", file, "--yes", env=environment)
    world.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    assert world.ping("lab.a", "10.60.0.2")
    (route,) = world.ip("route", "show", "10.60.0.1")
    assert (route["dev"], route["protocol"]) == ("lab-a-eth0", "199")
    applied = world.reconciler("apply", file, "--yes", "-o", "json", env=environment).json()
    assert (applied["changes"], applied["messages"]) == ([], 0)

    world.run("ip", "route", "del", "10.60.0.2")
    found = world.reconciler("plan", file, "-o", "json", env=environment).json()["changes"]
    assert [(change["action"], change["key"][2], change["cause"]) for change in found] == [
        (["create"], "10.60.0.2/32", "drift")
    ]
    world.reconciler("apply", file, "--yes", env=environment)
    assert world.ping("lab.a", "10.60.0.2")

    world.run("sysctl", "-qw", "net.ipv4.ip_forward=0")
    world.reconciler("destroy", file, "--yes", env=environment)
    world.assert_unchanged(clean)


def test_typos_in_its_options_are_caught(world: World, environment: dict[str, str]) -> None:
    """Its schema is part of ours, and what it checks itself comes with the file's line."""
    allow(world)
    network = {**NETWORK, "options": {"gatway": "169.254.1.1"}}
    file = world.write("lab.topo.yaml", json.dumps({**LAB, "networks": {"flat": network}}))
    said = world.reconciler("validate", file, exit=3, env=environment).stderr
    assert "'gatway' is not a known key in networks.flat.options" in said
    network["options"] = {"gateway": "10.0.0.1"}
    world.write("lab.topo.yaml", json.dumps({**LAB, "networks": {"flat": network}}))
    said = world.reconciler("validate", file, exit=3, env=environment).stderr
    assert "the gateway 10.0.0.1 is not link-local" in said
    schema = json.loads(world.reconciler("schema", env=environment).stdout)
    assert "routed" in schema["$defs"]["network"]["properties"]["driver"]["enum"]


@pytest.mark.parametrize(
    ("text", "mode", "why"),
    [
        (None, "", "reconciler-routed 1.0 brings it; root allows it by a line 'routed'"),
        ("others\n", "644", "reconciler-routed 1.0 brings it; root allows it by a line 'routed'"),
        ("routed\n", "666", "can be written by others than root, so no driver is allowed"),
    ],
)
def test_installed_is_not_allowed(
    world: World, environment: dict[str, str], text: str | None, mode: str, why: str
) -> None:
    """Without root's word nothing is imported, and the message says whose word is missing."""
    if text is not None:
        allow(world, text, mode)
    file = world.write("lab.topo.yaml", json.dumps(LAB))
    said = world.reconciler("validate", file, exit=3, env=environment).stderr
    assert "'routed' is not a known driver" in said
    assert why in said


BROKEN = """
from reconciler.options import Traits
from reconciler.drivers.contract import declare
from reconciler.objects import (Link, Dummy, Netns,)
class Broken:
    api_version = 1
    name = "routed"
    traits = Traits()
    options_schema = {"type": "object", "additionalProperties": False, "properties": {}}
    def network(self, site, network):
        return ()
    def endpoint(self, site, network, member):
        BODY
"""


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("raise KeyError('x')", "failed: KeyError: 'x'"),
        ("return [42]", "asks for what it may not, for sandbox/a/endpoint/eth0: a int"),
        (
            "return declare(member.origin, None, Netns(netns='other'))",
            "a namespace; those are made for it",
        ),
        (
            "return declare(member.origin, None, Link(netns='', name='eth0', kind=Dummy()))",
            "link 'eth0' without the mark of its owner",
        ),
        (
            "return declare('sandbox/b', None, Link(netns='', name='x', kind=Dummy()))",
            "an object of 'sandbox/b'",
        ),
    ],
)
def test_a_broken_plugin_is_told_from_a_broken_topology(
    world: World, environment: dict[str, str], tmp_path: Path, body: str, why: str
) -> None:
    """What it raises and what it must not ask for is its own failure, by name; nothing is touched."""
    allow(world)
    (tmp_path / "reconciler_routed.py").write_text(BROKEN.replace("BODY", body) + "\nRouted = Broken\n")
    file = world.write("lab.topo.yaml", json.dumps(LAB))
    first = {"PYTHONPATH": f"{tmp_path}:{environment['PYTHONPATH']}"}
    said = world.reconciler("apply", file, "--yes", exit=1, env=first).stderr
    assert "driver 'routed' of reconciler-routed 1.0" in said
    assert why in said
    assert world.netns() == []
