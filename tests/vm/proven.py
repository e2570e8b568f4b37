"""Prints which features are proven on which kernel, from the JUnit files of the runs: `python -m tests.vm.proven FILE...`.

Each result carries the kernel that it ran on and what its test needed (tests/conftest.py); one test per run carries
what the probes of tests/features.py said. Files that do not exist are passed over: nothing was run there.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as ET

WIDTH = 3


@dataclass(slots=True)
class Column:
    """What the runs on one kernel said, by feature."""

    when: str = ""
    passed: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    failed: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    needed: set[str] = field(default_factory=set)
    has: set[str] = field(default_factory=set)
    lacks: dict[str, str] = field(default_factory=dict)

    def cell(self, feature: str) -> str:
        """What is known about one feature."""
        if count := self.failed[feature]:
            return f"{count} FAILED, {self.passed[feature]} passed"
        if count := self.passed[feature]:
            return f"{count} passed"
        if feature in self.lacks:
            reason = self.lacks[feature]
            return reason if "(" not in reason else f"lacks it {reason[reason.rindex('(') :]}"
        return "has it, no test ran" if feature in self.has else ""


def columns(files: Sequence[Path]) -> dict[str, Column]:
    """The results of all files, by kernel."""
    found: defaultdict[str, Column] = defaultdict(Column)
    for file in files:
        for suite in ET.parse(file).getroot().iter("testsuite"):
            for case in suite.iter("testcase"):
                properties = [(each.get("name", ""), each.get("value", "")) for each in case.iter("property")]
                for kernel in (value for name, value in properties if name == "kernel"):
                    found[kernel].when = suite.get("timestamp", "")[:16].replace("T", " ")
                    _count(found[kernel], case, properties)
    return dict(found)


def _count(column: Column, case: ET.Element, properties: list[tuple[str, str]]) -> None:
    failed = case.find("failure") is not None or case.find("error") is not None
    for name, value in properties:
        match name:
            case "has":
                column.has.add(value)
            case "lacks":
                feature, _, reason = value.partition(": ")
                column.lacks[feature] = reason
            case "needs":
                column.needed.add(value)
                if failed:
                    column.failed[value] += 1
                elif case.find("skipped") is None:
                    column.passed[value] += 1


def table(found: dict[str, Column]) -> Iterator[str]:
    """The lines of the table; columns in the order of the files. What no test needs on any kernel is only named."""
    rows = [["feature", *(f"Linux {kernel}, {column.when}" for kernel, column in found.items())]]
    needed = {feature for column in found.values() for feature in column.needed}
    rows += [[feature, *(column.cell(feature) for column in found.values())] for feature in sorted(needed)]
    widths = [max(WIDTH, *(len(row[i]) for row in rows)) for i in range(len(rows[0]))]
    rows.insert(1, ["-" * width for width in widths])
    for row in rows:
        yield "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
    known = {feature for column in found.values() for feature in (*column.has, *column.lacks)}
    if rest := sorted(known - needed):
        yield f"\nWhat no test needs: {', '.join(rest)}."


def main() -> None:
    """Prints the table for the files named on the command line."""
    found = columns([path for path in map(Path, sys.argv[1:]) if path.exists()])
    print("\n== what is proven on which kernel ==")
    print("\n".join(table(found)) if found else "no kernel test ran")


if __name__ == "__main__":
    main()
