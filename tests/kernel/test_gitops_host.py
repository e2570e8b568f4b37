"""A host that follows a repository, set up as docs/gitops.md says and confined as the unit with its drop-in confines it."""

from __future__ import annotations

import re
import shlex
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.repository import Repository
from tests.watching import Watching
from tests.world import ROOT, World

LAB: dict[str, Any] = {"name": "lab", "sandboxes": {"a": None}}
MORE: dict[str, Any] = {"name": "lab", "sandboxes": {"a": None, "b": None}}
UNITS = [ROOT / "docs/systemd" / name for name in ("reconciler@.service", "reconciler-git.conf")]
PAGE = dict(re.findall(r"```sh\n# (the \w+)\n(.*?)```", (ROOT / "docs/gitops.md").read_text(), re.DOTALL))


def settings(name: str) -> list[str]:
    """What the unit and its drop-in give a setting; an empty one forgets what was before, as systemd does."""
    found: list[str] = []
    for unit in UNITS:
        for value in re.findall(rf"^{name}=(.*)$", unit.read_text(), re.MULTILINE):
            found = [*found, value] if value else []
    return found


@pytest.fixture
def machine(world: World) -> World:
    """A world whose users and settings may be changed."""
    for directory in ("/etc", "/var/lib"):
        copy = world.root / directory.replace("/", "-")
        world.run("mkdir", copy)
        if directory == "/etc":
            for name in (
                "passwd",
                "shadow",
                "group",
                "gshadow",
                "login.defs",
                "nsswitch.conf",
                "ld.so.cache",
            ):
                world.run("cp", "-a", f"/etc/{name}", copy, check=False)
        world.run("mount", "--bind", copy, directory)
    return world


def test_from_nothing_with_keys(machine: World) -> None:
    """The commands of the page are run: a signed push is applied as the drop-in would do it, and an unsigned one is not."""
    world, home = machine, machine.root / "home"
    world.run("mkdir", home)
    bare = world.root / "lab.git"
    world.run("git", "init", "--quiet", "--bare", bare)
    author = Repository(world)
    author.git("remote", "add", "origin", bare)
    author.put({"topologies/lab.yaml": LAB})
    push = f"cd {shlex.quote(str(author.path))}; mkdir -p ~/.ssh; set -e; {PAGE['the author']}"
    push = push.replace("ssh-keygen -q", "ssh-keygen -q -N ''")
    identity = {"HOME": str(home), "EMAIL": "alice@example.org"}
    world.run("bash", "-c", push, env={"PATH": "/usr/bin:/bin", **identity})
    world.run("cp", home / ".ssh/topologies.pub", world.root)
    host = f"set -e; {PAGE['the host']}"
    world.run("bash", "-c", host, cwd=world.root, env={"REPOSITORY": str(bare)})

    world.run("mkdir", "-m", settings("StateDirectoryMode")[-1], world.state_dir)

    environment = world.call(Path("/etc/reconciler/git/lab.env").read_text)
    given = dict(line.split("=", 1) for line in environment.splitlines())
    (start,) = settings("ExecStart")
    words = start.replace("${REPOSITORY}", given["REPOSITORY"]).replace("$OPTIONS", given["OPTIONS"]).split()
    capabilities = " ".join(settings("CapabilityBoundingSet")).lower().replace("cap_", "").split()
    confined = ["setpriv", "--bounding-set", ",".join(["-all", *(f"+{name}" for name in capabilities)])]
    command = [*confined, "--no-new-privs", "--", "sh", "-c", 'umask 0077; exec "$@"', "-"]
    python = [sys.executable, "-m"]
    process = world.start(*command, *python, *words, "-o", "json", env=world.environment())
    watch = Watching(world, process, "lab", bare)
    try:
        watch.kind("ready")
        assert watch.report()["following"]["signer"] == "alice@example.org"
        assert watch.report()["following"]["commit"] == author.git("rev-parse", "HEAD")
        own = world.state_dir / "lab/source/repository"
        assert world.run("stat", "-c", "%U %a", own).stdout == "reconciler-git 700\n"
        again = push.replace("ssh-keygen", "true ssh-keygen")
        author.put({"topologies/lab.yaml": MORE})
        world.run("bash", "-c", again, env={"PATH": "/usr/bin:/bin", **identity})
        process.send_signal(signal.SIGHUP)
        watch.kind("created", "sandbox/b")
        author.git("config", "commit.gpgSign", "false")
        author.commit({"topologies/lab.yaml": LAB})
        author.git("push", "--quiet", "origin", "HEAD:live")
        process.send_signal(signal.SIGHUP)
        assert "it is not signed" in watch.kind("mistake")["message"]
        assert world.netns() == ["lab.a", "lab.b"]
        assert watch.stop() == 143
    finally:
        process.kill()
        process.wait()
    destroy = [*command, *python, "reconciler", "destroy", "--name", "lab", "--yes"]
    world.run(*destroy, env=world.environment())
    assert world.run("find", world.state_dir, "-mindepth", "1").stdout == ""
