"""What a file says twice, or in words that nobody can read: what is known of the rest, and what it may be. Pure.

A duplicate key must not hide the mistakes behind it. The file is read with the first value, and once more with each of
the others (`readings`), since any of them may be meant. Whoever judges the file says what is wrong in all readings, or
inside of one of the values, and concludes nothing from the value itself: the key may have been meant to be another one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ..errors import Diagnostic, Mark
from .tree import REST, Map, Seq

Part = str | int
Path = tuple[Part, ...]
Marks = tuple[Mark, Mark]
# Of a key that stands in a map more often than anybody writes by mistake, the last ones are not read.
MAX_READINGS = 5


class Draft(NamedTuple):
    """A file that was read in spite of `mistakes`, with the first value of each key; no `mistakes` is the usual case.

    `twice` are the places of which only candidates are known, `illegible` those of which nothing is; a path ends with
    REST where a map may have more keys than it shows.
    """

    data: Map
    mistakes: tuple[Diagnostic, ...] = ()
    readings: tuple[Map, ...] = ()
    twice: frozenset[Path] = frozenset()
    illegible: frozenset[Path] = frozenset()


class Doubts:
    """The doubtful parts of a tree while it is built. Nodes are known by identity, since aliases share them."""

    __slots__ = ("_illegible", "_kept", "_others")

    def __init__(self) -> None:
        self._others: dict[tuple[int, Part], list[tuple[object, Marks | None]]] = {}
        self._illegible: set[tuple[int, Part]] = set()
        self._kept: list[Map | Seq] = []  # an identity means something only while its node lives

    def twice(self, node: Map, key: str, value: object, marks: Marks | None) -> None:
        """Another value of a key that the node has."""
        self._kept.append(node)
        self._others.setdefault((id(node), key), []).append((value, marks))

    def illegible(self, node: Map | Seq, part: Part) -> None:
        """A part of which nothing is known; REST for keys of which nothing is known."""
        self._kept.append(node)
        self._illegible.add((id(node), part))

    def join(self, first: Map, second: Map) -> Map:
        """Two maps under one key as one: what only one of them has is clear, and what both have stands there twice."""
        joined = Map(first.mark)
        for node in (first, second):
            for key, value in node.items():
                if key in joined:
                    self.twice(joined, key, value, node.marks.get(key))
                else:
                    joined.put(key, value, node.marks.get(key))
                self.inherit(node, key, joined)
            self.inherit(node, REST, joined)
        return joined

    def inherit(self, base: Map, key: str, node: Map) -> None:
        """A key of one node is a key of another one as well, with all that is doubtful about it."""
        if (id(base), key) in self._illegible:
            self.illegible(node, key)
        for value, marks in self._others.get((id(base), key), ()):
            self.twice(node, key, value, marks)

    def draft(self, data: Map, mistakes: list[Diagnostic]) -> Draft:
        """The file with what is known of it."""
        most = min(max(map(len, self._others.values()), default=0), MAX_READINGS)
        readings = (self._reading(data, turn, {}) for turn in range(most))
        twice, illegible = set[Path](), set[Path]()
        for path, node, part in _parts(data, ()):
            if (id(node), part) in self._illegible:
                illegible.add(path)
            elif (id(node), part) in self._others:
                twice.add(path)
        maps = tuple(reading for reading in readings if isinstance(reading, Map))
        return Draft(data, tuple(mistakes), maps, frozenset(twice), frozenset(illegible))

    def _reading(self, node: object, turn: int, done: dict[int, Map | Seq]) -> object:
        """The tree with other values; what aliases share is shared again, or a small file could become a large one."""
        if id(node) in done:
            return done[id(node)]
        match node:
            case Map():
                result = done[id(node)] = Map(node.mark)
                for key, first in node.items():
                    others = self._others.get((id(node), key), ())
                    value, marks = others[turn] if turn < len(others) else (first, node.marks.get(key))
                    result.put(key, self._reading(value, turn, done), marks)
                return result
            case Seq():
                items = done[id(node)] = Seq(node.mark)
                for item, mark in zip(node, node.marks, strict=True):
                    items.put(self._reading(item, turn, done), mark)
                return items
        return node


def _parts(node: object, above: Path) -> Iterator[tuple[Path, Map | Seq, Part]]:
    """Every part of a tree, and for each map the one that stands for what it does not show."""
    match node:
        case Map():
            yield (*above, REST), node, REST
            for key, value in node.items():
                yield (*above, key), node, key
                yield from _parts(value, (*above, key))
        case Seq():
            for index, value in enumerate(node):
                yield (*above, index), node, index
                yield from _parts(value, (*above, index))
