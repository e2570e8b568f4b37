"""The pytest plugin: a fixture `topology` that lets one stand for a test, each in a private view of the kernel.

Only names are defined here, and everything else is imported when a test asks for the fixture: whoever has the
reconciler installed and does not use it pays nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .testing import Stand, Topology

_REQUIRED = "--require-topologies"


def pytest_addoption(parser: pytest.Parser) -> None:
    """One flag: what cannot stand on this machine is a failure, where it would be skipped otherwise."""
    group = parser.getgroup("reconciler")
    group.addoption(
        _REQUIRED,
        action="store_true",
        help="fail where this machine cannot hold a topology, instead of skipping",
    )


@pytest.fixture
def topology(request: pytest.FixtureRequest) -> Iterator[Stand]:
    """`topology("shop.yaml")`, or the same as a dict, gives a `reconciler.testing.Topology` until the test ends.

    A relative path starts at the folder of the test's file. Where the machine cannot, the test is skipped with the
    reason, or fails with `--require-topologies`.
    """
    from .errors import Unsupported
    from .testing import stand

    with ExitStack() as stack:

        def make(source: str | Path | Mapping[str, Any]) -> Topology:
            if not isinstance(source, Mapping):
                source = request.path.parent / source
            try:
                return stack.enter_context(stand(source))
            except Unsupported as error:
                if request.config.getoption(_REQUIRED):
                    raise
                pytest.skip(" ".join(str(error).split()))

        yield make
