"""Where the files of a watch come from when that is a Git repository: which commit is read, and which one is applied.

    fetch ─► descends? ─► signed? ─► written out ─► candidate ─► read, guarded as any files ─► applied

Everything up to the candidate happens beside the loop. A commit that falls out on the way changes nothing, and the next
one is held against the one that is applied, not against it. What was applied is on disk: without the remote repository
the watch goes on, also after a start.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Self, TypeVar

from ..errors import ReconcilerError, Refused, TopologyError
from ..state import Store
from . import git
from .fetching import Answer, Fetching
from .git import Git
from .remote import Remote
from .repository import Repository, Rules, signers
from .revisions import Applied, Revisions
from .watched import Following, now

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Upstream:
    """What to follow and how. `interval` is seconds from one look to the next, `user` as whom git runs, None for the usual."""

    remote: Remote
    rules: Rules = field(default_factory=Rules)
    interval: float = 60.0
    user: str | None = None


class News(NamedTuple):
    """What the thread brought. `events` are kinds with words, `mistake` why the newest commit is refused.

    `read` says that there is something to be read, or again what was read.
    """

    events: tuple[tuple[str, str], ...] = ()
    mistake: str | None = None
    read: bool = False


class Followed:
    """The working state of one watch's upstream; made for one `with`."""

    def __init__(self, upstream: Upstream, state_dir: Path) -> None:
        git.require(*_programs(upstream))
        self._upstream = upstream
        self._revisions = Revisions(state_dir, upstream.remote)
        self._git = Git(self._revisions.repository, upstream.remote, git.user(upstream.user))
        self._repository = Repository(self._git, upstream.remote, upstream.rules)
        self._fetching = Fetching(self._look, self._git, upstream.interval)
        self._stack = ExitStack()
        self.applied: Applied | None = None
        self._found: Answer | None = None  # the last that is worth reading
        self._seen: str | None = None  # the last that was written out
        self._refused: Answer | None = None
        self._unreachable: str | None = None
        self._fetched: str | None = None

    def __enter__(self) -> Self:
        if self._upstream.rules.signers is not None:
            signers(self._upstream.rules.signers)  # what is wrong with it is better said now
        with ExitStack() as stack:
            stack.enter_context(self._revisions.occupied())
            stack.callback(self._fetching.close)
            self.applied = self._revisions.applied()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *about: object) -> None:
        self._stack.close()

    def begin(self, load: Callable[[], T]) -> T:
        """What is applied, loaded; else, or if that can no longer be read, what the repository has now.

        Raises whatever keeps the latter from being fetched, followed or loaded.
        """
        loaded = self._again(load)
        at_once = loaded is not None
        loaded = self._first(load) if loaded is None else loaded
        self._fetching.start(at_once=at_once)
        return loaded

    def fileno(self) -> int:
        """Readable when there is news."""
        return self._fetching.fileno()

    def ask(self) -> None:
        """Fetch now."""
        self._fetching.ask()

    @property
    def commit(self) -> str:
        """What is to be read: the newest commit that may be followed."""
        if self._found is not None and self._found.commit is not None:
            return self._found.commit
        assert self.applied is not None
        return self.applied.commit

    @property
    def tree(self) -> Path:
        """Where its files are."""
        return self._revisions.tree(self.commit)

    @property
    def within(self) -> str:
        """The same: what is read leads nowhere else."""
        return str(self.tree)

    @property
    def revision(self) -> str | None:
        """The commit that is kept applied."""
        return None if self.applied is None else self.applied.commit

    @property
    def paths(self) -> tuple[str, ...]:
        """What of them makes the topology, as `default_paths` has it where nothing was asked for."""
        if self._upstream.remote.path is not None:
            return (str(self.tree / self._upstream.remote.path),)
        if (self.tree / "topologies").is_dir():
            return (str(self.tree / "topologies"),)
        return tuple(sorted(map(str, self.tree.glob("*.topo.yaml")))) or (str(self.tree),)

    def news(self) -> News:
        """Take over what was found since the last call."""
        found = self._fetching.take()
        if found is None:
            return News()
        if found.unreachable is not None:
            return self._lost(found.unreachable)
        events = (
            () if self._unreachable is None else (("reached", f"{self._upstream.remote.words} is reached"),)
        )
        self._unreachable, self._fetched = None, found.at
        if found.base != self.revision:  # meanwhile another one was applied, which it was not held against
            self.ask()
            return News(events)
        if found.refused is not None:
            self._found, self._refused = None, found
            return News(events, self._why(found))
        changed = found.commit != self.commit or self._refused is not None
        self._found, self._refused = found, None
        return News(events, read=changed)

    def advance(self, store: Store) -> bool:
        """What is read is what is applied; whether that is another commit than before. Raises ReconcilerError if that
        cannot be written down, and then it is not applied.
        """
        if self.applied is not None and self.applied.commit == self.commit:
            return False
        try:
            signer = None if self._found is None else self._found.signer
            self.applied = self._revisions.advance(store, self.commit, now(), signer)
        except OSError as error:
            raise ReconcilerError(f"the commit cannot be written down: {error.strerror}") from error
        return True

    def words(self, mistakes: Sequence[str]) -> tuple[str, ...]:
        """What is wrong with the files of a commit, with their names in it."""
        tree = str(self.tree)
        first, *rest = (mistake.replace(f"{tree}{os.sep}", "").replace(tree, ".") for mistake in mistakes)
        return (f"commit {self.commit[:12]} is refused: {first}", *rest)

    @property
    def mistake(self) -> str | None:
        """Why a newer commit than the one to be read is not read."""
        return None if self._refused is None else self._why(self._refused)

    def following(self, *, mistaken: bool) -> Following:
        """For the report. `mistaken` is whether what is to be read is wrong."""
        remote, applied = self._upstream.remote, self.applied
        refused = self._refused.commit if self._refused is not None else self.commit if mistaken else None
        return Following(
            remote.shown,
            remote.branch,
            remote.path,
            self.revision,
            None if applied is None else applied.since,
            None if applied is None else applied.signer,
            self._fetched,
            self._unreachable,
            refused,
        )

    # -- in the thread, and before there is one ----------------------------------------------------------------------

    def _look(self) -> Answer:
        """Fetch, and hold what comes against the rules."""
        base, commit = self.revision, None
        try:
            self._revisions.prune((base, self._seen, self.commit if base else None))
            commit = self._repository.fetch(base)
            if commit == base and self._revisions.tree(commit).is_dir():
                return Answer(now(), base, commit, self.applied.signer if self.applied else None)
            signer = self._repository.check(commit, base)
            self._repository.write(commit, self._revisions.tree(commit))
            self._seen = commit
            return Answer(now(), base, commit, signer)
        except Refused as error:
            return Answer(now(), base, commit, refused=error)
        except ReconcilerError as error:
            return Answer(now(), base, unreachable=error)
        except (OSError, ValueError) as error:  # a full disk; something that git never says
            return Answer(now(), base, unreachable=ReconcilerError(str(error)))

    def _again(self, load: Callable[[], T]) -> T | None:
        if self.applied is None or not self.tree.is_dir():
            return None
        with suppress(TopologyError):  # what was good for the version before this one
            return self._loaded(load)
        return None

    def _first(self, load: Callable[[], T]) -> T:
        found = self._look()
        if found.unreachable is not None:
            error = found.unreachable
            if type(error) is not git.GitFailed:
                raise error
            raise ReconcilerError(
                f"{self._upstream.remote.words} cannot be fetched: {error}", hint=error.hint
            )
        if found.refused is not None:
            raise Refused(self._why(found), hint=found.refused.hint)
        self._found, self._fetched = found, found.at
        return self._loaded(load)

    def _loaded(self, load: Callable[[], T]) -> T:
        if not any(map(os.path.lexists, self.paths)):
            raise Refused(f"commit {self.commit[:12]} has no topology", hint="say where with --path")
        return load()

    # -- words -------------------------------------------------------------------------------------------------------

    def _lost(self, error: ReconcilerError) -> News:
        first, self._unreachable = self._unreachable is None, str(error)
        words = f"{self._upstream.remote.words} cannot be fetched: {error}; what is applied stays"
        return News((("unreachable", words),) if first else ())

    def _why(self, found: Answer) -> str:
        commit = "what was fetched" if found.commit is None else f"commit {found.commit[:12]}"
        hint = f" ({found.refused.hint})" if found.refused is not None and found.refused.hint else ""
        return f"{commit} is refused: {found.refused}{hint}"


def _programs(upstream: Upstream) -> Iterator[str]:
    if upstream.rules.signers is not None:
        yield "ssh-keygen"
    if upstream.remote.scheme == "ssh":
        yield "ssh"
