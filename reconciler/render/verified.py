"""What `verify` found, as text and as JSON. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
    return "\n".join([*shown, "", sentence(verdicts, seconds)]) + "\n"


def sentence(verdicts: Sequence[Verdict], seconds: float) -> str:
    """How many there are, and how many do not hold."""
    failed = sum(1 for each in verdicts if not each.holds)
    if not failed:
        return f"{counted(len(verdicts), 'check')}: all hold, after {duration(seconds)}."
    return f"{counted(len(verdicts), 'check')}: {failed:,} {'does' if failed == 1 else 'do'} not hold, after {duration(seconds)}."


def _row(check: Check) -> tuple[str, str, str, str]:
    return check.source, check.target, tries(check), _expected(check)


def _expected(check: Check) -> str:
    return "open" if check.open else "closed"


def name(check: Check) -> str:
    """A check in one line, nearly as a file says it."""
    return f"{check.source} {'->' if check.open else '-/>'} {check.target} {tries(check)}"


def contrast(verdict: Verdict) -> str:
    """What was expected, and what was seen instead."""
    return f"expected {_expected(verdict.check)}; seen: {verdict.words}"


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
        "expect": _expected(check),
        "holds": verdict.holds,
        "seen": verdict.words,
        "absent": verdict.absent,
        "seconds": round(verdict.seconds, 3),
        "file": check.mark.file,
        "line": check.mark.line,
        "col": check.mark.col,
    }
