"""From files to a plan: the one path that every command takes, once or in a loop.

    load: files ─► topology ─► desired objects        look: kernel ─► observed ─► plan

`load` needs no privilege and no kernel, unless a network draws from the default pools. `look` only reads.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from . import bounds, identity, lockfile, resolve
from .apply import Kernel, scope_of
from .compile import compile_topology
from .errors import Diagnostic, TopologyError, Unsupported
from .features import by_place, missing, needs
from .load.expand import Expanded
from .model import IPNetwork, Leases, Topology
from .objects import KernelObject, Key
from .plan import Action, Plan, apart
from .planner import plan
from .policy import Policy
from .sides import Desired, Observed
from .state import Store


@dataclass(frozen=True, slots=True)
class Loaded:
    """The declared side of one topology, and where its state is kept. `locked` is what was read, with the lock file."""

    expanded: Expanded
    topology: Topology
    leases: Leases
    desired: Desired
    store: Store
    locked: lockfile.Locked | None = None

    @property
    def local(self) -> Topology:
        """The part of the topology that this host makes."""
        return self.topology.on(None if self.desired.here is None else self.desired.here.host)


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the kernel and the plan it leads to. `seconds` is what both took."""

    observed: Observed
    plan: Plan
    seconds: float


def load(
    paths: Sequence[str],
    overrides: Sequence[str],
    state_dir: Path,
    host: str | None = None,
    *,
    anywhere: bool = False,
    empty: bool = False,
    policies: Sequence[Policy] = (),
    within: str | None = None,
) -> Loaded:
    """Read, check and compile. Raises TopologyError with every mistake, Forbidden for what a policy does not allow.

    `host` is what the command line says of this host. `anywhere` asks for the whole topology, whichever host this is.
    `empty` is for an empty kernel: neither what this host routes nor what was dealt on it counts. `within` is the directory
    that no file leads out of, for files that somebody else wrote.
    """
    locked = lockfile.load(paths, overrides, within)
    expanded = locked.expanded
    store = Store(state_dir, expanded.name)
    taken: Sequence[IPNetwork] = ()
    if resolve.needs_pool(expanded.tree) and not empty:
        from .kernel.observe import host_prefixes

        taken = host_prefixes(expanded.name)
    topology, leases = resolve.resolve(
        expanded.tree,
        name_mark=expanded.name_mark,
        files=expanded.files,
        leases=locked.lock.leases if empty else lockfile.prefer(locked.lock.leases, store.leases()),
        taken=taken,
        vnis=locked.lock.vnis,
    )
    lockfile.require(topology, leases, locked)
    bounds.require(policies, topology, expanded.tree)
    here = None if anywhere else identity.choose(topology.hosts, host)
    desired = compile_topology(topology, host=None if here is None else here.host)
    return Loaded(expanded, topology, leases, desired, store, locked)


def nothing(expanded: Expanded, host: str | None = None) -> Desired:
    """What a destroy wants of a topology, on the host that this is said to be."""
    found: list[Diagnostic] = []
    hosts = resolve.read_hosts(expanded.tree, found)
    if found:
        raise TopologyError(found)
    return Desired(expanded.name, here=identity.choose(hosts, host))


def look(
    desired: Desired, store: Store, kernel: Kernel, applied: Mapping[Key, KernelObject] | None = None
) -> Look:
    """Observe and plan. Raises Unsupported on another host than the one that `desired` is for.

    `applied` is what the last apply established, for who knows it already; else the store is asked, if it matters.
    """
    began = time.monotonic()
    if desired.here is not None:
        identity.confirm(desired.here, kernel.addresses())
    claims = store.claims()
    observed = kernel.observe(scope_of(desired, claims))
    begun = _begun(store) if observed.orphans else frozenset()
    first = plan(desired, observed, applied=applied, claims=claims, begun=begun)
    # Only now does it matter what is drift: the record is large, and before the first apply there is none.
    if first.changes and desired.objects and applied is None:
        known = store.applied()
        first = plan(desired, observed, applied=known, claims=claims, begun=begun) if known else first
    return Look(observed, first, time.monotonic() - began)


def imagine(desired: Desired) -> Look:
    """The plan for a kernel that holds nothing but what others have to bring along: parents, given namespaces, and so on.

    Looks at nothing, so it needs no privilege and is the same on every machine.
    """
    began = time.monotonic()
    observed = Observed({})
    found = plan(replace(desired, requirements=()), observed)
    return Look(observed, found, time.monotonic() - began)


def check_host(found: Look, kernel: Kernel) -> None:
    """Raise Unsupported if what the plan makes needs features that this kernel lacks: all of them, with file lines.

    What is there already shows that the kernel can, so a plan that makes nothing asks nothing.
    """
    wanted = needs(change for change in apart(found.plan.changes) if change.action is Action.CREATE)
    lacking = kernel.lacks(wanted) if wanted else {}
    if lacking:
        raise Unsupported(
            f"this host cannot hold topology '{found.plan.topology}'; nothing was done",
            reasons=[missing(wanted[name], name, lacking[name]) for name in by_place(lacking, wanted)],
            hint="`reconciler doctor` shows what this host has",
        )


def _begun(store: Store) -> frozenset[str]:
    """Namespaces that we made or were about to make: an empty file in their place is what is left of ours."""
    interrupted = store.interrupted()
    announced = interrupted.announced if interrupted is not None else ()
    return frozenset(key[1] for key in (*announced, *store.applied()) if key[0] == "netns")
