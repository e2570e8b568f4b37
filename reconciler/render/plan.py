"""A plan as text: one list, detail first, names and counts last, because people read the bottom of a terminal. Pure.

There is no second list for drift: every entry says its cause. What a replacement interrupts stands beneath it, and
replaced and deleted addresses are named again at the end, however long the list was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..errors import Mark
from ..model import Topology
from ..objects import KernelObject
from ..plan import Cause, Conflict, Objection, Pending, Plan
from ..sides import Desired
from . import entries, words
from .entries import Entry, Verb
from .size import things
from .style import Style, counted, duration, natural, safe

_SYMBOLS = {Verb.CREATE: "  +", Verb.CHANGE: "  ~", Verb.REPLACE: "-/+", Verb.DELETE: "  -"}
_COLORS = {Verb.CREATE: "green", Verb.CHANGE: "yellow", Verb.REPLACE: "red", Verb.DELETE: "red"}
_FOREIGN_SHOWN = 10
_NAMES_SHOWN = 10
_ADDRESS_WIDTH, _SUMMARY_WIDTH = 44, 52


@dataclass(frozen=True, slots=True)
class PlanView:
    """A plan with what the reader needs around it. `title` is what was read; `topology` is None without files.

    `seconds` is what looking took, None when it was at nothing. `destroying` says that everything goes because it was
    asked to, so that "no longer declared" would be a lie. `objections` are why carrying it out would be refused.
    """

    plan: Plan
    title: str
    seconds: float | None
    topology: Topology | None = None
    desired: Desired | None = None
    destroying: bool = False
    objections: tuple[Objection, ...] = ()


def text(view: PlanView, style: Style) -> str:
    """The whole plan; one line when there is nothing to do."""
    plan = view.plan
    if plan.empty and not view.destroying:
        waiting = "".join(f"{line}\n" for line in pending_lines(plan.pending, style))
        return waiting + in_sync(view) + _foreign_block(plan.foreign, style)
    if plan.empty:
        return f"Nothing to destroy: this host holds nothing of topology '{safe(plan.topology)}'.\n"
    found = entries.entries(plan.changes)
    lines = [header(view), ""]
    lines += _entry_lines(found, view, style)
    lines += _conflict_lines(plan.conflicts, style)
    lines += pending_lines(plan.pending, style)
    lines += _foreign_lines(plan.foreign, style)
    return "\n".join([*lines, "", *_footer(found, view)]) + "\n"


def header(view: PlanView) -> str:
    """What was read, for which host, how large it is, how long the look took."""
    here = view.desired.here if view.desired is not None else None
    title = view.title if here is None else f"{view.title} on {here.host}"
    size = f"({_size(view.topology)})   " if view.topology is not None else ""
    return f"{safe(title)}   {size}{_looked(view, 'observed in ')}"


def _looked(view: PlanView, took: str = "") -> str:
    return "against an empty kernel" if view.seconds is None else f"{took}{duration(view.seconds)}"


def in_sync(view: PlanView) -> str:
    """The one line of a topology that is as declared."""
    size = f" {things(view.topology)}" if view.topology is not None else ""
    if view.plan.pending:
        return f"Nothing to do now.{size}, {_waiting(view.plan)} ({_looked(view)}).\n"
    return f"In sync.{size} ({_looked(view)}).\n"


def _size(topology: Topology) -> str:
    return f"{counted(len(topology.files), 'file')}, {things(topology)}"


# ------------------------------------------------------------------------------------------------------- the entries


def _entry_lines(found: Sequence[Entry], view: PlanView, style: Style) -> list[str]:
    summaries = [_summary(entry, view.desired) for entry in found]
    address_width = _width((entry.address for entry in found), _ADDRESS_WIDTH)
    summary_width = _width(summaries, _SUMMARY_WIDTH)
    lines = []
    for entry, summary in zip(found, summaries, strict=True):
        symbol = style.paint(_SYMBOLS[entry.verb], _COLORS[entry.verb])
        right = style.paint(_right(entry, destroying=view.destroying), "dim")
        left = f"{safe(entry.address):<{address_width}}  {summary:<{summary_width}}"
        lines.append(f"{symbol} {left}  {right}".rstrip())
        lines += _detail_lines(entry, style)
        if style.verbose:
            lines += [
                style.paint(f"      {number:>4}. {words.operation(change)}", "dim")
                for number, change in entry.steps
            ]
    return lines


def _width(texts: Iterable[str], limit: int) -> int:
    return max((len(text) for text in texts if len(text) <= limit), default=0)


def _summary(entry: Entry, desired: Desired | None) -> str:
    return entries.summary(entry, desired) if entry.verb is Verb.CREATE else ""


def _right(entry: Entry, *, destroying: bool) -> str:
    """File and line; then the cause of the whole entry where no row below names it."""
    because = ""
    if entry.verb is not Verb.CHANGE and not destroying:
        causes = {change.cause for change in entry.changes}
        replaced_by_drift = entry.verb is Verb.REPLACE and entry.drift
        if replaced_by_drift or causes == {Cause.DRIFT} or (entry.verb is Verb.CREATE and entry.drift):
            because = entries.note(Cause.DRIFT)
        elif len(causes) == 1 and entry.verb in (Verb.REPLACE, Verb.DELETE):
            because = entries.note(causes.pop())
    return "  ".join(part for part in (place(entry.mark), because) if part)


def place(mark: Mark | None) -> str:
    """File and line, without the column: enough for a plan."""
    return "" if mark is None else f"{safe(mark.file)}:{mark.line}"


def _detail_lines(entry: Entry, style: Style) -> list[str]:
    found = entries.rows(entry)
    name_width = _width((row.name for row in found), 40)
    values = [f"{row.before} → {row.after}" for row in found]
    value_width = _width(values, 60)
    lines = [
        f"      {row.name:<{name_width}}  {value:<{value_width}}  {style.paint(row.note, 'dim')}".rstrip()
        for row, value in zip(found, values, strict=True)
    ]
    if entry.interrupts:
        lines.append(f"      interrupts {_names(entry.interrupts)}")
    return lines


def _names(addresses: Sequence[str]) -> str:
    shown = ", ".join(safe(name) for name in addresses[:_NAMES_SHOWN])
    hidden = len(addresses) - _NAMES_SHOWN
    return f"{shown} and {hidden:,} more" if hidden > 0 else shown


# --------------------------------------------------------------------------- what is in the way, and what stays alone


def _conflict_lines(conflicts: Sequence[Conflict], style: Style) -> list[str]:
    lines = []
    for conflict in sorted(conflicts, key=lambda c: (natural(c.origin), c.key)):
        symbol = style.paint("  !", "red")
        where = style.paint(place(conflict.mark), "dim")
        lines.append(f"{symbol} {safe(conflict.origin)}: {safe(conflict.message)}  {where}".rstrip())
        lines.append(f"      {safe(conflict.hint)}")
    return lines


def pending_lines(pending: Sequence[Pending], style: Style) -> list[str]:
    """What is waited for, and who waits."""
    lines = []
    for one in sorted(pending, key=lambda each: (natural(each.origin), each.key)):
        symbol = style.paint("  …", "yellow")
        where = style.paint(place(one.mark), "dim")
        lines.append(f"{symbol} {safe(one.origin)}: {safe(one.message)}  {where}".rstrip())
        if others := [origin for origin in one.held if origin != one.origin]:
            lines.append(f"      waiting for it: {_names(others)}")
        lines.append(f"      {safe(one.hint)}")
    return lines


def _waiting(plan: Plan) -> str:
    held = {origin for one in plan.pending for origin in (*one.held, one.origin)}
    return f"{len(held):,} waiting"


def _foreign_lines(foreign: Sequence[KernelObject], style: Style) -> list[str]:
    lines = [
        f"{style.paint('  !', 'cyan')} {words.object_name(obj)}: foreign, left alone"
        for obj in foreign[:_FOREIGN_SHOWN]
    ]
    if (hidden := len(foreign) - _FOREIGN_SHOWN) > 0:
        lines.append(f"  ! and {hidden:,} more foreign objects; `reconciler show --foreign` lists them")
    return lines


def _foreign_block(foreign: Sequence[KernelObject], style: Style) -> str:
    return "".join(f"{line}\n" for line in _foreign_lines(foreign, style))


# -------------------------------------------------------------------------------------------------------- the bottom


def _footer(found: Sequence[Entry], view: PlanView) -> list[str]:
    lines = [totals(found, view.plan, view.desired)]
    for verb in (Verb.REPLACE, Verb.DELETE):
        named = [entry.address for entry in found if entry.verb is verb]
        if named and len(named) < len(found):  # else the list above says it already
            lines.append(f"  {verb.value:<8} {_names(named)}")
    return [*lines, *_objection_lines(view)]


def _objection_lines(view: PlanView) -> Iterable[str]:
    command = "destroy" if view.destroying else "apply"
    for one in view.objections:
        yield f"note: {command} refuses this, since it {safe(one.message.removeprefix('this '))}"
        yield from (f"  {safe(line)}" for line in (*one.reasons, one.hint))


def totals(found: Sequence[Entry], plan: Plan, desired: Desired | None) -> str:
    """`Plan: 2 to create, 1 to change, … 1 of these is drift. 195 unchanged.`"""
    counts = Counter(entry.verb for entry in found)
    parts = [f"{counts[verb]:,} to {verb.value}" for verb in Verb if counts[verb]]
    sentences = [f"Plan: {', '.join(parts) or 'nothing to do'}."]
    if drift := sum(1 for entry in found if entry.drift):
        sentences.append(f"{drift:,} of these {'is' if drift == 1 else 'are'} drift.")
    if same := entries.unchanged(plan, desired):
        sentences.append(f"{same:,} unchanged.")
    if plan.pending:
        sentences.append(f"{_waiting(plan)}.")
    if plan.conflicts:
        sentences.append(f"{counted(len(plan.conflicts), 'conflict')}: apply would refuse.")
    return "  ".join(sentences)
