"""Everything that others can change is made good, at once where the kernel tells of it; or said, where that was asked."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests import cases, vandals
from tests.cases import Case
from tests.kernel.test_cases import check_fact
from tests.watching import Watching, watching
from tests.world import SLOWNESS, World

FIRST = 10  # two digits for each line, also in a MAC address
DONE = ("created", "changed", "replaced", "deleted")
BROKEN = [
    pytest.param(case, id=case.name, marks=pytest.mark.needs(*case.needs))
    for case in cases.load_all()
    if case.breaks and case.before is not None and case.after is None and not case.conflicts
]


MATRIX = [
    pytest.param(path, id=path.stem, marks=pytest.mark.needs(*yaml.safe_load(path.read_text())["needs"]))
    for path in sorted((Path(__file__).parent.parent / "drift").glob("*.yaml"))
]


class Vandal(NamedTuple):
    """One line of the matrix, about a network and a sandbox of its own."""

    do: str
    number: int
    of: str
    silent: bool = False
    conflict: bool = False
    stays: str | None = None

    @property
    def address(self) -> str:
        """What differs afterwards."""
        return self._addresses()[self.of]

    def untouched(self) -> set[str]:
        """What must not be said to differ."""
        return set(self._addresses().values()) if self.stays is not None else set()

    def _addresses(self) -> dict[str, str]:
        sandbox = f"sandbox/s{self.number}"
        return {
            "network": f"network/n{self.number}",
            "sandbox": sandbox,
            "endpoint": f"{sandbox}/endpoint/eth0",
        }


class Matrix(NamedTuple):
    """A file of tests/drift, described in its README: a topology, and what is to be done to it."""

    topology: dict[str, Any]
    options: list[str]
    setup: list[str]
    vandals: list[Vandal]


def matrix(path: Path) -> Matrix:
    """A file with each of its lines applied to a part of the topology of its own."""
    text = path.read_text()
    file = yaml.safe_load(text)
    found = Matrix(
        {"name": "m", "networks": {}, "sandboxes": {}, **file.get("whole", {})},
        file.get("options", []),
        [],
        [],
    )
    found.setup.extend(["ip link add br-x type bridge", "ip netns add elsewhere", *file.get("start", [])])
    for index in range(len(file["vandals"])):
        part = yaml.safe_load(text.replace("{n}", str(FIRST + index)))
        for section, entries in part["each"].items():
            found.topology[section].update(entries)
        found.setup.extend(part.get("setup", []))
        found.vandals.append(Vandal(number=FIRST + index, **part["vandals"][index]))
    return found


def nothing_left(
    world: World, watch: Watching, topology: Mapping[str, Any], *options: str, exit: int = 0
) -> None:
    """A full look of the watch repairs nothing more, and a fresh process finds nothing."""
    watch.signal(signal.SIGHUP)
    watch.kind("reload")
    heard = watch.until(lambda event: event["kind"] == "reloaded")
    assert [event for event in heard if event["kind"] in DONE] == []
    file = world.write("again.topo.yaml", json.dumps(topology))
    world.reconciler("plan", file, "--exit-code", *options, exit=exit)


@pytest.mark.timeout(300 * SLOWNESS)  # fifty lines, in a slow kernel
@pytest.mark.parametrize("path", MATRIX)
def test_every_attribute_is_repaired(world: World, path: Path) -> None:
    """Each by itself, when its notice comes; what makes none, by the next full look. What is foreign stays."""
    topology, options, setup, todo = matrix(path)
    run(world, *setup)
    with watching(world, topology, *options) as watch:
        for vandal in todo:
            if vandal.conflict:
                continue
            watch.signal(signal.SIGSTOP)  # so that several commands are one change
            run(world, vandal.do)
            watch.signal(signal.SIGCONT)
            if vandal.stays is not None:
                continue
            if vandal.silent:
                watch.signal(signal.SIGHUP)
            try:
                watch.until(lambda e, of=vandal.address: e["address"] == of and e["kind"] in DONE)  # type: ignore[misc]
            except AssertionError as error:
                raise AssertionError(f"{vandal.do}: {error}") from error
        watch.quiet(topology, *options)
        nothing_left(world, watch, topology, *options)
        check_foreign(world, todo)
    world.reconciler("destroy", "--name", "m", "--yes")


@pytest.mark.timeout(300 * SLOWNESS)  # fifty lines, in a slow kernel
@pytest.mark.parametrize("path", MATRIX)
def test_every_attribute_is_reported(world: World, path: Path) -> None:
    """With --detect-only nothing is touched, and each of them is said to differ; what is foreign is none."""
    topology, options, setup, todo = matrix(path)
    run(world, *setup)
    world.reconciler("apply", world.write("m.topo.yaml", json.dumps(topology)), *options)
    with watching(world, topology, "--detect-only", *options) as watch:
        for vandal in todo:
            run(world, vandal.do)
        watch.signal(signal.SIGHUP)
        watch.kind("reloaded")
        trouble = watch.report()["trouble"].keys()
        assert {vandal.address for vandal in todo if vandal.stays is None} - trouble == set()
        assert [vandal for vandal in todo if vandal.untouched() & trouble] == []
        assert watch.report()["repaired"] == 0
    check_foreign(world, todo)


def run(world: World, *lines: str) -> None:
    """Each command of each line, as ";" sets them apart."""
    for command in "; ".join(lines).split("; "):
        world.run(*command.split())


def check_foreign(world: World, todo: list[Vandal]) -> None:
    """What others added, and is no business of ours, is still there."""
    for vandal in todo:
        if vandal.stays is not None:
            assert world.run(*vandal.stays.split()).stdout, vandal.do


@pytest.mark.parametrize("case", BROKEN)
def test_case(case: Case, world: World) -> None:
    """What the cases break is repaired without being asked for, facts included; decoys stay as they are."""
    for step in case.setup:
        vandals.on_world(world, step)
    decoys = world.decoys("shop")
    assert case.before is not None
    host = () if case.host is None else ("--host", case.host)
    left = 4 if case.pending else 0
    with watching(world, case.before, *host) as watch:
        for step in case.breaks:
            vandals.on_world(world, step)
        watch.quiet(case.before, *host, exit=left)
        nothing_left(world, watch, case.before, *host, exit=left)
        for fact in case.facts:
            check_fact(world, fact)
    decoys.check()
