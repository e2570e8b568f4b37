"""A run as JUnit XML, for whatever shows tests. Pure.

A case is a file for `validate`, a check for `verify`, an address of the topology for everything else. A case fails for exactly what would be
a reason for another exit code than 0: so drift fails `status`, and is no failure of an `apply` that mended it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from ..errors import Mark
from ..verdict import Verdict
from . import entries, verified
from .report import Finding, Level, Report, findings

# What XML 1.0 cannot hold, not even escaped.
_IMPOSSIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class _Case:
    name: str
    failures: tuple[str, ...] = ()
    skipped: str | None = None
    output: str | None = None
    mark: Mark | None = None
    seconds: float | None = None


def text(report: Report) -> str:
    """One suite."""
    cases = list(_cases(report))
    failures = sum(1 for case in cases if case.failures)
    skipped = sum(1 for case in cases if case.skipped is not None)
    name = f"reconciler {report.command}" + (f" {report.topology}" if report.topology else "")
    counts = f'tests="{len(cases)}" failures="{failures}" errors="0" skipped="{skipped}"'
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f"<testsuites {counts}>",
        f'  <testsuite name={_attribute(name)} {counts} time="{report.seconds:.3f}">',
        *(line for case in cases for line in _lines(case, report.command)),
        "  </testsuite>",
        "</testsuites>",
    ]
    return "\n".join(lines) + "\n"


def _cases(report: Report) -> Iterator[_Case]:
    return map(_check, report.verdicts) if report.verdicts else _subjects(report)


def _check(verdict: Verdict) -> _Case:
    mark = verdict.check.mark
    failures = () if verdict.holds else (f"{mark}: {verified.contrast(verdict)}",)
    return _Case(
        verified.name(verdict.check), failures, None, verdict.words or None, mark, round(verdict.seconds, 3)
    )


def _subjects(report: Report) -> Iterator[_Case]:
    found = [one for one in findings(report) if one.level is Level.ERROR or report.status is not None]
    failures: dict[str, list[str]] = {}
    for one in found:
        failures.setdefault(_subject(one, report), []).append(_at(one))
    if report.status is not None:
        subjects = {condition.address: condition.words for condition in report.status.conditions}
    elif report.plan is not None:
        subjects = {
            entry.address: f"{entry.verb.value}{' (drift)' if entry.drift else ''}"
            for entry in entries.entries(report.plan.changes)
        }
    else:
        subjects = dict.fromkeys(report.files, "")
    waiting = {
        origin: one.message
        for one in (report.plan.pending if report.plan is not None else ())
        for origin in (one.origin, *one.held)
    }
    names = dict.fromkeys((*subjects, *waiting, *failures))
    for name in names or ("everything",):
        failed = tuple(failures.get(name, ()))
        yield _Case(name, failed, None if failed else waiting.get(name), subjects.get(name) or None)


def _subject(one: Finding, report: Report) -> str:
    if one.about is not None:
        return one.about
    if one.mark is not None:
        return one.mark.file
    return "the run"


def _at(one: Finding) -> str:
    place = f"{one.mark}: " if one.mark is not None else ""
    return f"{place}[{one.code}] {one.message}" + (f"\n{one.hint}" if one.hint else "")


def _lines(case: _Case, command: str) -> Iterator[str]:
    more = f' file={_attribute(case.mark.file)} line="{case.mark.line}"' if case.mark is not None else ""
    if case.seconds is not None:
        more += f' time="{case.seconds:.3f}"'
    yield f"    <testcase classname={_attribute(f'reconciler.{command}')} name={_attribute(case.name)}{more}>"
    if case.failures:  # more than one would be another test to some readers
        first = case.failures[0].partition("\n")[0]
        yield f"      <failure message={_attribute(first)}>{_content(chr(10).join(case.failures))}</failure>"
    elif case.skipped is not None:
        yield f"      <skipped message={_attribute(case.skipped)}/>"
    if case.output is not None:
        yield f"      <system-out>{_content(case.output)}</system-out>"
    yield "    </testcase>"


def _attribute(value: str) -> str:
    return quoteattr(_possible(value), {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})


def _content(value: str) -> str:
    return escape(_possible(value), {"\r": "&#13;"})


def _possible(value: str) -> str:
    return _IMPOSSIBLE.sub("\ufffd", value)
