"""`apply`: plan under the lock, ask where something is taken away, carry out, verify, report.

A saved plan takes the same way; it only brings its desired side along and is refused when its base has moved.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from .. import guard, happened, identity, pipeline, policy, saved
from ..apply import Kernel, Options, Result, apply, record_in_sync, still_protected
from ..errors import Exit, LockHeld, Refused, UsageError
from ..kernel.linux import Linux
from ..load.source import STDIN
from ..model import Leases, Topology
from ..pipeline import Loaded, Look
from ..render import documents
from ..render import plan as render_plan
from ..render import result as render
from ..render.plan import PlanView
from ..saved import SavedPlan
from ..sides import Desired
from ..state import Store
from ..watch.watched import Desk
from . import consent
from .console import Console
from .inputs import Inputs, inputs, state_dir, topology_name
from .plan import mention_forgotten, mention_interrupted, mention_suspended, refuse_conflicts
from .progress import Progress
from .trial import Trial, settled


class Job(NamedTuple):
    """What to apply, from files or from a saved plan. `again` is the command line that would do it once more.

    `allowed` limits what may be deleted, None when everything may but what is protected; `deletable` are addresses of
    that which may go all the same.
    """

    desired: Desired
    leases: Leases
    store: Store
    digest: str
    files: tuple[str, ...]
    title: str
    again: str
    command: str = "apply"
    topology: Topology | None = None
    saved: SavedPlan | None = None
    named: Inputs | None = None
    allowed: guard.Allowed | None = None
    deletable: tuple[str, ...] = ()


def run(args: Namespace, console: Console) -> int:
    """Apply files or a saved plan; the exit code says how it went."""
    options = Options(wait=not args.no_wait, timeout=args.timeout)
    with ExitStack() as stack:
        trial = None if args.confirm is None else stack.enter_context(Trial(args.confirm, console))
        code = _run(args, console, options, trial)
        return code if trial is None else trial.outcome(code)


def _run(args: Namespace, console: Console, options: Options, trial: Trial | None) -> int:
    with _prepared(args, console) as job:
        job = job._replace(deletable=tuple(args.allow_delete))  # noqa: PLW2901
        if job.command != "destroy":  # a plan of a destroy was saved by that word
            allowed = guard.Allowed(everything=args.allow_empty, deletions=args.max_deletes)
            job = job._replace(allowed=allowed)  # noqa: PLW2901
        return carry_out(job, console, options, yes=args.yes, trial=trial)


@contextmanager
def _prepared(args: Namespace, console: Console) -> Iterator[Job]:
    """The job, with its topology's lock held."""
    plan_files = [path for path in (*args.paths, *args.files) if saved.is_saved_plan(path)]
    if plan_files:
        if len(args.paths) != 1 or args.files:
            raise UsageError("a saved plan is applied alone", hint=f"reconciler apply {plan_files[0]}")
        with _from_saved_plan(args, console) as job:
            yield job
        return
    if args.digest is not None:
        raise UsageError("--digest goes with a saved plan", hint="leave it out, or name the plan")
    named = inputs(args)
    policies = policy.in_force(args.policy)
    loaded = pipeline.load(named.paths, named.overrides, state_dir(args), args.host, policies=policies)
    with loaded.store.lock():
        if settled(loaded.store, console) or _outdated(loaded):
            _refuse_standard_input(named)
            loaded = pipeline.load(
                named.paths, named.overrides, state_dir(args), args.host, policies=policies
            )
        yield _from_files(loaded, named)


@contextmanager
def _from_saved_plan(args: Namespace, console: Console) -> Iterator[Job]:
    path = args.paths[0]
    plan = saved.read(path)
    _agree(path, plan, args)
    identity.agree(plan.desired.here, args.host)
    store = Store(state_dir(args), topology_name(plan.desired.topology))
    with store.lock():
        settled(store, console)
        yield Job(
            plan.desired,
            plan.leases,
            store,
            plan.digest,
            (),
            path,
            f"reconciler apply {path}",
            "destroy" if plan.destroying else "apply",
            saved=plan,
        )


def _agree(path: str, plan: SavedPlan, args: Namespace) -> None:
    """Raise Refused unless the plan is the one that was approved, and was allowed by every policy as it is now.

    A plan has kernel objects in it, which no policy knows. So where there is one, the word of whoever saw the plan being
    saved is needed: the digest says that nobody wrote into the file which policies allowed it.
    """
    if args.digest is not None and args.digest != plan.identity:
        raise Refused(
            f"{path} is another plan than the one that is to be applied",
            reasons=[f"it is {plan.identity}"],
            hint="plan again, and have that reviewed",
        )
    policies = policy.in_force(args.policy)
    if policies and args.digest is None:
        raise Refused(
            f"{policies[0].file} is in force, and nothing says that {path} was planned under it",
            hint="add --digest with what `plan --out` said when it saved the plan",
        )
    for one in policies:
        if one.digest not in plan.policies:
            raise Refused(f"{path} was not planned under {one.file} as it is now", hint="plan again")


