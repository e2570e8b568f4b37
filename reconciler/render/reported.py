"""A run as JSON: what `-o json` prints, with the command and how it ended. Pure."""

from __future__ import annotations

from . import documents
from .report import Report


def text(report: Report) -> str:
    """One document; a run that failed before it had one says why."""
    body = report.document()
    if report.error is not None:
        body = {**body, **documents.error(report.error)}
    head = {"command": report.command, "exit_code": report.exit_code, "saved_plan": report.digest}
    return documents.text({**head, **body})
