"""What is believed of the list of allowed drivers, and what of a driver that claims to be one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from reconciler import plugins
from reconciler.options import Traits

CLOSED: Mapping[str, Any] = {"type": "object", "additionalProperties": False, "properties": {}}


class Sound:
    """A driver with everything that one needs."""

    api_version = 1
    name = "sound"
    traits = Traits()
    options_schema = CLOSED

    def network(self) -> tuple[()]:
        """Nothing."""
        return ()

    endpoint = network


class Entry:
    """An entry point as importlib.metadata gives them."""

    def __init__(self, name: str, loaded: object, dist: object = None) -> None:
        self.name, self.loaded, self.dist = name, loaded, dist

    def load(self) -> object:
        """The driver, or what stops it."""
        if isinstance(self.loaded, Exception):
            raise self.loaded
        return self.loaded


@pytest.fixture
def allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The list of allowed drivers, in a directory of its own."""
    path = tmp_path / "etc" / "drivers"
    path.parent.mkdir(mode=0o755)
    monkeypatch.setattr(plugins, "ALLOWED", str(path))
    _forget()
    yield path
    _forget()


def _forget() -> None:
    for cached in (plugins.installed, plugins._allowed_drivers, plugins._problem):
        cached.cache_clear()


@pytest.fixture
def entries(monkeypatch: pytest.MonkeyPatch) -> list[Entry]:
    """What is installed."""
    found = [Entry("sound", Sound)]
    monkeypatch.setattr(plugins, "_entry_points", lambda: found)
    return found


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: files that belong to root")


@as_root
def test_allowed_and_sound(allowed: Path, entries: list[Entry]) -> None:
    """Comments and empty lines are allowed in the list."""
    allowed.write_text("# of the network team\n\nsound  # since May\n")
    assert list(plugins.installed()) == ["sound"]
    assert plugins.unusable() == ()


def test_without_the_list_nothing_is_even_looked_for(allowed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The search costs time, and loading runs code."""
    monkeypatch.delattr(plugins, "_entry_points")
    assert plugins.installed() == {}


@as_root
@pytest.mark.parametrize("path", ["file", "directory"])
def test_a_list_that_others_can_write_allows_nothing(allowed: Path, entries: list[Entry], path: str) -> None:
    """Whoever could write the file could run code as root."""
    allowed.write_text("sound\n")
    (allowed if path == "file" else allowed.parent).chmod(0o777)
    assert plugins.installed() == {}
    assert "can be written by others" in str(plugins.why_not("sound"))


@as_root
def test_a_symlink_is_no_list(allowed: Path, entries: list[Entry]) -> None:
    """It says nothing about who can write what it leads to."""
    other = allowed.parent / "other"
    other.write_text("sound\n")
    allowed.symlink_to(other)
    assert plugins.installed() == {}


@as_root
@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"api_version": 2}, "it has no api_version 1"),
        ({"name": "other"}, "its name is 'other'"),
        ({"endpoint": None}, "it has no method endpoint()"),
        ({"traits": {}}, "its traits are not Traits"),
        ({"options_schema": {"type": "object"}}, "its options_schema is not closed"),
        ({"options_schema": {"type": "array"}}, "its options_schema is not that of a map"),
        (
            {"options_schema": {**CLOSED, "properties": {"x": {"type": "string"}}}},
            "its option 'x' needs a type and a description",
        ),
        (
            {
                "options_schema": {
                    **CLOSED,
                    "properties": {
                        "x": {"type": "string", "description": "x", "items": {"$ref": "#/$defs/x"}}
                    },
                }
            },
            "it has a $ref",
        ),
    ],
)
def test_a_driver_that_is_none(
    allowed: Path, entries: list[Entry], changes: Mapping[str, Any], why: str
) -> None:
    """It is not used, and whoever asks is told why."""
    allowed.write_text("sound\n")
    entries[:] = [Entry("sound", type("Unsound", (Sound,), dict(changes)))]
    assert plugins.installed() == {}
    assert why.replace("it has a $ref", "$ref") in str(plugins.why_not("sound"))


@as_root
def test_what_stops_one_driver_does_not_stop_another(allowed: Path, entries: list[Entry]) -> None:
    """A module that does not load, a name that is taken, one that nobody brings, one that two bring."""
    allowed.write_text("sound\nbroken\nbridge\nnowhere\ntwice\n../x\n")
    entries += [
        Entry("broken", ImportError("no module named y")),
        Entry("twice", Sound),
        Entry("twice", Sound),
    ]
    assert list(plugins.installed()) == ["sound"]
    found = {each.name: each.why for each in plugins.unusable()}
    assert "ImportError: no module named y" in found["broken"]
    assert "is built in" in found["bridge"]
    assert "no installed distribution brings it" in found["nowhere"]
    assert "both bring it" in found["twice"]
    assert "cannot be the name of a driver" in found["../x"]
