"""Edits of the files while a watch runs, as people, editors and programs make them; and how little a watch does for them."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.watching import watching
from tests.world import World

LAB: dict[str, Any] = {
    "name": "lab",
    "networks": {"front": {"subnets": ["10.10.0.0/24"]}},
    "sandboxes": {"a": None},
}


def sandboxes(*names: str) -> dict[str, Any]:
    """The lab with these sandboxes, each with an endpoint."""
    return {**LAB, "sandboxes": {name: {"endpoints": {"eth0": "front"}} for name in names}}


def put(world: World, files: Mapping[str, object]) -> Path:
    """Files in a directory of their own; that directory."""
    for name, content in files.items():
        world.write(f"dir/{name}", content if isinstance(content, str) else json.dumps(content))
    return world.root / "files/dir"


def test_half_written_files_are_not_taken(world: World) -> None:
    """An editor writes in two goes: what it has written so far would be a valid topology with a sandbox less."""
    with watching(world, sandboxes("a", "b")) as watch:
        text = f"name: lab\nnetworks: {json.dumps(LAB['networks'])}\nsandboxes:\n"
        first = text + "  a: {endpoints: {eth0: front}}\n"
        file = world.call(watch.file.open, "w")
        file.write(first)
        file.flush()
        watch.signal(signal.SIGHUP)  # even if asked to read
        watch.kind("reload")
        file.write("  b: {endpoints: {eth0: front}}\n  c: {endpoints: {eth0: front}}\n")
        file.close()
        heard = watch.until(
            lambda event: event["kind"] == "created" and event["address"] == "sandbox/c/endpoint/eth0"
        )
        assert [event for event in heard if event["kind"] == "deleted"] == []
        watch.quiet(sandboxes("a", "b", "c"))
    world.reconciler("destroy", "--name", "lab", "--yes")


def test_a_swapped_link_and_a_checkout(world: World) -> None:
    """A config map's `..data` leads elsewhere; then the directory is replaced as a whole; then a file joins it."""
    put(world, {"etc/..1/lab.yaml": sandboxes("a"), "etc/..2/lab.yaml": sandboxes("a", "b")})
    root = world.root / "files/dir"
    world.run("ln", "-s", "..1", root / "etc/..data")
    world.run("ln", "-s", "..data/lab.yaml", root / "etc/lab.yaml")
    with watching(world, sandboxes("a"), named=root / "etc") as watch:
        world.run("ln", "-s", "..2", root / "etc/..new")
        world.run("mv", "-T", root / "etc/..new", root / "etc/..data")
        watch.kind("created", "sandbox/b/endpoint/eth0")
        put(world, {"checkout/lab.yaml": sandboxes("a", "b", "c")})
        world.run("mv", root / "etc", root / "old")
        world.run("mv", root / "checkout", root / "etc")
        watch.kind("created", "sandbox/c/endpoint/eth0")
        put(world, {"etc/more.yaml": {"sandboxes": {"d": {"endpoints": {"eth0": "front"}}}}})
        watch.kind("created", "sandbox/d/endpoint/eth0")
        watch.reports("trouble", {})
        world.reconciler("plan", root / "etc", "--exit-code")
    world.reconciler("destroy", "--name", "lab", "--yes")


def test_included_files_and_missing_ones(world: World) -> None:
    """What a file includes is watched; a file that is gone changes nothing, and its return is seen."""
    more = {"sandboxes": {"b": {"endpoints": {"eth0": "front"}}}}
    root = put(world, {"lab.yaml": {**sandboxes("a"), "include": ["sub/more.yaml"]}, "sub/more.yaml": more})
    with watching(world, LAB, named=root / "lab.yaml") as watch:
        more["sandboxes"]["c"] = {"endpoints": {"eth0": "front"}}
        put(world, {"sub/more.yaml": more})
        watch.kind("created", "sandbox/c/endpoint/eth0")
        world.run("rm", "-r", root / "sub")
        watch.kind("mistake")
        assert world.netns() == ["lab.a", "lab.b", "lab.c"]
        more["sandboxes"]["d"] = {"endpoints": {"eth0": "front"}}
        put(world, {"sub/more.yaml": more})
        watch.kind("created", "sandbox/d/endpoint/eth0")
        watch.reports("mistakes", [])
    world.reconciler("destroy", "--name", "lab", "--yes")


