"""The fields of a topology file, as `schemas/topology.schema.json` describes them: for `explain`, and for hints.

Pure but for reading the schema, once, from the package, and what plug-ins add to it. The schema is the only description of the format: what a field
means, what it defaults to and by which names other tools know it (`x-also-known-as`) is written there and nowhere else.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from .. import plugins
from ..errors import UsageError
from .tree import Map

Place = tuple[str | int, ...]
Schema = dict[str, Any]

_FILE = Path(__file__).parents[1] / "schemas" / "topology.schema.json"
_WORDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "a map",
    "array": "a list",
}
_DEFAULT_DRIVER = "bridge"
_NETWORK = ("networks", "*")
_OPTIONS = ((*_NETWORK, "options"), ("defaults", "network", "options"))
_OF_NETWORKS = (_NETWORK, ("defaults", "network"), *_OPTIONS)
_MANY = {"a map": "maps", "a list": "lists", "a whole number": "whole numbers", "a number": "numbers"}


@dataclass(frozen=True, slots=True)
class FieldDoc:
    """What `explain` shows of one field. `children` are (name, first sentence); `allowed` lists the only valid values.

    Of an option, `drivers` are those that have it; `others` is what the field is for other drivers.
    """

    path: str
    type: str
    description: str
    default: str | None = None
    allowed: tuple[str, ...] = ()
    limits: str | None = None
    examples: tuple[str, ...] = ()
    children: tuple[tuple[str, str], ...] = ()
    required: tuple[str, ...] = ()
    not_yet: bool = False
    drivers: tuple[str, ...] = ()
    others: tuple[FieldDoc, ...] = ()


@cache
def text() -> str:
    """The schema itself, as editors want it; with what plug-ins add, if this machine allows any."""
    if not plugins.installed():
        return _FILE.read_text(encoding="utf-8")
    return json.dumps(_with_plugins(json.loads(_FILE.read_text(encoding="utf-8"))), indent=2) + "\n"


def _with_plugins(schema: Schema) -> Schema:
    """Each plug-in's name among the drivers, and its options for networks that choose it."""
    network = schema["$defs"]["network"]
    for name, plugin in plugins.installed().items():
        network["properties"]["driver"]["enum"].append(name)
        chosen = {"required": ["driver"], "properties": {"driver": {"const": name}}}
        network["allOf"].append({"if": chosen, "then": {"properties": {"options": dict(plugin.schema)}}})
    return schema


@cache
def whole() -> Schema:
    """The schema with every $ref replaced by what it names; keys beside a $ref complete or replace its own."""
    schema: Schema = json.loads(text())
    definitions = schema["$defs"]

    def inline(node: Any) -> Any:
        if isinstance(node, list):
            return [inline(item) for item in node]
        if not isinstance(node, dict):
            return node
        own = {key: inline(value) for key, value in node.items() if key not in ("$ref", "$defs")}
        if "$ref" not in node:
            return own
        return {**inline(definitions[node["$ref"].removeprefix("#/$defs/")]), **own}

    return dict(inline(schema))


def describe(path: str, driver: str | None = None) -> FieldDoc:
    """The documentation of a field such as `networks.*.subnets`; any name may stand for `*`, "" is the whole file.

    Of `options` it tells what each driver has, or only `driver`; with "" what all have in common. Raises UsageError with the nearest name when there is
    no such field.
    """
    parts = [part for part in path.replace("[]", ".*").split(".") if part]
    if driver is not None or not _is_of_options(parts):
        return _described(path, parts, _DEFAULT_DRIVER if driver is None else driver)
    of_all = option_schemas()
    having = [name for name, options in of_all.items() if parts[3:4] == [] or parts[3] in _keys([options])]
    if not having:
        raise _no_such_field(path, list(of_all.values()), parts[3], parts[:3])
    return _of_drivers({name: _described(path, parts, name) for name in having})


def _is_of_options(parts: Sequence[str]) -> bool:
    return parts[2:3] == ["options"] and (parts[0] == "networks" or parts[:2] == ["defaults", "network"])


def _described(path: str, parts: list[str], driver: str) -> FieldDoc:
    nodes = [whole()]
    for index, part in enumerate(parts):
        below = _step(nodes, part, driver)
        if not below:
            raise _no_such_field(path, nodes, part, parts[:index])
        nodes = below
    if len(parts) == 3 and _is_of_options(parts):
        nodes = nodes[1:] or nodes  # what the driver says of its options, not what is said of all
    return _field_doc(path, nodes)


