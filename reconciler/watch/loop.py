"""The loop: whatever happens, look, plan, and do what is missing. The same path as one `apply`, again and again.

    files ──┐
    kernel ─┤
    clock  ─┼─► wake ─► settle ─► (read the files again) ─► look ─► plan ─► apply what may be done ─► report
    signals ┘

An event never says what to do, only that there may be something to do. A burst is one pass. Files that are wrong, half
written, gone or suspiciously empty change nothing: the last good topology stays, and is kept. What fails, or is undone
by somebody else, is left alone for a while (see `patience`) and does not hold up the rest.
"""

from __future__ import annotations

import gc
import os
import random
import signal
import time
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime

from .. import confirmation, guard, pipeline
from ..apply import Options, Result, apply, still_protected
from ..conditions import conditions
from ..errors import Exit, LockHeld, ReconcilerError, Refused, TopologyError
from ..happened import Event, became, event
from ..health import Condition, Known, Reason, Suspension
from ..kernel.follow import Follower
from ..kernel.linux import Linux
from ..pipeline import Loaded, Look
from ..plan import Plan, hold
from ..state import PENDING
from . import watched
from .audience import Listener, Progress, Pulse
from .reading import Reading, Settings
from .setbacks import Setbacks
from .triggers import Triggers, Woken
from .watched import Desk, Report

_KERNEL_QUIET, _KERNEL_PATIENCE = 0.01, 0.05
_FILES_QUIET, _FILES_PATIENCE = 0.1, 10.0
_LOCK_WAIT = 0.25
# Seconds that the first pass waits for what it made: who hears that a watch is ready need not wait once more.
_START_PATIENCE = 5.0
_TOLD = (Reason.WAITING, Reason.CONFLICT, Reason.PROTECTED)


def run(settings: Settings, listener: Listener) -> Exit:
    """Watch until a signal. Raises what keeps it from starting: TopologyError, Refused, LockHeld, Unsupported."""
    with ExitStack() as stack:
        reading = stack.enter_context(Reading(settings))
        loaded = reading.begin()
        desk = Desk(loaded.store)
        stack.enter_context(desk.occupied())
        kernel = stack.enter_context(Follower(loaded.store))
        triggers = stack.enter_context(Triggers(kernel, reading.source.fileno()))
        watch = _Watch(settings, listener, loaded, reading, desk, kernel, triggers)
        gc.collect()
        gc.freeze()  # a topology is large and stays; to go through it again and again finds nothing
        stopped = watch.run()
    return Exit.TERMINATED if stopped is signal.SIGTERM else Exit.INTERRUPTED


