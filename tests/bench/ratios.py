"""`make bench`: the reconciler against `ip -batch` doing the same work, as a Markdown table of ratios.

Seconds of one machine say little about another; ratios within one run say much. So both sides run as whole
processes, in turns A B A B, each turn in a private host of its own, and medians are compared. When a command fails,
its line says so and the script returns 1: a benchmark that hides a failure is worse than none.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tests.bench import watching
from tests.bench.shapes import NAME, Shape
from tests.bench.tunnels import DEVICE, DEVICE_KIND, HERE, HOSTS, PARSE_AND_READ, SEND, VTEP, Tunnels
from tests.world import ROOT, World, refusal

RECONCILER = (sys.executable, "-m", "reconciler")
# The floor of any validation of a YAML file: to read it, in C, without checking anything or remembering places.
PARSE_ONLY = "import sys, yaml; yaml.load(open(sys.argv[1]), yaml.CSafeLoader)"


class RunFailed(Exception):
    """A measured command returned something else than 0."""


@dataclass(frozen=True, slots=True)
class Used:
    """What one child process used: seconds on the wall, seconds of CPU, peak MiB."""

    wall: float
    cpu: float
    peak: float


@dataclass(slots=True)
class Table:
    """Collects measured values under names, prints medians and their ratios."""

    values: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    failed: bool = False

    def __post_init__(self) -> None:
        print("| what | reconciler | reference | ratio |\n|---|---:|---:|---:|", flush=True)

    def add(self, name: str, value: float) -> None:
        """One more measurement of `name`."""
        self.values[name].append(value)

    def line(self, what: str, ours: str, reference: str, unit: str = "s") -> None:
        """One line: the medians of two names, and how many times the reference ours took."""
        first, second = self.median(ours), self.median(reference)
        ratio = f"**{first / second:.2f}**" if first is not None and second else ""
        print(f"| {what} | {_shown(first, unit)} | {_shown(second, unit)} | {ratio} |", flush=True)

    def median(self, name: str) -> float | None:
        """The median of what was measured under `name`, None when nothing was."""
        return statistics.median(self.values[name]) if self.values[name] else None

    def failure(self, what: str, error: RunFailed) -> None:
        """A line that says what went wrong instead of figures."""
        self.failed = True
        print(f"| {what} | failed: {str(error).replace('|', '/')} | | |", flush=True)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure: how often, how large, and whether the reconciler takes part."""

    rounds: int
    scale: float
    ours: bool
    cycles: int = 1000

    def shape(self, size: int) -> Shape:
        """A shape of the given full size, scaled."""
        return Shape(max(10, round(size * self.scale)))


