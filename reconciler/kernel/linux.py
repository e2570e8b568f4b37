"""The real kernel, as `apply` and the commands see it: one object over `observe`, `execute` and `ready`."""

from __future__ import annotations

import json
import socket
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from ..features import Lack
from ..interrupts import Interrupts
from ..objects import Key, Netns
from ..outcome import Outcome
from ..plan import Action, Change, apart
from ..sides import Observed, Scope
from ..state import Store, boot_id
from . import facts, netns, observe, ready
from .execute import Executor, Note

_PREPARED = "netns-directory.json"


class Linux:
    """The kernel of this machine, seen from the namespace that the process is in."""

    def __init__(self, store: Store) -> None:
        netns.allow_many()
        self._executor = Executor()
        self._store = store
        self._prepared = False

    @property
    def messages(self) -> int:
        """Messages sent so far that could change something."""
        return self._executor.messages

    @property
    def priors(self) -> Mapping[Key, str]:
        """Values that written parameters had before."""
        return self._executor.priors

    def addresses(self) -> Mapping[str, str]:
        """The addresses in the host's own namespace, each with its link."""
        return observe.host_addresses()

    def observe(self, scope: Scope) -> Observed:
        """Everything in scope, as it is now."""
        self.release()
        return observe.observe(scope)

    def release(self) -> None:
        """A run is over; see `Executor.release`."""
        self._executor.release()

    def lacks(self, names: Collection[str]) -> Mapping[str, Lack]:
        """Features that this kernel does not have."""
        return facts.lacks(names)

    def execute(self, changes: Sequence[Change], note: Note) -> Sequence[Outcome]:
        """Carry out changes in order; `note` hears the values of parameters before they are written."""
        if not self._prepared and any(map(_makes_namespace, apart(changes))):
            self._prepared = True
            self._prepare_directory()
            _load_ipv6()
        return self._executor.execute(changes, note)

    def _prepare_directory(self) -> None:
        """What is done is written down before it is done: a kill in between must not leave it behind for ever."""
        missing = netns.preparation()
        flag = self._store.root / _PREPARED
        if (missing.made or missing.mounted) and _read_flag(flag) is None:
            data = {"boot_id": boot_id(), "made": missing.made, "mounted": missing.mounted}
            flag.write_text(json.dumps(data))
        netns.prepare_directory()

    def wait_ready(
        self, scope: Scope, unready: Mapping[Key, str], timeout: float, interrupts: Interrupts
    ) -> Mapping[Key, str]:
        """Wait until everything in `unready` works."""

        def look() -> Mapping[Key, str]:
            seen = observe.observe(scope).unready
            return {key: seen[key] for key in unready if key in seen}

        return ready.wait_ready(look, timeout, interrupts)

    def clean_up(self, store: Store) -> None:
        """Undo what an apply had to do to the netns directory if nobody uses it, then forget the topology."""
        flag = store.root / _PREPARED
        done = _read_flag(flag)
        if done is None or netns.undo_directory(done):
            flag.unlink(missing_ok=True)
        store.remove()


def _load_ipv6() -> None:
    """Where IPv6 is a module, the first bridge loads it, and links made so far come to parameters after we wrote them."""
    with suppress(OSError):
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC).close()


def _read_flag(flag: Path) -> netns.Prepared | None:
    """What was done to the netns directory since boot; None when nothing was, or nobody can tell any more."""
    try:
        data = json.loads(flag.read_text())
        if data["boot_id"] == boot_id():
            return netns.Prepared(made=data["made"] is True, mounted=data["mounted"] is True)
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return None
    return None


def _makes_namespace(change: Change) -> bool:
    return isinstance(change.object, Netns) and change.action is Action.CREATE
