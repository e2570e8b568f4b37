"""Several files into one tree: siblings side by side, overrides on top, defaults below. Pure.

Siblings (the files of a directory, and what they include) must not contradict each other: a name that two of them
declare is a mistake, and both places are named. An override layer wins: maps are merged key by key, everything else is
replaced, null takes a key away. Nothing is copied that is not changed, so parts of the result are shared: with the
input, and between objects that take the same defaults. Whoever changes a tree afterwards changes both.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from ..errors import Diagnostic, Mark
from .tree import REST, UNKNOWN, Map, Seq, opened

# Comparing names is slow; after this many mistakes nobody needs another guess.
MAX_GUESSES = 20

_NAMED = {"networks": "network", "sandboxes": "sandbox", "hosts": "host"}


def merge(layers: Sequence[Sequence[Map]]) -> tuple[Map, list[Diagnostic]]:
    """One tree of all layers, lowest first, without `include` and x- keys; and what contradicts itself."""
    found: list[Diagnostic] = []
    merged: Map | None = None
    for files in layers:
        layer = _siblings(files, found)
        merged = layer if merged is None else _on_top(merged, layer, (), found)
    return merged if merged is not None else Map(Mark("", 1, 1, 2)), found


def below(defaults: Map | None, own: Map) -> Map:
    """An object completed by defaults: what it says itself wins, maps are merged key by key."""
    if not defaults:
        return own
    result = Map(own.mark)
    result.update(defaults if REST not in own else dict.fromkeys(defaults, UNKNOWN))
    result.marks.update(defaults.marks)
    for key, value in own.items():
        lower = defaults.get(key)
        if lower is UNKNOWN and isinstance(value, Map):
            lower = opened(value.mark)
        if isinstance(lower, Map) and isinstance(value, Map):
            value = below(lower, value)  # noqa: PLW2901
        result[key] = value
        if key in own.marks:
            result.marks[key] = own.marks[key]
    return result


def only(data: Map, keys: Sequence[str]) -> Map:
    """Some keys of a map, with their places."""
    result = Map(data.mark)
    for key in keys:
        if key in data:
            result.put(key, data[key], data.marks.get(key))
    return result


def long_endpoint(value: object, mark: Mark) -> Map:
    """An endpoint's map, whatever form it is written in: a map, only the network's name, or nothing."""
    if isinstance(value, Map):
        return _long_bandwidth(value) if isinstance(value.get("bandwidth"), str) else value
    if value is UNKNOWN:
        return opened(mark)
    endpoint = Map(mark)
    if value is not None:
        endpoint.put("network", value, (mark, mark))
    return endpoint


def long_host(value: object, mark: Mark) -> Map:
    """A host's map, whatever form it is written in: a map, or only the address."""
    if isinstance(value, Map):
        return value
    if value is UNKNOWN:
        return opened(mark)
    host = Map(mark)
    host.put("vtep", value, (mark, mark))
    return host


def _long_bandwidth(endpoint: Map) -> Map:
    """An endpoint whose one rate for both directions is written out, to be merged rate by rate."""
    marks = endpoint.marks["bandwidth"]
    both = Map(marks[1])
    for direction in ("egress", "ingress"):
        both.put(direction, endpoint["bandwidth"], (marks[1], marks[1]))
    result = _copy(endpoint)
    result.put("bandwidth", both, marks)
    return result


def _siblings(files: Sequence[Map], found: list[Diagnostic]) -> Map:
    """Files that complete each other. What two of them say must be the same, and a name belongs to one."""
    result = Map(files[0].mark if files else Mark("", 1, 1, 2))
    contested: list[tuple[str, ...]] = []
    for data in files:
        for key, value in data.items():
            if key == "include" or key.startswith("x-"):
                continue
            before = result.get(key)
            if key not in result:
                result.put(key, value, data.marks.get(key))
            elif before is UNKNOWN or value is UNKNOWN:
                result[key] = _united(before, value)
            elif key in _NAMED and isinstance(before, Map) and isinstance(value, Map):
                result[key] = _side_by_side(before, value, key, found)
            elif key == "defaults" and isinstance(before, Map) and isinstance(value, Map):
                result[key] = _in_agreement(before, value, (key,), found, contested)
            elif key == "checks" and isinstance(before, Seq) and isinstance(value, Seq):
                result[key] = _one_after_the_other(before, value)
            elif before != value:
                found.append(_contradiction((key,), result, data))
                contested.append((key,))
    for path in contested:  # at last, for every file is held against the first
        result = _unknown_at(result, path)
    return result


def _side_by_side(first: Map, second: Map, section: str, found: list[Diagnostic]) -> Map:
    result = _copy(first)
    kind = _NAMED[section]
    for name, value in second.items():
        if name == REST:
            result[REST] = UNKNOWN
        elif name in result:
            mark, other = second.key_mark(name), first.key_mark(name)
            hint = f"the other one is {other}; rename one, or give this file as an override"
            message = f"the {kind} '{name}' is declared twice"
            found.append(Diagnostic("duplicate-name", message, mark, hint, (("first", other),)))
            result[name] = result[REST] = UNKNOWN  # who knows which of the two keeps the name
        else:
            result.put(name, value, second.marks.get(name))
    return result


