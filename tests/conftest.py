"""For the whole suite: skips what the kernel cannot do, and reports what was skipped, so that nothing is skipped unseen.

What a test needs, and the kernel it ran on, go into the JUnit file with it; tests/vm/proven.py makes a table of them.
"""

from __future__ import annotations

import os
import signal
from collections import defaultdict

import pytest

from tests import features


def pytest_configure() -> None:
    """A run in the background or under nohup ignores these, and so would all that it starts: here they get the default back."""
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuses unknown needs before anything runs, and records the known ones in the results."""
    for item in items:
        for need in _needs(item):
            if need not in features.FEATURES:
                raise pytest.UsageError(
                    f"{item.nodeid} needs {need!r}, which tests/features.py does not know"
                )
            item.user_properties.append(("needs", need))
        if item.get_closest_marker("kernel"):
            item.user_properties.append(("kernel", features.kernel()))
    part, _, parts = os.environ.get("TEST_PART", "1/1").partition("/")
    items[:] = items[int(part) - 1 :: int(parts)]  # several kernels share them out: tests/vm/run-tests.sh


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips a test with the kernel's own answer when it needs what the kernel lacks."""
    for need in _needs(item):
        if reason := features.lack(need):
            pytest.skip(reason)


def _needs(item: pytest.Item) -> list[str]:
    return sorted({need for marker in item.iter_markers("needs") for need in marker.args})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints each reason once, with how many tests it skipped and in which files."""
    by_reason: defaultdict[str, list[str]] = defaultdict(list)
    for report in terminalreporter.stats.get("skipped", []):
        text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        by_reason[text.removeprefix("Skipped: ")].append(report.nodeid.partition("::")[0])
    if not by_reason:
        return
    terminalreporter.section("skipped, by reason")
    for reason, files in sorted(by_reason.items()):
        terminalreporter.line(f"{len(files):4} {reason} ({', '.join(sorted(set(files)))})")