def _of_drivers(docs: Mapping[str, FieldDoc]) -> FieldDoc:
    """One document of what several drivers have, what they have alike said once."""
    alike: dict[FieldDoc, list[str]] = {}
    for name, doc in docs.items():
        alike.setdefault(doc, []).append(name)
    (first, names), *rest = alike.items()
    others = tuple(replace(doc, drivers=tuple(names)) for doc, names in rest)
    return replace(first, drivers=tuple(names), others=others)


def type_words(types: str | Sequence[str]) -> str:
    """The types of a field in words, null left out: it only says that a value may be missing."""
    kinds = [types] if isinstance(types, str) else types
    return " or ".join(_WORDS[kind] for kind in kinds if kind != "null")


def limits(schema: Schema) -> str | None:
    """The numbers that a field takes, in words."""
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is None and high is None:
        return None
    return f"{low} or more" if high is None else f"between {low} and {high}"


def shown(value: object) -> str:
    """A value in a message: text in quotes, on one line and not too long."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return str(value)
    line = value if value.isprintable() else value.encode("unicode_escape").decode()
    return f"'{line[:57]}…'" if len(line) > 60 else f"'{line}'"


def dotted(place: Place) -> str:
    """A place in the file, as people write it: networks.front.subnets[0]."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{shown(part)[1:-1]}" for part in place)
    return "".join(parts).removeprefix(".")


@cache
def option_schemas() -> dict[str, Schema]:
    """The schema of `options` for each driver, in the order of the file's description."""
    return {name: then["properties"]["options"] for name, then in _branches(_nodes(_NETWORK)[0])}


def _owners(key: str) -> list[str]:
    """The drivers that have an option of that name."""
    return [name for name, options in option_schemas().items() if key in options.get("properties", {})]


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]


class KeyGuess(NamedTuple):
    """What an unknown key is about: `meant` is its right name on this level, `elsewhere` that another level knows it."""

    hint: str
    meant: str | None = None
    elsewhere: bool = False


def guess_key(place: Place, data: Map, driver: str = _DEFAULT_DRIVER) -> KeyGuess:
    """What to do about an unknown key: its name here, a typing mistake, or the level or driver where it belongs.

    `driver` is that of the network, where the place is in one.
    """
    key = str(place[-1])
    level = _level(place[:-1], driver)
    here = _keys(_nodes(level, driver))
    close = [name for name, node in here.items() if key in node.get("x-also-known-as", ())]
    close = close or difflib.get_close_matches(key, here, 1, 0.8)
    if not close and level in _OF_NETWORKS and (owners := _owners(key)) and driver not in owners:
        hint = f"'{key}' is an option of the {_listed(owners)} driver{'s' if len(owners) > 1 else ''}"
        return KeyGuess(f"{hint}, and '{place[1]}' has driver {driver}" if level[0] == "networks" else hint)
    if not close and (where := _belongs(key, place[:-1], level, data, driver)):
        return KeyGuess(f"'{key}' belongs {where}", elsewhere=True)
    if close := close or difflib.get_close_matches(key, here, 1, 0.6):
        return KeyGuess(f"did you mean '{close[0]}'?", meant=close[0])
    if not here:
        return KeyGuess(f"driver {driver} has no options")
    return KeyGuess("known here: " + ", ".join(here))


@cache
def known_keys(*level: str) -> frozenset[str]:
    """The keys of a level of the file, '*' for names and positions: `known_keys("networks", "*")`."""
    return frozenset(_keys(_nodes(level)))


def _level(place: Place, driver: str) -> tuple[str, ...]:
    """A place with names and positions replaced by '*'."""
    parts: list[str] = []
    for part in place:
        is_key = isinstance(part, str) and part in _keys(_nodes(tuple(parts), driver))
        parts.append(str(part) if is_key else "*")
    return tuple(parts)


def _belongs(key: str, place: Place, level: tuple[str, ...], data: Map, driver: str) -> str | None:
    """'under endpoints.eth0': the level that knows the key, one below before related ones before others."""
    in_defaults = level[:1] == ("defaults",)
    levels = [
        known
        for known in _levels(driver)
        if known != level
        and key in _keys(_nodes(known, driver))
        and (known[:1] == ("defaults",)) == in_defaults
    ]
    if not levels:
        return None
    best = max(
        levels, key=lambda known: (_shared(known, level) == len(level), _shared(known, level), -len(known))
    )
    if not best:
        return "at the top level"
    common = _shared(best, level)
    names: list[str | int] = [*place[:common]]
    for index in range(common, len(best)):
        if best[index] != "*":
            names.append(best[index])
        elif not any("items" in node for node in _nodes(best[:index], driver)):
            names.append(_first_name(data, tuple(names)) or "NAME")
    return "under " + dotted(tuple(names[common:] if common == len(level) else names))


