"""Carry out a plan: journal, batches, readiness, verification. The only way by which anything is written.

    announce batch in journal ─► execute ─► … ─► look again ─► wait until ready ─► remember what is established

The verifying look is the judge: a change counts as done when the kernel shows it, not when no error came back. A
signal is honoured between batches, never inside one. Whatever happens, the next run needs no clean-up by hand:
the kernel's marks say what is ours, the journal says what was announced.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import chain, groupby, islice
from typing import Protocol

from .errors import Exit
from .features import Lack
from .garbage import left_lying
from .history import Run
from .interrupts import Interrupts, deferred
from .joined import Joined, parts
from .model import Leases
from .objects import (
    ENTRIES,
    HOST,
    Address,
    KernelObject,
    Key,
    Link,
    Port,
    Route,
    Sysctl,
    Value,
    reaches_host,
)
from .outcome import Outcome, done, undone
from .plan import Action, Cause, Change, Creations, Pending, Plan, apart
from .planner import plan
from .sides import Desired, Observed, Scope
from .state import Store

BATCH, BATCH_OF_ENTRIES = 512, 4096


class Kernel(Protocol):
    """What `apply` needs of a kernel; the tests have one made of a dict."""

    @property
    def messages(self) -> int:
        """How many messages were sent that could change something."""

    @property
    def priors(self) -> Mapping[Key, str]:
        """Values that written parameters had before."""

    def addresses(self) -> Mapping[str, str]:
        """The addresses in the host's own namespace, each with its link."""

    def observe(self, scope: Scope) -> Observed:
        """Look at everything in scope."""

    def lacks(self, names: Collection[str]) -> Mapping[str, Lack]:
        """Those of the features, by name, that this kernel surely does not have, in that order."""

    def execute(
        self, changes: Sequence[Change], note: Callable[[Mapping[Key, str]], None]
    ) -> Sequence[Outcome]:
        """Carry out changes in order; `note` hears the values of parameters before they are written."""

    def wait_ready(
        self, scope: Scope, unready: Mapping[Key, str], timeout: float, interrupts: Interrupts
    ) -> Mapping[Key, str]:
        """Wait for the kernel's events until nothing in `unready` is left, at most `timeout` seconds; what is left."""

    def clean_up(self, store: Store) -> None:
        """After a destroy: remove directories that an apply had to make."""


class Reporter(Protocol):
    """Hears how an apply goes along."""

    def started(self, total: int) -> None:
        """`total` changes are about to be made."""

    def progressed(self, done: int) -> None:
        """`done` changes were tried so far."""

    def waiting(self, missing: int) -> None:
        """Everything is configured; `missing` objects are not ready yet."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to apply: whether to wait for readiness and how long (seconds), and what to write into the history."""

    wait: bool = True
    timeout: float = 60.0
    command: str = "apply"
    digest: str = ""
    revision: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a plan. `remaining` is the difference that the verifying look still found, None when none.

    `seen` is what it saw, with everything that differs there, also what this plan was not to change; None where nothing
    was done. `pending` is what parts of the topology still wait for. `configured` and `ready` are seconds since the start;
    `ready` is None when nothing was waited for or it never came. `run` is the id of the run in the history.
    """

    plan: Plan
    outcomes: Sequence[Outcome]
    remaining: Plan | None = None
    unready: Mapping[Key, str] = field(default_factory=dict)
    interrupted: signal.Signals | None = None
    configured: float = 0.0
    ready: float | None = None
    messages: int = 0
    pending: tuple[Pending, ...] = ()
    run: str = ""
    seen: tuple[Observed, Plan] | None = None

    @property
    def exit_code(self) -> Exit:
        """The exit code that tells the truth about this result."""
        if self.interrupted is not None:
            return Exit.INTERRUPTED if self.interrupted is signal.SIGINT else Exit.TERMINATED
        if self.remaining is not None or undone(self.outcomes):
            return Exit.FAILED
        if self.unready:
            return Exit.TIMEOUT
        return Exit.PENDING if self.pending else Exit.OK


def scope_of(desired: Desired, claims: Mapping[Key, Value], *, foreign: bool = False) -> Scope:
    """What to look at to plan `desired`."""
    given = {r.key[1] for r in desired.requirements if r.key[0] == "netns"}
    given |= {d.object.netns for d in desired.others.values() if isinstance(d.object, Route)}
    given |= {key[1] for key in claims if key[1].startswith(("/", "pid:"))}
    sysctls = {key for key, d in desired.others.items() if isinstance(d.object, Sysctl)}
    sysctls |= {key for key in claims if key[0] == "sysctl"}
    kept = frozenset(claims)
    return Scope(desired.topology, frozenset(given), frozenset(sysctls), kept, foreign, desired.entries)


def apply(
    todo: Plan,
    desired: Desired,
    leases: Leases,
    kernel: Kernel,
    store: Store,
    *,
    reporter: Reporter,
    options: Options = Options(),
) -> Result:
    """Carry out `todo`, which must be a plan for `desired` without conflicts. The caller holds the store's lock."""
    run = _Apply(todo, desired, leases, kernel, store, reporter, options)
    with left_lying(), deferred() as interrupts, store.journal(run.started_at, options.command) as journal:
        for batch in _batches(todo.changes):
            if interrupts.received is not None:
                break
            journal.announce(batch)
            run.outcomes = Joined((run.outcomes, kernel.execute(batch, journal.priors)))
            reporter.progressed(len(run.outcomes))
        result = run.finish(interrupts)
    # Also a signal that came while the run was written down is for whoever called.
    return replace(result, interrupted=interrupts.received)


