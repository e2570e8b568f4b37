"""The example runs like any suite of a user; here it says in addition what it needs of a kernel, for the second one."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """The marks, where they are not known already."""
    config.addinivalue_line("markers", "kernel: needs namespaces")
    config.addinivalue_line("markers", "needs(*features): needs features of the kernel")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks that the project's own suite knows."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.kernel)
            if item.name == "test_a_lossy_path":
                item.add_marker(pytest.mark.needs("netem"))
