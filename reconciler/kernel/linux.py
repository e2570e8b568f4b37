"""The real kernel, as `apply` and the commands see it: one object over `observe`, `execute` and `ready`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..interrupts import Interrupts
from ..objects import Key, Netns
from ..outcome import Outcome
from ..plan import Action, Change
from ..sides import Observed, Scope
from ..state import Store
from . import netns, observe, ready
from .execute import Executor

_MADE_DIRECTORY = "netns-directory-made"


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

    def observe(self, scope: Scope) -> Observed:
        """Everything in scope, as it is now."""
        return observe.observe(scope)

    def execute(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        """Carry out changes in order."""
        if not self._prepared and any(_makes_namespace(change) for change in changes):
            self._prepared = True
            if netns.prepare_directory():
                (self._store.root / _MADE_DIRECTORY).touch(mode=0o600)
        return self._executor.execute(changes)

    def wait_ready(
        self, scope: Scope, unready: Mapping[Key, str], timeout: float, interrupts: Interrupts
    ) -> Mapping[Key, str]:
        """Wait until everything in `unready` works."""

        def look() -> Mapping[Key, str]:
            seen = observe.observe(scope).unready
            return {key: seen[key] for key in unready if key in seen}

        return ready.wait_ready(look, timeout, interrupts)

    def clean_up(self, store: Store) -> None:
        """Remove the netns directory if an apply had to make it and nobody uses it, then the topology's state."""
        flag = store.root / _MADE_DIRECTORY
        if flag.exists() and netns.remove_directory():
            flag.unlink(missing_ok=True)
        store.remove()


def _makes_namespace(change: Change) -> bool:
    return isinstance(change.object, Netns) and change.action is Action.CREATE
