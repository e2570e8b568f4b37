"""What a watch reads: the files that were named, or those of the commit that a followed repository leads to.

One front for both, so that the loop treats a new commit as what it is to it: files that say something new.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

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


class Reading:
    """The files of one watch, and the `edits` that are made to them; made for one `with`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._followed = (
            None if settings.upstream is None else Followed(settings.upstream, settings.state_dir)
        )
        self.edits = Edits(())

    def __enter__(self) -> Self:
        if self._followed is not None:
            self._followed.__enter__()
        return self

    def __exit__(self, *about: object) -> None:
        if self._followed is not None:
            self._followed.__exit__(*about)

    def fileno(self) -> int | None:
        """Readable when there is news; None where there never is any."""
        return None if self._followed is None else self._followed.fileno()

    def begin(self) -> Loaded:
        """The first that is read. Raises whatever there is to say against it."""
        return self._first() if self._followed is None else self._followed.begin(self._first)

    def load(self) -> Loaded:
        """What the files say now. Raises TopologyError and whatever else there is to say against them."""
        settings, within = self._settings, None if self._followed is None else str(self._followed.tree)
        policies = policy.in_force(settings.policies)
        files = (self._paths, settings.overrides)
        return pipeline.load(*files, settings.state_dir, settings.host, policies=policies, within=within)

    def ask(self) -> None:
        """Look for a new commit now."""
        if self._followed is not None:
            self._followed.ask()

    def news(self) -> News:
        """What there is of new commits since the last call."""
        if self._followed is None:
            return News()
        news = self._followed.news()
        self.edits.named = self._named
        return news

    def taken(self, store: Store) -> str | None:
        """What was read last is what is kept applied; what to call it if that is another commit than before."""
        if self._followed is None or not self._followed.advance(store):
            return None
        return f"commit {self.revision}"

    @property
    def revision(self) -> str | None:
        """The commit that is kept applied."""
        applied = None if self._followed is None else self._followed.applied
        return None if applied is None else applied.commit

    def words(self, mistakes: tuple[str, ...]) -> tuple[str, ...]:
        """What is wrong with what was read last, for people."""
        return mistakes if self._followed is None else self._followed.words(mistakes)

    @property
    def refusal(self) -> str | None:
        """Why something newer than what was read last is not read."""
        return None if self._followed is None else self._followed.mistake

    def following(self, *, mistaken: bool) -> Following | None:
        """What a report says of it. `mistaken` is whether what was read last is wrong."""
        return None if self._followed is None else self._followed.following(mistaken=mistaken)

    def _first(self) -> Loaded:
        self.edits.named = self._named
        self.edits.take()
        loaded = self.load()
        self.edits.was_read(loaded.expanded.files)
        return loaded

    @property
    def _paths(self) -> tuple[str, ...]:
        return self._settings.paths if self._followed is None else self._followed.paths

    @property
    def _named(self) -> tuple[str, ...]:
        return (*self._paths, *self._settings.overrides, *policy.files(self._settings.policies))
