"""What became of each change of a plan: the answer of `execute`, and of `apply` as a whole. Frozen data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, overload

from .errors import KernelError
from .joined import Joined, parts
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


class Done(Sequence[Outcome]):
    """The outcomes of changes that were all done, which is what mostly becomes of them."""

    __slots__ = ("changes",)

    def __init__(self, changes: Sequence[Change]) -> None:
        self.changes = changes

    def __len__(self) -> int:
        return len(self.changes)

    def __iter__(self) -> Iterator[Outcome]:
        return map(Outcome, self.changes)

    @overload
    def __getitem__(self, index: int) -> Outcome: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Outcome]: ...

    def __getitem__(self, index: int | slice) -> Outcome | Sequence[Outcome]:
        return Done(self.changes[index]) if isinstance(index, slice) else Outcome(self.changes[index])


def undone(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Those of which the kernel does not hold what was wanted."""
    told = [part for part in parts(outcomes) if not isinstance(part, Done)]
    return [one for part in told for one in part if not one.done]


def done(outcomes: Sequence[Outcome]) -> Sequence[Change]:
    """The changes that the kernel holds now."""
    return Joined(
        part.changes if isinstance(part, Done) else [one.change for one in part if one.done]
        for part in parts(outcomes)
    )
