"""Plain data against `schemas/topology.schema.json`: every failure becomes words for people, with place and hint.

Pure but for reading the schema, once, from the package. JSON Schema decides what is wrong; this module decides how to
say it: one diagnostic for one mistake, at the key or value that has to change. The same schema serves editors and
`explain`, so a rule is written once. Keywords of our own (`x-not-yet`, `x-also-known-as`) are ignored by editors.

The validator is jsonschema with its descending keywords replaced: the stock ones build a new validator for each value,
which costs four times the checking itself.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

from .errors import Diagnostic, Mark, UsageError
from .source import Map, Seq

Path = tuple[str | int, ...]
_Schema = dict[str, Any]

_FILE = os.path.join(os.path.dirname(__file__), "schemas", "topology.schema.json")
_WORDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "a map",
    "array": "a list",
}
_ANNOTATIONS = frozenset(
    ("title", "description", "examples", "default", "x-also-known-as", "$schema", "$defs")
)


@dataclass(frozen=True, slots=True)
class FieldDoc:
    """What `explain` shows of one field. `children` are (name, first sentence); `allowed` lists the only valid values."""

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


@cache
def text() -> str:
    """The schema itself, as editors want it."""
    with open(_FILE, encoding="utf-8") as file:
        return file.read()


def check(data: Map, *, override: bool = False, drivers: Mapping[str, str] | None = None) -> list[Diagnostic]:
    """Every mistake in one file that the schema can know, by place.

    An override file may take keys away with null. `drivers` gives the driver of networks that the file only completes.
    """
    mistakes: dict[tuple[Path, str], ValidationError] = {}
    for path, instance, validator in _parts(data, override, drivers or {}):
        for error in validator.iter_errors(instance):
            error.path.extendleft(reversed(path))
            _keep(mistakes, error)
    found = [_diagnostic(error, data) for error in mistakes.values()]
    return sorted(found, key=Diagnostic.sort_key)


def describe(path: str) -> FieldDoc:
    """The documentation of a field such as `networks.*.subnets`; any name may stand for `*`, "" is the whole file.

    Raises UsageError with the nearest name when there is no such field.
    """
    parts = [part for part in path.replace("[]", ".*").split(".") if part]
    nodes = [_full()]
    for index, part in enumerate(parts):
        below = _step(nodes, part)
        if not below:
            raise _no_such_field(path, nodes, part, parts[:index])
        nodes = below
    return _field_doc(path, nodes)


# ---------------------------------------------------------------------------------------------- reading the schema


@cache
def _full() -> _Schema:
    """The schema with every $ref replaced by what it names; keys beside a $ref complete or replace its own."""
    schema: _Schema = json.loads(text())
    definitions = schema["$defs"]

    def inline(node: Any) -> Any:
        if isinstance(node, list):
            return [inline(item) for item in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            target = inline(definitions[node["$ref"].removeprefix("#/$defs/")])
            return {**target, **{key: inline(value) for key, value in node.items() if key != "$ref"}}
        return {key: inline(value) for key, value in node.items() if key != "$defs"}

    return dict(inline(schema))


def _lean(node: Any) -> Any:
    """A schema without what only people read, so that no validator steps over it for each value."""
    if isinstance(node, list):
        return [_lean(item) for item in node]
    if not isinstance(node, dict):
        return node
    if isinstance(node.get("properties"), dict):
        properties = {key: _lean(value) for key, value in node["properties"].items()}
        rest = {key: _lean(value) for key, value in node.items() if key != "properties"}
        return {**{k: v for k, v in rest.items() if k not in _ANNOTATIONS}, "properties": properties}
    return {key: _lean(value) for key, value in node.items() if key not in _ANNOTATIONS}


@cache
def _validators() -> tuple[Any, Any, Any]:
    """Validators of a whole file without its items, of one network, of one sandbox."""
    lean = _lean(_full())
    properties = dict(lean["properties"])
    items = []
    for section in ("networks", "sandboxes"):
        items.append(_Validator(properties[section]["additionalProperties"]))
        properties[section] = {**properties[section], "additionalProperties": {}}
    return _Validator({**lean, "properties": properties}), items[0], items[1]


def _parts(data: Map, override: bool, drivers: Mapping[str, str]) -> Iterator[tuple[Path, object, Any]]:
    """The pieces that are checked one by one: the file, each network, each sandbox."""
    whole, network, sandbox = _validators()
    plain: Mapping[str, object] = _without_nulls(data) if override else data
    yield (), plain, whole
    networks, sandboxes = plain.get("networks"), plain.get("sandboxes")
    if isinstance(networks, dict):
        for name, item in networks.items():
            if isinstance(item, dict) and "driver" not in item and drivers.get(name, "bridge") != "bridge":
                # Only its options are of interest here; that the driver is unknown or to come is said where it stands.
                item = {key: value for key, value in item.items() if key != "options"}
            yield ("networks", name), item, network
    if isinstance(sandboxes, dict):
        for name, item in sandboxes.items():
            yield ("sandboxes", name), item, sandbox


def _without_nulls(data: dict[str, object]) -> dict[str, object]:
    return {
        key: _without_nulls(value) if isinstance(value, dict) else value
        for key, value in data.items()
        if value is not None
    }


# ------------------------------------------------------------------------------------------- keywords of the schema

_below: dict[int, tuple[_Schema, Any]] = {}


def _descend(
    validator: Any, instance: object, schema: _Schema, *path: str | int
) -> Iterator[ValidationError]:
    """Errors of a part, with a validator that is built once for each place of the schema."""
    kept = _below.get(id(schema))
    if kept is None or kept[0] is not schema:
        kept = _below[id(schema)] = (schema, validator.evolve(schema=schema))
    for error in kept[1].iter_errors(instance):
        error.path.extendleft(path)
        yield error


def _properties(
    validator: Any, properties: _Schema, instance: object, _: _Schema
) -> Iterator[ValidationError]:
    if isinstance(instance, dict):
        for key, value in instance.items():
            if key in properties:
                yield from _descend(validator, value, properties[key], key)


def _additional(
    validator: Any, extra: object, instance: object, schema: _Schema
) -> Iterator[ValidationError]:
    """One error for each unknown key, where the stock keyword gives one for all."""
    if not isinstance(instance, dict):
        return
    known = schema.get("properties", {})
    patterns = schema.get("patternProperties", {})
    for key, value in instance.items():
        if key in known or any(re.search(pattern, key) for pattern in patterns):
            continue
        if isinstance(extra, dict):
            yield from _descend(validator, value, extra, key)
        elif extra is False:
            yield ValidationError(f"unknown key {key}", path=[key])


def _names(validator: Any, names: _Schema, instance: object, _: _Schema) -> Iterator[ValidationError]:
    if isinstance(instance, dict):
        for key in instance:
            if next(_descend(validator, key, names), None) is not None:
                yield ValidationError(f"bad name {key}", path=[key])


def _items(validator: Any, items: _Schema, instance: object, _: _Schema) -> Iterator[ValidationError]:
    if isinstance(instance, list):
        for index, item in enumerate(instance):
            yield from _descend(validator, item, items, index)


def _all_of(
    validator: Any, schemas: list[_Schema], instance: object, _: _Schema
) -> Iterator[ValidationError]:
    for schema in schemas:
        yield from _descend(validator, instance, schema)


def _if(validator: Any, condition: _Schema, instance: object, schema: _Schema) -> Iterator[ValidationError]:
    if next(_descend(validator, instance, condition), None) is None:
        yield from _descend(validator, instance, schema.get("then", {}))


def _pattern(_: Any, pattern: str, instance: object, schema: _Schema) -> Iterator[ValidationError]:
    """Whole-text matching: Python's `$` would let a trailing newline through, other dialects would not."""
    if isinstance(instance, str) and not re.fullmatch(pattern, instance):
        yield ValidationError("no match")


