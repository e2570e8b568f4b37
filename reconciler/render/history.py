"""The last runs of a topology as a table and for programs. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ..history import Run
from .style import Style, columns, duration, local, safe


def text(runs: Sequence[Run], style: Style) -> str:
    """One line a run, the last one at the bottom. A column for commits is there where a repository is followed."""
    commits = any(run.revision for run in runs)
    head = ["COMMIT"] if commits else []
    rows = [("TIME", "RUN", "COMMAND", "CAUSE", "FILES", *head, "RESULT", "TOOK", "KERNEL OBJECTS")]
    rows += [
        (
            local(run.started),
            safe(run.id) or "-",
            safe(run.command),
            safe(run.cause),
            safe(run.digest[:12]) or "-",
            *([safe(run.revision[:12]) or "-"] if commits else []),
            safe(run.result),
            duration(run.seconds),
            counts(run),
        )
        for run in runs
    ]
    titles, *lines = columns(rows)
    painted = [
        line if run.result == "ok" else style.paint(line, "red")
        for line, run in zip(lines, runs, strict=True)
    ]
    return "\n".join([style.paint(titles, "bold"), *painted]) + "\n"


def counts(run: Run) -> str:
    """What a run did to kernel objects, in words."""
    found = (
        (run.created, "created"),
        (run.changed, "changed"),
        (run.replaced, "replaced"),
        (run.deleted, "deleted"),
    )
    return ", ".join(f"{number:,} {word}" for number, word in found if number) or "nothing"


def document(topology: str, runs: Sequence[Run]) -> dict[str, Any]:
    """The same for programs."""
    return {"topology": topology, "runs": [asdict(run) for run in runs]}
