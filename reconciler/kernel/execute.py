"""The choke point: the only code that changes the kernel. Takes changes in order, gives an outcome for each.

Consecutive changes in one namespace travel as one pipelined batch over one socket; the messages of one change never
part, so that a link and its ownership mark appear together. A failed change takes those that depend on it along
(`blocked_by`), everything else goes on; a link that could be created but not completed is deleted again, since
without its mark nobody would know whose it is.

Links are deleted by moving them into a group of their own and deleting the group: a message for each link costs the
kernel 20 ms, the whole group takes one such period together.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from itertools import groupby

from ..errors import KernelError
from ..joined import Joined, parts
from ..objects import (
    ENTRIES,
    HOST,
    FdbEntry,
    KernelObject,
    Key,
    Link,
    LinkRef,
    Neighbour,
    Netns,
    Sysctl,
    parents,
)
from ..outcome import Done, Outcome
from ..plan import Action, Change, Creations
from . import decode, encode, entries, failpoints, netns, parallel, sysctl
from .explain import explain
from .netlink import CHUNK, Failure, Message, Reply, Socket

_DOOMED = 0x53000000
_ACCEPT_RA = "net/ipv6/conf/default/accept_ra"
_KEPT = 512
_ENTRIES_AT_ONCE = 512  # as many as CHUNK has room for
_GONE = (errno.ENODEV, errno.ESRCH, errno.EADDRNOTAVAIL, errno.ENOENT)
Note = Callable[[Mapping[Key, str]], None]


class Executor:
    """Carries out changes.

    `messages` counts what was sent to the kernel, parameter writes and mounts included. `priors` holds the value that
    each parameter had before that was written since the last `release`.
    """

    def __init__(self) -> None:
        self.messages = 0
        self.priors: dict[Key, str] = {}
        self._failed: set[Key] = set()
        self._failpoint = failpoints.armed()
        self._home = -1
        self._note: Note = lambda _: None
        self._sockets: dict[str, Socket] = {}
        self._indexes: dict[LinkRef, int] = {}

    def release(self) -> None:
        """A run is over: forget what failed in it and what parameters held before it, and close what was kept open for
        later changes, for an open socket keeps its namespace alive. The next run may try everything again.
        """
        self._failed.clear()
        self.priors = {}
        while self._sockets:
            self._sockets.popitem()[1].close()

    def execute(self, changes: Sequence[Change], note: Note) -> Sequence[Outcome]:
        """Carry out `changes` in order; never raises for what the kernel refuses.

        `note` hears the values of parameters before they are written.
        """
        self._note = note
        self._indexes.clear()
        with netns.home() as self._home:
            if self._failpoint is None:
                return Joined(self._run(part) for part in _runs(changes))
            return [self._one_with_failpoint(change, self._failpoint) for change in changes]

    def _one_with_failpoint(self, change: Change, point: failpoints.Failpoint) -> Outcome:
        """One change at a time, so that a signal hits exactly between two of them."""
        if point.fires("before", change) and (number := point.trigger()):
            self._failed.add(change.key)
            return Outcome(change, explain(change, Failure(number, "failpoint")))
        outcome = self._run([change])[0]
        if point.fires("after", change):
            point.trigger()
        return outcome

    def _run(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        """Changes of one way and one namespace."""
        blocked = self._blocked(changes) if self._failed else {}
        ready = (
            [change for index, change in enumerate(changes) if index not in blocked] if blocked else changes
        )
        failures = self._attempt(ready) if ready else {}
        if not failures and not blocked:
            return Done(changes)
        self._failed.update(change.key for change in ready if change.key in failures)
        return [
            Outcome(change, blocked_by=blocked[index])
            if index in blocked
            else Outcome(change, error=failures.get(change.key))
            for index, change in enumerate(changes)
        ]

    def _blocked(self, changes: Sequence[Change]) -> dict[int, Key]:
        """Which of them stand on something that failed, and on what."""
        blocked: dict[int, Key] = {}
        for index, change in enumerate(changes):
            if (cause := self._blocker(change)) is not None:
                blocked[index] = cause
                self._failed.add(change.key)
        return blocked

    def _blocker(self, change: Change) -> Key | None:
        needed = (change.key, *parents(change.object)) if change.action is not Action.DELETE else ()
        return next((key for key in needed if key in self._failed), None)

    def _attempt(self, changes: Sequence[Change]) -> Mapping[Key, KernelError]:
        if isinstance(changes, Creations):  # first, because not even one of them is to be described
            return self._inside(HOST, changes)
        match changes[0].object:
            case Netns():
                errors = parallel.each(self._namespace, changes)
                self.messages += errors.count(None)
                return {c.key: e for c, e in zip(changes, errors, strict=True) if e is not None}
            case Sysctl(netns=where):
                return self._inside(where, changes, parameters=True)
            case obj:
                return self._inside(obj.netns, changes)

    def _inside(
        self, where: str, changes: Sequence[Change], *, parameters: bool = False
    ) -> Mapping[Key, KernelError]:
        if not parameters and (kept := self._sockets.pop(where, None)) is not None:
            return self._send(kept, changes)
        fd = netns.open_fd(where)
        if fd is None:
            gone = Failure(errno.ENOENT, f"namespace '{where}' is gone")
            return {change.key: explain(change, gone) for change in changes}
        try:
            with netns.inside(fd, self._home):
                if parameters:
                    return self._write_parameters(changes)
                sock = Socket()
            return self._send(sock, changes)
        finally:
            os.close(fd)

    def _send(self, sock: Socket, changes: Sequence[Change]) -> Mapping[Key, KernelError]:
        with sock:
            batch = _Batch(sock, self._index_elsewhere)
            batch.run(changes)
        self.messages += batch.sent
        return batch.failures

    def _index_elsewhere(self, link: LinkRef) -> int:
        """The index of a link by a socket of its own namespace. Kept for one call: links come first, then who stands on them."""
        if link not in self._indexes:
            fd = netns.open_fd(link.netns)
            if fd is None:
                raise KernelError(f"namespace '{link.netns}' is gone", errno=errno.ENOENT)
            try:
                with netns.inside(fd, self._home):
                    sock = Socket()
                with sock:
                    (answer,) = sock.query([encode.get_link(link.name)])
            finally:
                os.close(fd)
            if isinstance(answer, Failure):
                raise KernelError(f"link '{link}': {answer}", errno=answer.errno)
            self._indexes[link] = decode.link_index(answer)
        return self._indexes[link]

    def _write_parameters(self, changes: Sequence[Change]) -> Mapping[Key, KernelError]:
        failures: dict[Key, KernelError] = {}
        priors = {change.key: value for change in changes if (value := _held(change.object)) is not None}
        new = {key: value for key, value in priors.items() if key not in self.priors}
        self.priors.update(new)
        if new:
            self._note(new)
        for change in changes:
            assert isinstance(change.object, Sysctl)
            try:
                sysctl.write(change.object.path, change.object.value or "")
                self.messages += 1
            except OSError as error:
                failures[change.key] = explain(change, Failure(error.errno or errno.EIO))
        return failures

    def _namespace(self, change: Change) -> KernelError | None:
        """One change of a namespace; called by several threads at once."""
        assert isinstance(change.object, Netns)
        try:
            match change.action:
                case Action.CREATE:
                    self._create_namespace(change.object)
                case Action.UPDATE:
                    return self._update_namespace(change)
                case Action.DELETE:
                    netns.unpin(change.object.netns)
        except OSError as error:
            return explain(change, Failure(error.errno or errno.EIO))
        except KernelError as error:
            return error
        return None

    def _create_namespace(self, wanted: Netns) -> None:
        """Marked first, named last: a kill leaves nothing, or an empty file that the next run recognises.

        Links to come believe no router advertisement: who is where is declared, for IPv6 as well, and a neighbour on
        the wire must not be able to add an address or a way out (CVE-2020-13401 and its kin).
        """
        if netns.is_orphan(wanted.netns):
            netns.unpin(wanted.netns)
        with netns.fresh(self._home):
            sock = Socket()
            try:
                failures = sock.transact(encode.loopback(wanted.alias))
                if failures:
                    failure = failures[0]
                    raise KernelError(f"marking a new namespace: {failure}", errno=failure.errno)
                with suppress(FileNotFoundError):  # a kernel without IPv6 has nobody to believe
                    sysctl.write(_ACCEPT_RA, "0")
                netns.pin(wanted.netns)
            except BaseException:
                sock.close()
                raise
        if (
            len(self._sockets) < _KEPT
        ):  # its endpoints come soon; reaching it again costs a dozen system calls
            self._sockets[wanted.netns] = sock
        else:
            sock.close()

    def _update_namespace(self, change: Change) -> KernelError | None:
        assert isinstance(change.object, Netns)
        fd = netns.open_fd(change.object.netns)
        if fd is None:
            return explain(change, Failure(errno.ENOENT))
        try:
            with netns.inside(fd, self._home):
                sock = Socket()
            with sock:
                failures = sock.transact(encode.loopback(change.object.alias))
            return explain(change, failures[0]) if failures else None
        finally:
            os.close(fd)


def _held(obj: KernelObject) -> str | None:
    """The value of a parameter of the namespace that the thread is in; None when it cannot be read."""
    assert isinstance(obj, Sysctl)
    with suppress(KernelError):
        return sysctl.read(obj.path)
    return None


def _runs(changes: Sequence[Change]) -> Iterator[Sequence[Change]]:
    """Consecutive changes that can travel together: same namespace, same way, all deletions or none."""
    for part in parts(changes):
        if isinstance(part, Creations):
            yield part
        else:
            yield from (list(run) for _, run in groupby(part, key=_way))


def _way(change: Change) -> tuple[str, str, bool]:
    obj = change.after or change.object
    match obj:
        case FdbEntry() | Neighbour():  # first, because there are ten thousands of these two
            return ("entries", obj.netns, change.action is Action.DELETE)
        case Netns():
            return ("netns", "", change.action is Action.DELETE)
        case Sysctl():
            return ("sysctl", obj.netns, change.action is Action.DELETE)
        case Link() if change.action is Action.DELETE:
            return ("delete links", obj.netns, True)
        case _:
            return ("netlink", obj.netns, change.action is Action.DELETE)


class _Batch:
    """Pipelined changes in one namespace over one socket; also the `Lookup` for encoding them."""

    def __init__(self, sock: Socket, index_elsewhere: Callable[[LinkRef], int]) -> None:
        self.sock = sock
        self.index_elsewhere = index_elsewhere
        self.failures: dict[Key, KernelError] = {}
        self.sent = 0
        self._pending: list[tuple[Change, list[Message]]] = []
        self._size = 0
        self._indexes: dict[str, int] = {}
        self._nsids: dict[str, int] = {}
        self._fds: dict[str, int] = {}
        self._open = ExitStack()

    def run(self, changes: Sequence[Change]) -> None:
        with self._open:
            if isinstance(changes, Creations):
                self._create_entries(changes)
                return
            if len(changes) > 1 and all(_deletes_link(change) for change in changes):
                self._delete_together(changes)
                return
            if isinstance(changes[0].object, ENTRIES):
                self._send_entries(changes)
                return
            for change in changes:
                self._add(change)
            self._flush()

    # -- lookup ------------------------------------------------------------------------------------------------

    def index(self, name: str) -> int:
        if name not in self._indexes:
            answer = self._flush(encode.get_link(name))  # the link may be waiting in this very batch
            if not isinstance(answer, Reply):
                failure = answer or Failure(errno.ENODEV)
                raise KernelError(f"link '{name}': {failure}", errno=failure.errno)
            self._indexes[name] = decode.link_index(answer)
        return self._indexes[name]

    def netns_fd(self, where: str) -> int:
        if where not in self._fds:
            fd = netns.open_fd(where)
            if fd is None:
                raise KernelError(f"namespace '{where}' is gone", errno=errno.ENOENT)
            self._fds[where] = fd
        return self._fds[where]

    def nsid(self, where: str) -> int:
        if where not in self._nsids:
            question = encode.get_nsid(self.netns_fd(where))
            number = self._nsid(question)
            if number < 0:
                refused = self.sock.transact([encode.new_nsid(self.netns_fd(where))])
                if refused and refused[0].errno != errno.EEXIST:
                    raise KernelError(f"numbering namespace '{where}': {refused[0]}", errno=refused[0].errno)
                number = self._nsid(question)
            self._nsids[where] = number
        return self._nsids[where]

    def _nsid(self, question: Message) -> int:
        (answer,) = self.sock.query([question])
        if isinstance(answer, Failure):
            raise KernelError(f"the number of a namespace: {answer}", errno=answer.errno)
        return decode.nsid(answer)

    # -- sending -----------------------------------------------------------------------------------------------

    def _add(self, change: Change) -> None:
        if self.failures and any(key in self.failures for key in parents(change.object)):
            self.failures[change.key] = explain(change, Failure(errno.ENODEV, "what it stands on failed"))
            return
        try:
            messages = encode.messages(change, self)
        except KernelError as error:
            self.failures[change.key] = explain(change, Failure(error.errno, error.message))
            return
        self._pending.append((change, messages))
        self._size += sum(len(message.body) + 20 for message in messages)
        if self._size > CHUNK:
            self._flush()

    def _create_entries(self, wanted: Creations) -> None:
        """What is packed alike goes as it is packed already; the few others one by one."""
        alike, others = entries.bundles(wanted.entries)
        for bundle in alike:
            try:
                index = self.index(bundle.link)
            except KernelError as error:
                missing = Failure(error.errno, error.message)
                self.failures.update({key: explain(wanted.of(key), missing) for key in bundle.keys})
                continue
            for start in range(0, len(bundle.keys), _ENTRIES_AT_ONCE):
                keys = bundle.keys[start : start + _ENTRIES_AT_ONCE]
                refused = self.sock.transact_alike(bundle.creation(index, start, len(keys)))
                self.sent += len(keys)
                for number, failure in refused.items():
                    self.failures[keys[number]] = explain(wanted.of(keys[number]), failure)
        if others:
            self._send_entries([wanted.of(key) for key in others])

    def _send_entries(self, changes: Sequence[Change]) -> None:
        """All creations and updates, or all deletions: one message each."""
        delete = changes[0].action is Action.DELETE
        for link in {entry.link for entry in map(_entry, changes)}:
            try:
                self.index(link)
            except KernelError as error:
                missing = Failure(error.errno, error.message)
                lost = [change for change in changes if _entry(change).link == link]
                self.failures.update({change.key: explain(change, missing) for change in lost})
        if self.failures:
            changes = [change for change in changes if change.key not in self.failures]
        for start in range(0, len(changes), _ENTRIES_AT_ONCE):
            part = changes[start : start + _ENTRIES_AT_ONCE]
            refused = self.sock.transact(entries.messages([*map(_entry, part)], self._indexes, delete=delete))
            self.sent += len(part)
            for number, failure in refused.items():
                if not (delete and failure.errno in _GONE):
                    self.failures[part[number].key] = explain(part[number], failure)

    def _flush(self, question: Message | None = None) -> Reply | Failure | None:
        """Send what is pending, and with it a question; the answer to that."""
        pending, self._pending, self._size = self._pending, [], 0
        messages = [message for _, part in pending for message in part]
        answer: Reply | Failure | None = None
        if question is None:
            refused = self.sock.transact(messages)
        else:
            refused, answer = self.sock.ask(messages, question)
        self.sent += len(messages)
        self._close_fds()
        if refused:
            self._attribute(pending, refused)
        return answer

    def _close_fds(self) -> None:
        for fd in self._fds.values():
            os.close(fd)
        self._fds.clear()

    def _attribute(self, pending: list[tuple[Change, list[Message]]], refused: Mapping[int, Failure]) -> None:
        """Give each refusal to its change; a link of which only a part could be made is taken away again."""
        position = 0
        for change, messages in pending:
            numbers = range(position, position + len(messages))
            position += len(messages)
            failed = [number for number in numbers if number in refused]
            if not failed:
                continue
            failure = refused[failed[0]]
            if change.action is Action.DELETE and failure.errno in _GONE:
                continue  # gone already: what was wanted
            self.failures[change.key] = explain(change, failure)
            if change.action is Action.CREATE and isinstance(change.object, Link) and failed[0] != numbers[0]:
                self.sock.transact([encode.delete_link(change.object.name)])
                self.sent += 1

    def _delete_together(self, changes: Sequence[Change]) -> None:
        # A new number every time: what a killed run left in its group may be wanted again by now.
        doomed = _DOOMED | int.from_bytes(os.urandom(3), "big")
        moves = [
            encode.set_group(change.object.name, doomed)
            for change in changes
            if isinstance(change.object, Link)
        ]
        for start in range(0, len(moves), 512):
            refused = self.sock.transact(moves[start : start + 512])
            for number, failure in refused.items():
                if failure.errno != errno.ENODEV:
                    change = changes[start + number]
                    self.failures[change.key] = explain(change, failure)
        self.sent += len(moves) + 1
        refused = self.sock.transact([encode.delete_group(doomed)])
        if refused and refused[0].errno != errno.ENODEV:
            for change in changes:
                self.failures.setdefault(change.key, explain(change, refused[0]))


def _entry(change: Change) -> FdbEntry | Neighbour:
    entry = change.after or change.before
    assert isinstance(entry, ENTRIES)
    return entry


def _deletes_link(change: Change) -> bool:
    return change.action is Action.DELETE and isinstance(change.object, Link)
