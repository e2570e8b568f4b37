"""The documentation says what the product does: made parts are fresh, and hand-written tables are complete."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import Exit
from reconciler.health import Condition, Reason
from reconciler.load import fields
from tests import docs

PAGES = docs.pages()
README = (docs.ROOT / "README.md").read_text(encoding="utf-8")
ERRORS = (docs.ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_made_parts_are_fresh(page: Path) -> None:
    """`make docs` would change nothing."""
    text = page.read_text(encoding="utf-8")
    assert docs.made(text) == text, "run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file or folder of the repository."""
    targets = _LINK.findall(page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_reason_is_explained() -> None:
    """The table of docs/operations.md names each reason with the state that it means, and no other."""
    text = (docs.ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| (\w+) \| `(\w+)` \|", text, re.MULTILINE)
    assert sorted(listed) == sorted((str(Condition("", reason).state), str(reason)) for reason in Reason)


def test_every_key_is_in_the_reference() -> None:
    """The tables of the reference name each key of the schema, and no other."""
    text = docs.field_tables()
    listed = set(re.findall(r"^\| `(\w+)`", text, re.MULTILINE))
    reserved = {
        key
        for line in re.findall(r"^Reserved, .*", text, re.MULTILINE)
        for key in re.findall(r"`(\w+)`", line)
    }
    of_defaults = {"sandbox", "endpoint"}  # described in the row of `defaults`
    assert listed | reserved == set(_keys(fields.whole())) - of_defaults


def _keys(schema: Any) -> Iterator[str]:
    """The names of properties anywhere in the schema."""
    if isinstance(schema, list):
        for item in schema:
            yield from _keys(item)
    if not isinstance(schema, dict):
        return
    for key, value in schema.items():
        if key == "properties":
            yield from value
            yield from _keys(list(value.values()))
        elif key == "allOf":
            yield from _keys([branch["then"] for branch in value])
        elif key in ("items", "additionalProperties"):
            yield from _keys(value)


def test_every_code_has_its_section() -> None:
    """The page of errors has one section for each code that a check can give, sorted."""
    assert re.findall(r"^## (.*)$", ERRORS, re.MULTILINE) == sorted(set(_codes()))


def test_every_example_shows_its_code() -> None:
    """What is printed for the example of a code names that code."""
    for section in ERRORS.split("\n## ")[1:]:
        assert f"error[{section.partition(chr(10))[0]}]" in section


def _codes() -> Iterator[str]:
    for file in (docs.ROOT / "reconciler").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)):
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in ("Diagnostic", "Fault", "_fail"):
                yield str(node.args[0].value)


def test_every_exit_code_is_in_the_readme() -> None:
    """The table of exit codes lists those of the program."""
    table = README.partition("| exit code |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| ([0-9, ]+) \|", table, re.MULTILINE)
    assert {int(code) for row in rows for code in row.split(",")} == {int(code) for code in Exit}


def test_every_promise_names_its_test() -> None:
    """Each promise of the README links to at least one file of tests."""
    table = README.partition("| promise |")[2].partition("\n\n")[0]
    rows = table.splitlines()[2:]
    assert len(rows) == 9
    assert all("](tests/" in row for row in rows)