def _not_yet(_: Any, hint: str, instance: object, schema: _Schema) -> Iterator[ValidationError]:
    yield ValidationError("not yet")


def _not_yet_values(
    _: Any, values: list[str], instance: object, schema: _Schema
) -> Iterator[ValidationError]:
    if instance in values:
        yield ValidationError("not yet")


_KEYWORDS: dict[str, Callable[[Any, Any, Any, Any], Iterator[ValidationError]]] = {
    "properties": _properties,
    "additionalProperties": _additional,
    "propertyNames": _names,
    "items": _items,
    "allOf": _all_of,
    "if": _if,
    "pattern": _pattern,
    "x-not-yet": _not_yet,
    "x-not-yet-values": _not_yet_values,
}
# 1.0 is a whole number to JSON Schema, but nobody who counts networks writes it.
_Validator: Any = extend(
    Draft202012Validator,
    _KEYWORDS,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    ),
)


# ----------------------------------------------------------------------------------------------- errors into words


def _keep(mistakes: dict[tuple[Path, str], ValidationError], error: ValidationError) -> None:
    """One mistake for one place: a wrong type hides what else is wrong with the value, 'not yet' hides everything."""
    path = tuple(error.absolute_path)
    missing = ""
    if error.validator == "required":
        instance = error.instance
        missing = next(
            key for key in error.validator_value if key not in instance and f"'{key}'" in error.message
        )
    before = mistakes.get((path, missing))
    if before is None or error.validator in ("type", "x-not-yet"):
        mistakes[path, missing] = error


