"""What is wrong with data that the schema does not accept: every failure in words for people, with place and hint.

Pure. JSON Schema decides what is wrong; this module decides how to say it: one diagnostic for one mistake, at the key
or value that has to change. The same schema serves editors, so a rule is written once. Keywords of our own
(`x-not-yet`, `x-expected`) are ignored by editors.

The validator is jsonschema with its descending keywords replaced: the stock ones build a new validator for each value,
which costs more than the checking itself.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

from .. import plugins
from ..errors import Diagnostic, Mark
from .accept import for_driver, items_of, parts
from .fields import KeyGuess, Place, Schema, dotted, guess_key, limits, shown, type_words
from .tree import Map, Seq

# More than anybody reads; looking for what each of a million unknown keys may mean would take hours.
MAX_MISTAKES = 1_000


@dataclass(frozen=True, slots=True)
class Violation:
    """One mistake, for people and for whoever takes the part out. `keyword` is the rule that was broken."""

    place: Place
    keyword: str
    diagnostic: Diagnostic
    guess: KeyGuess | None = None
    missing: str | None = None


def check(data: Map, *, override: bool = False, drivers: Mapping[str, str] | None = None) -> list[Violation]:
    """Every mistake in one file that the schema can know, by place; MAX_MISTAKES of them when there are more.

    An override file may take keys away with null. `drivers` gives the driver of networks that the file only completes.
    """
    whole_file, network, sandbox = _validators()
    plain: Mapping[str, object] = _without_nulls(data) if override else data
    mistakes: dict[tuple[Place, str], ValidationError] = {}
    _collect(mistakes, whole_file, plain)
    for name, item in items_of(plain, "networks"):
        _collect(mistakes, network, for_driver(item, _driver(drivers, name)), "networks", name)
        if isinstance(item, dict) and "driver" not in item:  # what is missing here, another file may have
            mistakes = {
                key: error
                for key, error in mistakes.items()
                if key[0] != ("networks", name, "options") or error.validator != "required"
            }
    for name, item in items_of(plain, "sandboxes"):
        _collect(mistakes, sandbox, item, "sandboxes", name)
    found = [_violation(error, data, drivers) for error in mistakes.values()]
    return sorted(found, key=lambda each: each.diagnostic.sort_key())


def _driver(drivers: Mapping[str, str] | None, network: str) -> str:
    return (drivers or {}).get(network, "bridge")


def _driver_at(place: Place, data: Map, drivers: Mapping[str, str] | None) -> str:
    """The driver of the network that a place is in; that of the defaults for theirs."""
    match place:
        case ("networks", str(name), *_):
            own = _at(data, place[:2])
            named = own.get("driver") if isinstance(own, Map) else None
            return named if isinstance(named, str) else _driver(drivers, name)
        case ("defaults", "network", *_):
            general = _at(data, place[:2])
            named = general.get("driver") if isinstance(general, Map) else None
            return named if isinstance(named, str) else "bridge"
        case _:
            return "bridge"


def _at(data: Map, place: Place) -> object:
    node: object = data
    for part in place:
        node = node.get(str(part)) if isinstance(node, Map) else None
    return node


def of(data: Map, schema: Schema) -> list[Diagnostic]:
    """Every mistake in a file that has a closed schema of one level, without references."""
    mistakes: dict[tuple[Place, str], ValidationError] = {}
    _collect(mistakes, _Validator(schema), data)
    found = []
    for error in mistakes.values():
        if error.validator == "additionalProperties":
            key = str(error.absolute_path[-1])
            close = difflib.get_close_matches(key, schema["properties"], 1)
            hint = f"did you mean '{close[0]}'?" if close else f"one of: {', '.join(schema['properties'])}"
            found.append(
                Diagnostic("unknown-key", f"{shown(key)} is not a known key", data.key_mark(key), hint)
            )
        else:
            found.append(_diagnostic(error, data))
    return sorted(found, key=Diagnostic.sort_key)


def _without_nulls(data: Mapping[str, object]) -> dict[str, object]:
    return {
        key: _without_nulls(value) if isinstance(value, dict) else value
        for key, value in data.items()
        if value is not None
    }


@cache
def _validators() -> tuple[Any, Any, Any]:
    """Validators of a whole file without its items, of one network, of one sandbox."""
    file, network, sandbox = parts()
    return _Validator(file), _Validator(network), _Validator(sandbox)


# ------------------------------------------------------------------------------------------- keywords of the schema

_below: dict[int, tuple[Schema, Any]] = {}


def _descend(
    validator: Any, instance: object, schema: Schema, *place: str | int
) -> Iterator[ValidationError]:
    """Errors of a part, with a validator that is built once for each place of the schema."""
    kept = _below.get(id(schema))
    if kept is None or kept[0] is not schema:
        kept = _below[id(schema)] = (schema, validator.evolve(schema=schema))
    for error in kept[1].iter_errors(instance):
        error.path.extendleft(place)
        yield error


def _properties(validator: Any, properties: Schema, instance: object, _: Schema) -> Iterator[ValidationError]:
    if isinstance(instance, dict):
        for key, value in instance.items():
            if key in properties:
                yield from _descend(validator, value, properties[key], key)


def _additional(validator: Any, extra: object, instance: object, schema: Schema) -> Iterator[ValidationError]:
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


def _names(validator: Any, names: Schema, instance: object, _: Schema) -> Iterator[ValidationError]:
    if isinstance(instance, dict):
        for key in instance:
            if next(_descend(validator, key, names), None) is not None:
                yield ValidationError(f"bad name {key}", path=[key])


def _items(validator: Any, items: Schema, instance: object, _: Schema) -> Iterator[ValidationError]:
    if isinstance(instance, list):
        for index, item in enumerate(instance):
            yield from _descend(validator, item, items, index)


def _all_of(
    validator: Any, schemas: Sequence[Schema], instance: object, _: Schema
) -> Iterator[ValidationError]:
    for schema in schemas:
        yield from _descend(validator, instance, schema)


def _if(validator: Any, condition: Schema, instance: object, schema: Schema) -> Iterator[ValidationError]:
    if next(_descend(validator, instance, condition), None) is None:
        yield from _descend(validator, instance, schema.get("then", {}))


def _required(_: Any, keys: Sequence[str], instance: object, __: Schema) -> Iterator[ValidationError]:
    if isinstance(instance, dict):
        for key in keys:
            if key not in instance:
                yield ValidationError(key)


def _pattern(_: Any, pattern: str, instance: object, __: Schema) -> Iterator[ValidationError]:
    """Whole-text matching: Python's `$` would let a trailing newline through, other dialects would not."""
    if isinstance(instance, str) and not re.fullmatch(pattern, instance):
        yield ValidationError("no match")