def main() -> int:
    """Runs the measurements that the command line names, by default all."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default=",".join(PARTS), help=f"comma-separated: {', '.join(PARTS)}")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each side (default 5)")
    parser.add_argument("--scale", type=float, default=1.0, help="multiply all sizes, for a quick look")
    parser.add_argument("--reference-only", action="store_true", help="measure ip alone")
    parser.add_argument(
        "--cycles", type=int, default=1000, help="repairs over which memory is watched (default 1000)"
    )
    args = parser.parse_args()
    if reason := refusal():
        print(f"make bench: {reason}", file=sys.stderr)
        return 8
    plan, table = Plan(args.rounds, args.scale, not args.reference_only, args.cycles), Table()
    for name in args.only.split(","):
        try:
            PARTS[name](plan, table)
        except RunFailed as error:
            table.failure(name, error)
    return int(table.failed)


def lifecycle(plan: Plan, table: Table) -> None:
    """Apply, a plan without changes, and destroy of 500 sandboxes."""
    shape = plan.shape(500)
    try:
        for _ in range(plan.rounds):
            if plan.ours:
                _our_life(shape, table)
            _their_life(shape, table, shape.delete_smart_script(), "smart")
        _their_life(shape, table, shape.delete_each_script(), "each")
    finally:
        size = f"{shape.size} sandboxes on {len(shape.networks)} bridges"
        table.line(f"apply {size}", "apply", "build")
        table.line("a plan that finds nothing to do, against reading the same with `ip -j`", "plan", "read")
        table.line("a second apply, against reading the same", "again", "read")
        table.line("destroy, until it returns, against deleting namespaces and bridges", "destroy", "smart")
        table.line("destroy, until the kernel is done, against the same", "destroy done", "smart done")
        table.line(
            "destroy, until the kernel is done, against deleting each link (one turn)",
            "destroy done",
            "each done",
        )


def _our_life(shape: Shape, table: Table) -> None:
    with World() as world:
        file = str(world.write("bench.yaml", shape.topology()))
        table.add("apply", _ours(world, "apply", file, "--yes").wall)
        table.add("plan", _ours(world, "plan", file).wall)
        table.add("read", _script(world, shape.read_script(f"{NAME}.")).wall)
        table.add("again", _ours(world, "apply", file, "--yes").wall)
        started = time.perf_counter()
        table.add("destroy", _ours(world, "destroy", file, "--yes").wall)
        table.add("destroy done", _done(world, started))


def _their_life(shape: Shape, table: Table, delete: str, name: str) -> None:
    with World() as world:
        table.add("build", _script(world, shape.build_script()).wall)
        if not table.values["plan"]:
            table.add("read", _script(world, shape.read_script()).wall)
        started = time.perf_counter()
        table.add(name, _script(world, delete).wall)
        table.add(f"{name} done", _done(world, started))


def growth(plan: Plan, table: Table) -> None:
    """Apply time per endpoint: ten times the endpoints should cost ten times, not more."""
    sizes = [plan.shape(200), plan.shape(2000)]
    for _ in range(max(1, plan.rounds // 2)):
        for shape in sizes:
            if plan.ours:
                with World() as world:
                    file = str(world.write("bench.yaml", shape.topology()))
                    table.add(
                        f"apply {shape.size}", _ours(world, "apply", file, "--yes").wall / shape.size * 1000
                    )
                    _clean(world, shape, f"{NAME}.")
            with World() as world:
                table.add(
                    f"build {shape.size}", _script(world, shape.build_script()).wall / shape.size * 1000
                )
                _clean(world, shape)
    for shape in sizes:
        table.line(f"apply, per endpoint of {shape.size}", f"apply {shape.size}", f"build {shape.size}", "ms")


def memory(plan: Plan, table: Table) -> None:
    """Peak memory with 5,000 endpoints."""
    if not plan.ours:
        return
    shape = plan.shape(5000)
    with World() as world:
        file = str(world.write("bench.yaml", shape.topology()))
        for name, command in (
            ("first plan", ("plan",)),
            ("apply", ("apply", "--yes")),
            ("second plan", ("plan",)),
        ):
            used = _ours(world, *command, file)
            table.add(f"peak {name}", used.peak)
            table.add(f"wall {name}", used.wall)
            table.line(f"peak memory of {name}, {shape.size} endpoints", f"peak {name}", "", "MiB")
            table.line(f"{name}, {shape.size} endpoints", f"wall {name}", "")
        _clean(world, shape, f"{NAME}.")


def validation(plan: Plan, table: Table) -> None:
    """CPU seconds to validate 5,000 endpoints, against merely parsing the file."""
    shape = plan.shape(5000)
    with World() as world:
        file = str(world.write("bench.yaml", shape.topology()))
        for _ in range(plan.rounds):
            if plan.ours:
                table.add("validate", _ours(world, "validate", file).cpu)
            table.add("parse", _measured(world, sys.executable, "-c", PARSE_ONLY, file).cpu)
    table.line(f"validate {shape.size} endpoints (CPU), against parsing the YAML in C", "validate", "parse")


def tunnels(plan: Plan, table: Table) -> None:
    """Apply of 10,000 endpoints on other hosts, and a plan that finds nothing to do: from memory, and as commands."""
    shape = Tunnels(max(HOSTS, round(10_000 * plan.scale)))
    for _ in range(plan.rounds):
        with World() as world:
            file = str(world.write("bench.yaml", shape.topology()))
            world.run("ip", "addr", "add", f"{VTEP}/32", "dev", "lo")
            if plan.ours:
                table.add("tunnel apply", _ours(world, "apply", file, "--host", HERE, "--yes").wall)
                table.add("tunnel plan", _ours(world, "plan", file, "--host", HERE).wall)
                table.add(
                    "tunnel parse and read",
                    _measured(world, sys.executable, "-c", PARSE_AND_READ, file).wall,
                )
        with World() as world:
            file = str(world.write("bench.yaml", shape.topology()))
            world.run("ip", "link", "add", DEVICE, "up", *DEVICE_KIND)
            table.add("tunnel send", _measured(world, sys.executable, "-c", SEND, file).wall)
    if plan.ours:
        _tunnels_in_memory(plan, shape, table)
    size = f"{shape.size:,} endpoints on other hosts"
    table.line(
        f"from memory: plan and apply {size}, against packing and sending",
        "memory apply",
        "memory send",
        "ms",
    )
    table.line("the same from the topology, compiled first", "memory compile and apply", "memory send", "ms")
    table.line(
        "from memory: a plan that finds nothing to do, against `bridge -j fdb` and `ip -j neigh`",
        "memory look",
        "memory read",
        "ms",
    )
    table.line(
        f"`apply` {size}, against reading the file in C and the same sender", "tunnel apply", "tunnel send"
    )
    table.line(
        "`plan` of it that finds nothing to do, against reading file and tables with other tools",
        "tunnel plan",
        "tunnel parse and read",
    )


def _tunnels_in_memory(plan: Plan, shape: Tunnels, table: Table) -> None:
    with World() as world:
        file = str(world.write("bench.yaml", shape.topology()))
        world.run("ip", "addr", "add", f"{VTEP}/32", "dev", "lo")
        world.run("ip", "link", "add", DEVICE, "up", *DEVICE_KIND)
        command = (sys.executable, "-m", "tests.bench.resident", file, str(plan.rounds))
        done = world.run(*command, check=False, env=world.environment(), timeout=600)
        if done.returncode:
            raise RunFailed(f"{' '.join(command[1:3])}: {done.stderr.strip().splitlines()[-1]}")
    seconds: dict[str, list[float]] = json.loads(done.stdout)
    pairs = zip(seconds["compile"], seconds["apply"], strict=True)
    for name, values in {**seconds, "compile and apply": [sum(pair) for pair in pairs]}.items():
        for value in values:
            table.add(f"memory {name}", value * 1000)


def start(plan: Plan, table: Table) -> None:
    """What `--help` costs beyond starting Python."""
    with World() as world:
        for _ in range(plan.rounds * 4):
            bare = _measured(world, sys.executable, "-c", "pass").wall * 1000
            table.add("bare", bare)
            if plan.ours:
                table.add("help", _ours(world, "--help").wall * 1000)
    table.line("`--help`, against `python -c pass`", "help", "bare", "ms")


def private(plan: Plan, table: Table) -> None:
    """A command beside the smallest example in a private view, against a view with nothing in it."""
    file = str(ROOT / "topologies" / "quickstart.yaml")
    with World() as world:
        for _ in range(plan.rounds * 2):
            table.add("unshare", _measured(world, "unshare", "--map-root-user", "-nmpf", "true").wall)
            table.add("python", _measured(world, sys.executable, "-c", "pass").wall)
            if plan.ours:
                table.add("run", _ours(world, "run", "-q", file, "--", "true").wall)
    table.line("`run` of `true` beside quickstart.yaml, against `unshare -rnmp true`", "run", "unshare")
    table.line("the same, against starting Python", "run", "python")


def watch(plan: Plan, table: Table) -> None:
    """How soon a watch mends, and what it costs while nothing happens, and while much happens to others."""
    if not plan.ours:
        return
    shape = plan.shape(500)
    with World() as world, watching.watched(world, shape) as one:
        figures = [
            (f"a repair, {shape.size} endpoints watched, median", watching.latency(one), "ms"),
            ("the watch, idle, of one core", watching.idle(one), "%"),
            ("files and kernel read anew on SIGHUP (CPU)", watching.full_look(one), "ms"),
        ]
        rate, busy = watching.crowd(one)
        figures += [
            ("notices of others in a second meanwhile", rate, ""),
            ("a repair among these, median", busy, "ms"),
            (f"memory that {plan.cycles:,} repairs add", watching.growth(one, plan.cycles), "MiB"),
        ]
    for what, value, unit in figures:
        table.add(what, value)
        table.line(what, what, "", unit)


PARTS: Mapping[str, Callable[[Plan, Table], None]] = {
    "start": start,
    "private": private,
    "validation": validation,
    "lifecycle": lifecycle,
    "growth": growth,
    "memory": memory,
    "watch": watch,
    "tunnels": tunnels,
}


def _ours(world: World, *args: str) -> Used:
    return _measured(world, *RECONCILER, *args)


def _script(world: World, text: str) -> Used:
    return _measured(world, "sh", str(world.write("reference.sh", text)))


def _measured(world: World, *argv: str) -> Used:
    return world.call(
        _child, argv, {**world.environment(), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
    )


def _child(argv: tuple[str, ...], env: dict[str, str]) -> Used:
    with tempfile.TemporaryFile("w+") as errors:
        started = time.perf_counter()
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors, env=env
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            said = errors.read().strip().splitlines() or ["(nothing on stderr)"]
            raise RunFailed(f"{' '.join(argv)[:120]} returned {process.returncode}: {said[-1][:200]}")
    return Used(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def _clean(world: World, shape: Shape, prefix: str = "") -> None:
    """Takes everything down and waits, so that the kernel's clean-up does not run into the next measurement."""
    lines = [f"netns del {prefix}{member.sandbox}" for member in shape.members()]
    bridges = world.ip("link", "show", "type", "bridge")
    lines += [f"link del {bridge['ifname']}" for bridge in bridges]
    world.run("ip", "-batch", "-", input="\n".join(lines))
    _gone(world, time.perf_counter())


