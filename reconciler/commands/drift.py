"""`drift`: the part of the plan that no edit of the files explains, for cron and CI. Changes nothing."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from .. import pipeline
from ..drifted import drifted
from ..errors import Exit
from ..kernel.linux import Linux
from ..render import documents, suspended
from ..render import plan as render
from ..render.plan import PlanView
from ..render.size import things
from ..render.style import duration
from .console import Console
from .inputs import inputs, state_dir
from .plan import mention_forgotten, mention_interrupted, mention_suspended


def run(args: Namespace, console: Console) -> int:
    """Exit code 4 when there is drift, 0 when there is none, whatever the files ask for besides."""
    named = inputs(args)
    loaded = pipeline.load(named.paths, named.overrides, state_dir(args), args.host)
    mention_interrupted(loaded.store, console)
    suspension = mention_suspended(loaded.store, console)
    applied = loaded.store.applied()
    mention_forgotten(loaded.store, console)
    look = pipeline.look(loaded.desired, loaded.store, Linux(loaded.store), applied)
    found = drifted(look.plan, applied)
    any_drift = bool(found.changes or found.conflicts or found.pending)
    if not applied and look.plan.changes:
        console.notice(
            "note: nothing is known to have been applied since this machine started, so nothing counts as drift\n"
        )
    elif len(found.changes) < len(look.plan.changes):
        console.notice(
            f"note: the files ask for changes as well; see `reconciler plan {named.as_arguments}`\n"
        )
    view = PlanView(found, named.title, look.seconds, loaded.local, loaded.desired)

    def document() -> dict[str, Any]:
        known = documents.plan(found, loaded.expanded.files, loaded.expanded.digest, loaded.desired)
        return {**known, "suspended": suspended.document(suspension)}

    console.record(topology=found.topology, files=loaded.expanded.files, view=view, document=document)
    if console.json:
        console.document(document())
    elif any_drift:
        console.result(render.text(view, console.out))
    else:
        console.success(f"No drift. {things(loaded.local)} ({duration(look.seconds)}).\n")
    return Exit.PENDING if any_drift else Exit.OK
