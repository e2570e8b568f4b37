"""What a watch reads: the files that were named, or those of the commit that a followed repository leads to.

One front for both, so that the loop treats a new commit as what it is to it: files that say something new.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, Self

from .. import pipeline, policy
from ..guard import Allowed
from ..pipeline import Loaded
from ..state import Store
from .edits import Edits
from .upstream import Followed, News, Upstream
from .watched import Following


@dataclass(frozen=True, slots=True)
class Settings:
    """What to watch and how. `resync` is the time in seconds after which everything is looked at whatever was heard.

    `rhythm` is the time in seconds after which the listener hears a sign of life, whatever happens; None for no such time.
    With an `upstream`, the files are its, and no `paths` are named.
    """

    paths: tuple[str, ...]
    overrides: tuple[str, ...]
    state_dir: Path
    host: str | None = None
    resync: float = 60.0
    detect_only: bool = False
    allowed: Allowed = field(default_factory=Allowed)
    rhythm: float | None = None
    policies: tuple[str, ...] = ()
    upstream: Upstream | None = None


class Source(Protocol):
    """Where the files come from. What `Followed` says of a repository, `Named` says of files that are just there."""

    @property
    def paths(self) -> tuple[str, ...]:
        """What to read."""

    @property
    def within(self) -> str | None:
        """The directory that no file leads out of, for files that somebody else wrote."""

    @property
    def revision(self) -> str | None:
        """The commit that is kept applied."""

    @property
    def mistake(self) -> str | None:
        """Why something newer than what was read last is not read."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *about: object) -> None: ...

    def fileno(self) -> int | None:
        """Readable when there is news; None where there never is any."""

    def begin(self, load: Callable[[], Loaded]) -> Loaded:
        """The first that is loaded. Raises whatever there is to say against it."""

    def ask(self) -> None:
        """Look for something newer now."""

    def news(self) -> News:
        """What there is of new commits since the last call."""

    def advance(self, store: Store) -> bool:
        """What was read last is what is kept applied; whether that is another commit than before."""

    def words(self, mistakes: Sequence[str]) -> tuple[str, ...]:
        """What is wrong with what was read last, for people."""

    def following(self, *, mistaken: bool) -> Following | None:
        """What a report says of it. `mistaken` is whether what was read last is wrong."""


@dataclass(frozen=True, slots=True)
class Named:
    """Files that were named: there is nothing to fetch, and what changes them is heard of otherwise."""

    paths: tuple[str, ...]
    within: None = None
    revision: None = None
    mistake: None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *about: object) -> None:
        pass

    def fileno(self) -> None:
        """Never."""

    def begin(self, load: Callable[[], Loaded]) -> Loaded:
        """What they say."""
        return load()

    def ask(self) -> None:
        """Nobody."""

    def news(self) -> News:
        """None."""
        return News()

    def advance(self, store: Store) -> bool:
        """They have no commits."""
        return False

    def words(self, mistakes: Sequence[str]) -> tuple[str, ...]:
        """As they are: they name the files."""
        return tuple(mistakes)

    def following(self, *, mistaken: bool) -> None:
        """Nothing."""


class Reading:
    """The files of one watch, and the `edits` that are made to them; made for one `with`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        upstream = settings.upstream
        self.source: Source = (
            Named(settings.paths) if upstream is None else Followed(upstream, settings.state_dir)
        )
        self.edits = Edits(())

    def __enter__(self) -> Self:
        self.source.__enter__()
        return self

    def __exit__(self, *about: object) -> None:
        self.source.__exit__(*about)

    def begin(self) -> Loaded:
        """The first that is read. Raises whatever there is to say against it."""
        return self.source.begin(self._first)

    def load(self) -> Loaded:
        """What the files say now. Raises TopologyError and whatever else there is to say against them."""
        settings, source = self._settings, self.source
        return pipeline.load(
            source.paths,
            settings.overrides,
            settings.state_dir,
            settings.host,
            policies=policy.in_force(settings.policies),
            within=source.within,
        )

    def news(self) -> News:
        """What there is of new commits since the last call."""
        news = self.source.news()
        self.edits.named = self._named
        return news

    def taken(self, store: Store) -> str | None:
        """What was read last is what is kept applied; what to call it if that is another commit than before."""
        return f"commit {self.source.revision}" if self.source.advance(store) else None

    def _first(self) -> Loaded:
        self.edits.named = self._named
        self.edits.take()
        loaded = self.load()
        self.edits.was_read(loaded.expanded.files)
        return loaded

    @property
    def _named(self) -> tuple[str, ...]:
        return (*self.source.paths, *self._settings.overrides, *policy.files(self._settings.policies))
