"""Typed reading of a tree whose shapes the schema has checked. Pure.

A value of another type here is not the user's mistake but a hole in the schema, so it is a TypeError, never a
diagnostic. None and a missing key are the same: nothing was asked for. What a mistake hides (UNKNOWN) reads as None
as well, so whoever concludes something from an absence asks `unknown` or `has_gap` before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..errors import Mark
from ..load.tree import REST, UNKNOWN, Map, Seq, opened


def unknown(source: Map, *keys: str) -> bool:
    """Whether one of the keys may have a value that a mistake hides."""
    absent = UNKNOWN if REST in source else None
    for key in keys:  # noqa: SIM110  # asked for every endpoint, and a generator costs as much as the question
        if source.get(key, absent) is UNKNOWN:
            return True
    return False


def has_gap(source: Map, key: str) -> bool:
    """Whether something in the map or list under `key`, or in a list one level below, is hidden by a mistake."""
    value = source.get(key)
    if not value:  # asked several times for every endpoint
        return False
    if isinstance(value, Map):
        return any(each is UNKNOWN or (isinstance(each, Seq) and UNKNOWN in each) for each in value.values())
    return UNKNOWN in value if isinstance(value, Seq) else value is UNKNOWN


def may_have_more(source: Map, key: str) -> bool:
    """Whether a mistake may hide names of the map under `key`."""
    return REST in section(source, key)


def text(source: Map, key: str) -> str | None:
    """The text under `key`."""
    value = _known(source, key)
    if value is None or isinstance(value, str):
        return value
    raise _unexpected(source, key, "text")


def number(source: Map, key: str) -> int | None:
    """The whole number under `key`; true and false are none."""
    value = _known(source, key)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise _unexpected(source, key, "a whole number")


def flag(source: Map, key: str, *, default: bool = False) -> bool:
    """The truth value under `key`."""
    value = _known(source, key)
    if value is None:
        return default
    if isinstance(value, bool):
        return value
    raise _unexpected(source, key, "true or false")


def scalars(source: Map) -> dict[str, str]:
    """A flat map as text: true and false become 1 and 0, as the kernel writes them."""
    return {
        key: str(int(value)) if isinstance(value, bool) else str(value)
        for key, value in source.items()
        if value is not UNKNOWN
    }


def plain(value: object) -> Any:
    """Data without places, copied: what leaves for code that must not know of files."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def section(source: Map, key: str) -> Map:
    """The map under `key`; an empty one when there is none."""
    value = source.get(key)
    if value is None:
        return Map(source.mark)
    if value is UNKNOWN:
        return opened(source.mark)
    if isinstance(value, Map):
        return value
    raise _unexpected(source, key, "a map")


def sections(source: Map, key: str) -> Iterator[tuple[str, Map, Mark]]:
    """The maps in the map under `key`, in file order: name, content, and the place of the name."""
    outer = section(source, key)
    for name in outer:
        if name != REST:
            yield name, section(outer, name), outer.key_mark(name)


def items(source: Map, key: str) -> Iterator[tuple[object, Mark]]:
    """The items of the list under `key`, each with its place."""
    value = _known(source, key)
    if value is None:
        return
    if not isinstance(value, Seq):
        raise _unexpected(source, key, "a list")
    for place, item in enumerate(value):
        if item is not UNKNOWN:
            yield item, value.marks[place] if place < len(value.marks) else source.value_mark(key)


def maps(source: Map, key: str) -> Iterator[Map]:
    """The items of a list of maps under `key`."""
    for item, mark in items(source, key):
        if not isinstance(item, Map):
            raise TypeError(f"{mark}: item of '{key}' is {type(item).__name__}, not a map")
        yield item


def texts(source: Map, key: str) -> Iterator[tuple[str, Mark]]:
    """The items of a list of text under `key`, each with its place."""
    for item, mark in items(source, key):
        if not isinstance(item, str):
            raise TypeError(f"{mark}: item of '{key}' is {type(item).__name__}, not text")
        yield item, mark


def _known(source: Map, key: str) -> object:
    value = source.get(key)
    return None if value is UNKNOWN else value


def _unexpected(source: Map, key: str, expected: str) -> TypeError:
    return TypeError(f"{source.value_mark(key)}: '{key}' is {type(source[key]).__name__}, not {expected}")
