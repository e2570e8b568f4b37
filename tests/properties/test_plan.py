"""What holds for every two topologies and every damage: the planner and `apply` against the fake kernel."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler import pipeline, saved
from reconciler.apply import Options, apply, scope_of
from reconciler.comparison import compare
from reconciler.errors import Exit, Refused
from reconciler.objects import (
    HOST,
    KernelObject,
    Key,
    Link,
    Sysctl,
    Veth,
    parents,
)
from reconciler.pipeline import Loaded, Look
from reconciler.plan import Action, Plan
from reconciler.sides import Desired
from reconciler.state import Store
from tests import cases
from tests.fake import FakeKernel, Killed
from tests.properties.topologies import VANDALISM, Topology, furnish, topologies, vandalise
from tests.unit.test_cases import Quiet

FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
UNTOUCHED = "9"  # of a parameter that comes with its link or namespace: nothing that a topology asks for
Vandalism = list[tuple[str, int]]


@dataclass
class Machine:
    """A fake kernel with foreign objects on it, and a state directory."""

    root: Path
    kernel: FakeKernel = field(default_factory=FakeKernel)
    plan: Plan | None = None

    def __post_init__(self) -> None:
        self.decoys = furnish(self.kernel)

    def load(self, topology: Topology) -> Loaded:
        """Through the real front end."""
        file = self.root / "shop.yaml"
        file.write_text(json.dumps(topology))
        return pipeline.load([str(file)], [], self.root / "state")

    def look(self, loaded: Loaded) -> Look:
        """Observe and plan, as a process of its own would."""
        self.kernel.priors = {}
        _every_link_has_its_parameters(self.kernel, loaded.desired)
        return pipeline.look(loaded.desired, loaded.store, self.kernel)

    def apply(self, topology: Topology | Loaded) -> Loaded:
        """Plan and apply; the plan is kept in `plan`."""
        loaded = topology if isinstance(topology, Loaded) else self.load(topology)
        with loaded.store.lock():
            self.plan = self.look(loaded).plan
            assert not self.plan.conflicts
            reporter, options = Quiet(), Options()
            result = apply(
                self.plan,
                loaded.desired,
                loaded.leases,
                self.kernel,
                loaded.store,
                reporter=reporter,
                options=options,
            )
        left = [cases.line(change) for change in (result.remaining.changes if result.remaining else ())]
        failed = [(outcome.change.key, str(outcome.error)) for outcome in result.outcomes if not outcome.done]
        assert (failed, left) == ([], [])
        assert result.exit_code is Exit.OK
        return loaded

    def die(self, topology: Topology, step: int) -> None:
        """Apply, and be killed at the change with that number if there are so many."""
        self.kernel.kill_at = self.kernel.tried + step
        with suppress(Killed):
            self.apply(topology)
        self.kernel.kill_at = 0

    def wreck(self, steps: Vandalism) -> None:
        """Let the vandals in."""
        vandalise(self.kernel, steps, self.decoys)

    def check_decoys(self) -> None:
        """What is foreign is as it was."""
        assert {key: self.kernel.objects.get(key) for key in self.decoys} == self.decoys

    def check_holds(self, loaded: Loaded) -> None:
        """Everything declared is there as declared, and nothing else of ours."""
        observed = self.kernel.observe(scope_of(loaded.desired, loaded.store.claims())).objects
        for key, declared in loaded.desired.objects.items():
            assert key in observed
            assert compare(declared.object, observed[key].object) == ()
        ours = {key for key, found in observed.items() if found.ours}
        assert ours <= set(loaded.desired.objects)


def _every_link_has_its_parameters(kernel: FakeKernel, desired: Desired) -> None:
    for key, declared in desired.objects.items():
        obj = declared.object
        if not isinstance(obj, Sysctl) or key in kernel.objects:
            continue
        above: list[Key] = [] if obj.netns == HOST else [("netns", obj.netns)]
        above += [("link", obj.netns, obj.link)] if obj.link else []
        if all(parent in kernel.objects for parent in above):
            kernel.put(Sysctl(netns=obj.netns, path=obj.path, value=UNTOUCHED))


@contextmanager
def machine() -> Iterator[Machine]:
    """A fresh machine, furnished."""
    with tempfile.TemporaryDirectory() as root:
        yield Machine(Path(root))


def asked(desired: Desired, objects: Mapping[Key, KernelObject]) -> dict[Key, Any]:
    """The objects of a machine without the values that nobody asked for."""
    declared = {key: item.object for key, item in desired.objects.items()}
    return {
        key: "as declared" if key in declared and compare(declared[key], obj) == () else obj
        for key, obj in objects.items()
        if key in declared or not isinstance(obj, Sysctl) or obj.value not in (UNTOUCHED, "0")
    }


# -------------------------------------------------------------------------------------------------- convergence


@FEW
@given(topologies(), topologies(), VANDALISM)
def test_whatever_was_done_apply_makes_it_right(a: Topology, b: Topology, damage: Vandalism) -> None:
    """A, damage, B: B holds, a second plan is empty, a second apply sends nothing, decoys are as they were."""
    with machine() as host:
        host.apply(a)
        host.wreck(damage)
        loaded = host.apply(b)
        host.check_holds(loaded)
        assert host.look(loaded).plan.empty
        sent = host.kernel.messages
        host.apply(loaded)
        assert host.kernel.messages == sent
        host.check_decoys()


@FEW
@given(topologies(), topologies(), topologies())
def test_the_path_does_not_matter(a: Topology, b: Topology, c: Topology) -> None:
    """A, B, C leaves the same objects as C alone on a fresh machine, given the same leases."""
    with machine() as long, machine() as short:
        long.apply(a)
        long.apply(b)
        loaded = long.apply(c)
        fresh = Loaded(
            loaded.expanded,
            loaded.topology,
            loaded.leases,
            loaded.desired,
            Store(short.root / "state", "shop"),
        )
        short.apply(fresh)
        assert asked(loaded.desired, long.kernel.objects) == asked(loaded.desired, short.kernel.objects)


@FEW
@given(topologies(), topologies())
def test_every_plan_can_be_inverted(a: Topology, b: Topology) -> None:
    """A, B, A leaves the objects of A."""
    with machine() as host:
        loaded = host.apply(a)
        before = asked(loaded.desired, host.kernel.objects)
        host.apply(b)
        host.apply(loaded)
        assert asked(loaded.desired, host.kernel.objects) == before


@FEW
@given(topologies(), topologies(), VANDALISM)
def test_destroy_leaves_what_was_there_before(a: Topology, b: Topology, damage: Vandalism) -> None:
    """After A, B and damage to it, nothing declared gives back the furnished machine, sysctls and ports included."""
    with machine() as host:
        before = dict(host.kernel.objects)
        host.apply(a)
        host.apply(b)
        host.wreck([step for step in damage if step[0] not in ("parameter", "address", "route")])
        nothing = {"name": "shop"}
        host.apply(nothing)
        assert host.kernel.objects == before
        host.check_decoys()


# --------------------------------------------------------------------------------------------------- interruption


@FEW
@given(topologies(), topologies(), st.integers(1, 40))
def test_killed_at_any_change_then_applied(a: Topology, b: Topology, step: int) -> None:
    """A, B killed at change k, B again: B holds and the plan is empty."""
    with machine() as host:
        host.apply(a)
        host.die(b, step)
        loaded = host.apply(b)
        host.check_holds(loaded)
        assert host.look(loaded).plan.empty
        host.check_decoys()


@FEW
@given(topologies(), topologies(), st.integers(1, 40))
def test_killed_at_any_change_then_something_else(a: Topology, b: Topology, step: int) -> None:
    """A killed at change k, then B: B holds, and destroy leaves what was there before."""
    with machine() as host:
        before = dict(host.kernel.objects)
        host.die(a, step)
        host.check_holds(host.apply(b))
        host.apply({"name": "shop"})
        assert host.kernel.objects == before


@FEW
@given(topologies(), topologies(), st.integers(1, 40))
def test_failed_at_any_change_then_applied(a: Topology, b: Topology, step: int) -> None:
    """Change k of B fails: the exit code says truly whether B holds, and the next apply finishes."""
    with machine() as host:
        host.apply(a)
        host.kernel.fail_at = host.kernel.tried + step
        loaded = host.load(b)
        with loaded.store.lock():
            plan = host.look(loaded).plan
            result = apply(
                plan,
                loaded.desired,
                loaded.leases,
                host.kernel,
                loaded.store,
                reporter=Quiet(),
                options=Options(),
            )
        assert (result.exit_code is Exit.OK) == host.look(loaded).plan.empty
        host.apply(loaded)
        host.check_holds(loaded)
        assert host.look(loaded).plan.empty
        host.check_decoys()


# ------------------------------------------------------------------------------------------------------ the plan itself


@FEW
@given(topologies(), topologies(), VANDALISM)
def test_the_order_of_a_plan(a: Topology, b: Topology, damage: Vandalism) -> None:
    """No key twice for one action; deletions first; a parent is made before its child and goes after it.

    A port is no child of its bridge when it goes: the two may go in any order.
    """
    with machine() as host:
        host.apply(a)
        host.wreck(damage)
        changes = host.look(host.load(b)).plan.changes
    actions = [(change.action, change.key) for change in changes]
    assert len(set(actions)) == len(actions)
    deletions = [change.action is Action.DELETE for change in changes]
    assert deletions == sorted(deletions, reverse=True)
    place = {action: number for number, action in enumerate(actions)}
    for number, change in enumerate(changes):
        for parent in parents(change.object):
            other = place.get((change.action, parent))
            if other is None or (change.action is Action.DELETE and change.key[0] in ("link", "port")):
                continue
            assert (other > number) if change.action is Action.DELETE else (other < number)


@FEW
@given(topologies(), st.randoms(use_true_random=False))
def test_the_order_of_files_does_not_matter(topology: Topology, random: Any) -> None:
    """Networks and sandboxes spread over files in any order give the same objects, given the same leases."""
    with machine() as host:
        whole = host.apply(topology)
        split = pipeline.load(_spread(host.root, topology, random), [], host.root / "state")
        assert _objects(split) == _objects(whole)
        assert host.look(split).plan.empty


def _objects(loaded: Loaded) -> dict[Key, tuple[KernelObject, str]]:
    return {key: (_held(item.object), item.origin) for key, item in loaded.desired.objects.items()}


def _held(obj: KernelObject) -> KernelObject:
    """As the kernel holds it: which end of a pair makes the other follows the order of the files, and nothing else does."""
    if isinstance(obj, Link) and isinstance(obj.kind, Veth):
        return replace(obj, kind=replace(obj.kind, made_by_peer=False))
    return obj


def _spread(root: Path, topology: Topology, random: Any) -> list[str]:
    parts: list[Topology] = [{"name": "shop"}]
    for kind in ("networks", "sandboxes"):
        parts += [{kind: {name: body}} for name, body in topology[kind].items()]
    random.shuffle(parts)
    paths = []
    for number, part in enumerate(parts):
        path = root / f"part-{number}.yaml"
        path.write_text(json.dumps(part))
        paths.append(str(path))
    return paths


# -------------------------------------------------------------------------------------------------------- saved plans


@FEW
@given(topologies(), topologies(), VANDALISM)
def test_a_saved_plan_is_applied_as_it_was_or_refused(a: Topology, b: Topology, damage: Vandalism) -> None:
    """What was saved comes back equal; it fits while planning again gives the same changes, and only then."""
    with machine() as host:
        host.apply(a)
        loaded = host.load(b)
        first = host.look(loaded).plan
        path = str(host.root / "shop.plan")
        saved.write(path, loaded.desired, loaded.leases, "digest", first)
        assert saved.is_saved_plan(path)
        back = saved.read(path)
        assert _declared(back.desired) == _declared(loaded.desired)
        assert (back.leases, back.digest) == (loaded.leases, "digest")
        host.wreck(damage)
        again = Loaded(loaded.expanded, loaded.topology, back.leases, back.desired, loaded.store)
        now = host.look(again).plan
        if now.changes == first.changes:
            saved.check_base(back, now)
            host.apply(again)
            host.check_holds(loaded)
        elif not now.changes:  # somebody did by hand what the plan wanted
            saved.check_base(back, now)
        elif [(c.action, c.before, c.after) for c in now.changes] != [
            (c.action, c.before, c.after) for c in first.changes
        ]:
            with pytest.raises(Refused):
                saved.check_base(back, now)


def _declared(desired: Desired) -> Any:
    return (desired.topology, dict(desired.objects), desired.requirements)
