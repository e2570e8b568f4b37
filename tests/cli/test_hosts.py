"""One set of files on several machines: each makes its own part, and only where it is the host it is said to be."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.world import World, refusal

SHOP = """\
name: shop
hosts: {node-1: 192.0.2.1, node-2: 192.0.2.2}
networks: {front: {subnets: [10.10.0.0/24]}, back: {subnets: [10.20.0.0/24]}, spare: {}}
sandboxes:
  web: {replicas: 2, host: node-1, endpoints: {eth0: front}}
  db: {host: node-2, endpoints: {eth0: back}}
"""
_refusal = cache(refusal)


@pytest.mark.parametrize("command", ["plan", "apply", "destroy", "status"])
def test_the_host_must_be_said(command: str, run: Run, tmp_path: Path) -> None:
    """Before the kernel is looked at; exit code 2 with the list."""
    (tmp_path / "shop.topo.yaml").write_text(SHOP)
    result = run(command, "--host", "node-7")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("error: the topology has no host 'node-7' (--host)\n")
    assert result.stderr.endswith("hosts: node-1, node-2\n")


def test_files_alone_need_no_host(run: Run, tmp_path: Path) -> None:
    """`validate`, `lock` and `config` speak of the whole topology."""
    (tmp_path / "shop.topo.yaml").write_text(SHOP)
    assert run("validate").stdout == "shop.topo.yaml: 3 networks, 3 sandboxes, 3 endpoints are valid.\n"
    assert run("config", "--explain", "db.eth0.addresses").returncode == 0
    assert run("lock").returncode == 0


def test_canonical_form(run: Run, tmp_path: Path) -> None:
    """Hosts are printed in their long form, and what is printed means the same."""
    (tmp_path / "shop.topo.yaml").write_text(SHOP)
    printed = run("config").stdout
    assert "hosts:\n  node-1:\n    vtep: 192.0.2.1\n    underlay_mtu: 1500\n" in printed
    assert run("config", "-", stdin=printed).stdout == printed


def test_an_override_completes_a_host(run: Run, tmp_path: Path) -> None:
    """Short forms are maps to whoever merges them."""
    (tmp_path / "shop.yaml").write_text(SHOP)
    (tmp_path / "over.yaml").write_text("hosts: {node-1: {underlay_mtu: 9000}, node-2: 192.0.2.22}\n")
    printed = run("config", "-f", "shop.yaml", "-f", "over.yaml").stdout
    assert (
        "  node-1:\n    vtep: 192.0.2.1\n    underlay_mtu: 9000\n  node-2:\n    vtep: 192.0.2.22\n" in printed
    )


def test_long_forms_of_a_place_that_say_no_more_are_short(run: Run) -> None:
    """One form for one meaning; the own stack of a host needs the long one."""
    text = (
        "name: a\nhosts: {b-1: 192.0.2.1}\nsandboxes:\n"
        '  c: {replicas: 1, host: {own_stack: true, name: "b-{n}"}}\n  d: {host: {name: b-1}}\n'
    )
    printed = run("config", "-", stdin=text).stdout
    assert "  c-1:\n    host:\n      name: b-1\n      own_stack: true\n" in printed
    assert "  d:\n    host: b-1\n" in printed
    assert run("config", "-", stdin=printed).stdout == printed


@pytest.mark.parametrize(
    "words", [("show",), ("doctor",), ("destroy", "--name", "shop"), ("exec", "--name", "shop", "web")]
)
def test_a_host_goes_with_files(words: tuple[str, ...], run: Run) -> None:
    """Where no files are read nothing says what hosts there are."""
    result = run(*words, "--host", "node-1")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("error: --host goes with topology files\n")


# ------------------------------------------------------------------------------------------------- on a private host


@pytest.fixture
def node(tmp_path: Path) -> Iterator[World]:
    """The machine that is node-1; its address is on loopback, as routed underlays have it."""
    if reason := _refusal():
        pytest.skip(reason)
    with World() as world:
        world.run("ip", "address", "add", "192.0.2.1/32", "dev", "lo")
        yield world


@pytest.mark.kernel
def test_each_host_makes_its_own_part(node: World) -> None:
    """Sandboxes of another host, their networks, and networks without endpoints are not made; destroy leaves nothing."""
    path, before = node.write("shop.yaml", SHOP), node.run("ip", "-br", "link").stdout
    document = node.reconciler("plan", path, "--host", "node-1", "-o", "json").json()
    assert document["host"] == "node-1"
    applied = node.reconciler("apply", path, "--host", "node-1")
    assert f"{path} on node-1   (1 file, 1 network, 2 sandboxes, 2 endpoints)" in applied.stdout
    assert "Plan: 5 to create." in applied.stdout
    assert sorted(node.run("ip", "netns").stdout.split()[0::3]) == ["shop.web-1", "shop.web-2"]
    status = node.reconciler("status", path, "--host", "node-1")
    assert status.stdout.endswith("In sync: 5 objects ready.\n")
    node.reconciler("destroy", path, "--host", "node-1", "--yes")
    assert node.run("ip", "-br", "link").stdout == before


@pytest.mark.kernel
@pytest.mark.parametrize("words", [("plan",), ("apply",), ("destroy", "--yes"), ("status",), ("show",)])
def test_a_machine_without_the_address_is_refused(words: tuple[str, ...], node: World) -> None:
    """Exit code 8, and nothing is done."""
    path = node.write("shop.yaml", SHOP)
    command, *flags = words
    result = node.reconciler(command, path, *flags, exit=None, env={"RECONCILER_HOST": "node-2"})
    assert (result.code, result.stdout) == (8, "")
    assert result.stderr == (
        "error: this machine is not host 'node-2': no link has its vtep 192.0.2.2\n"
        "  say which host it is, or correct 'hosts'; addresses here: 192.0.2.1 on lo\n"
    )
    assert node.run("ip", "netns").stdout == ""


@pytest.mark.kernel
def test_a_sandbox_that_moved_away_is_removed(node: World) -> None:
    """Moving a sandbox is a deletion here, which asks like any other; its network goes along when nobody is left."""
    here = node.write("shop.yaml", SHOP.replace("db: {host: node-2", "db: {host: node-1"))
    node.reconciler("apply", here, "--host", "node-1")
    moved = node.write("shop.yaml", SHOP)
    result = node.reconciler("apply", moved, "--host", "node-1", exit=5)
    assert "Plan: 3 to delete." in result.stdout
    node.reconciler("apply", moved, "--host", "node-1", "--yes")
    assert "shop.db" not in node.run("ip", "netns").stdout


@pytest.mark.kernel
def test_exec_in_a_sandbox_of_another_host(node: World) -> None:
    """It says where the sandbox is."""
    path = node.write("shop.yaml", SHOP)
    result = node.reconciler("exec", "-f", path, "--host", "node-1", "db", "--", "true", exit=None)
    assert result.code == 2
    assert result.stderr == "error: sandbox 'db' is on host 'node-2', and this is 'node-1'\n  run it there\n"


@pytest.mark.kernel
def test_a_saved_plan_knows_its_host(node: World, tmp_path: Path) -> None:
    """It is applied on the host it was made for, and on no other."""
    path, plan = node.write("shop.yaml", SHOP), tmp_path / "plan.json"
    node.reconciler("plan", path, "--host", "node-1", "--out", plan)
    other = node.reconciler("apply", plan, exit=None, env={"RECONCILER_HOST": "node-2"})
    assert other.code == 2
    assert other.stderr.startswith(
        "error: the plan is for host 'node-1', and this is 'node-2' (RECONCILER_HOST)\n"
    )
    assert node.reconciler("apply", plan).code == 0
    node.run("ip", "address", "del", "192.0.2.1/32", "dev", "lo")
    assert node.reconciler("apply", plan, exit=None).code == 8
