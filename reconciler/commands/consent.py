"""The question before something is taken away: additions need none, deletions and replacements do."""

from __future__ import annotations

from ..errors import Refused
from ..plan import Plan
from ..render.entries import Verb, entries
from ..render.style import counted
from .console import Console

_SHOWN = 5


def is_needed(plan: Plan) -> bool:
    """Whether a plan takes anything away."""
    return bool(_touched(plan, Verb.DELETE) or _touched(plan, Verb.REPLACE))


def require(plan: Plan, console: Console, *, yes: bool) -> bool:
    """Whether to go on. Raises Refused where nobody can be asked and `--yes` is missing."""
    if yes or not is_needed(plan):
        return True
    deleted, replaced = _touched(plan, Verb.DELETE), _touched(plan, Verb.REPLACE)
    what = " and ".join(
        f"{verb} {counted(len(addresses), 'object')}"
        for verb, addresses in (("deletes", deleted), ("replaces", replaced))
        if addresses
    )
    if console.can_ask():
        return console.ask(f"This {what}. Go on?")
    raise Refused(
        f"this {what}, and nobody can be asked here; nothing was done",
        reasons=_some([*(f"delete {name}" for name in deleted), *(f"replace {name}" for name in replaced)]),
        hint="add --yes if that is meant",
    )


def _touched(plan: Plan, verb: Verb) -> list[str]:
    return [entry.address for entry in entries(plan.changes) if entry.verb is verb]


def _some(names: list[str]) -> list[str]:
    """The first few; the plan above names them all."""
    return names if len(names) <= _SHOWN else [*names[:_SHOWN], f"and {len(names) - _SHOWN:,} more"]
