"""`validate`: files only. Needs no privilege, no kernel and no state, so that an editor or a hook can run it."""

from __future__ import annotations

from argparse import Namespace

from .. import bounds, lockfile, policy, resolve
from ..errors import Exit
from ..render import validated
from .console import Console
from .inputs import inputs


def run(args: Namespace, console: Console) -> int:
    """One line when the files are valid; every mistake at once, as TopologyError, when they are not."""
    named = inputs(args)
    policies = policy.in_force(args.policy)
    locked = lockfile.load(named.paths, named.overrides)
    expanded = locked.expanded
    topology, leases = resolve.resolve(
        expanded.tree,
        name_mark=expanded.name_mark,
        files=expanded.files,
        leases=locked.lock.leases,
        taken=(),
    )
    lockfile.require(topology, leases, locked)
    bounds.require(policies, topology, expanded.tree)
    console.record(
        topology=topology.name,
        files=expanded.files,
        document=lambda: validated.document(topology, expanded.digest),
    )
    if console.json:
        console.document(validated.document(topology, expanded.digest))
    else:
        console.success(validated.text(named.title, topology))
    return Exit.OK
