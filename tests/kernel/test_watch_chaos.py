"""Chaos: a watch is killed at random moments while its file is edited and what it made is taken apart from outside.

Afterwards one pass brings everything in order, what belongs to others is as it was, and nothing is left over. The
short run is part of the kernel tests; `make chaos MINUTES=n` is the long one.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.world import World

SHORT = 12.0
MINUTES = float(os.environ.get("MINUTES", "1"))
BOXES = [f"s{number}" for number in range(8)]


def topology(draw: random.Random) -> dict[str, Any]:
    """Two networks and some of the sandboxes, with this and that."""
    boxes: dict[str, Any] = {"keep": {"endpoints": {"eth0": "front"}}}
    for name in draw.sample(BOXES, draw.randrange(4, len(BOXES) + 1)):
        ends = {"eth0": {"network": "front", "mtu": draw.choice((1300, 1400))}, "eth1": "back"}
        boxes[name] = {"endpoints": ends if draw.random() < 0.7 else {"eth0": ends["eth0"]}}
        if draw.random() < 0.5:
            boxes[name]["sysctls"] = {"net.ipv4.ip_forward": 1}
    networks = {"front": {"subnets": ["10.10.0.0/24"], "mtu": draw.choice((1400, 1500))}, "back": {}}
    return {"name": "lab", "networks": networks, "sandboxes": boxes}


def vandalism(draw: random.Random) -> list[str]:
    """One command of somebody who does not know what he does; it may well be refused."""
    box = draw.choice(BOXES)
    return draw.choice(
        [
            ["ip", "link", "del", f"lab-{box}-eth0"],
            ["ip", "link", "del", draw.choice(("lab-front", "lab-back"))],
            ["ip", "link", "set", "lab-front", draw.choice(("up", "down"))],
            ["ip", "link", "set", f"lab-{box}-eth0", "nomaster"],
            ["ip", "link", "set", f"lab-{box}-eth0", "name", f"x{box}"],
            ["ip", "netns", "del", f"lab.{box}"],
            ["umount", "-l", f"/run/netns/lab.{box}"],
            ["ip", "-n", f"lab.{box}", "address", "flush", "dev", "eth0"],
            ["ip", "-n", f"lab.{box}", "link", "del", "eth1"],
            ["ip", "-n", f"lab.{box}", "route", "flush", "table", "main"],
            ["ip", "route", "flush", "dev", "lab-front"],
            ["ip", "address", "flush", "dev", "lab-front"],
        ]
    )


class Storm:
    """A watch that is started again whenever it was killed."""

    def __init__(self, world: World, draw: random.Random) -> None:
        self.world, self.draw = world, draw
        self.wanted = topology(draw)
        self.file = world.write("lab.topo.yaml", json.dumps(self.wanted))
        self.kills = 0
        self.log = world.write("log", "")
        self.process = self.start()

    def start(self) -> subprocess.Popen[str]:
        """The watch; what it says goes to a file, so that nobody has to read it."""
        command = f'exec "$0" -m reconciler watch {self.file} --max-deletes 1000 --resync 3 >>{self.log} 2>&1'
        return self.world.start("sh", "-c", command, sys.executable, env=self.world.environment())

    def act(self) -> None:
        """One thing of many: an edit, some vandalism, a kill, or a breath."""
        match self.draw.choices(("edit", "break", "kill", "breathe"), (2, 8, 1, 4))[0]:
            case "edit":
                self.wanted = topology(self.draw)
                new = self.file.with_suffix(".new")
                text = json.dumps(self.wanted)
                self.world.call(lambda: (new.write_text(text), new.replace(self.file)))
            case "break":
                self.world.run(*vandalism(self.draw), check=False)
            case "kill":
                self.process.kill()
                self.process.wait()
                self.kills += 1
                self.process = self.start()
            case _:
                time.sleep(self.draw.random() / 5)

    def ends(self) -> None:
        """Killed once more; the file stays as it is."""
        self.process.kill()
        self.process.wait()


def descriptors(pid: int) -> int:
    """How many files a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


@pytest.fixture
def storm(world: World) -> Iterator[Storm]:
    """With a seed that can be given: it is in the name of what failed."""
    seed = int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
    print(f"SEED={seed}")  # noqa: T201 - shown when it fails
    storm = Storm(world, random.Random(seed))
    yield storm
    storm.process.kill()


def rage(world: World, storm: Storm, seconds: float) -> None:
    """So long; then everything must be in order."""
    world.run("ip", "netns", "add", "other")
    decoys = world.decoys("lab")
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        storm.act()
    storm.ends()
    world.reconciler("apply", storm.file, "--yes", "--max-deletes", "1000")
    world.reconciler("plan", storm.file, "--exit-code")
    assert {name for name in world.netns() if name.startswith("lab.")} == {
        f"lab.{name}" for name in storm.wanted["sandboxes"]
    } | {decoys.netns}
    assert world.ping("lab.keep", "10.10.0.1", timeout=10)
    decoys.check()


def test_after_a_storm(world: World, storm: Storm) -> None:
    """One apply converges, decoys are untouched, and destroy leaves no link, namespace or file."""
    rage(world, storm, SHORT)
    world.reconciler("destroy", "--name", "lab", "--yes")
    links = {link["ifname"] for link in world.ip("link", "show")}
    assert not [name for name in links if name.startswith("lab-") and len(name) > 8 and "-s" in name]
    assert not [name for name in links if name in ("lab-front", "lab-back")]


@pytest.mark.slow
def test_after_a_long_storm(world: World, storm: Storm) -> None:
    """The same for minutes, with a watch at the end that must have no more open than at its beginning."""
    rage(world, storm, 60 * MINUTES)
    world.run("truncate", "-s", "0", storm.log)
    storm.process = storm.start()
    world.run("sh", "-c", f"until grep -q 'in sync' {storm.log}; do sleep 0.1; done")
    held = []
    for _ in range(2):
        for mtu in range(1300, 1400):
            world.run("ip", "link", "set", "lab-front", "mtu", str(mtu), check=False)
        world.reconciler("wait", "--timeout", "120", storm.file)
        held.append(descriptors(storm.process.pid))
    assert held[1] <= held[0]
    storm.process.send_signal(signal.SIGTERM)
    assert storm.process.wait(20) == 143
