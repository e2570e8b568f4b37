"""Reporting for the whole suite: what was skipped, grouped by reason, so that nothing is skipped unseen."""

from __future__ import annotations

from collections import defaultdict

import pytest


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