def _diagnostic(error: ValidationError, data: Map) -> Diagnostic:
    path: Path = tuple(error.absolute_path)
    key_mark, mark = _marks(data, path)
    value = error.instance
    what = _called(path)
    schema: Any = error.schema
    match error.validator:
        case "additionalProperties":
            return Diagnostic(
                "unknown-key",
                f"'{path[-1]}' is not a known key{_inside(path)}",
                key_mark,
                _key_hint(path, data),
            )
        case "propertyNames":
            words = schema["propertyNames"]["patternErrorMessage"]
            return Diagnostic("bad-name", f"the name {_shown(path[-1])} {words}", key_mark)
        case "x-not-yet":
            return Diagnostic(
                "not-yet", f"{what} is not realised by this version", key_mark, str(error.validator_value)
            )
        case "x-not-yet-values":
            hint = "'bridge' is the one that is"
            return Diagnostic(
                "not-yet", f"the {path[-1]} {_shown(value)} is not realised by this version", mark, hint
            )
        case "type":
            return _bad_type(what, value, error.validator_value, mark)
        case "enum":
            hint = _one_of(str(value), [str(word) for word in schema["enum"]])
            return Diagnostic("bad-value", f"{_shown(value)} is not a known {path[-1]}", mark, hint)
        case "required":
            missing = next(
                k for k in error.validator_value if k not in error.instance and f"'{k}'" in error.message
            )
            return Diagnostic("missing-key", f"'{missing}' is missing{_inside((*path, missing))}", mark)
        case "minimum" | "maximum":
            limits = _limits(schema)
            return Diagnostic("bad-value", f"{what} must be {limits}, not {_shown(value)}", mark)
        case "maxItems":
            return Diagnostic("too-large", f"{what} has more than {error.validator_value} items", mark)
        case "maxLength":
            return Diagnostic("too-large", f"{what} has more than {error.validator_value} characters", mark)
        case "minLength":
            return Diagnostic("bad-value", f"{what} must not be empty", mark)
    code = "bad-name" if path and path[-1] in ("name", "network") and len(path) in (1, 5) else "bad-value"
    return Diagnostic(code, f"{what} {schema['patternErrorMessage']}, not {_shown(value)}", mark)


def _bad_type(what: str, value: object, wanted: str | list[str], mark: Mark) -> Diagnostic:
    types = [kind for kind in ([wanted] if isinstance(wanted, str) else wanted) if kind != "null"]
    expected = " or ".join(_WORDS[kind] for kind in types)
    if value is None:
        hint = (
            'write "null" in quotes if that word is meant'
            if what == "'driver'"
            else "write one or remove the line"
        )
        return Diagnostic("bad-type", f"{what} has no value; it must be {expected}", mark, hint)
    got, hint = f"the text {_shown(value)}", None
    match value:
        case bool():
            got = "true" if value else "false"
            hint = f'write it in quotes: "{got}"' if "string" in types else None
        case int() | float():
            got = f"the number {value}"
            hint = f'write it in quotes: "{value}"' if "string" in types else None
        case dict():
            got = "a map"
        case list():
            got = "a list"
        case str() if "integer" in types and re.fullmatch("-?[0-9]{1,9}", value):
            hint = f"remove the quotes: {value}"
        case str() if "boolean" in types and value.lower() in ("yes", "no", "on", "off", "true", "false"):
            hint = f"write {'true' if value.lower() in ('yes', 'on', 'true') else 'false'}"
    if hint is None and types[0] == "array" and isinstance(value, str | int):
        hint = f"write [{value}]"
    return Diagnostic("bad-type", f"{what} must be {expected}, not {got}", mark, hint)