def _not_yet(_: Any, __: str, ___: object, ____: Schema) -> Iterator[ValidationError]:
    yield ValidationError("not yet")


_KEYWORDS: dict[str, Callable[[Any, Any, Any, Any], Iterator[ValidationError]]] = {
    "properties": _properties,
    "additionalProperties": _additional,
    "propertyNames": _names,
    "items": _items,
    "allOf": _all_of,
    "if": _if,
    "required": _required,
    "pattern": _pattern,
    "x-not-yet": _not_yet,
}


def _is_integer(_: Any, value: object) -> bool:
    """Whole numbers as people write them: 1.0 is one to JSON Schema, but nobody who counts networks writes it."""
    return isinstance(value, int) and not isinstance(value, bool)


_Validator: Any = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    _KEYWORDS,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer),
)


# ----------------------------------------------------------------------------------------------- errors into words


def _collect(
    mistakes: dict[tuple[Place, str], ValidationError], validator: Any, data: object, *below: str
) -> None:
    """One mistake for one place: a wrong type hides what else is wrong with a value, 'not yet' hides everything."""
    for error in validator.iter_errors(data):
        if len(mistakes) >= MAX_MISTAKES:
            return
        place = (*below, *error.absolute_path)
        error.path.extendleft(reversed(below))
        missing = error.message if error.validator == "required" else ""
        if (place, missing) not in mistakes or error.validator in ("type", "x-not-yet"):
            mistakes[place, missing] = error


def _violation(error: Any, data: Map, drivers: Mapping[str, str] | None) -> Violation:
    place: Place = tuple(error.absolute_path)
    if error.validator == "additionalProperties":
        guess = guess_key(place, data, _driver_at(place, data, drivers))
        message = f"{shown(place[-1])} is not a known key{_inside(place[:-1])}"
        mistake = Diagnostic("unknown-key", message, _marks(data, place)[0], guess.hint)
        return Violation(place, error.validator, mistake, guess)
    missing = error.message if error.validator == "required" else None
    return Violation(place, error.validator, _diagnostic(error, data), missing=missing)