def _done(world: World, since: float) -> float:
    """Seconds from `since` until the host has no links left and the kernel no work with namespaces removed before.

    It clears namespaces away after they were removed, batch by batch (net/core/net_namespace.c, cleanup_net), and takes
    down the links of a batch only when the one before is done. So a last namespace tells, by a link of its own that
    goes; and then another one, because the first may be cleared away together with what was there before.
    """
    _gone(world, since)
    lines = ["netns add last", "link add last type veth peer name eth0 netns last", "netns del last"]
    for _ in range(2):
        world.run("ip", "-batch", "-", input="\n".join(lines))
        _gone(world, since)
    return time.perf_counter() - since


def _gone(world: World, since: float, timeout: float = 120) -> float:
    """Seconds from `since` until the host has no links but those that every new namespace has."""
    usual = _usual_links()
    with world.monitor() as monitor:
        while world.call(_links) - usual:
            if time.perf_counter() - since > timeout:
                raise RunFailed(f"links remain {timeout} s after they were deleted")
            monitor.wait(0.02)
            monitor.events()
    return time.perf_counter() - since


def _links() -> set[str]:
    return {link.name for link in Path("/sys/class/net").iterdir()}


@cache
def _usual_links() -> set[str]:
    with World() as world:
        return world.call(_links)


def _shown(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    return (
        f"{value:.3f} {unit}"
        if value < 1
        else f"{value:.2f} {unit}"
        if value < 100
        else f"{value:.0f} {unit}"
    )


if __name__ == "__main__":
    sys.exit(main())
