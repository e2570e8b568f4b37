"""Tests that need a real kernel get a private host each; where that is refused, they are skipped with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.world import World, refusal

_HERE = Path(__file__).parent
_refusal = cache(refusal)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder is a kernel test; the reason to skip is probed, once."""
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.kernel)
            if reason := _refusal():
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """A fresh private host: nothing but loopback, an empty /run, an empty state directory."""
    with World(many_runs=request.node.get_closest_marker("many_runs") is not None) as world:
        yield world


@pytest.fixture
def no_dad(world: World) -> Iterator[None]:
    """For tests that wait until the kernel is done again and again: what it ends up with is the same, only sooner."""
    with world.without_dad():
        yield