def test_a_file_that_includes_what_is_yet_to_come(world: World) -> None:
    """The missing file is named by the mistake, and taken as soon as it is there, without anybody touching the first."""
    with watching(world, sandboxes("a")) as watch:
        watch.edit({**sandboxes("a"), "include": ["sub/later.yaml"]})
        watch.kind("mistake")
        later = {"sandboxes": {"b": {"endpoints": {"eth0": "front"}}}}
        world.write("sub/later.yaml", json.dumps(later))
        watch.kind("created", "sandbox/b/endpoint/eth0")
    world.reconciler("destroy", "--name", "lab", "--yes")


def test_an_edit_during_a_pass(world: World) -> None:
    """The pass is held still half way by a failpoint; the edit comes meanwhile and is taken over by the next one."""
    point = {"RECONCILER_FAILPOINT": "before:create.netns:*b#1=stop"}
    with watching(world, sandboxes("a"), env=point) as watch:
        watch.edit(sandboxes("a", "b"))
        watch.stopped()
        watch.edit(sandboxes("a", "b", "c"))
        watch.signal(signal.SIGCONT)
        watch.kind("created", "sandbox/c/endpoint/eth0")
        watch.quiet(sandboxes("a", "b", "c"))
    world.reconciler("destroy", "--name", "lab", "--yes")


def test_a_burst_is_one_pass_and_our_own_changes_cause_none(world: World) -> None:
    """Thirty changes by one program are one repair; then nothing more happens, as counted by an independent listener."""
    with watching(world, sandboxes("a", "b")) as watch:
        watch.signal(signal.SIGHUP)
        watch.kind("reloaded")
        world.settle()
        watch.signal(signal.SIGHUP)
        watch.kind("reloaded")
        before = watch.report()["passes"]
        lines = "\n".join(f"link set lab-front mtu {mtu}" for mtu in range(1300, 1330))
        world.run("ip", "-batch", "-", input=lines)
        watch.kind("changed", "network/front")
        with world.monitor() as monitor:
            world.settle()
            assert world.ip("link", "show", "lab-front")[0]["mtu"] == 1500
            watch.reports("trouble", {})
            assert [event for event in monitor.events() if event.name == "lab-front"] == []
        # Links that pause tell of it a little later, so one look more may come; but none for each of thirty.
        assert watch.report()["passes"] - before <= 3
        assert watch.report()["repaired"] == 1
    world.reconciler("destroy", "--name", "lab", "--yes")


def test_a_parameter_is_given_back_once(world: World) -> None:
    """When the file drops it, it gets its old value; what somebody sets later is his, whatever else the watch does."""
    own = {"host": True, "sysctls": {"net.core.somaxconn": 77}}
    before = world.sysctl("net.core.somaxconn")
    with watching(world, {**LAB, "sandboxes": {"own": own}}) as watch:
        assert world.sysctl("net.core.somaxconn") == "77"
        watch.edit({**LAB, "sandboxes": {"own": {"host": True}}})
        watch.kind("files")
        watch.quiet({**LAB, "sandboxes": {"own": {"host": True}}})
        assert world.sysctl("net.core.somaxconn") == before
        world.run("sysctl", "-qw", "net.core.somaxconn=123")
        for names in (("a",), ("a", "b")):
            watch.edit(sandboxes(*names))
            watch.kind("created", f"sandbox/{names[-1]}/endpoint/eth0")
        assert world.sysctl("net.core.somaxconn") == "123"
    world.reconciler("destroy", "--name", "lab", "--yes")
