"""The checks of a topology in their long form: short texts as maps, templates as their replicas, * as everybody. Pure.

What a mistake hides stays hidden: a list with a gap may mean anything, and whoever reads it concludes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..errors import Mark
from .tree import REST, UNKNOWN, Map, Seq, gapped

_KEYS = ("from", "to", "ping", "tcp", "udp", "http", "size", "expect")
_LISTS = ("from", "to")
EVERYBODY = "*"


def long(declared: object, mark: Mark, sandboxes: Map, replicas: Mapping[str, tuple[str, int]]) -> Seq:
    """The list of checks; `replicas` gives the template of each sandbox that is one."""
    if not isinstance(declared, Seq):
        return gapped(mark)
    members = _members(sandboxes, replicas)
    result = Seq(declared.mark)
    for item, place in zip(declared, declared.marks, strict=True):
        known = _from_text(item, place) if isinstance(item, str) else item
        result.put(_long(known, place, members) if isinstance(known, Map) else UNKNOWN, place)
    return result


def _members(sandboxes: Map, replicas: Mapping[str, tuple[str, int]]) -> dict[str, list[str]]:
    """What stands for several sandboxes, and for which."""
    names = [name for name in sandboxes if name != REST]
    members: dict[str, list[str]] = {EVERYBODY: names}
    for name in names:
        if name in replicas:
            members.setdefault(replicas[name][0], []).append(name)
    return members


def _from_text(text: str, mark: Mark) -> Map:
    """`FROM -> TO [KIND[/PORT]]`; the schema has seen to the form."""
    source, arrow, target, *kind = text.split(" ")
    said: dict[str, object] = {"from": source, "http" if target.startswith("http:") else "to": target}
    name, _, port = kind[0].partition("/") if kind else ("", "", "")
    if port:
        said[name] = int(port)
    if arrow == "-/>":
        said["expect"] = "closed"
    result = Map(mark)
    for key, value in said.items():
        result.put(key, value, (mark, mark))
    return result


def _long(check: Map, mark: Mark, members: Mapping[str, list[str]]) -> Map:
    result = Map(mark)
    for key in _KEYS:
        if key in check:
            value = check[key]
            value = _named(value, check.value_mark(key), members) if key in _LISTS else value
            result.put(key, value, check.marks.get(key))
        elif key == "expect":
            result[key] = "open"
    if REST in check:
        result[REST] = UNKNOWN
    return result


def _named(value: object, mark: Mark, members: Mapping[str, list[str]]) -> object:
    """A list of names, each of which stands for one."""
    if value is UNKNOWN:
        return gapped(mark)
    result = Seq(mark)
    items: Iterable[tuple[object, Mark]] = (
        zip(value, value.marks, strict=True) if isinstance(value, Seq) else [(value, mark)]
    )
    for item, place in items:
        for name in _expanded(item, members):
            result.put(name, place)
    return result


def _expanded(item: object, members: Mapping[str, list[str]]) -> Iterable[object]:
    """The sandboxes behind a template or *, with the interface that is named; anything else stands for itself."""
    if not isinstance(item, str):
        return [item]
    name, slash, interface = item.partition("/")
    if name not in members:
        return [item]
    return [f"{member}{slash}{interface}" for member in members[name]]