def _marks(data: Map, path: Path) -> tuple[Mark, Mark]:
    """The places of the key and of the value that a path leads to."""
    node: object = data
    marks = (data.mark, data.mark)
    for part in path:
        if isinstance(node, Map) and isinstance(part, str) and part in node:
            marks = node.marks.get(part, marks)
            node = node[part]
        elif isinstance(node, Seq) and isinstance(part, int):
            marks = (node.marks[part], node.marks[part])
            node = node[part]
    return marks


def _called(path: Path) -> str:
    match path:
        case ():
            return "the file"
        case (*_, str(key), int(index)):
            return f"item {index + 1} of '{key}'"
    return f"'{path[-1]}'"


def _inside(path: Path) -> str:
    """' in sandboxes.web', for the key that a path ends with."""
    return f" in {_dotted(path[:-1])}" if len(path) > 1 else ""


def _dotted(path: Path) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def _shown(value: object) -> str:
    shown = str(value).encode("unicode_escape").decode() if not str(value).isprintable() else str(value)
    shown = shown if len(shown) <= 60 else shown[:57] + "…"
    return f"'{shown}'" if isinstance(value, str) else shown


def _one_of(word: str, allowed: Sequence[str]) -> str:
    close = difflib.get_close_matches(word.lower(), allowed, 1)
    return (f"did you mean '{close[0]}'? " if close else "") + "one of: " + ", ".join(allowed)


def _limits(schema: _Schema) -> str | None:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is None and high is None:
        return None
    return f"between {low} and {high}" if high is not None else f"{low} or more"


# ------------------------------------------------------------------------------------------ what a wrong key meant


def _key_hint(path: Path, data: Map) -> str:
    """What to do about an unknown key: its usual name here, a typing mistake, or the level where it belongs."""
    key = str(path[-1])
    level = _level(path[:-1])
    here = _keys(_nodes(level))
    for name, node in here.items():
        if key in node.get("x-also-known-as", ()):
            return f"did you mean '{name}'?"
    if close := difflib.get_close_matches(key, here, 1, 0.8):
        return f"did you mean '{close[0]}'?"
    if place := _belongs(key, path[:-1], level, data):
        return f"'{key}' belongs {place}"
    if close := difflib.get_close_matches(key, here, 1, 0.6):
        return f"did you mean '{close[0]}'?"
    return "known here: " + ", ".join(here)


def _level(path: Path) -> tuple[str, ...]:
    """A path with names and positions replaced by '*'."""
    parts: list[str] = []
    for part in path:
        free = isinstance(part, int) or part not in _keys(_nodes(tuple(parts)))
        parts.append("*" if free else str(part))
    return tuple(parts)


def _belongs(key: str, path: Path, level: tuple[str, ...], data: Map) -> str | None:
    """'under endpoints.eth0', the nearest level that knows the key; levels below come first, then related ones."""
    levels = [known for known in _levels() if key in _keys(_nodes(known)) and known != level]
    levels = [known for known in levels if (known[:1] == ("defaults",)) == (level[:1] == ("defaults",))]
    if not levels:
        return None

    def shared(known: tuple[str, ...]) -> int:
        return next(
            (i for i, (a, b) in enumerate(zip(known, level, strict=False)) if a != b),
            min(len(known), len(level)),
        )

    best = max(levels, key=lambda known: (shared(known) == len(level), shared(known), -len(known)))
    if not best:
        return "at the top level"
    common = shared(best)
    names = [*path[:common], *best[common:]]
    for index in range(common, len(names)):
        if names[index] == "*":
            names[index] = _only_name(data, tuple(names[:index])) or "NAME"
    return "under " + _dotted(tuple(names[common:] if common == len(level) else names))


