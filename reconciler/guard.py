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
from .plan import Objection, Plan
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
    _raise(_of_deletions(look, desired, allowed))


def objections(
    look: Look, desired: Desired, remembered: Collection[str], allowed: Allowed | None = None
) -> tuple[Objection, ...]:
    """Why an apply of this plan would be refused; without `allowed` everything may go but what is protected."""
    found = (
        None if allowed is None else _of_deletions(look, desired, allowed),
        _of_protection(look.plan, desired, remembered, () if allowed is None else allowed.protected),
    )
    return tuple(each for each in found if each is not None)


def _raise(found: Objection | None) -> None:
    if found is not None:
        raise Refused(f"{found.message}; nothing was done", reasons=found.reasons, hint=found.hint)


def _of_deletions(look: Look, desired: Desired, allowed: Allowed) -> Objection | None:
    listed = entries(look.plan.changes)
    deleted = {entry.address for entry in listed if entry.verb is Verb.DELETE}
    existing = deleted | {f.origin for f in look.observed.objects.values() if f.ours and f.origin is not None}
    number, of = len(deleted), counted(len(existing), "object")
    whole = f"topology '{look.plan.topology}'"
    emptied = bool(look.plan.changes) and not desired.objects
    renamed = any(entry.verb is Verb.CREATE for entry in listed)  # all goes, and something else comes instead
    if allowed.everything:
        if allowed.deletions is None or number <= allowed.deletions:
            return None
    elif emptied or (deleted and deleted == existing and not renamed):
        message = f"this deletes everything that {whole} has here ({of})"
        hint = "add --allow-empty if that is meant; otherwise see whether the files are complete"
        return Objection(message, hint, ("--allow-empty",))
    flag = f"--max-deletes {number}"
    if allowed.deletions is not None:
        if number <= allowed.deletions:
            return None
        message = f"this deletes {number:,} of {of} of {whole}, more than --max-deletes {allowed.deletions}"
        return Objection(message, f"{flag} would allow it", (flag,))
    if number <= FEW or 2 * number <= len(existing):
        return None
    message = f"this deletes {number:,} of {of} of {whole}, more than half"
    hint = f"add {flag} if that is meant; otherwise see whether the files are complete"
    return Objection(message, hint, (flag,))


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
    _raise(_of_protection(found, desired, remembered, allowed))


def _of_protection(
    found: Plan, desired: Desired, remembered: Collection[str], allowed: Collection[str]
) -> Objection | None:
    refused = {
        address: verb
        for address, verb in endangered(found, desired, remembered).items()
        if not named(address, allowed)
    }
    if not refused:
        return None
    flags = tuple(f"--allow-delete {address}" for address in refused)
    return Objection(
        f"this would take away what is protected in topology '{found.topology}'",
        f"add {' '.join(flags)} if that is meant",
        flags,
        tuple(f"{address} is protected and would be {verb.value}d" for address, verb in refused.items()),
    )