def _from_files(loaded: Loaded, named: Inputs) -> Job:
    return Job(
        loaded.desired,
        loaded.leases,
        loaded.store,
        loaded.expanded.digest,
        loaded.expanded.files,
        named.title,
        f"reconciler apply {named.as_arguments}",
        topology=loaded.local,
        named=named,
    )


def _outdated(loaded: Loaded) -> bool:
    """Whether another run dealt addresses between our reading and our lock."""
    stored, ours = loaded.store.leases(), loaded.leases
    return any(
        mine.get(key, held) != held
        for theirs, mine in ((stored.networks, ours.networks), (stored.endpoints, ours.endpoints))
        for key, held in theirs.items()
    )


def _refuse_standard_input(named: Inputs) -> None:
    if STDIN in (*named.paths, *named.overrides):
        raise LockHeld(
            "another run dealt addresses meanwhile, and standard input cannot be read again",
            hint="run the command again",
        )


def carry_out(job: Job, console: Console, options: Options, *, yes: bool, trial: Trial | None = None) -> int:
    """Plan, ask, apply, report. The caller holds the lock."""
    kernel = Linux(job.store)
    if trial is not None:
        trial.check(job.store)
    mention_interrupted(job.store, console)
    mention_suspended(job.store, console)
    look = pipeline.look(job.desired, job.store, kernel)
    mention_forgotten(job.store, console)
    _record(job, look, console)
    if job.saved is not None:
        console.notice(f"Plan {job.saved.identity}\n")
        saved.check_base(job.saved, look.plan)
    if look.plan.empty:
        return _nothing_to_do(job, look, kernel, console)
    pipeline.check_host(look, kernel)
    if not console.json and (not console.quiet or look.plan.conflicts or consent.is_needed(look.plan)):
        console.result(render_plan.text(_view(job, look), console.out))
    refuse_conflicts(look, job.named)
    if job.allowed is not None:
        guard.check(look, job.desired, job.allowed)
    guard.check_protected(look.plan, job.desired, job.store.protected(), job.deletable)
    if not consent.require(look.plan, console, yes=yes):
        console.notice("Nothing was done.\n")
        return Exit.REFUSED
    if trial is not None:
        trial.begin(job.store, look, job.desired)
    result = _apply(job, look, kernel, console, options)
    if job.store.directory.is_dir():  # after a destroy nothing of it is left
        Desk(job.store).note(*(happened.event(one, result.run) for one in happened.became(look.plan, result)))
    _record(job, look, console, result)
    _report(job, result, console)
    if trial is not None:
        trial.applied(result, kernel)
    return result.exit_code


def _record(job: Job, look: Look, console: Console, result: Result | None = None) -> None:
    known = result if result is not None else Result(look.plan, ())
    console.record(
        topology=job.desired.topology,
        files=job.files,
        digest=None if job.saved is None else job.saved.identity,
        view=_view(job, look),
        result=result,
        document=lambda: documents.applied(known, job.files, job.digest, job.desired),
    )


def _view(job: Job, look: Look) -> PlanView:
    return PlanView(
        look.plan, job.title, look.seconds, job.topology, job.desired, destroying=job.command == "destroy"
    )


def _nothing_to_do(job: Job, look: Look, kernel: Kernel, console: Console) -> int:
    if not job.desired.objects:
        kernel.clean_up(job.store)
    else:
        record_in_sync(job.desired, job.leases, job.store, job.command)
        job.store.save_protected(still_protected(job.desired, look.observed, job.store.protected()))
    if console.json:
        console.document(documents.applied(Result(look.plan, ()), job.files, job.digest, job.desired))
    else:
        already = "Already applied. " if job.saved is not None and job.desired.objects else ""
        console.success(already + render_plan.text(_view(job, look), console.out))
    return Exit.PENDING if look.plan.pending else Exit.OK


def _apply(job: Job, look: Look, kernel: Kernel, console: Console, options: Options) -> Result:
    progress = Progress(quiet=console.quiet)
    options = Options(options.wait, options.timeout, job.command, job.digest)
    try:
        return apply(
            look.plan, job.desired, job.leases, kernel, job.store, reporter=progress, options=options
        )
    finally:
        progress.finish()


def _report(job: Job, result: Result, console: Console) -> None:
    if console.json:
        console.document(documents.applied(result, job.files, job.digest, job.desired))
    text = render.text(result, job.desired, console.err, command=job.command, again=job.again)
    if result.exit_code is not Exit.OK:
        console.problem(text)
    elif not console.json:
        console.success(f"\n{text}")