def _shared(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    """How many parts two levels have in common, from the top."""
    return next(
        (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )


def _first_name(data: Map, place: Place) -> str | None:
    """The first name that a map of the file holds, to make a hint concrete."""
    node: object = data
    for part in place:
        node = node.get(str(part)) if isinstance(node, Map) else None
    return next(iter(node), None) if isinstance(node, Map) else None


@cache
def _levels(driver: str) -> tuple[tuple[str, ...], ...]:
    """Every level of the file that has keys of its own, outermost first; of options only those of one driver."""
    found: list[tuple[str, ...]] = []
    queue: list[tuple[str, ...]] = [()]
    for level in queue:
        nodes = _nodes(level, driver)
        if keys := _keys(nodes):
            found.append(level)
            queue.extend((*level, key) for key in keys)
        if any(_free(node) is not None for node in nodes):
            queue.append((*level, "*"))
    return tuple(found)


@cache
def _nodes(level: tuple[str, ...], driver: str = _DEFAULT_DRIVER) -> tuple[Schema, ...]:
    nodes: Sequence[Schema] = (whole(),)
    for part in level:
        nodes = _step(nodes, part, driver)
    return tuple(nodes)


def _branches(node: Schema) -> list[tuple[str, Schema]]:
    """The driver and the addition of each if/then of a network."""
    return [(part["if"]["properties"]["driver"]["const"], part["then"]) for part in node.get("allOf", ())]


def _keys(nodes: Sequence[Schema]) -> Schema:
    """The keys of a level with their schemas."""
    keys: Schema = {}
    for node in nodes:
        for key, value in node.get("properties", {}).items():
            keys.setdefault(key, value)
    return keys


def _free(node: Schema) -> Schema | None:
    """The schema of every value of a map with free names, or of every item of a list."""
    free = node.get("items", node.get("additionalProperties"))
    return free if isinstance(free, dict) else None


def _step(nodes: Sequence[Schema], part: str, driver: str) -> list[Schema]:
    """The schemas one level below; what the driver adds comes right after the general one."""
    below: list[Schema] = []
    for node in nodes:
        free = _free(node)
        if part in node.get("properties", {}):
            below.append(node["properties"][part])
            below += [
                then["properties"][part]
                for name, then in _branches(node)
                if name == driver and part in then["properties"]
            ]
        elif "items" in node and free is not None and not (part == "*" or part.isdigit()):
            below.extend(_step([free], part, driver))
        elif free is not None:
            below.append(free)
    return below


def _no_such_field(path: str, nodes: Sequence[Schema], part: str, before: list[str]) -> UsageError:
    known = list(_keys(nodes))
    above = ".".join(before)
    if close := difflib.get_close_matches(part, known, 1):
        hint = f"did you mean '{'.'.join([*before, close[0]])}'?"
    else:
        hint = f"{above or 'the file'} knows: {', '.join(known)}" if known else f"'{above}' has no fields"
    return UsageError(f"there is no field '{path}'", hint=hint)


def _field_doc(path: str, nodes: Sequence[Schema]) -> FieldDoc:
    node = nodes[0]
    items = _free(node)
    children = list(_keys([*nodes, items] if items is not None else nodes).items())
    if items is not None and not children:
        children = [("*", items)]
    types = type_words(node.get("type", ["object"] if "properties" in node else []))
    if "items" in node and items is not None and "type" in items:
        of_what = items.get("x-expected") or type_words(items["type"])
        types += f" of {_MANY.get(of_what, of_what)}"
    return FieldDoc(
        path=path,
        type=node.get("x-expected") or types or "anything",
        description=node.get("description", ""),
        default=_plain(node["default"]) if "default" in node else None,
        allowed=tuple(str(value) for value in node.get("enum", ())),
        limits=limits(node) or node.get("patternErrorMessage"),
        examples=tuple(_plain(example) for example in node.get("examples", ())),
        children=tuple((key, _first_sentence(child)) for key, child in children),
        required=tuple(node.get("required", ())),
        not_yet="x-not-yet" in node,
    )


def _first_sentence(node: Schema) -> str:
    return str(node.get("description", "")).split(". ")[0].rstrip(".")


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
