"""Try the checks of a topology until they hold, or until the time is over.

What must be open is tried again and again until it once is, everything side by side. What must be closed comes last,
when all the rest stands: it has to stay silent for MOMENT, with what would answer in place.
"""

from __future__ import annotations

import heapq
import selectors
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from .interrupts import Interrupts
from .kernel import probes
from .model import Check, CheckKind, IPAddress
from .verdict import Verdict

MOMENT = 0.5
_AT_ONCE = 200
_FIRST_PATIENCE, _LONGEST_PATIENCE = 0.15, 8.0
_PAUSE = 0.1


def verify(
    checks: Sequence[Check],
    where: Mapping[str, str],
    answering: frozenset[str],
    timeout: float,
    interrupts: Interrupts,
) -> list[Verdict]:
    """A verdict for each check, in order, after `timeout` seconds and MOMENT at the latest.

    `where` gives the namespace of each sandbox that is tried from or answers; in those of `answering` a port that no
    program has is answered here. A signal ends it early.
    """
    loop = _Loop(where, answering, time.monotonic(), interrupts)
    tasks = [[_Task(check, address) for address in check.addresses] for check in checks]
    everything = [task for group in tasks for task in group]
    try:
        loop.settle([task for task in everything if task.check.open], loop.began + timeout)
        deadline = max(loop.began + timeout, time.monotonic() + 2 * MOMENT)
        loop.settle([task for task in everything if not task.check.open], deadline)
    finally:
        loop.close()
    return [_verdict(check, group) for check, group in zip(checks, tasks, strict=True)]


@dataclass(slots=True, eq=False)
class _Task:
    """One check at one address. `since`: when it began to be silent, for what must be closed."""

    check: Check
    address: IPAddress
    until: float = 0.0
    patience: float = _FIRST_PATIENCE
    trying: probes.Try | None = None
    since: float | None = None
    done: bool = False
    words: str = "not tried"
    seconds: float = 0.0
    absent: bool = False


def _verdict(check: Check, tasks: Sequence[_Task]) -> Verdict:
    worst = next((task for task in tasks if not task.done), tasks[0])
    words = worst.words if len(tasks) == 1 or worst.done else f"{worst.address}: {worst.words}"
    holds = all(task.done for task in tasks)
    return Verdict(check, holds, words, max(task.seconds for task in tasks), not holds and worst.absent)


@dataclass(slots=True)
class _Loop:
    """One wait for all sockets. A task that is not done is either `waiting` for its next try or `flying`."""

    where: Mapping[str, str]
    answering: frozenset[str]
    began: float
    interrupts: Interrupts
    selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    listeners: dict[tuple[str, int, int, str], probes.Listener] = field(default_factory=dict)
    waiting: list[tuple[float, int, _Task]] = field(default_factory=list)
    flying: set[_Task] = field(default_factory=set)

    def settle(self, tasks: Sequence[_Task], deadline: float) -> None:
        """Return when all tasks are done, or when the time is over."""
        self.waiting = [(0.0, id(task), task) for task in tasks]
        heapq.heapify(self.waiting)
        while (self.waiting or self.flying) and self.interrupts.received is None:
            now = time.monotonic()
            if now >= deadline:
                break
            for task in [each for each in self.flying if each.until <= now]:
                self.end(task, now, None)
            while self.waiting and self.waiting[0][0] <= now and len(self.flying) < _AT_ONCE:
                self.begin(heapq.heappop(self.waiting)[2], now)
            self.wait(min([deadline, *(each.until for each in self.flying), *self.next_start()]) - now)
        for task in list(self.flying):
            self.drop(task)

    def next_start(self) -> list[float]:
        return [self.waiting[0][0]] if self.waiting and len(self.flying) < _AT_ONCE else []

    def rest(self, task: _Task, now: float) -> None:
        heapq.heappush(self.waiting, (now + _PAUSE, id(task), task))

    def begin(self, task: _Task, now: float) -> None:
        try:
            self.answer_for(task)
            task.trying = _try(task.check, task.address, self.where[task.check.source])
        except probes.Absent as absent:
            task.words, task.absent = absent.message, True
            self.rest(task, now)
            return
        self.flying.add(task)
        task.absent = False
        if task.check.open:
            task.until = now + task.patience
            task.patience = min(task.patience * 2, _LONGEST_PATIENCE)
        else:
            task.since = now if task.since is None else task.since
            task.until = min(now + MOMENT / 2, task.since + MOMENT)
        if (answer := task.trying.advance()) is not None:
            self.end(task, now, answer)
            return
        events = selectors.EVENT_WRITE if task.trying.writes else selectors.EVENT_READ
        self.selector.register(task.trying.sock, events, lambda: self.go_on(task))

    def go_on(self, task: _Task) -> None:
        assert task.trying is not None
        answer = task.trying.advance()
        if answer is not None:
            self.end(task, time.monotonic(), answer)
        elif not task.trying.writes:
            self.selector.modify(task.trying.sock, selectors.EVENT_READ, lambda: self.go_on(task))

    def end(self, task: _Task, now: float, answer: probes.Answer | None) -> None:
        """A try is over; whether the task is too, or when it is tried again."""
        self.drop(task)
        said = answer or probes.Answer(open=False, words="no answer")
        task.words, task.seconds = said.words, now - self.began
        if task.check.open:
            task.done = said.open
        elif said.reached:
            task.since = None
        else:
            task.done = task.since is not None and now >= task.since + MOMENT
        if not task.done:
            self.rest(task, now)

    def answer_for(self, task: _Task) -> None:
        """Listen where the try will arrive, if it is ours to listen there."""
        check = task.check
        if check.kind not in (CheckKind.TCP, CheckKind.UDP) or check.sandbox not in self.answering:
            return
        assert check.sandbox is not None
        assert check.port is not None
        udp = check.kind is CheckKind.UDP
        place = (check.sandbox, check.port, task.address.version, str(task.address) if udp else "")
        if place not in self.listeners:
            listener = probes.listen(self.where[check.sandbox], task.address, check.port, udp=udp)
            if listener is not None:
                self.listeners[place] = listener
                self.selector.register(listener.sock, selectors.EVENT_READ, listener.serve)

    def wait(self, seconds: float) -> None:
        for key, _ in self.selector.select(max(0.0, min(seconds, 0.5))):
            ready: Callable[[], None] = key.data
            ready()

    def drop(self, task: _Task) -> None:
        self.flying.discard(task)
        if task.trying is not None:
            with suppress(KeyError):
                self.selector.unregister(task.trying.sock)
            task.trying.sock.close()
            task.trying = None

    def close(self) -> None:
        for listener in self.listeners.values():
            listener.sock.close()
        self.selector.close()


def _try(check: Check, address: IPAddress, where: str) -> probes.Try:
    match check.kind:
        case CheckKind.PING:
            return probes.Echo(where, address, check.size)
        case CheckKind.UDP:
            return probes.Datagram(where, address, check.port or 0)
        case CheckKind.TCP:
            return probes.Connection(where, address, check.port or 0)
        case CheckKind.HTTP:
            return probes.Connection(where, address, check.port or 80, probes.get_request(check.target))
