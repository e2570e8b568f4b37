"""What `verify` found, as text, as JSON and as JUnit XML. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

from ..model import Check, CheckKind
from ..verdict import Verdict
from .style import Style, columns, counted, duration, safe


def text(verdicts: Sequence[Verdict], seconds: float, style: Style) -> str:
    """A table, then the count; below each check that does not hold, where it stands."""
    rows: list[tuple[str, ...]] = [("", "FROM", "TO", "TRIES", "EXPECT", "SEEN")]
    rows += [
        ("ok" if each.holds else "FAIL", *map(safe, _row(each.check)), safe(each.words)) for each in verdicts
    ]
    head, *lines = columns(rows)
    shown = [style.paint(head, "bold")]
    for each, line in zip(verdicts, lines, strict=True):
        shown.append(line if each.holds else style.paint(f"{line}   {safe(str(each.check.mark))}", "red"))
    return "\n".join([*shown, "", _sentence(verdicts, seconds)]) + "\n"


def _sentence(verdicts: Sequence[Verdict], seconds: float) -> str:
    failed = sum(1 for each in verdicts if not each.holds)
    if not failed:
        return f"{counted(len(verdicts), 'check')}: all hold, after {duration(seconds)}."
    return f"{counted(len(verdicts), 'check')}: {failed:,} {'does' if failed == 1 else 'do'} not hold, after {duration(seconds)}."


def _row(check: Check) -> tuple[str, str, str, str]:
    return check.source, check.target, tries(check), "open" if check.open else "closed"


def tries(check: Check) -> str:
    """How a check tries, in one word."""
    match check.kind:
        case CheckKind.PING:
            return "ping" if check.size is None else f"ping, {check.size} bytes"
        case CheckKind.HTTP:
            return "http"
        case kind:
            return f"{kind.value}/{check.port}"


def document(verdicts: Sequence[Verdict], topology: str, seconds: float) -> dict[str, Any]:
    """The same as data."""
    return {
        "topology": topology,
        "verified": all(each.holds for each in verdicts),
        "seconds": round(seconds, 3),
        "checks": [_entry(each) for each in verdicts],
    }


def _entry(verdict: Verdict) -> dict[str, Any]:
    check = verdict.check
    return {
        "from": check.source,
        "to": check.target,
        "kind": check.kind.value,
        "port": check.port,
        "size": check.size,
        "addresses": [str(address) for address in check.addresses],
        "expect": "open" if check.open else "closed",
        "holds": verdict.holds,
        "seen": verdict.words,
        "absent": verdict.absent,
        "seconds": round(verdict.seconds, 3),
        "file": check.mark.file,
        "line": check.mark.line,
        "col": check.mark.col,
    }


def junit(verdicts: Sequence[Verdict], topology: str, seconds: float) -> str:
    """The same for a CI system: one test case for each check."""
    failed = sum(1 for each in verdicts if not each.holds)
    counts = f'tests="{len(verdicts)}" failures="{failed}" errors="0" skipped="0" time="{seconds:.3f}"'
    cases = "".join(_case(each, topology) for each in verdicts)
    suite = f"<testsuite name={_quoted(f'reconciler verify {topology}')} {counts}>\n{cases}</testsuite>"
    return f'<?xml version="1.0" encoding="utf-8"?>\n<testsuites>\n{suite}\n</testsuites>\n'


def _case(verdict: Verdict, topology: str) -> str:
    check = verdict.check
    name = f"{check.source} {'->' if check.open else '-/>'} {check.target} {tries(check)}"
    head = f"  <testcase classname={_quoted(topology)} name={_quoted(name)} file={_quoted(check.mark.file)}"
    head += f' line="{check.mark.line}" time="{verdict.seconds:.3f}"'
    if verdict.holds:
        return f"{head}/>\n"
    expected = "open" if check.open else "closed"
    message = _quoted(f"{check.mark}: expected {expected}; seen: {verdict.words}")
    return f"{head}>\n    <failure message={message}/>\n  </testcase>\n"


def _quoted(value: str) -> str:
    """An attribute, without what XML cannot say at all."""
    return quoteattr("".join(char if char.isprintable() else "�" for char in value))
