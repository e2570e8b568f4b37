"""Findings as SARIF 2.1.0, for code scanning. Pure.

Columns count characters, as everywhere here, and SARIF is told so. A file is named relative to the directory of the run,
where `%SRCROOT%` is; one that is named from the root is a file: URI.
"""

from __future__ import annotations

import json
import os.path
from typing import Any
from urllib.parse import quote

from ..errors import Mark
from .report import Finding, Report, findings

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def text(report: Report) -> str:
    """One run with its findings."""
    found = findings(report)
    codes = sorted({one.code for one in found})
    run = {
        "tool": {
            "driver": {
                "name": "reconciler",
                "version": report.version,
                "rules": [{"id": code, "name": _pascal(code)} for code in codes],
            }
        },
        "invocations": [
            {"executionSuccessful": report.error is None, "exitCode": report.exit_code},
        ],
        "columnKind": "unicodeCodePoints",
        "results": [_result(one, codes.index(one.code)) for one in found],
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _pascal(code: str) -> str:
    return "".join(part.capitalize() for part in code.split("-"))


def _result(one: Finding, rule: int) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": one.code,
        "ruleIndex": rule,
        "level": one.level.value,
        "message": {"text": one.whole},
    }
    location: dict[str, Any] = {}
    if one.mark is not None:
        location["physicalLocation"] = _place(one.mark)
    if one.about is not None:
        location["logicalLocations"] = [{"fullyQualifiedName": one.about}]
    if location:
        result["locations"] = [location]
    if one.related:
        result["relatedLocations"] = [
            {"physicalLocation": _place(mark), "message": {"text": label}} for label, mark in one.related
        ]
    return result


def _place(mark: Mark) -> dict[str, Any]:
    region = {"startLine": mark.line, "startColumn": mark.col, "endColumn": max(mark.end, mark.col)}
    return {"artifactLocation": _artifact(mark.file), "region": region}


def _artifact(file: str) -> dict[str, str]:
    path = quote(os.path.normpath(file).encode("utf-8", "surrogateescape"))
    if os.path.isabs(file):
        return {"uri": f"file://{path}"}
    return {"uri": path, "uriBaseId": "%SRCROOT%"}
