"""A run as Markdown, for a comment on a change or the summary of a job. Pure.

Every text that comes from a file, a kernel or a name stands in a code span or a fence that is longer than any in it:
there nothing is Markdown or HTML, nobody is mentioned and nothing becomes a link. Comments have a limit of 65,536
characters; what does not fit is left out from the end of the listing, never from the summary.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ..errors import Exit, TopologyError
from . import diagnostics, entries, failure, verified
from . import plan as plans
from . import status as statuses
from .report import Finding, Level, Report, findings
from .style import PLAIN, counted, safe

LIMIT = 60_000
_SHOWN = 30
_SIGNS = {"  + ": "+   ", "  ~ ": "~   ", "  - ": "-   ", "  ! ": "!   "}


def text(report: Report) -> str:
    """A heading that says how it went, what deserves attention, and the whole listing to unfold."""
    subject = f": {code(report.topology)}" if report.topology else ""
    parts = [f"### `reconciler {report.command}`{subject} - {_verdict(report)}", *_summary(report)]
    found = findings(report)
    if found and not isinstance(report.error, TopologyError):
        parts.append("\n".join(_attention(found)))
    head = "\n\n".join(parts)
    listing = _listing(report)
    if not listing:
        return f"{head}\n"
    return f"{head}\n\n{_folded(listing, LIMIT - len(head))}\n"


def _verdict(report: Report) -> str:
    if report.exit_code == Exit.OK:
        return "fine"
    if report.exit_code == Exit.PENDING:
        return "changes pending"
    words = {Exit.INVALID: "invalid", Exit.REFUSED: "refused", Exit.TIMEOUT: "not ready in time"}
    names = {int(known): said for known, said in words.items()}
    return f"**{names.get(report.exit_code, 'failed')}** (exit code {report.exit_code})"


def _summary(report: Report) -> Iterator[str]:
    if report.view is not None:
        plan = report.view.plan
        if plan.empty and not plan.pending:
            yield "Nothing to do."
        else:
            yield plans.totals(entries.entries(plan.changes), plan, report.view.desired)
        if plan.foreign:
            yield f"{counted(len(plan.foreign), 'foreign object')} left alone."
    elif report.status is not None:
        yield f"{report.status.bad:,} of {len(report.status.conditions):,} not ready."
    elif report.verdicts:
        yield verified.sentence(report.verdicts, report.seconds)
    if report.digest is not None:
        yield f"Saved plan: {code(report.digest)}"


def _attention(found: Sequence[Finding]) -> Iterator[str]:
    for one in found[:_SHOWN]:
        level = "**error**" if one.level is Level.ERROR else "warning"
        about = f" {code(one.about)}" if one.about else ""
        place = f" ({code(f'{one.mark.file}:{one.mark.line}')})" if one.mark is not None else ""
        hint = f" - {code(one.hint)}" if one.hint else ""
        yield f"- {level} {one.code}:{about} {code(one.message)}{hint}{place}"
    if len(found) > _SHOWN:
        yield f"- and {len(found) - _SHOWN:,} more"


def _listing(report: Report) -> str:
    """The same text as on a terminal, in the colours that `diff` gives it."""
    if isinstance(report.error, TopologyError):
        return diagnostics.text(report.error.diagnostics, report.lines, PLAIN)
    if report.error is not None and report.view is None:
        return failure.text(report.error, PLAIN)
    if report.view is not None:
        lines = plans.text(report.view, PLAIN).splitlines()
        return "\n".join(_SIGNS[line[:4]] + line[4:] if line[:4] in _SIGNS else line for line in lines)
    if report.verdicts:
        return verified.text(report.verdicts, report.seconds, PLAIN)
    return statuses.text(report.status, PLAIN) if report.status is not None else ""


def _folded(listing: str, room: int) -> str:
    lines = listing.rstrip("\n").split("\n")
    kept: list[str] = []
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            kept.append(f"… and {len(lines) - len(kept):,} more lines")
            break
        kept.append(line)
    body = "\n".join(kept)
    fence = "`" * max(3, _longest_run(body) + 1)
    opened = " open" if len(kept) <= _SHOWN else ""
    return f"<details{opened}><summary>Listing</summary>\n\n{fence}diff\n{body}\n{fence}\n\n</details>"


def code(value: str) -> str:
    """A text as a code span, whatever is in it; line breaks become visible."""
    shown = safe(value) or " "
    fence = "`" * (_longest_run(shown) + 1)
    pad = " " if shown[0] in "` " or shown[-1] in "` " else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def _longest_run(value: str) -> int:
    return max(map(len, re.findall("`+", value)), default=0)