def _only_name(data: Map, path: Path) -> str | None:
    """The first name that a map of the file holds, to make a hint concrete."""
    node: object = data
    for part in path:
        node = node.get(str(part)) if isinstance(node, Map) else None
    return next(iter(node), None) if isinstance(node, Map) else None


@cache
def _levels() -> tuple[tuple[str, ...], ...]:
    """Every level of the file that has keys of its own, outermost first."""
    found: list[tuple[str, ...]] = []
    queue: list[tuple[str, ...]] = [()]
    while queue:
        level = queue.pop(0)
        nodes = _nodes(level)
        if keys := _keys(nodes):
            found.append(level)
            queue.extend((*level, key) for key in keys)
        if any(_any(node) is not None for node in nodes):
            queue.append((*level, "*"))
    return tuple(found)


# -------------------------------------------------------------------------------------------- walking, for explain


@cache
def _nodes(level: tuple[str, ...]) -> list[_Schema]:
    nodes = [_full()]
    for part in level:
        nodes = _step(nodes, part)
    return nodes


def _variants(node: _Schema) -> list[_Schema]:
    """A schema and what its if/then branches add."""
    return [node, *(branch["then"] for branch in node.get("allOf", ()) if "then" in branch)]


def _keys(nodes: list[_Schema]) -> dict[str, _Schema]:
    keys: dict[str, _Schema] = {}
    for node in nodes:
        for variant in _variants(node):
            for key, value in variant.get("properties", {}).items():
                keys.setdefault(key, value)
    return keys


def _any(node: _Schema) -> _Schema | None:
    """The schema of every value of a map with free names, or of every item of a list."""
    free = node.get("items", node.get("additionalProperties"))
    return free if isinstance(free, dict) else None


def _step(nodes: list[_Schema], part: str) -> list[_Schema]:
    below: list[_Schema] = []
    for node in nodes:
        for variant in _variants(node):
            free = _any(variant)
            if part in variant.get("properties", {}):
                below.append(variant["properties"][part])
            elif free is not None and "items" in variant and not (part == "*" or part.isdigit()):
                below.extend(_step([free], part))
            elif free is not None:
                below.append(free)
    return below


def _no_such_field(path: str, nodes: list[_Schema], part: str, before: list[str]) -> UsageError:
    known = list(_keys(nodes))
    above = ".".join(before)
    close = difflib.get_close_matches(part, known, 1)
    if close:
        hint = f"did you mean '{'.'.join([*before, close[0]])}'?"
    else:
        hint = f"{above or 'the file'} knows: {', '.join(known)}" if known else f"'{above}' has no fields"
    return UsageError(f"there is no field '{path}'", hint=hint)


def _field_doc(path: str, nodes: list[_Schema]) -> FieldDoc:
    node = nodes[0]
    types = node.get("type", "object" if "properties" in node else ())
    kinds = [kind for kind in ([types] if isinstance(types, str) else types) if kind != "null"]
    children = [(key, _first_sentence(child)) for key, child in _keys(nodes).items()]
    items = _any(node)
    if items is not None:
        children += [(key, _first_sentence(child)) for key, child in _keys([items]).items()]
        if not children:
            children = [("*", _first_sentence(items))]
    of = f" of {_kinds(items)}" if items is not None and "array" in kinds and "type" in items else ""
    return FieldDoc(
        path=path,
        type=" or ".join(_WORDS[kind] for kind in kinds) + of or "anything",
        description=node.get("description", ""),
        default=_plain(node["default"]) if "default" in node else None,
        allowed=tuple(str(value) for value in node.get("enum", ())),
        limits=_limits(node) or node.get("patternErrorMessage"),
        examples=tuple(_plain(example) for example in node.get("examples", ())),
        children=tuple(children),
        required=tuple(node.get("required", ())),
        not_yet="x-not-yet" in node,
    )


def _kinds(node: _Schema) -> str:
    types = node["type"]
    return " or ".join(
        _WORDS[kind] for kind in ([types] if isinstance(types, str) else types) if kind != "null"
    )


def _first_sentence(node: _Schema) -> str:
    return str(node.get("description", "")).split(". ")[0].rstrip(".")


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