def record_in_sync(desired: Desired, leases: Leases, store: Store, command: str) -> None:
    """Make the state directory agree with a kernel that needs no change: after a kill, or when it was lost."""
    if store.interrupted() is not None:
        with store.journal(
            "", command
        ):  # a run that does nothing and ends: nothing is left of the one cut short
            pass
    if store.leases() != leases:
        store.save(leases, store.claims())
    if not store.has_current():
        store.save_applied(desired.established)


def _batches(changes: Sequence[Change]) -> Iterator[Sequence[Change]]:
    """Few enough for a signal to be heard soon. What stays together takes no longer than it takes to take it apart."""
    for together, some in groupby(parts(changes), key=lambda part: isinstance(part, Creations)):
        if together:
            yield from some
            continue
        for is_entry, run in groupby(chain.from_iterable(some), key=_is_entry):
            while batch := tuple(islice(run, BATCH_OF_ENTRIES if is_entry else BATCH)):
                yield batch


def _is_entry(change: Change) -> bool:
    return type(change.after or change.before) in ENTRIES


class _Apply:
    """The working state of one `apply` call."""

    def __init__(
        self,
        todo: Plan,
        desired: Desired,
        leases: Leases,
        kernel: Kernel,
        store: Store,
        reporter: Reporter,
        options: Options,
    ) -> None:
        self.todo, self.desired, self.leases = todo, desired, leases
        self.kernel, self.store, self.reporter, self.options = kernel, store, reporter, options
        self.outcomes: Sequence[Outcome] = ()
        self.began = time.monotonic()
        self.sent_before = kernel.messages
        self.started_at = datetime.now(UTC).isoformat(timespec="seconds")
        self.id = os.urandom(4).hex()
        # Claims are written before the first change: a kill in between must not lose the old value.
        self.claims = {**_new_claims(todo, desired), **store.claims()}
        store.save(leases, self.claims)
        reporter.started(len(todo.changes))

    def finish(self, interrupts: Interrupts) -> Result:
        configured = time.monotonic() - self.began
        for key, prior in self.kernel.priors.items():
            self.claims.setdefault(key, prior)
        scope = scope_of(self.desired, self.claims)
        observed = self.kernel.observe(scope)
        established = self.established()
        rest = left = plan(self.desired, observed, applied=established, claims=self.claims)
        if self.todo.resting:  # what was not to be done is not left over
            rest = replace(left, changes=tuple(c for c in left.changes if c.key not in self.todo.resting))
        different = {change.key for change in rest.changes}
        # The kernel is the judge: what it shows as wanted is done, even if a message about it was refused.
        if undone(self.outcomes):
            self.outcomes = [
                o if o.done or o.change.key in different else Outcome(o.change) for o in self.outcomes
            ]
            established = self.established()
        unready, ready = self.wait(scope, observed, rest, interrupts)
        result = Result(
            self.todo,
            self.outcomes,
            None if rest.empty or len(self.outcomes) < len(self.todo.changes) else rest,
            unready,
            interrupts.received,
            configured,
            ready,
            self.kernel.messages - self.sent_before,
            rest.pending,
            self.id,
            (observed, left),
        )
        self.remember(observed, rest, result, established)
        return result

    def wait(
        self, scope: Scope, observed: Observed, rest: Plan, interrupts: Interrupts
    ) -> tuple[Mapping[Key, str], float | None]:
        unready = {key: why for key, why in observed.unready.items() if key in self.desired.objects}
        if not self.options.wait or not rest.empty or interrupts.received is not None:
            return {}, None
        if unready:
            self.reporter.waiting(len(unready))
            unready = dict(self.kernel.wait_ready(scope, unready, self.options.timeout, interrupts))
        return unready, None if unready else time.monotonic() - self.began

    def established(self) -> Mapping[Key, KernelObject]:
        """What was applied before and still is meant to be, plus what this run did."""
        missing = {outcome.change.key for outcome in undone(self.outcomes)}
        missing |= self.todo.withheld | self.todo.resting
        if len(self.outcomes) < len(self.todo.changes):
            tried = {outcome.change.key for outcome in self.outcomes}
            missing |= {change.key for change in self.todo.changes} - tried
        if not missing:
            return self.desired.established
        before = self.store.applied()
        return {
            key: before[key] if key in missing else declared.object
            for key, declared in self.desired.objects.items()
            if key not in missing or key in before
        }

    def remember(
        self, observed: Observed, rest: Plan, result: Result, established: Mapping[Key, KernelObject]
    ) -> None:
        claims = {key: prior for key, prior in self.claims.items() if self.still_claimed(key, observed)}
        if self.desired.objects or not rest.empty:
            self.store.save(self.leases, claims)
            self.store.save_applied(established)
            self.store.save_protected(still_protected(self.desired, observed, self.store.protected()))
            self.store.add_history(self.history_entry(result))
        else:
            self.kernel.clean_up(self.store)

    def still_claimed(self, key: Key, observed: Observed) -> bool:
        return key in self.desired.objects or (
            key in observed.objects and not any(o.done and o.change.key == key for o in self.outcomes)
        )

    def history_entry(self, result: Result) -> Run:
        created, changed, replaced, deleted = count(done(self.outcomes))
        good = result.exit_code in (Exit.OK, Exit.PENDING)
        word = "interrupted" if result.interrupted else "ok" if good else "failed"
        return Run(
            self.started_at,
            self.options.command,
            self.options.digest,
            created,
            changed,
            replaced,
            deleted,
            word,
            time.monotonic() - self.began,
            self.id,
            "drift" if _only_drift(self.todo) else "declared",
            self.options.revision,
        )


