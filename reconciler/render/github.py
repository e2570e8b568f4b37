"""Findings as annotations of GitHub's workflow commands. Pure.

A command ends with its line, so whatever could end it, or start another one, is escaped as the runner expects
(actions/toolkit, command.ts): `%`, CR and LF everywhere, `:` and `,` in properties too.
"""

from __future__ import annotations

from .report import Finding, Report, findings


def text(report: Report) -> str:
    """One line for each finding; nothing for none."""
    return "".join(map(_line, findings(report)))


def _line(one: Finding) -> str:
    properties = []
    if one.mark is not None:
        properties += [
            ("file", one.mark.file),
            ("line", str(one.mark.line)),
            ("col", str(one.mark.col)),
            ("endColumn", str(one.mark.end)),
        ]
    properties.append(("title", one.code))
    listed = ",".join(f"{name}={_property(value)}" for name, value in properties)
    return f"::{one.level.value} {listed}::{_data(one.whole)}\n"


def _data(value: str) -> str:
    value = value.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return value.encode("utf-8", "backslashreplace").decode()


def _property(value: str) -> str:
    return _data(value).replace(":", "%3A").replace(",", "%2C")