class _Watch:
    """The working state of one `run`."""

    def __init__(
        self,
        settings: Settings,
        listener: Listener,
        loaded: Loaded,
        reading: Reading,
        desk: Desk,
        kernel: Follower,
        triggers: Triggers,
    ) -> None:
        self.settings, self.listener, self.desk = settings, listener, desk
        self.kernel, self.triggers = kernel, triggers
        self.loaded, self.reading, self.edits = loaded, reading, reading.edits
        self.random = random.SystemRandom()
        self.setbacks = Setbacks(self.random.random)
        self.mistakes: tuple[str, ...] = ()
        self.mistaken: str | None = None
        self.commit: str | None = None
        self.refused = False
        self.protected = loaded.store.protected()
        self.suspension: Suspension | None = None
        self.trouble: dict[str, Condition] = {}
        self.passes = self.repaired = self.overruns = 0
        self.started = watched.now()
        self.addresses, self.seconds = 0, 0.0
        self.looked: str | None = None
        self.resync_at = 0.0
        self.again_at: float | None = None
        self.stop: signal.Signals | None = None
        self.ready = self.asked = False
        self.reported = Report(0, "", "", "")

    # -- the loop --------------------------------------------------------------------------------------------------

    def run(self) -> signal.Signals:
        self.kernel.declare(self.loaded.desired)
        self.guard(self.loaded)
        self.commit = self.reading.taken(self.desk.store)
        self.watch_files()
        self.alive()
        self.tell("started", f"watching topology '{self.loaded.topology.name}'")
        woken = Woken()
        while self.stop is None:
            self.turn(woken)
            if not self.ready and self.stop is None:
                self.ready = True
                self.tell("ready", self.words())
            if self.stop is None:
                woken = self.wait(self.next_time())
        self.tell("stopped", f"stopped by {self.stop.name}; what was made stays")
        self.report(due=True, stopped=watched.now())
        return self.stop

    def turn(self, woken: Woken) -> None:
        """What one wake is for: nothing, a look, or new files and a look."""
        now = time.monotonic()
        due = now >= self.resync_at
        if due:
            self.kernel.distrust()
            self.resync_at = now + self.settings.resync * (0.9 + 0.2 * self.random.random())
        if woken.kernel and self.kernel.listen():
            self.settle(_KERNEL_QUIET, _KERNEL_PATIENCE, woken)
        asked, self.asked = self.asked, False
        if asked:
            self.tell("reload", "reads and looks at everything again, as asked")
            self.kernel.distrust()
            self.reading.source.ask()
        moved = woken.source and self.heard_of_commits()
        if woken.files or asked or moved or due or self.edits.is_due(now):
            self.reload(asked=asked or moved or (due and bool(self.mistakes)))
            self.watch_files()  # those of the same names may be others now
        released = self.again_at is not None and now >= self.again_at
        rested = self.suspension_changed()
        if self.kernel.listen() or released or rested or due:
            self.again_at = None
            self.reconcile()
        self.report(due=due)
        if asked and self.stop is None:
            self.tell("reloaded", self.words())

    def words(self) -> str:
        return f"{len(self.trouble):,} not ready" if self.trouble else "in sync"

    def wait(self, until: float) -> Woken:
        """What happened until then, with a sign of life before. A stop and a wish to reload are kept for the loop."""
        self.alive()
        woken = self.triggers.wait(until)
        self.stop = self.stop or woken.stop
        self.asked = self.asked or woken.reload
        return woken

    def settle(self, quiet: float, patience: float, woken: Woken) -> None:
        """Wait until nothing more is heard for a moment, but not for ever: a burst is one pass."""
        deadline = time.monotonic() + patience
        while self.stop is None and (now := time.monotonic()) < deadline:
            more = self.wait(min(deadline, now + quiet))
            woken.files = woken.files or more.files
            if more.kernel:
                self.kernel.listen()
            elif not more.files:
                return

    def next_time(self) -> float:
        """When to look again although nothing was heard."""
        times = [self.resync_at]
        if self.settings.rhythm is not None:
            times.append(time.monotonic() + self.settings.rhythm)
        if (due := self.setbacks.due()) is not None:
            times.append(due)
            self.again_at = due if self.again_at is None else min(due, self.again_at)
        times += [time for time in (self.again_at, self.edits.due) if time is not None]
        if self.suspension is not None and self.suspension.until is not None:
            left = datetime.fromisoformat(self.suspension.until) - datetime.now(UTC)
            times.append(time.monotonic() + left.total_seconds())
        return min(times)

    # -- the files -------------------------------------------------------------------------------------------------

    def watch_files(self) -> None:
        """Hear of what becomes of them; and of wishes that others leave, but not of what is written beside those."""
        decided = self.desk.store.directory / PENDING  # so that what waits for a decision goes on at once
        self.triggers.watch(self.edits.paths, alone=[str(self.desk.wish), str(decided)])

    def heard_of_commits(self) -> bool:
        """Take over what there is of new commits; whether one is to be read."""
        news = self.reading.news()
        for kind, message in news.events:
            self.tell(kind, message)
        if news.mistake is not None:
            self.mistake((news.mistake,))
        return news.read

    def reload(self, *, asked: bool) -> None:
        """Take over what the files say now, if it is another thing and sound; else keep what they said."""
        if not self.edits.pending() and not asked:
            return
        if not self.written():
            self.mistake(("a file is still being written; what was read before stays",))
            self.edits.later()
            return
        self.edits.take()
        try:
            loaded = self.read()
        except TopologyError as error:
            self.refused = False
            self.edits.failed(error)
            self.mistake(
                self.reading.source.words(tuple(f"{one.mark}: {one.message}" for one in error.diagnostics))
            )
        except ReconcilerError as error:
            self.refused = isinstance(error, Refused)
            reasons = error.reasons if isinstance(error, Refused) else ()
            self.mistake(self.reading.source.words((str(error), *reasons)))
        else:
            self.adopt(loaded)

    def read(self) -> Loaded:
        """What the files say. Raises TopologyError for mistakes and Refused for what may not be done."""
        loaded = self.reading.load()
        if (name := loaded.topology.name) != self.loaded.topology.name:
            raise Refused(f"the files are those of topology '{name}' now", hint="watch that one")
        self.guard(loaded)
        self.commit = self.reading.taken(self.desk.store)
        return loaded

    def reconsider(self) -> None:
        """What was refused here may have been done by hand, by an apply that was allowed to: else we would undo it."""
        self.protected = self.loaded.store.protected()
        if self.refused:
            with suppress(ReconcilerError):
                self.adopt(self.read())

    def written(self) -> bool:
        """Whether nobody writes to the files any more, after waiting a while for that."""
        deadline = time.monotonic() + _FILES_PATIENCE
        while True:
            before = self.edits.look()
            self.rest_until(time.monotonic() + _FILES_QUIET)
            if self.edits.settled(before):
                return True
            if self.stop is not None or time.monotonic() > deadline:
                return False

    def rest_until(self, time_: float) -> None:
        """Let time pass; what the kernel says meanwhile is kept."""
        while self.stop is None and time.monotonic() < time_:
            if self.wait(time_).kernel:
                self.kernel.listen()

    def guard(self, loaded: Loaded) -> None:
        """Raise Refused for files that would take away more than they may."""
        look = pipeline.look(loaded.desired, loaded.store, self.kernel, loaded.store.applied())
        guard.check(look, loaded.desired, self.settings.allowed)
        allowed = self.settings.allowed.protected
        guard.check_protected(look.plan, loaded.desired, loaded.store.protected(), allowed)

    def mistake(self, mistakes: tuple[str, ...]) -> None:
        if mistakes != self.mistakes:
            self.mistakes, self.mistaken = mistakes, self.mistaken or watched.now()
            more = f" (and {len(mistakes) - 1:,} more)" if len(mistakes) > 1 else ""
            self.tell("mistake", f"{mistakes[0]}{more}; the last good topology stays")

    def adopt(self, loaded: Loaded) -> None:
        changed = loaded.expanded.digest != self.loaded.expanded.digest
        refusal = self.reading.source.mistake
        if (self.mistakes and refusal is None) or changed or self.commit is not None:
            self.tell("files", f"took over {self.commit or 'the files'} ({loaded.expanded.digest[:12]})")
        if refusal is None:
            self.mistakes, self.mistaken = (), None
        else:
            self.mistake((refusal,))
        self.refused = False
        self.edits.was_read(loaded.expanded.files)
        self.loaded = replace(loaded, store=self.loaded.store)  # which knows already what it holds
        self.kernel.declare(loaded.desired)

    # -- the kernel ------------------------------------------------------------------------------------------------

    def suspension_changed(self) -> bool:
        suspension = self.desk.suspension() or confirmation.rest(self.desk.store)
        if suspension == self.suspension:
            return False
        self.suspension = suspension
        if suspension is None:
            self.tell("resumed", "goes on")
        else:
            until = (
                f" until {suspension.until[:19].replace('T', ' ')} UTC"
                if suspension.until is not None
                else ""
            )
            self.tell("suspended", f"changes nothing{until}: {suspension.reason}")
        return True

    def reconcile(self) -> None:
        """One pass. What goes wrong with one address is told and does not stop the others; nothing ends the loop."""
        self.passes += 1
        began = time.monotonic()
        try:
            with self.loaded.store.lock():
                self.take_back()
                self.reconsider()
                look = self.act()
            self.setbacks.succeeded("topology")
            self.passed(look)
            self.looked, self.seconds = watched.now(), time.monotonic() - began
        except LockHeld:
            self.kernel.distrust()
            self.again_at = time.monotonic() + _LOCK_WAIT
        except (
            OSError,
            ReconcilerError,
        ) as error:  # also a full disk, and what somebody did to our own files
            self.kernel.distrust()
            wait = self.setbacks.failed("topology", str(error))
            self.tell("failed", f"{error}; trying again in {wait:.1f} s", "topology")
            self.trouble = {"topology": Condition("topology", Reason.FAILING, str(error))}

    def take_back(self) -> None:
        """What was not confirmed in time, when whoever would have taken it back was killed."""
        store = self.loaded.store
        if confirmation.orphaned(store):
            result = confirmation.revert(store, Linux(store), Progress(self.alive))
            self.tell("reverted", "not confirmed in time: what was before is back", run=result.run)
        self.suspension_changed()  # nobody can begin a trial any more before this pass is over

    def act(self) -> Look:
        """Look, and do what may be done; the last look, which is that by which the apply verified what it did."""
        look = self.look()
        self.protect(look)
        todo = self.permitted(look.plan)
        if not todo.changes or self.triggers.stop is not None:
            return look
        pipeline.check_host(look, self.kernel)
        result = apply(
            todo,
            self.loaded.desired,
            self.loaded.leases,
            self.kernel,
            self.loaded.store,
            reporter=Progress(self.alive),
            options=Options(
                wait=not self.ready,
                timeout=_START_PATIENCE,
                command="watch",
                digest=self.loaded.expanded.digest,
                revision=self.reading.source.revision or "",
            ),
        )
        self.learn(todo, result)
        self.stop = self.stop or result.interrupted
        assert result.seen is not None
        observed, left = result.seen
        waited = result.ready is not None and observed.unready  # which the first pass does
        look = self.look() if waited else Look(observed, left, result.configured)
        if self.permitted(look.plan).changes:  # somebody was at it meanwhile, and that look has heard it
            self.again_at = time.monotonic()
        return look

    def look(self) -> Look:
        loaded = self.loaded
        return pipeline.look(loaded.desired, loaded.store, self.kernel, loaded.store.applied())

    def protect(self, look: Look) -> None:
        """Remember what is protected: when the files drop it, they no longer say so."""
        found = still_protected(self.loaded.desired, look.observed, self.protected)
        if found != self.protected:
            self.loaded.store.save_protected(found)
            self.protected = found

    def permitted(self, found: Plan) -> Plan:
        """What of a plan is to be done now: not what is in conflict, waits, rests or is only to be reported."""
        if self.suspension is not None or self.settings.detect_only:
            return _nothing_of(found)
        lost = guard.endangered(found, self.loaded.desired, self.protected)
        allowed = self.settings.allowed.protected
        kept = {address for address in lost if not guard.named(address, allowed)}
        todo = hold(found, {*kept, *self.setbacks.held()})
        return _without_conflicts(todo)

    def learn(self, todo: Plan, result: Result) -> None:
        """Note what became of each address: failures wait, repairs are counted, everything is told."""
        for one in became(todo, result):
            address = one.entry.address
            if one.error is not None:
                wait = self.setbacks.failed(address, one.error)
                self.say(event(one, result.run, then=f"; trying again in {wait:.1f} s"))
                continue
            self.setbacks.succeeded(address)
            if one.entry.drift:
                self.repaired += 1
                self.setbacks.repaired(address, one.what)
            self.say(event(one, result.run))

    def known(self) -> Known:
        """What explains the conditions."""
        failing, flapping = dict(self.setbacks.failing), self.setbacks.flapping()
        return Known(self.suspension, failing, flapping, self.settings.detect_only, self.protected)

    def passed(self, look: Look) -> None:
        """The state after a pass, address by address."""
        found = list(conditions(self.loaded.local, self.loaded.desired, look, self.known()))
        self.addresses = len(found)
        for condition in found:
            if condition.ready:  # perhaps by somebody else's hand
                self.setbacks.succeeded(condition.address)
        trouble = {condition.address: condition for condition in found if not condition.ready}
        idle = self.suspension is not None or self.settings.detect_only
        for address, condition in trouble.items():
            if self.trouble.get(address) != condition and condition.reason in _TOLD:
                self.tell("waiting", condition.words, address)
            elif idle and address not in self.trouble:
                self.tell("drift", condition.message, address, "drift")
        self.trouble = trouble
        self.setbacks.forget(
            [*(declared.origin for declared in self.loaded.desired.objects.values()), "topology"]
        )
        for flap in self.setbacks.new_flaps():
            undone = f"undone {flap.times} times in {flap.seconds:.0f} s ({flap.what})"
            self.tell("flapping", f"{undone}; repaired more slowly now", flap.address)
        if (overruns := self.kernel.counters.overruns) != self.overruns:
            self.tell("overrun", "the kernel said more than could be heard; everything was looked at again")
            self.overruns = overruns

    # -- the outside -----------------------------------------------------------------------------------------------

    def alive(self) -> None:
        counters, desired = self.kernel.counters, self.loaded.desired
        self.listener.alive(
            Pulse(
                desired.topology,
                self.loaded.expanded.digest,
                self.addresses,
                counters.heard,
                counters.foreign,
                self.kernel.messages,
                self.seconds,
            )
        )

    def tell(
        self,
        kind: str,
        message: str,
        address: str | None = None,
        cause: str | None = None,
        run: str | None = None,
    ) -> None:
        self.say(Event(kind, message, address, cause, run))

    def say(self, event: Event) -> None:
        told = event._replace(revision=self.reading.source.revision)
        with suppress(OSError):  # no room: what is to be done is more important
            self.desk.note(told)
        self.listener.happened(told)

    def report(self, *, due: bool, stopped: str | None = None) -> None:
        """Say how things are, when that is news or a sign of life is due: writing wakes whoever watches the directory."""
        report = Report(
            pid=os.getpid(),
            started=self.started,
            written=watched.now(),
            digest=self.loaded.expanded.digest,
            resync=self.settings.resync,
            passed=self.looked,
            stopped=stopped,
            passes=self.passes,
            repaired=self.repaired,
            overruns=self.overruns,
            detect_only=self.settings.detect_only,
            suspended=self.suspension,
            mistakes=self.mistakes,
            mistaken=self.mistaken,
            trouble=self.trouble,
            failing=dict(self.setbacks.failing),
            flapping=self.setbacks.flapping(),
            following=self.reading.source.following(mistaken=bool(self.mistakes)),
        )
        if replace(report, written=self.reported.written) != self.reported or due:
            self.reported = report
            with suppress(OSError):
                self.desk.write(report)
            self.listener.reported(report)


def _nothing_of(found: Plan) -> Plan:
    return hold(found, {change.origin for change in found.changes})


def _without_conflicts(found: Plan) -> Plan:
    return replace(found, conflicts=()) if found.conflicts else found