def _one_after_the_other(first: Seq, second: Seq) -> Seq:
    result = Seq(first.mark)
    result.extend([*first, *second])
    result.marks.extend([*first.marks, *second.marks])
    return result


def _united(one: object, other: object) -> object:
    """What two files say of one key when one of them says nobody knows what."""
    known = one if isinstance(one, Map) else other
    return below(opened(known.mark), known) if isinstance(known, Map) else UNKNOWN


def _in_agreement(
    first: Map,
    second: Map,
    path: tuple[str, ...],
    found: list[Diagnostic],
    contested: list[tuple[str, ...]],
) -> Map:
    result = _copy(first)
    for key, value in second.items():
        before = first.get(key)
        if key not in first:
            result.put(key, value, second.marks.get(key))
        elif before is UNKNOWN or value is UNKNOWN:
            result[key] = _united(before, value)
        elif isinstance(before, Map) and isinstance(value, Map):
            result[key] = _in_agreement(before, value, (*path, key), found, contested)
        elif before != value:
            found.append(_contradiction((*path, key), first, second))
            contested.append((*path, key))
    return result


def _unknown_at(data: Map, path: tuple[str, ...]) -> Map:
    result = _copy(data)
    below = data[path[0]]
    result[path[0]] = _unknown_at(below, path[1:]) if len(path) > 1 and isinstance(below, Map) else UNKNOWN
    return result


def _contradiction(path: tuple[str, ...], first: Map, second: Map) -> Diagnostic:
    key = path[-1]
    other = first.value_mark(key)
    hint = f"the other value is at {other}; keep one"
    message = f"'{'.'.join(path)}' has two different values"
    return Diagnostic("duplicate-name", message, second.value_mark(key), hint, (("first", other),))


def _on_top(lower: Map, upper: Map, path: tuple[str, ...], found: list[Diagnostic]) -> Map:
    """`lower` with what `upper` says; `path` is where both stand."""
    result = _copy(lower)
    if REST in upper:
        result.update(dict.fromkeys(lower, UNKNOWN))
    is_section = len(path) == 1 and path[0] in _NAMED
    are_endpoints = len(path) == 3 and path[2] == "endpoints"
    for key, value in upper.items():
        marks = upper.marks.get(key)
        before = result.get(key)
        if value is None:
            if key not in result and (is_section or are_endpoints) and REST not in lower:
                close = _nearest(key, lower) if len(found) < MAX_GUESSES else None
                found.append(_nothing_to_remove(key, close, upper, path))
                if close is not None:
                    result[close] = UNKNOWN  # perhaps this one is to go
            result.pop(key, None)
            result.marks.pop(key, None)
            continue
        if (
            isinstance(before, Map)
            or (before is UNKNOWN and isinstance(value, Map))
            or (key in result and (is_section or are_endpoints))
        ):
            marks = lower.marks.get(key, marks) if isinstance(value, Map) else marks
            result.put(key, _over(lower, upper, key, (*path, key), found), marks)
        else:
            result.put(key, _without_nulls(value), marks)
    return result


def _over(lower: Map, upper: Map, key: str, path: tuple[str, ...], found: list[Diagnostic]) -> object:
    """The value of a key that both have, in the lower one as a map or as nothing or a short form that stands for one."""
    before, value = lower[key], upper[key]
    if len(path) == 4:
        before = long_endpoint(before, lower.value_mark(key))
        value = long_endpoint(value, upper.value_mark(key))
    if path[0] == "hosts" and len(path) == 2:
        before, value = long_host(before, lower.value_mark(key)), long_host(value, upper.value_mark(key))
    if not isinstance(value, Map):
        return value
    if before is UNKNOWN:
        before = opened(lower.key_mark(key))
    return _on_top(before if isinstance(before, Map) else Map(lower.key_mark(key)), value, path, found)


def _without_nulls(value: object) -> object:
    """What an override adds where nothing was before: its nulls have nothing to take away."""
    if not isinstance(value, Map) or not any(
        item is None or isinstance(item, Map) for item in value.values()
    ):
        return value
    result = Map(value.mark)
    for key, item in value.items():
        if item is not None:
            result.put(key, _without_nulls(item), value.marks.get(key))
    return result


def _nearest(key: str, lower: Map) -> str | None:
    return next(iter(difflib.get_close_matches(key, lower, 1)), None)


def _nothing_to_remove(key: str, close: str | None, upper: Map, path: tuple[str, ...]) -> Diagnostic:
    hint = f"did you mean '{close}'?" if close else f"to add it, write '{key}: {{}}'"
    message = f"nothing to remove: '{'.'.join((*path, key))}' is not declared below this override"
    return Diagnostic("bad-value", message, upper.key_mark(key), hint)


def _copy(data: Map) -> Map:
    result = Map(data.mark)
    result.update(data)
    result.marks.update(data.marks)
    return result
