"""`plan`: look, compare, show. Never gets anything that could write to the kernel."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from functools import partial
from typing import Any

from .. import confirmation, guard, pipeline, policy, saved
from ..errors import Exit, Refused, UsageError
from ..health import Suspension
from ..kernel.linux import Linux
from ..load import expand
from ..model import Leases
from ..pipeline import Look
from ..plan import Objection
from ..render import documents, suspended
from ..render import plan as render
from ..render.plan import PlanView
from ..render.style import safe
from ..sides import Desired
from ..state import Store
from ..watch.watched import Desk
from .console import Console
from .inputs import Inputs, inputs, state_dir


def run(args: Namespace, console: Console) -> int:
    """The plan; exit code 5 for conflicts, 4 (or N) for pending changes when asked, else 0."""
    named = inputs(args)
    if args.empty_kernel:
        _refuse_with_empty_kernel(args)
    if args.out is not None:
        saved.check_target(args.out)  # before the work, and before a plan is shown that will not be kept
    policies = policy.in_force(args.policy)
    if args.destroy:
        expanded = expand.load(named.paths, named.overrides)
        desired, leases, topology = pipeline.nothing(expanded, args.host), Leases(), None
        store = Store(state_dir(args), expanded.name)
    else:
        loaded = pipeline.load(
            named.paths,
            named.overrides,
            state_dir(args),
            args.host,
            empty=args.empty_kernel,
            policies=policies,
        )
        expanded, topology = loaded.expanded, loaded.local
        desired, leases, store = loaded.desired, loaded.leases, loaded.store
    suspension = None
    if args.empty_kernel:
        look = pipeline.imagine(desired)
    else:
        mention_interrupted(store, console)
        suspension = mention_suspended(store, console)
        look = _look(desired, store)
    seconds = None if args.empty_kernel else look.seconds
    objections = () if args.empty_kernel else _objections(args, look, desired, store)
    view = PlanView(look.plan, named.title, seconds, topology, desired, args.destroy, objections)

    def document() -> dict[str, Any]:
        found = documents.plan(look.plan, expanded.files, expanded.digest, desired, objections)
        return {**found, "suspended": suspended.document(suspension)}

    console.record(
        topology=expanded.name,
        files=expanded.files,
        view=view,
        document=document,
    )
    if console.json:
        console.document(document())
    else:
        console.result(render.text(view, console.out))
    mention_forgotten(store, console)
    if args.out is not None:
        write = partial(saved.write, args.out, desired, leases, expanded.digest, look.plan)
        _save(args, partial(write, policies=[one.digest for one in policies]), look, console)
    return _exit_code(args, look)


def _look(desired: Desired, store: Store) -> Look:
    kernel = Linux(store)
    look = pipeline.look(desired, store, kernel)
    pipeline.check_host(look, kernel)
    return look


def _refuse_with_empty_kernel(args: Namespace) -> None:
    """There is nothing to destroy in it, and no host on which its plan would be the right one."""
    for flag, value in (("--destroy", args.destroy), ("--out", args.out)):
        if value:
            raise UsageError(f"{flag} does not go with --empty-kernel", hint="leave one of them out")


def mention_interrupted(store: Store, console: Console) -> None:
    """A run that was cut short is worth a line: it explains what the plan shows."""
    interrupted = store.interrupted()
    if interrupted is not None:
        console.notice(
            f"note: the {interrupted.command or 'run'} of {interrupted.started or 'unknown time'} was cut short; "
            "if it left something undone, this plan has it\n"
        )


def mention_forgotten(store: Store, console: Console) -> None:
    """What was damaged and counts as absent is a warning: it explains what is said of causes and of past runs."""
    for sentence in store.forgotten.values():
        console.notice(f"warning: {safe(sentence)}\n")


def mention_suspended(store: Store, console: Console) -> Suspension | None:
    """Whoever looks should know that somebody asked for rest; it is told, and does not stop a command by hand."""
    suspension = Desk(store).suspension() or confirmation.rest(store)
    if suspension is not None:
        console.notice(f"note: {suspended.sentence(suspension)}\n")
    return suspension


def _objections(args: Namespace, look: Look, desired: Desired, store: Store) -> tuple[Objection, ...]:
    """Why what is shown would be refused without further flags."""
    allowed = None if args.destroy else guard.Allowed()
    return guard.objections(look, desired, store.protected(), allowed)


def refuse_conflicts(look: Look, named: Inputs | None) -> None:
    """Raise Refused when something is in the way; the plan that was shown says what."""
    if look.plan.conflicts:
        reasons = [f"{conflict.origin}: {conflict.message}" for conflict in look.plan.conflicts]
        again = f"reconciler plan {named.as_arguments}" if named is not None else "reconciler plan"
        raise Refused(
            f"topology '{look.plan.topology}' cannot be applied on this host now; nothing was done",
            reasons=reasons[:20],
            hint=f"see `{again}`",
        )


def _save(args: Namespace, write: Callable[..., str], look: Look, console: Console) -> None:
    if look.plan.conflicts:
        console.notice(f"note: {args.out} is not written, since this plan has conflicts\n")
        return
    identity = write(destroying=args.destroy)
    console.record(digest=identity)
    if saved.is_saved_plan(args.out):  # not into a pipe or device
        console.notice(f"Saved as {identity}.\n`reconciler apply {args.out}` carries out exactly this.\n")


def _exit_code(args: Namespace, look: Look) -> int:
    if look.plan.conflicts:
        return Exit.REFUSED
    if (look.plan.changes or look.plan.pending) and args.exit_code is not None:
        code: int = args.exit_code
        return code
    return Exit.OK
