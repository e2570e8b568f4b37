"""Plain data that knows where it stands: maps and lists whose every part remembers its place in a file. Pure.

`source` makes these from YAML, `salvage` cuts out what was rejected, `expand` rearranges them, `resolve` reads them and forgets the places at last. They are
dict and list themselves, so that whatever takes plain data takes them too.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Final

from ..errors import Mark


class Unknown(Enum):
    """The one value of what a mistake hides."""

    UNKNOWN = "unknown"


# In the place of a value that was rejected: there is one, and nobody knows which. Never in a tree without mistakes.
UNKNOWN: Final = Unknown.UNKNOWN
# The key of a map that may have more keys than it shows; no file can spell it.
REST: Final = "\0"


class Map(dict[str, object]):
    """A map of the file. `marks` gives (key mark, value mark) for every key that stands in a file; built-ins have none."""

    __slots__ = ("mark", "marks")

    def __init__(self, mark: Mark) -> None:
        super().__init__()
        self.mark = mark
        self.marks: dict[str, tuple[Mark, Mark]] = {}

    def put(self, key: str, value: object, marks: tuple[Mark, Mark] | None = None) -> None:
        """Set a value together with its place; None says that no file declares it."""
        self[key] = value
        if marks is not None:
            self.marks[key] = marks

    def key_mark(self, key: str) -> Mark:
        """Where the key stands, or the map itself for what no file declares."""
        marks = self.marks.get(key)
        return marks[0] if marks else self.mark

    def value_mark(self, key: str) -> Mark:
        """Where the value stands, or the map itself for what no file declares."""
        marks = self.marks.get(key)
        return marks[1] if marks else self.mark


class Seq(list[object]):
    """A list of the file; `marks[i]` is the place of item i."""

    __slots__ = ("mark", "marks")

    def __init__(self, mark: Mark) -> None:
        super().__init__()
        self.mark = mark
        self.marks: list[Mark] = []

    def put(self, value: object, mark: Mark) -> None:
        """Append an item together with its place."""
        self.append(value)
        self.marks.append(mark)


def opened(mark: Mark) -> Map:
    """A map of which nothing is known, not even its keys."""
    result = Map(mark)
    result[REST] = UNKNOWN
    return result


def gapped(mark: Mark) -> Seq:
    """A list of which nothing is known."""
    result = Seq(mark)
    result.put(UNKNOWN, mark)
    return result


def places(values: Iterable[object]) -> Iterable[Mark]:
    """The places of all values inside of some values."""
    for value in values:
        match value:
            case Map():
                yield from (marks[1] for marks in value.marks.values())
                yield from places(value.values())
            case Seq():
                yield from value.marks
                yield from places(value)


def walk(tree: Map, parts: tuple[str, ...]) -> tuple[tuple[str, ...], object, Mark | None] | None:
    """The value at a path, whose names may have dots in them, and where it was declared."""
    path: tuple[str, ...] = ()
    node: object = tree
    mark: Mark | None = None
    while parts:
        if isinstance(node, Seq) and parts[0].isdigit() and int(parts[0]) < len(node):
            index = int(parts[0])
            mark = node.marks[index] if mark is not None else None
            node, path, parts = node[index], (*path, parts[0]), parts[1:]
            continue
        if not isinstance(node, Map):
            return None
        used = next((n for n in range(len(parts), 0, -1) if ".".join(parts[:n]) in node), 0)
        if not used:
            return None
        key = ".".join(parts[:used])
        mark = node.marks[key][1] if key in node.marks else None
        node, path, parts = node[key], (*path, key), parts[used:]
    return (path, node, mark) if path else None
