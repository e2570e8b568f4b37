"""The schema: what it promises to editors, that our reading of it agrees with the standard, and `explain`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from reconciler.errors import Diagnostic, TopologyError, UsageError
from reconciler.load import fields, schema, source, violations
from reconciler.load.source import Map
from tests import examples

ROOT = Path(__file__).parent.parent.parent
SCHEMA: dict[str, Any] = json.loads(schema.text())


def check(text: str, **options: Any) -> list[Diagnostic]:
    found = schema.check(source.parse(text.encode(), "t.yaml"), **options)
    return [each.diagnostic for each in found]


def _schemas(node: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema in the schema, with its place."""
    if isinstance(node, list):
        for index, item in enumerate(node):
            yield from _schemas(item, f"{place}[{index}]")
        return
    if not isinstance(node, dict):
        return
    yield place, node
    for key, value in node.items():
        if key in ("properties", "$defs", "patternProperties"):
            for name, item in value.items():
                yield from _schemas(item, f"{place}.{name}")
        elif key in ("items", "additionalProperties", "propertyNames", "if", "then", "not", "allOf"):
            yield from _schemas(value, f"{place}.{key}")


ALL = dict(_schemas(SCHEMA))


def test_the_schema_is_valid_2020_12() -> None:
    """Editors can load it."""
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(SCHEMA)


def test_every_key_is_described() -> None:
    """Hovering over any key in an editor, and `explain`, say something."""
    missing = [
        f"{place}.{key}"
        for place, node in ALL.items()
        if ".if" not in place and ".then" not in place
        for key, value in node.get("properties", {}).items()
        if not ({**SCHEMA["$defs"][value["$ref"][8:]], **value} if "$ref" in value else value).get(
            "description"
        )
    ]
    assert missing == []


def test_every_level_is_closed() -> None:
    """A map of named keys refuses others, apart from the drivers that are to come."""
    open_levels = {
        place
        for place, node in ALL.items()
        if "properties" in node
        and ".if" not in place
        and ".then" not in place
        and node.get("additionalProperties") is not False
    }
    assert open_levels == set()


def test_patterns_are_portable_and_whole() -> None:
    """No dialect of regular expressions disagrees, and every pattern says in words what it wants."""
    patterns = {place: node["pattern"] for place, node in ALL.items() if "pattern" in node}
    assert patterns
    for place, pattern in patterns.items():
        assert not re.search(r"\\[dwsDWSZApPbB]|\(\?", pattern), place
        assert pattern.startswith("^"), place
        assert pattern.endswith("$"), place
        assert ALL[place].get("patternErrorMessage", "").startswith("must be "), place


def test_examples_and_defaults_are_valid() -> None:
    """Whatever the schema shows as an example passes it."""
    for place, node in ALL.items():
        inlined = {**node, "$defs": SCHEMA["$defs"]}
        for example in [*node.get("examples", []), *([node["default"]] if "default" in node else [])]:
            assert not list(Draft202012Validator(inlined).iter_errors(example)), (place, example)


def test_what_other_tools_call_it_is_no_key_of_ours() -> None:
    """A name that leads to another key must not be a key beside it."""
    for place, node in ALL.items():
        properties = node.get("properties", {})
        for key, value in properties.items():
            assert not set(value.get("x-also-known-as", ())) & set(properties), (place, key)


def _documents() -> Iterator[Any]:
    for path in examples.PATHS:
        yield pytest.param(path.read_text(encoding="utf-8"), id=path.name)
    for path in sorted((ROOT / "tests" / "errors").glob("**/*.yaml")):
        for name, case in yaml.safe_load(path.read_text(encoding="utf-8")).items():
            for file, text in (case.get("files") or {"": case["topology"]}).items():
                yield pytest.param(text, id=f"{path.stem}: {name} {file}")


@pytest.mark.parametrize("text", list(_documents()))
def test_our_keywords_agree_with_the_standard(text: str) -> None:
    """What a stock validator refuses, as an editor would, is refused here too, and nothing that it accepts.

    Known to be stricter here: a newline at the end of a name, what is not realised yet, and 1400.0 as a whole number.
    """
    try:
        data = source.parse(text.encode(), "t.yaml")
    except TopologyError:
        return
    ours = [each for each in schema.check(data) if each.diagnostic.code != "not-yet"]
    stricter = "\\n" in text or "1400.0" in text
    assert (not ours) == (Draft202012Validator(SCHEMA).is_valid(data) and not stricter)


def test_examples_of_the_project_are_valid() -> None:
    """Every topology that is shipped passes."""
    for path in examples.PATHS:
        assert schema.check(source.read(str(path))) == []


def test_null_takes_keys_away_in_overrides_only() -> None:
    """An override may write null for any key, a base file for names only."""
    text = "name: null\nnetworks: {front: {mtu: null, options: {mac: null}}, back: null}\nsandboxes: null\n"
    assert check(text, override=True) == []
    assert [mistake.code for mistake in check(text)] == ["bad-type"] * 4
    assert check("networks: {front: null}\nsandboxes: {web: null, db: {endpoints: {eth0: null}}}\n") == []


