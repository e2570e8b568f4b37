"""Findings as GitLab's code quality report, which shows them in merge requests. Pure.

GitLab keeps apart what is new and what was there by `fingerprint`, so that leaves lines and columns out: a mistake that
only moves is the same mistake. What has no place is shown at the first file, since GitLab drops what has none.
"""

from __future__ import annotations

import json
import os.path
from collections import Counter
from hashlib import sha256
from typing import Any

from .report import Finding, Level, Report, findings

_SEVERITIES = {Level.ERROR: "major", Level.WARNING: "minor"}


def text(report: Report) -> str:
    """One array of issues."""
    seen: Counter[str] = Counter()
    somewhere = report.files[0] if report.files else "."
    return json.dumps([_issue(one, somewhere, seen) for one in findings(report)], indent=2) + "\n"


def _issue(one: Finding, somewhere: str, seen: Counter[str]) -> dict[str, Any]:
    file = os.path.normpath(one.mark.file if one.mark is not None else somewhere)
    said = "\0".join((one.code, file, one.about or "", one.message))
    seen[said] += 1
    identity = f"{said}\0{seen[said]}".encode("utf-8", "surrogatepass")
    return {
        "description": one.whole,
        "check_name": one.code,
        "fingerprint": sha256(identity).hexdigest(),
        "severity": _SEVERITIES[one.level],
        "location": {"path": file, "lines": {"begin": one.mark.line if one.mark is not None else 1}},
    }
