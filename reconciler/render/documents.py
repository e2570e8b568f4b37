"""Results as JSON documents for programs. Pure.

Every document carries `format_version`: the minor number grows when something is added, the major number when a reader
must change. The changes of a plan are listed operation by operation, in the order in which apply carries them out.
Text is as it is in the file or the kernel: JSON escapes what a terminal must not see.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .. import serial
from ..errors import (
    DeadlineExceeded,
    Diagnostic,
    KernelError,
    Mark,
    ReconcilerError,
    Refused,
    TopologyError,
    Unsupported,
)
from ..objects import KernelObject
from ..outcome import Outcome
from ..plan import Change, Conflict, Objection, Pending, Plan
from ..sides import Desired
from . import entries
from .entries import Verb

if TYPE_CHECKING:
    from ..apply import Result

FORMAT_VERSION = "1.0"
Document = dict[str, Any]


def text(document: Document) -> str:
    """A document as it is printed: indented, pure ASCII, the version first."""
    return json.dumps({"format_version": FORMAT_VERSION, **document}, indent=2) + "\n"


def plan(
    found: Plan,
    files: Sequence[str],
    digest: str,
    desired: Desired | None,
    objections: Sequence[Objection] = (),
) -> Document:
    """A plan with the files it comes from, the host that it is for if there are several, and why it would be refused."""
    here = desired.here if desired is not None else None
    return {
        "topology": found.topology,
        "host": None if here is None else here.host,
        "inputs": {"files": list(files), "digest": digest},
        "changes": [change(item) for item in found.changes],
        "conflicts": [_problem(item) for item in found.conflicts],
        "pending": [{**_problem(item), "held": list(item.held)} for item in found.pending],
        "foreign": [serial.to_data(obj) for obj in found.foreign],
        "refusals": [_objection(item) for item in objections],
        "summary": _summary(found, desired),
    }


def change(item: Change) -> Document:
    """One operation."""
    return {
        "address": item.origin,
        "action": [item.action.value],
        "cause": item.cause.value,
        "source": _source(item.mark),
        "key": list(item.key),
        "before": _object(item.before),
        "after": _object(item.after),
        "attributes": [
            {
                "name": a.name,
                "before": a.before,
                "after": a.after,
                "cause": a.cause.value,
                "forces_replacement": a.forces,
            }
            for a in item.attributes
        ],
        "forces_replacement": list(item.replaces),
        "interrupts": list(item.interrupts),
    }


def _object(obj: KernelObject | None) -> Document | None:
    return None if obj is None else serial.to_data(obj)


def _source(mark: Mark | None) -> Document | None:
    return None if mark is None else {"file": mark.file, "line": mark.line, "col": mark.col}


def _problem(problem: Conflict | Pending) -> Document:
    return {
        "address": problem.origin,
        "key": list(problem.key),
        "message": problem.message,
        "hint": problem.hint,
        "source": _source(problem.mark),
    }


def _objection(item: Objection) -> Document:
    reasons, flags = list(item.reasons), list(item.flags)
    return {"message": item.message, "reasons": reasons, "hint": item.hint, "flags": flags}


def _summary(found: Plan, desired: Desired | None) -> Document:
    listed = entries.entries(found.changes)
    counts = Counter(entry.verb for entry in listed)
    return {
        **{verb.value: counts[verb] for verb in Verb},
        "drift": sum(1 for entry in listed if entry.drift),
        "unchanged": entries.unchanged(found, desired),
        "conflicts": len(found.conflicts),
        "pending": len(found.pending),
        "operations": len(found.changes),
    }


def applied(result: Result, files: Sequence[str], digest: str, desired: Desired | None) -> Document:
    """What became of a plan: each operation with its status."""
    document = plan(result.plan, files, digest, desired)
    document["changes"] = _with_status(result)
    return {
        **document,
        "remaining": [change(item) for item in result.remaining.changes] if result.remaining else [],
        "unready": [{"key": list(key), "reason": why} for key, why in sorted(result.unready.items())],
        "interrupted": None if result.interrupted is None else result.interrupted.name,
        "configured_seconds": round(result.configured, 3),
        "ready_seconds": None if result.ready is None else round(result.ready, 3),
        "messages": result.messages,
    }


def _with_status(result: Result) -> list[Document]:
    tried = [{**change(outcome.change), **_status(outcome)} for outcome in result.outcomes]
    untried = result.plan.changes[len(tried) :]
    return tried + [{**change(item), "status": "not started"} for item in untried]


def _status(outcome: Outcome) -> Document:
    if outcome.error is not None:
        return {"status": "failed", "error": _error_fields(outcome.error)}
    if outcome.blocked_by is not None:
        return {"status": "not started", "blocked_by": list(outcome.blocked_by)}
    return {"status": "done"}


def error(found: ReconcilerError) -> Document:
    """A refusal: what `error:` says in text."""
    document: Document = {"error": _error_fields(found)}
    if isinstance(found, TopologyError):
        document |= {"valid": False, "diagnostics": [diagnostic(item) for item in found.diagnostics]}
    return document


def _error_fields(found: ReconcilerError) -> Document:
    fields: Document = {
        "message": found.message,
        "hint": found.hint,
        "exit_code": int(found.exit_code),
    }
    if isinstance(found, DeadlineExceeded | Refused | Unsupported):
        fields["reasons"] = list(found.reasons)
    if isinstance(found, KernelError):
        fields |= {"errno": found.errno, "detail": found.detail}
    return fields


def diagnostic(item: Diagnostic) -> Document:
    """One mistake in the files."""
    mark = item.mark
    return {
        "code": item.code,
        "message": item.message,
        "hint": item.hint,
        "file": mark.file if mark else None,
        "line": mark.line if mark else None,
        "col": mark.col if mark else None,
        "end_col": mark.end if mark else None,
        "related": [
            {"message": label, "file": other.file, "line": other.line, "col": other.col}
            for label, other in item.related
        ],
    }