def test_options_wait_for_their_driver() -> None:
    """A file that only completes a network is not checked against the options of the wrong driver."""
    text = "networks: {lan: {options: {parent: eth1}}}\n"
    assert [mistake.code for mistake in check(text)] == ["unknown-key"]
    assert check(text, drivers={"lan": "ipvlan"}) == []


def test_mistakes_are_limited() -> None:
    """A file of unknown keys is answered in time."""
    text = "networks:\n" + "".join(f"  net{i}: {{colour: blue}}\n" for i in range(3000))
    assert len(check(text)) == violations.MAX_MISTAKES


def test_messages_point_at_key_or_value() -> None:
    """A wrong key is underlined itself, a wrong value at the value."""
    text = "networks:\n  front: {driver: brigde, mtuu: 1}\n"
    shown = {
        text.split("\n")[m.mark.line - 1][m.mark.col - 1 : m.mark.end - 1] for m in check(text) if m.mark
    }
    assert shown == {"brigde", "mtuu"}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("networks.*.subnets", {"type": "a list of an address range or a map", "default": '["ipv4"]'}),
        ("networks.front.subnets", {"default": '["ipv4"]'}),
        ("networks.*.subnets[].gateway", {"type": "an address or false", "examples": ("10.20.0.1", "false")}),
        ("networks.*.subnets.0.gateway", {"type": "an address or false"}),
        ("networks.*.subnets.gateway", {"type": "an address or false"}),
        (
            "networks.*.driver",
            {
                "default": "bridge",
                "allowed": (
                    "bridge",
                    "macvlan",
                    "ipvlan",
                    "vlan",
                    "overlay",
                    "ptp",
                    "dummy",
                    "null",
                    "host",
                ),
            },
        ),
        ("networks.*.options.stp", {"type": "true or false", "default": None}),
        ("networks.*.mtu", {"type": "a whole number", "limits": "between 68 and 65535"}),
        ("sandboxes.*.endpoints.*", {"type": "the name of a network or a map"}),
        ("sandboxes.web.endpoints.eth0.mtu", {"limits": "between 68 and 65535"}),
        ("sandboxes.*.routes", {"required": (), "type": "a list of maps"}),
        ("sandboxes.*.routes.*", {"required": ("to",)}),
        ("sandboxes.*.ports", {"not_yet": True}),
        ("defaults.network.mtu", {"limits": "between 68 and 65535"}),
        ("name", {"type": "text", "examples": ("shop",)}),
    ],
)
def test_describe(path: str, expected: dict[str, object]) -> None:
    """`explain` finds a field by its path, with names, stars or positions in it."""
    doc = schema.describe(path)
    assert doc.description
    assert {key: getattr(doc, key) for key in expected} == expected


def test_describe_an_option() -> None:
    """An option is told with the drivers that have it; where it means something else, that is told as well."""
    mode, stp = schema.describe("networks.*.options.mode"), schema.describe("networks.lan.options.stp")
    assert [(doc.drivers, doc.default) for doc in (mode, *mode.others)] == [
        (("macvlan",), "bridge"),
        (("ipvlan",), "l2"),
    ]
    assert (stp.drivers, stp.others) == (("bridge",), ())
    options = schema.describe("networks.*.options")
    assert {name for doc in (options, *options.others) for name in doc.drivers} >= {"bridge", "vlan", "ptp"}


def test_describe_lists_what_is_below() -> None:
    """A level shows its keys with a sentence each, and free names show what stands below them."""
    top = dict(schema.describe("").children)
    assert list(top)[:3] == ["name", "include", "pools"]
    assert all(top.values())
    assert [key for key, _ in schema.describe("sandboxes.*.endpoints").children][:2] == [
        "network",
        "addresses",
    ]
    assert "ageing_time" in dict(schema.describe("networks.*.options").children)
    assert [key for key, _ in schema.describe("networks.*.labels").children] == ["*"]


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("networks.*.subnet", "did you mean 'networks.*.subnets'?"),
        ("netwroks", "did you mean 'networks'?"),
        ("networks.*.mtu.x", "'networks.*.mtu' has no fields"),
        ("zzz", "the file knows: name, include, pools"),
    ],
)
def test_describe_of_an_unknown_field(path: str, hint: str) -> None:
    """A wrong path is a wrong command line, with the nearest field."""
    with pytest.raises(UsageError, match=re.escape(f"there is no field '{path}'")) as caught:
        schema.describe(path)
    assert (caught.value.hint or "").startswith(hint)


def test_text_is_the_file() -> None:
    """`reconciler schema` prints what is in the repository."""
    assert schema.text() == (ROOT / "schemas" / "topology.schema.json").read_text(encoding="utf-8")


def test_a_hint_knows_no_name() -> None:
    """Where the file has nothing yet, the level is named with a placeholder."""
    data = Map(source.parse(b"name: x", "t").mark)
    assert (
        fields.guess_key(("gateway_priority",), data).hint
        == "'gateway_priority' belongs under sandboxes.NAME.endpoints.NAME"
    )
