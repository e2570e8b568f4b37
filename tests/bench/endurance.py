"""A watch over 200 endpoints that repairs and repairs: what it holds after 1,000 times it must hold after 10,000.

    make endure CYCLES=10000    a Markdown table; returns 1 when something grew, or a fresh look finds something left

Each cycle is another kind of damage at another endpoint, and lasts until the watch says that it has mended it. All of
them are drift, so nothing that is kept should become more: neither memory, open files and threads, nor, once the log
of events was turned over, what lies in the state directory.
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

from tests.bench.shapes import NAME, Shape
from tests.bench.watching import PATIENCE, Watched, watched
from tests.world import World, refusal

SIZE = 200
_LEAST = 1000  # cycles after which everything was needed once
_ROOM = 1.05  # of the memory held then: the allocator's own ups and downs
_DAMAGE = (
    "link set {port} mtu 1400",
    "-n {netns} address flush dev eth0",
    "-n {netns} route flush table main",
    "link del {port}",
    "link set {port} nomaster",
    "-n {netns} link set eth0 down",
    "-n {netns} link set lo down",
)
_RARE, _EVERY = "netns del {netns}", 23  # the kernel clears namespaces away slowly


@dataclass(frozen=True, slots=True)
class Held:
    """What a watch holds: MiB of memory, files, threads; and KiB in the state directory, of which the log of events."""

    memory: float
    files: int
    threads: int
    state: float
    log: float


def held(one: Watched) -> Held:
    """What it holds now."""
    process = Path(f"/proc/{one.process.pid}")
    sizes = one.world.call(_sizes, one.world.state_dir / NAME)
    return Held(
        one.resident(),
        len(list((process / "fd").iterdir())),
        len(list((process / "task").iterdir())),
        sum(sizes.values()),
        sum(size for name, size in sizes.items() if name.startswith("events")),
    )


def damage(shape: Shape) -> Iterator[list[str]]:
    """What is done to one endpoint after the other, for ever: another thing to each, each time."""
    for number, member in enumerate(cycle(shape.members())):
        words = _RARE if number % _EVERY == 0 else _DAMAGE[number % len(_DAMAGE)]
        yield words.format(port=f"{NAME}-{member.sandbox}-eth0", netns=f"{NAME}.{member.sandbox}").split()


def repair(one: Watched, words: list[str]) -> float:
    """Milliseconds from the end of the damage until the watch says that nothing is left of it."""
    before = _report(one)["repaired"]
    one.world.run("ip", *words)
    return _wait_for_more(one, before, " ".join(words))


def _wait_for_more(one: Watched, before: int, what: str) -> float:
    began = time.perf_counter()
    while True:
        report = _report(one)
        if report["repaired"] > before and not report["trouble"]:
            return (time.perf_counter() - began) * 1000
        if time.perf_counter() - began > PATIENCE:
            raise AssertionError(f"not mended: {what}; {report['trouble']}")
        time.sleep(0.002)


def main() -> int:
    """Prints what is held at the beginning and on the way, and whether that is more at the end."""
    parser = argparse.ArgumentParser(prog="make endure", description=__doc__.partition("\n")[0])
    parser.add_argument("cycles", type=int, nargs="?", default=10_000)
    cycles = parser.parse_args().cycles
    if reason := refusal():
        print(f"make endure: {reason}", file=sys.stderr)
        return 8
    print("| repairs | memory, MiB | files | threads | state, KiB | log, KiB | median, ms |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    shape = Shape(SIZE)
    with World() as world, watched(world, shape, resync=60) as one:
        found = dict(_run(one, damage(shape), cycles))
        one.process.send_signal(signal.SIGHUP)
        return _verdict(one, found[min(_LEAST, cycles)], found[cycles])


def _run(one: Watched, todo: Iterator[list[str]], cycles: int) -> Iterator[tuple[int, Held]]:
    stops = {0, cycles, *(stop for stop in (_LEAST, 2_000, 5_000, 10_000) if stop < cycles)}
    taken: list[float] = []
    _wait_for_more(one, 0, "what `watched` did")
    for number in range(cycles + 1):
        if number in stops:
            now = held(one)
            median = f"{statistics.median(taken):.0f}" if taken else ""
            values = " | ".join(f"{value:,.1f}".removesuffix(".0") for value in astuple(now))
            print(f"| {number:,} | {values} | {median} |", flush=True)
            yield number, now
        if number < cycles:
            taken.append(repair(one, next(todo)))


def _verdict(one: Watched, early: Held, late: Held) -> int:
    checks: dict[str, Callable[[], bool]] = {
        "memory": lambda: late.memory <= early.memory * _ROOM,
        "files": lambda: late.files <= early.files,
        "threads": lambda: late.threads <= early.threads,
        "a difference": lambda: one.world.reconciler("plan", one.file, "--exit-code", exit=None).code == 0,
    }
    bad = [what for what, holds in checks.items() if not holds()]
    print(f"\n{'grew or left: ' + ', '.join(bad) if bad else 'Nothing grew, nothing is left.'}")
    return 1 if bad else 0


def _sizes(directory: Path) -> dict[str, float]:
    return {path.name: path.stat().st_size / 1024 for path in directory.iterdir() if path.is_file()}


def _report(one: Watched) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(one.world.call(_text, one.world.state_dir / NAME / "watch.json"))
    return found


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else '{"repaired": 0, "trouble": {}}'


if __name__ == "__main__":
    sys.exit(main())
