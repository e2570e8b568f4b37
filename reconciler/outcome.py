"""What became of each change of a plan: the answer of `execute`, and of `apply` as a whole. Frozen data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from .errors import KernelError
from .objects import Key
from .plan import Change


class Outcome(NamedTuple):
    """One change: done when both are None; `error` when the kernel refused; `blocked_by` when it was not tried
    because the object with that key failed before.
    """

    change: Change
    error: KernelError | None = None
    blocked_by: Key | None = None

    @property
    def done(self) -> bool:
        """Whether the kernel now holds what the change wanted."""
        return self.error is None and self.blocked_by is None


def undone(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Those of which the kernel does not hold what was wanted."""
    return [one for one in outcomes if one.error is not None or one.blocked_by is not None]
