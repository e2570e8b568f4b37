"""Several sequences, one behind the other, seen as one. Pure.

For results that are made in parts, some of which know more of themselves than that they are a list: whoever can use that
takes the `parts`, and everybody else sees one sequence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import TypeVar, overload

T_co = TypeVar("T_co", covariant=True)


class Joined(Sequence[T_co]):
    """The items of all parts, in order. Equal to every sequence of the same items."""

    __slots__ = ("parts",)

    def __init__(self, wanted: Iterable[Sequence[T_co]]) -> None:
        self.parts: tuple[Sequence[T_co], ...] = tuple(chain.from_iterable(parts(some) for some in wanted))

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __iter__(self) -> Iterator[T_co]:
        return chain.from_iterable(self.parts)

    @overload
    def __getitem__(self, index: int) -> T_co: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[T_co]: ...

    def __getitem__(self, index: int | slice) -> T_co | Sequence[T_co]:
        return tuple(self)[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))


def parts(items: Sequence[T_co]) -> tuple[Sequence[T_co], ...]:
    """What `items` was joined of; empty parts are left out."""
    found = items.parts if isinstance(items, Joined) else (items,)
    return tuple(part for part in found if part)
