"""The data cases against the fake kernel."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from reconciler import pipeline, saved
from reconciler.apply import Options, apply
from reconciler.errors import Exit
from reconciler.objects import Address, Link, Sysctl
from reconciler.pipeline import Loaded, Look
from tests import cases, vandals
from tests.cases import Case
from tests.fake import FakeKernel

ALL = cases.load_all()


class Quiet:
    """A reporter that says nothing."""

    def started(self, total: int) -> None:
        """Ignored."""

    def progressed(self, done: int) -> None:
        """Ignored."""

    def waiting(self, missing: int) -> None:
        """Ignored."""


def load(tmp_path: Path, topology: Mapping[str, Any], host: str | None = None) -> Loaded:
    """A topology from a case through the real front end."""
    file = tmp_path / "case.yaml"
    file.write_text(json.dumps(topology))
    return pipeline.load([str(file)], [], tmp_path / "state", host)


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
def test_every_plan_can_be_saved(case: Case, tmp_path: Path) -> None:
    """Whatever a topology can ask for passes the checks that a plan from elsewhere has to pass."""
    loaded = load(tmp_path, case.edited, case.host)
    kernel = FakeKernel()
    if loaded.desired.here is not None:
        kernel.put(Address(netns="", link="lo", address=f"{loaded.desired.here.vtep}/32"))
    planned = look(loaded, kernel).plan
    path = str(tmp_path / "case.plan")
    saved.write(path, loaded.desired, loaded.leases, "digest", planned)
    back = saved.read(path)
    assert (back.desired, back.leases) == (loaded.desired, loaded.leases)


def look(loaded: Loaded, kernel: FakeKernel) -> Look:
    """Observe and plan."""
    return pipeline.look(loaded.desired, loaded.store, kernel)


def run(loaded: Loaded, kernel: FakeKernel) -> Exit:
    """Plan and apply."""
    with loaded.store.lock():
        seen = look(loaded, kernel)
        result = apply(
            seen.plan,
            loaded.desired,
            loaded.leases,
            kernel,
            loaded.store,
            reporter=Quiet(),
            options=Options(),
        )
    return result.exit_code


def prepare(case: Case, kernel: FakeKernel, tmp_path: Path) -> None:
    """Bring the fake kernel to the state in which the case's plan is made."""
    for step in case.setup:
        vandals.on_fake(kernel, step)
    if case.before is not None:
        assert run(load(tmp_path, case.before, case.host), kernel) is Exit.OK
    for step in case.breaks:
        vandals.on_fake(kernel, step)


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
def test_plan(case: Case, tmp_path: Path) -> None:
    """The plan is the expected one, and applying it leaves nothing to plan."""
    kernel = FakeKernel()
    prepare(case, kernel, tmp_path)
    loaded = load(tmp_path, case.edited, case.host)
    declared_parameters(loaded, kernel)

    seen = look(loaded, kernel)

    assert [cases.line(change) for change in seen.plan.changes] == list(case.plan)
    assert [conflict.message for conflict in seen.plan.conflicts] == list(case.conflicts)
    assert [pending.message for pending in seen.plan.pending] == list(case.pending)
    if not case.conflicts:
        done = Exit.PENDING if case.pending else Exit.OK
        assert run(loaded, kernel) is done
        sent = kernel.messages
        assert look(loaded, kernel).plan.empty
        assert run(loaded, kernel) is done
        assert kernel.messages == sent


def declared_parameters(loaded: Loaded, kernel: FakeKernel) -> None:
    """Give what exists and is not ours the parameters that it has in a real kernel, with another value than declared."""
    for key, declared in loaded.desired.objects.items():
        obj = declared.object
        if not isinstance(obj, Sysctl) or key in kernel.objects:
            continue
        if obj.link is None:
            exists = obj.netns == "" or ("netns", obj.netns) in kernel.objects
        else:
            link = kernel.objects.get(("link", obj.netns, obj.link))
            exists = isinstance(link, Link) and link.alias is None
        if exists:
            kernel.put(Sysctl(netns=obj.netns, path=obj.path, value="0"))
