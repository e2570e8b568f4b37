"""Whether the schema accepts plain data: yes or no, fast. Pure.

Nearly every file is right, and to say so needs neither jsonschema, which takes as long to import as a whole plan
takes to make, nor the words for mistakes. The schema is compiled into closures here; what they do not accept goes to
`violations`, which says why. A keyword that is not known here accepts nothing, so this can only be too strict, and
then costs time; tests hold it against jsonschema.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sized
from functools import cache
from typing import Any

from .fields import Schema, option_schemas, whole

Accepts = Callable[[Any], bool]

_ANNOTATIONS = frozenset(("$schema", "title", "description", "examples", "default", "x-also-known-as"))
# What violations uses to find words; they decide nothing.
_WORDS = frozenset(("patternErrorMessage", "x-expected", "x-is-name"))
_TYPES: Mapping[str, Accepts] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
}


def accepted(data: Mapping[str, object], drivers: Mapping[str, str]) -> bool:
    """Whether the schema has nothing to say about a file; `drivers` as for `violations.check`."""
    file, network, sandbox = _acceptors()
    return (
        file(data)
        and all(
            network(for_driver(item, drivers.get(name, "bridge")))
            for name, item in items_of(data, "networks")
        )
        and all(sandbox(item) for _, item in items_of(data, "sandboxes"))
    )


@cache
def parts() -> tuple[Schema, Schema, Schema]:
    """The schema of a whole file without its items, of one network, of one sandbox; only what decides."""
    lean = _lean(whole())
    properties = dict(lean["properties"])
    network, sandbox = (properties[section]["additionalProperties"] for section in ("networks", "sandboxes"))
    for section in ("networks", "sandboxes"):
        properties[section] = {**properties[section], "additionalProperties": {}}
    return {**lean, "properties": properties}, network, sandbox


def items_of(data: Mapping[str, object], section: str) -> Iterator[tuple[str, object]]:
    """The named items of a section, none when it is not a map."""
    items = data.get(section)
    if isinstance(items, dict):
        yield from items.items()


def for_driver(network: object, driver: str) -> object:
    """A network as one of the driver that another file or the defaults give it, so that its options are held to that.

    Options of a driver that nobody knows are left out: that is said where the driver is named.
    """
    if driver == "bridge" or not isinstance(network, dict) or "driver" in network:
        return network
    if driver in option_schemas():
        return {**network, "driver": driver}
    return {key: value for key, value in network.items() if key != "options"}


def _lean(node: Any) -> Any:
    """A schema without what only people read, so that no validator steps over it for each value."""
    if isinstance(node, list):
        return [_lean(item) for item in node]
    if not isinstance(node, dict):
        return node
    lean = {
        key: _lean(value) for key, value in node.items() if key not in _ANNOTATIONS and key != "properties"
    }
    if "properties" in node:
        # A field may be called like an annotation, so the names of fields are not looked at.
        lean["properties"] = {key: _lean(value) for key, value in node["properties"].items()}
    return lean


@cache
def _acceptors() -> tuple[Accepts, Accepts, Accepts]:
    file, network, sandbox = (_acceptor(part) for part in parts())
    return file, network, sandbox


def _acceptor(schema: Schema) -> Accepts:
    """One closure for a schema and all below it."""
    tests = [test for keyword, value in schema.items() if (test := _test(keyword, value, schema)) is not None]
    match tests:
        case []:
            return lambda _: True
        case [only]:
            return only
        case _:
            return lambda value: all(test(value) for test in tests)


def _test(keyword: str, wanted: Any, schema: Schema) -> Accepts | None:
    """What one keyword asks for, None for what it leaves to another or does not decide."""
    if keyword in _WORDS:
        return None
    builder = _BUILDERS.get(keyword)
    return builder(wanted, schema) if builder is not None else lambda _: False


def _type(wanted: Any, _: Schema) -> Accepts:
    tests = [_TYPES[name] for name in ([wanted] if isinstance(wanted, str) else wanted)]
    return tests[0] if len(tests) == 1 else lambda value: any(test(value) for test in tests)


def _enum(wanted: Any, _: Schema) -> Accepts:
    return lambda value: any(value == each and type(value) is type(each) for each in wanted)


def _pattern(wanted: Any, _: Schema) -> Accepts:
    match_whole = re.compile(wanted).fullmatch
    return lambda value: not isinstance(value, str) or match_whole(value) is not None


def _sized(kind: type[Sized], compare: Callable[[int, Any], bool]) -> Callable[[Any, Schema], Accepts]:
    return lambda wanted, _: lambda value: not isinstance(value, kind) or compare(len(value), wanted)


def _number(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Schema], Accepts]:
    number = _TYPES["number"]
    return lambda wanted, _: lambda value: not number(value) or compare(value, wanted)


def _items(wanted: Any, _: Schema) -> Accepts:
    item = _acceptor(wanted)
    return lambda value: not isinstance(value, list) or all(item(each) for each in value)


def _names(wanted: Any, _: Schema) -> Accepts:
    name = _acceptor(wanted)
    return lambda value: not isinstance(value, dict) or all(name(key) for key in value)


def _required(wanted: Any, _: Schema) -> Accepts:
    return lambda value: not isinstance(value, dict) or all(key in value for key in wanted)


def _all_of(wanted: Any, _: Schema) -> Accepts:
    tests = [_acceptor(part) for part in wanted]
    return lambda value: all(test(value) for test in tests)


def _not(wanted: Any, _: Schema) -> Accepts:
    refused = _acceptor(wanted)
    return lambda value: not refused(value)


def _if(wanted: Any, schema: Schema) -> Accepts:
    condition, then = _acceptor(wanted), _acceptor(schema.get("then", {}))
    return lambda value: not condition(value) or then(value)


def _object(_: Any, schema: Schema) -> Accepts:
    """Fields by name, by pattern, and the others: one test for the three keywords, which depend on each other."""
    known = {name: _acceptor(part) for name, part in schema.get("properties", {}).items()}
    patterns = [(re.compile(p), _acceptor(part)) for p, part in schema.get("patternProperties", {}).items()]
    extra = schema.get("additionalProperties", True)
    other: Accepts = (lambda _: extra is not False) if isinstance(extra, bool) else _acceptor(extra)

    def accepts(value: Any) -> bool:
        if not isinstance(value, dict):
            return True
        for key, item in value.items():
            matching = [test for pattern, test in patterns if pattern.search(key)]
            tests = [known[key], *matching] if key in known else matching or [other]
            if not all(test(item) for test in tests):
                return False
        return True

    return accepts


def _rest_of_object(wanted: Any, schema: Schema) -> Accepts | None:
    return None if "properties" in schema else _object(wanted, schema)


_BUILDERS: Mapping[str, Callable[[Any, Schema], Accepts | None]] = {
    "type": _type,
    "const": lambda wanted, schema: _enum([wanted], schema),
    "enum": _enum,
    "pattern": _pattern,
    "minLength": _sized(str, operator.ge),
    "maxLength": _sized(str, operator.le),
    "maxItems": _sized(list, operator.le),
    "minimum": _number(operator.ge),
    "maximum": _number(operator.le),
    "items": _items,
    "properties": _object,
    "patternProperties": _rest_of_object,
    "additionalProperties": _rest_of_object,
    "propertyNames": _names,
    "required": _required,
    "allOf": _all_of,
    "not": _not,
    "if": _if,
    "then": lambda _, __: None,
}
