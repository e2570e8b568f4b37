"""Kernel objects to JSON and back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler import serial
from reconciler.errors import Mark
from reconciler.objects import KernelObject, Link, OtherKind


def _honest(obj: Any) -> bool:
    """A kind of ours is never observed as `OtherKind`."""
    return not (
        isinstance(obj, Link) and isinstance(obj.kind, OtherKind) and obj.kind.kind in ("bridge", "veth")
    )


@given(st.from_type(KernelObject).filter(_honest))  # type: ignore[arg-type]
def test_every_object_comes_back_equal(obj: KernelObject) -> None:
    """Through real JSON text, whatever is set and whatever is not."""
    assert serial.from_data(json.loads(json.dumps(serial.to_data(obj)))) == obj


@given(st.builds(Mark, st.text(), st.integers(1), st.integers(1), st.integers(1)) | st.none())
def test_every_place_comes_back_equal(mark: Mark | None) -> None:
    """A place in a file, or none."""
    assert serial.mark_from_data(json.loads(json.dumps(serial.mark_to_data(mark)))) == mark


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "netns",
        {},
        {"kind": "planet"},
        {"kind": "netns"},
        {"kind": "netns", "netns": "web", "colour": "red"},
        {"kind": "netns", "netns": 7},
        {"kind": "netns", "netns": "web", "up": "yes"},
        {"kind": "link", "netns": "", "name": "x"},
        {"kind": "link", "netns": "", "name": "x", "link_kind": "bridge"},
        {"kind": "link", "netns": "", "name": "x", "link_kind": {"kind": "bridge", "stp": 1}},
        {"kind": "link", "netns": "", "name": "x", "link_kind": {"kind": "veth", "peer": ["a"]}},
        {"kind": "link", "netns": "", "name": "x", "link_kind": {"kind": "bridge"}, "port": {"isolated": 0}},
        {"kind": "link", "netns": "", "name": "x", "link_kind": {"kind": "bridge"}, "port": {"other": True}},
        {"kind": "link", "netns": "", "name": "x", "link_kind": {"kind": "bridge"}, "mtu": True},
        {"kind": "link", "netns": "", "name": "x", "link_kind": {"kind": "bridge"}, "altnames": "one"},
        {"kind": "link", "netns": "", "name": "x", "link_kind": {"kind": "bridge"}, "altnames": [1]},
        {"kind": "link", "netns": "", "name": "x", "link_kind": {"kind": "bridge"}, "port": "yes"},
        {"kind": "link", "netns": "", "name": "x", "link_kind": {"kind": "veth", "peer": "web"}},
        {"kind": ["link"]},
    ],
)
def test_anything_else_is_a_value_error(data: object) -> None:
    """Nothing of a file from elsewhere is believed unread."""
    with pytest.raises(ValueError):  # the words are checked where people see them
        serial.from_data(data)


@pytest.mark.parametrize("data", ["a:1", ["a", 1, 1], ["a", "1", 1, 1], {}])
def test_no_place(data: object) -> None:
    """Not four parts of the right kinds."""
    with pytest.raises(ValueError, match="not a place"):
        serial.mark_from_data(data)