def _diagnostic(error: Any, data: Map) -> Diagnostic:
    place: Place = tuple(error.absolute_path)
    key_mark, mark = _marks(data, place)
    value: object = error.instance
    what = _called(place)
    schema: Schema = error.schema
    limit: Any = error.validator_value
    match error.validator:
        case "propertyNames":
            message = f"the name {shown(place[-1])} {schema['propertyNames']['patternErrorMessage']}"
            return Diagnostic("bad-name", message, key_mark)
        case "x-not-yet":
            return Diagnostic("not-yet", f"{what} is not realised by this version", key_mark, limit)
        case "type":
            return _bad_type(what, value, schema, mark)
        case "enum":
            hint = (plugins.why_not(str(value)) if place[-1] == "driver" else None) or _one_of(value, limit)
            return Diagnostic("bad-value", f"{shown(value)} is not a known {place[-1]}", mark, hint)
        case "required":
            message = f"'{error.message}' is missing{_inside(place)}"
            return Diagnostic("missing-key", message, mark)
        case "minimum" | "maximum":
            return Diagnostic("bad-value", f"{what} must be {limits(schema)}, not {shown(value)}", mark)
        case "maxItems":
            return Diagnostic("too-large", f"{what} has more than {limit} items", mark)
        case "maxLength":
            return Diagnostic("too-large", f"{what} has more than {limit} characters", mark)
        case "minLength":
            return Diagnostic("bad-value", f"{what} must not be empty", mark)
    code = "bad-name" if schema.get("x-is-name") else "bad-value"
    return Diagnostic(code, f"{what} {schema['patternErrorMessage']}, not {shown(value)}", mark)


def _bad_type(what: str, value: object, schema: Schema, mark: Mark) -> Diagnostic:
    expected = schema.get("x-expected") or type_words(schema["type"])
    if value is None:
        hint = (
            'write "null" in quotes if that word is meant'
            if what == "'driver'"
            else "write one, or remove the line"
        )
        return Diagnostic("bad-type", f"{what} has no value; it must be {expected}", mark, hint)
    match value:
        case dict():
            got = "a map"
        case list():
            got = "a list"
        case bool():
            got = shown(value)
        case int() | float():
            got = f"the number {value}"
        case _:
            got = f"the text {shown(value)}"
    return Diagnostic("bad-type", f"{what} must be {expected}, not {got}", mark, _type_hint(value, schema))


def _type_hint(value: object, schema: Schema) -> str | None:
    types = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    match value:
        case bool() | int() | float() if "string" in types and "x-expected" not in schema:
            return f'write it in quotes: "{shown(value)}"'
        case str() if "integer" in types and re.fullmatch("-?[0-9]{1,9}", value):
            return f"remove the quotes: {value}"
        case str() if "boolean" in types and value.lower() in ("yes", "on", "true"):
            return "write true"
        case str() if "boolean" in types and value.lower() in ("no", "off", "false"):
            return "write false"
        case str() | int() if types[0] == "array" and not isinstance(value, bool):
            return f"write [{value}]"
    return None


def _marks(data: Map, place: Place) -> tuple[Mark, Mark]:
    """Where the key and the value stand that a place leads to."""
    node: object = data
    marks = (data.mark, data.mark)
    for part in place:
        if isinstance(node, Map) and isinstance(part, str) and part in node:
            marks = node.marks.get(part, marks)
            node = node[part]
        elif isinstance(node, Seq) and isinstance(part, int):
            marks = (node.marks[part], node.marks[part])
            node = node[part]
    return marks


def _called(place: Place) -> str:
    match place:
        case ():
            return "the file"
        case (*_, str(key), int(index)):
            return f"item {index + 1} of {shown(key)}"
    return shown(place[-1])


def _inside(place: Place) -> str:
    return f" in {dotted(place)}" if place else ""


def _one_of(value: object, allowed: Sequence[str]) -> str:
    close = difflib.get_close_matches(str(value).lower(), allowed, 1)
    return (f"did you mean '{close[0]}'? " if close else "") + "one of: " + ", ".join(allowed)
