"""The fast yes of the schema against jsonschema: whatever one refuses, the other refuses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.errors import TopologyError
from reconciler.load import accept, violations
from reconciler.load.source import parse
from reconciler.load.tree import Map
from tests import examples

ROOT = Path(__file__).parent.parent.parent
ODD: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1.5,
    10**9,
    "",
    "x y",
    "x\n",
    "02:00:00:00:00:01",
    [],
    ["a"],
    {},
    {"a": 1},
    "macvlan",
)


def texts() -> Iterator[str]:
    """The examples, and every topology of the golden error texts."""
    for path in examples.PATHS:
        yield path.read_text()
    for path in sorted((ROOT / "tests" / "errors").rglob("*.yaml")):
        for case in yaml.safe_load(path.read_text()).values():
            yield from [case["topology"]] if "topology" in case else case.get("files", {}).values()


def parsed() -> list[Map]:
    """Those of them that are YAML."""
    found = []
    for text in texts():
        try:
            found.append(parse(text.encode(), "x.yaml"))
        except TopologyError:
            continue
    return found


def agree(data: Map) -> bool:
    """Both say the same; returns what."""
    accepted = accept.accepted(data, {})
    assert accepted == (violations.check(data) == []), data
    return accepted


def test_files_are_judged_alike() -> None:
    """Examples are accepted; of the files with mistakes both refuse the same ones."""
    verdicts = [agree(data) for data in parsed()]
    assert verdicts.count(True) > 20
    assert verdicts.count(False) > 20


def places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every container with each of its keys or indexes."""
    keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    for key in keys:
        yield node, key
        yield from places(node[key])


@pytest.mark.parametrize("path", examples.PATHS, ids=lambda path: path.stem)
def test_odd_values_are_judged_alike(path: Path) -> None:
    """Any value of an example replaced by any odd one, and any key by an unknown one."""
    data = parse(path.read_bytes(), "x.yaml")
    for container, key in list(places(data)):
        kept = container[key]
        for odd in ODD:
            container[key] = odd
            agree(data)
        container[key] = kept
        if isinstance(container, dict):
            container["adress"] = 1
            agree(data)
            del container["adress"]


def test_an_unknown_keyword_accepts_nothing() -> None:
    """A rule that is added to the schema and not to the fast path costs time, not correctness."""
    assert not accept._acceptor({"type": "string", "minItems": 1})("text")
    assert accept._acceptor({"type": "string"})("text")
