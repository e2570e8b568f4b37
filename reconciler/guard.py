"""The guard against a file that lost its content: `--yes` agrees to deletions, but hardly to the loss of everything.

A file that was emptied or cut off by a full disk or a bad merge is a valid topology, and what it no longer names is
deleted. So a plan that takes away all, or more than half and more than a few, is refused until a flag says how much
may go. The share is of what exists now, counted by address as in the plan; replacements are no deletions. Nothing is
done before the guard has spoken. `destroy` says in its name that everything goes, and is not asked.
"""

from __future__ import annotations

from typing import NamedTuple

from .errors import Refused
from .pipeline import Look
from .render.entries import Verb, entries
from .render.style import counted
from .sides import Desired

FEW = 3


class Allowed(NamedTuple):
    """What the command line lets go: everything, and at most so many entries (None: no more than half)."""

    everything: bool = False
    deletions: int | None = None


def check(look: Look, desired: Desired, allowed: Allowed) -> None:
    """Raises Refused, with the flag that would allow it, when a plan deletes more than was allowed."""
    listed = entries(look.plan.changes)
    deleted = {entry.address for entry in listed if entry.verb is Verb.DELETE}
    existing = deleted | {f.origin for f in look.observed.objects.values() if f.ours and f.origin is not None}
    number, of = len(deleted), counted(len(existing), "object")
    whole = f"topology '{look.plan.topology}'"
    emptied = bool(look.plan.changes) and not desired.objects
    renamed = any(entry.verb is Verb.CREATE for entry in listed)  # all goes, and something else comes instead
    if not allowed.everything and (emptied or (deleted and deleted == existing and not renamed)):
        raise Refused(
            f"this deletes everything that {whole} has here ({of}); nothing was done",
            hint="add --allow-empty if that is meant; otherwise see whether the files are complete",
        )
    if allowed.deletions is not None:
        if number > allowed.deletions:
            raise Refused(
                f"this deletes {number:,} of {of} of {whole}, more than --max-deletes {allowed.deletions}; "
                "nothing was done",
                hint=f"--max-deletes {number} would allow it",
            )
    elif number > FEW and 2 * number > len(existing) and not allowed.everything:
        raise Refused(
            f"this deletes {number:,} of {of} of {whole}, more than half; nothing was done",
            hint=f"add --max-deletes {number} if that is meant; otherwise see whether the files are complete",
        )
