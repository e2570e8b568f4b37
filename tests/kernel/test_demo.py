"""`make demo` does its job, leaves nothing, and prints what the README shows of it."""

from __future__ import annotations

import re
import sys

from tests.world import ROOT, World

README = (ROOT / "README.md").read_text(encoding="utf-8")
_TIME = re.compile(r"[0-9.]+ m?s\b")


def timeless(text: str) -> str:
    """The text without what differs from run to run."""
    return "\n".join(line.rstrip() for line in _TIME.sub("N s", text).splitlines())


def environment(world: World) -> dict[str, str]:
    """Variables with which the demo finds this checkout's reconciler, whether or not it is installed."""
    command = world.write("reconciler", f'#!/bin/sh\nexec {sys.executable} -m reconciler "$@"\n')
    world.run("chmod", "+x", command)
    return {"PATH": f"{command.parent}:/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": str(ROOT)}


def test_the_demo_runs_and_the_readme_shows_it(world: World) -> None:
    """All commands of the demo end as it expects, its host is as before, and each transcript of the README is in its output."""
    variables = environment(world)
    before = world.snapshot()
    output = timeless(world.run("demo/quickstart.sh", env=variables).stdout)
    world.assert_unchanged(before)
    shown = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    assert len(shown) >= 5
    assert [text for text in shown if timeless(text) not in output] == []


def test_without_private_networks_the_demo_says_so(world: World) -> None:
    """Where nobody may make a namespace the demo ends with exit code 8 and names what would allow it."""
    limits = "echo 0 >/proc/sys/user/max_net_namespaces && echo 0 >/proc/sys/user/max_user_namespaces"
    inside = ("unshare", "--user", "--map-root-user", "sh", "-c", f"{limits} && exec demo/quickstart.sh")
    done = world.run(*inside, check=False, env=environment(world))
    assert done.returncode == 8, done.stdout + done.stderr
    assert "user.max_user_namespaces" in done.stderr
    assert done.stdout == ""
