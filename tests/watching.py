"""A watch that runs in a world, and what it says."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.world import SLOWNESS, World

PATIENCE = 20.0 * SLOWNESS
Event = Mapping[str, Any]


class Watching:
    """A running `reconciler watch -o json`. Events are read as they come; each is seen once."""

    def __init__(self, world: World, process: subprocess.Popen[str], topology: str, file: Path) -> None:
        self.world, self.process, self.file = world, process, file
        self._state = world.state_dir / topology
        self._rest = ""
        self._events: list[Event] = []
        assert process.stdout is not None
        self._stdout = process.stdout.fileno()
        os.set_blocking(self._stdout, False)

    def until(self, wanted: Callable[[Event], bool]) -> list[Event]:
        """Every event up to the first one that is wanted; an AssertionError when it does not come."""
        deadline = time.monotonic() + PATIENCE
        seen: list[Event] = []
        while True:
            while self._events:
                event = self._events.pop(0)
                seen.append(event)
                if wanted(event):
                    return seen
            left = deadline - time.monotonic()
            assert left > 0, f"it never happened; heard: {seen}"
            readable, _, _ = select.select([self._stdout], [], [], left)
            if readable:
                data = os.read(self._stdout, 65536).decode()
                assert data, f"the watch ended with {self.process.wait(5)}: {self.errors()}; heard: {seen}"
                *lines, self._rest = (self._rest + data).split("\n")
                self._events += map(json.loads, lines)

    def kind(self, kind: str, address: str | None = None) -> Event:
        """The next event of a kind, of an address if that is given."""
        return self.until(lambda e: e["kind"] == kind and address in (None, e["address"]))[-1]

    def report(self) -> dict[str, Any]:
        """What the watch says of itself."""
        found: dict[str, Any] = json.loads(self.world.call((self._state / "watch.json").read_text))
        return found

    def reports(self, key: str, value: object) -> None:
        """Waits until the watch says so of itself; it does at the end of each pass, after the events."""
        deadline = time.monotonic() + PATIENCE
        while (found := self.report()[key]) != value:
            assert time.monotonic() < deadline, f"{key} is {found!r}"
            time.sleep(0.01)

    def quiet(self, topology: Mapping[str, Any], *options: str, exit: int = 0) -> None:
        """Waits until a fresh process finds nothing to do, without the watch being asked for anything."""
        deadline = time.monotonic() + PATIENCE
        file = self.world.write("fresh.topo.yaml", json.dumps(topology))
        while (found := self.world.reconciler("plan", file, "--exit-code", *options, exit=None)).code != exit:
            assert time.monotonic() < deadline, found.stdout

    def stopped(self) -> None:
        """Waits until it holds still, by a failpoint."""
        deadline = time.monotonic() + PATIENCE
        status = Path(f"/proc/{self.process.pid}/stat")
        while status.read_text().rpartition(")")[2].split()[0] != "T":
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def errors(self) -> str:
        """What it wrote to standard error."""
        assert self.process.stderr is not None
        os.set_blocking(self.process.stderr.fileno(), False)
        return self.process.stderr.read() or ""

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def stop(self) -> int:
        """End it as a service manager does; its exit code."""
        self.signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def edit(self, topology: Mapping[str, Any]) -> None:
        """Replace the file as editors do: a new one is renamed over it."""
        new = self.file.with_suffix(".new")
        self.world.call(lambda: (new.write_text(json.dumps(topology)), new.replace(self.file)))


@contextmanager
def watching(
    world: World,
    topology: Mapping[str, Any],
    *options: str,
    named: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Iterator[Watching]:
    """A watch of one topology, after its first pass: of the path that is `named`, else of a file that is made."""
    file = named or world.write(f"{topology['name']}.topo.yaml", json.dumps(topology))
    with _running(world, topology["name"], file, (file, *options), env) as watch:
        yield watch


@contextmanager
def following(
    world: World, topology: str, address: str | Path, *options: str, env: Mapping[str, str] | None = None
) -> Iterator[Watching]:
    """A watch of a Git repository, after its first pass. It fetches when it starts and when it gets SIGHUP."""
    arguments = ("--git", address, "--interval", "9999", *options)
    with _running(world, topology, Path(address), arguments, env) as watch:
        yield watch


@contextmanager
def _running(
    world: World, topology: str, file: Path, arguments: Sequence[str | Path], env: Mapping[str, str] | None
) -> Iterator[Watching]:
    command = (sys.executable, "-m", "reconciler", "watch", "-o", "json", *arguments)
    process = world.start(*command, env=world.environment(env))
    watch = Watching(world, process, topology, file)
    try:
        watch.kind("ready")
        yield watch
        if process.poll() is None:
            assert watch.stop() == 143, watch.errors()
    finally:
        process.kill()
        process.wait()
