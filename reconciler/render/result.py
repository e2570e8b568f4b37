"""What became of an apply or a destroy, as text. Pure.

Detail first: each failure with the place that asked for it and a next step; then one sentence that says how far it
went. Failures are counted by address of the topology, as the plan was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..objects import Key
from ..outcome import Outcome
from ..plan import Change, Pending, Plan
from ..sides import Desired
from . import entries, words
from .entries import Entry, Verb
from .plan import pending_lines
from .style import Style, counted, duration, safe

if TYPE_CHECKING:
    from ..apply import Result

_SHOWN = 20
_DONE = {
    Verb.CREATE: "created",
    Verb.CHANGE: "changed",
    Verb.REPLACE: "replaced",
    Verb.DELETE: "deleted",
}


def text(result: Result, desired: Desired, style: Style, *, command: str, again: str) -> str:
    """Failures, then the sentence. `command` is `apply` or `destroy`, `again` the command line that continues."""
    failed = [outcome for outcome in result.outcomes if not outcome.done]
    if result.interrupted is not None:
        return _failures(failed, style) + _interrupted(result, again)
    if failed:
        return _failures(failed, style) + _partly(result, command)
    if result.remaining is not None:
        return _differs(result.remaining, style)
    return _done(result, command) + _unready(result, desired) + _pending(result.pending, style)


def _pending(pending: Sequence[Pending], style: Style) -> str:
    return (
        "".join(f"{line}\n" for line in ("Still waiting:", *pending_lines(pending, style))) if pending else ""
    )


def _done(result: Result, command: str) -> str:
    counts = _counts(entries.entries(result.plan.changes))
    if command == "destroy":
        return f"Destroyed: {counts} in {duration(result.configured)}.\n"
    ready = "" if result.ready is None else f", ready in {duration(result.ready)}"
    return f"Applied: {counts}. Configured in {duration(result.configured)}{ready}.\n"


def _counts(found: Sequence[Entry]) -> str:
    counts = Counter(entry.verb for entry in found)
    return ", ".join(f"{counts[verb]:,} {_DONE[verb]}" for verb in Verb if counts[verb])


def _unready(result: Result, desired: Desired) -> str:
    if not result.unready:
        return ""
    lines = [f"Not ready in time: {counted(len(result.unready), 'object')}."]
    items = sorted(result.unready.items())
    for key, why in items[:_SHOWN]:
        declared = desired.objects.get(key)
        whose = f"{safe(declared.origin)}: " if declared is not None else ""
        lines.append(f"  {whose}{safe(key_name(key))}: {safe(why)}")
    if len(items) > _SHOWN:
        lines.append(f"  and {len(items) - _SHOWN:,} more")
    return "\n".join(lines) + "\n"


def key_name(key: Key) -> str:
    """The key of an object in words: `address web eth0 10.0.0.2/24`, without the host's empty name."""
    return " ".join(part for part in key if part)


# ---------------------------------------------------------------------------------------------------------- failures


def _failures(failed: Sequence[Outcome], style: Style) -> str:
    refused = [outcome for outcome in failed if outcome.error is not None]
    blocks = [_failure(outcome, style) for outcome in refused[:_SHOWN]]
    if len(refused) > _SHOWN:
        blocks.append(f"and {len(refused) - _SHOWN:,} more failures; -o json lists them all\n")
    return "\n".join([*blocks, ""]) if blocks else ""


def _failure(outcome: Outcome, style: Style) -> str:
    change, error = outcome.change, outcome.error
    assert error is not None
    lines = [f"{style.paint('error[kernel]:', 'red')} {safe(change.origin)}: {safe(error.message)}"]
    if change.mark is not None:
        lines.append(f"  declared at {safe(str(change.mark))}")
    if error.detail and error.detail not in error.message:
        lines.append(f"  the kernel says: {safe(error.detail)}")
    if error.hint:
        lines.append(f"  {safe(error.hint)}")
    else:
        lines.append("  run the command again; `reconciler plan -v` shows the kernel operations")
    return "\n".join(lines) + "\n"


def _partly(result: Result, command: str) -> str:
    found = entries.entries(result.plan.changes)
    bad = {id(o.change) for o in result.outcomes if not o.done}
    complete = [entry for entry in found if not any(id(change) in bad for change in entry.changes)]
    word = "Destroyed" if command == "destroy" else "Applied"
    done = f"{word} {len(complete):,} of {counted(len(found), 'change')} in {duration(result.configured)}."
    return f"{done}{_not_started(result.outcomes)}\nRun `reconciler plan` to see what is left.\n"


def _not_started(outcomes: Sequence[Outcome]) -> str:
    """Which addresses wait for which, each once."""
    origins = {outcome.change.key: outcome.change.origin for outcome in outcomes}
    failed = {outcome.change.origin for outcome in outcomes if outcome.error is not None}
    blocked: dict[str, str] = {}
    for outcome in outcomes:
        if outcome.blocked_by is not None and outcome.change.origin not in failed:
            blocked.setdefault(
                outcome.change.origin, origins.get(outcome.blocked_by, key_name(outcome.blocked_by))
            )
    if not blocked:
        return ""
    names = [f"{safe(name)} (after {safe(cause)})" for name, cause in blocked.items()]
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return f" Not started: {', '.join(names[:_SHOWN])}{more}."


# ------------------------------------------------------------------------------------------- stopped, or not as wanted


def _interrupted(result: Result, again: str) -> str:
    assert result.interrupted is not None
    tried, total = len(result.outcomes), len(result.plan.changes)
    done = sum(1 for outcome in result.outcomes if outcome.done)
    found = entries.entries(result.plan.changes)
    left = [entry for entry in found if any(number > tried for number, _ in entry.steps)]
    made = f"{done:,} of {counted(total, 'kernel change')} made"
    lines = [f"Stopped by {result.interrupted.name}: {made}; nothing is half done."]
    if left:
        names = ", ".join(safe(entry.address) for entry in left[:_SHOWN])
        more = f" and {len(left) - _SHOWN:,} more" if len(left) > _SHOWN else ""
        lines.append(f"Left: {names}{more}.")
    finished = done == total and result.remaining is None
    lines.append("Nothing remains to be done." if finished else f"Run `{again}` to go on.")
    return "\n".join(lines) + "\n"


def _differs(remaining: Plan, style: Style) -> str:
    """What the verifying look found although no change failed: both values of each difference."""
    error = style.paint("error[verify]:", "red")
    lines = [f"{error} the kernel does not hold what was applied"]
    for change in remaining.changes[:_SHOWN]:
        lines += [f"  {safe(change.origin)}: {line}" for line in _difference(change)]
    if len(remaining.changes) > _SHOWN:
        lines.append(f"  and {len(remaining.changes) - _SHOWN:,} more")
    lines += [f"  {safe(c.origin)}: {safe(c.message)}" for c in remaining.conflicts[:_SHOWN]]
    lines.append(
        "Something else changed it meanwhile, or the kernel ignored it: run `reconciler plan` again."
    )
    return "\n".join(lines) + "\n"


def _difference(change: Change) -> list[str]:
    what = words.object_name(change.object)
    if change.before is None:
        return [f"{what} is missing"]
    if change.after is None:
        return [f"{what} is still there"]
    return [
        f"{what}: {words.attribute_name(a.name)} wanted {words.value(a.name, a.after)}, "
        f"observed {words.value(a.name, a.before)}"
        for a in change.attributes
    ]
