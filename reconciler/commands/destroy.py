"""`destroy`: the plan for nothing declared. Works by name too, when the files are gone or broken."""

from __future__ import annotations

from argparse import Namespace

from .. import pipeline
from ..apply import Options
from ..errors import Exit, LockHeld, TopologyError
from ..load import expand
from ..model import Leases
from ..sides import Desired
from ..state import Store
from ..watch.watched import Desk
from . import leftovers
from .apply import Job, carry_out
from .console import Console
from .inputs import inputs, refuse_both, refuse_host, state_dir, topology_name
from .trial import settled


def run(args: Namespace, console: Console) -> int:
    """Remove everything that the topology made; the exit code says how it went."""
    refuse_both(args)
    job = _by_name(args) if args.name else _by_files(args, console)
    job = job._replace(deletable=tuple(args.allow_delete))
    with job.store.lock():
        settled(job.store, console)
        if Desk(job.store).is_occupied():
            message = f"topology '{job.desired.topology}' is watched, and would be made again at once"
            raise LockHeld(message, hint="stop the watch first")
        links = leftovers.derived(job.store)
        code = carry_out(job, console, Options(wait=False), yes=args.yes)
        if code == Exit.OK:
            leftovers.mention(job.desired.topology, links, console)
        return code


def _by_name(args: Namespace) -> Job:
    refuse_host(args)
    name = topology_name(args.name)
    return Job(
        Desired(name),
        Leases(),
        Store(state_dir(args), name),
        "",
        (),
        name,
        f"reconciler destroy --name {name}",
        "destroy",
    )


def _by_files(args: Namespace, console: Console) -> Job:
    named = inputs(args)
    try:
        expanded = expand.load(named.paths, named.overrides)
    except TopologyError:
        console.notice("note: the files are broken; `reconciler destroy --name TOPOLOGY` does without them\n")
        raise
    return Job(
        pipeline.nothing(expanded, args.host),
        Leases(),
        Store(state_dir(args), expanded.name),
        expanded.digest,
        expanded.files,
        named.title,
        f"reconciler destroy {named.as_arguments}",
        "destroy",
    )
