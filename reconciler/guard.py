"""The guard against a file that lost its content: `--yes` agrees to deletions, but hardly to the loss of everything.

A file that was emptied or cut off by a full disk or a bad merge is a valid topology, and what it no longer names is
deleted. So a plan that takes away all, or more than half and more than a few, is refused until a flag says how much
may go. The share is of what exists now, counted by address as in the plan; replacements are no deletions. Nothing is
done before the guard has spoken. `destroy` says in its name that everything goes, and is not asked.

What is protected is another matter: it is deleted or replaced only where the command line names it, by `destroy` too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple

from .errors import Refused
from .pipeline import Look
from .plan import Plan
from .render.entries import Verb, entries
from .render.style import counted
from .sides import Desired

FEW = 3


class Allowed(NamedTuple):
    """What the command line lets go: everything, and at most so many entries (None: no more than half).

    `protected` are addresses of what is protected and may go all the same; * and ? stand for others.
    """

    everything: bool = False
    deletions: int | None = None
    protected: tuple[str, ...] = ()


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


def endangered(found: Plan, desired: Desired, remembered: Collection[str]) -> Mapping[str, Verb]:
    """The protected addresses that a plan deletes or replaces.

    Of what is still declared the files say whether it is protected; `remembered` is what they said when it was applied,
    and counts for what they no longer declare.
    """
    declared = {item.origin for item in desired.objects.values()} | {r.origin for r in desired.requirements}
    gone = set(remembered) - declared - desired.protected
    hit: dict[str, Verb] = {}
    for entry in entries(found.changes):
        owner = "/".join(entry.address.split("/")[:2])
        if owner in gone:  # whatever is done to it or its endpoints now is the end of it
            hit[owner] = Verb.DELETE
        elif entry.address in desired.protected and entry.verb in (Verb.DELETE, Verb.REPLACE):
            hit[entry.address] = entry.verb
    return hit


def named(address: str, patterns: Collection[str]) -> bool:
    """Whether an address is one of these; * and ? stand for others."""
    return any(fnmatchcase(address, pattern) for pattern in patterns)


def check_protected(
    found: Plan, desired: Desired, remembered: Collection[str], allowed: Collection[str]
) -> None:
    """Raises Refused when a plan deletes or replaces what is protected and was not named as allowed."""
    refused = {
        address: verb
        for address, verb in endangered(found, desired, remembered).items()
        if not named(address, allowed)
    }
    if refused:
        flags = " ".join(f"--allow-delete {address}" for address in refused)
        raise Refused(
            f"this would take away what is protected in topology '{found.topology}'; nothing was done",
            reasons=[
                f"{address} is protected and would be {verb.value}d" for address, verb in refused.items()
            ],
            hint=f"add {flags} if that is meant",
        )