def still_protected(desired: Desired, observed: Observed, remembered: frozenset[str]) -> frozenset[str]:
    """What is to be remembered as protected: what the files say, and what they dropped and is still there."""
    dropped = remembered - {declared.origin for declared in desired.objects.values()}
    if dropped:
        origins = {found.origin for found in observed.objects.values() if found.ours and found.origin}
        owners = {"/".join(origin.split("/")[:2]) for origin in origins}
        dropped &= owners
    return desired.protected | dropped


def _only_drift(todo: Plan) -> bool:
    """Whether a plan only makes good what others changed."""
    causes = [part.cause for part in parts(todo.changes) if isinstance(part, Creations)]
    for change in apart(todo.changes):
        causes += (change.cause, *(attribute.cause for attribute in change.attributes))
    return Cause.DRIFT in causes and Cause.DECLARED not in causes and Cause.REMOVED not in causes


def count(changes: Sequence[Change]) -> tuple[int, int, int, int]:
    """How many kernel objects were created, changed, replaced and deleted; half a replacement is a deletion."""
    others = list(apart(changes))
    actions = [change.action for change in others]
    replaced = sum(1 for change in others if change.replaces and change.action is Action.CREATE)
    created, deleted = actions.count(Action.CREATE) - replaced, actions.count(Action.DELETE) - replaced
    return created + len(changes) - len(others), actions.count(Action.UPDATE), replaced, deleted


def _new_claims(todo: Plan, desired: Desired) -> dict[Key, Value]:
    """Claims that the plan's changes need: on what carries no mark, and is not inside something that does; and on
    links in namespaces that we were given, as the only trace that leads there.
    """
    claims: dict[Key, Value] = {}
    for change in [each for each in apart(todo.changes) if type(each.after) not in ENTRIES]:
        if change.action is Action.DELETE:
            continue
        match change.after:
            case Sysctl():
                if isinstance(change.before, Sysctl) and change.before.value is not None:
                    claims[change.key] = change.before.value
            case Port():
                claims[change.key] = None
            case Link() as obj if obj.netns != HOST and ("netns", obj.netns) not in desired.objects:
                if not reaches_host(obj):  # else nobody would look into that namespace again
                    claims[change.key] = None
            case Address() as obj:
                parents: tuple[Key, ...] = (("netns", obj.netns), ("link", obj.netns, obj.link))
                if not any(parent in desired.objects for parent in parents):
                    claims[change.key] = None
            case Route() as obj:
                if ("netns", obj.netns) not in desired.objects:
                    claims[change.key] = None
            case _:
                pass
    return claims
