"""A plan as people read it: one entry for each address of the topology, however many kernel objects it takes. Pure.

What an entry is called follows from what happens to the things that make up its identity (a namespace, a link):
created, deleted, both, or neither, which is a change in place. A link that is created because another deletion takes
it away is a replacement too: its traffic stops meanwhile. Every count that is shown counts entries.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from ipaddress import ip_interface

from ..errors import Mark
from ..objects import HOST, Address, FdbEntry, Link, Neighbour, Netns, Port, Qdisc, Route, Sysctl
from ..plan import Action, AttributeChange, Cause, Change, Plan
from ..sides import Desired
from . import words
from .style import counted, natural, safe

_TABLE_ROWS = 10
_PORT_ATTRIBUTES = ("isolated", "hairpin", "learn", "flood")


class Verb(Enum):
    """What happens to one address of the topology."""

    CREATE = "create"
    CHANGE = "change"
    REPLACE = "replace"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Entry:
    """Everything that a plan does for one address: its `changes` in order, and their numbers in the plan."""

    address: str
    verb: Verb
    changes: tuple[Change, ...]
    numbers: tuple[int, ...]

    @property
    def steps(self) -> Iterable[tuple[int, Change]]:
        """Each change with its number."""
        return zip(self.numbers, self.changes, strict=True)

    @property
    def mark(self) -> Mark | None:
        """The line of a file that asks for it, None for what no file declares."""
        return next((change.mark for change in self.changes if change.mark is not None), None)

    @property
    def drift(self) -> bool:
        """Whether anything in it is drift."""
        return any(change.cause is Cause.DRIFT for change in self.changes) or any(
            attribute.cause is Cause.DRIFT for change in self.changes for attribute in change.attributes
        )

    @property
    def interrupts(self) -> tuple[str, ...]:
        """Addresses that lose connectivity meanwhile."""
        return tuple(sorted({name for change in self.changes for name in change.interrupts}, key=natural))


@dataclass(frozen=True, slots=True)
class Row:
    """One line below an entry: what differs, from what to what, and why."""

    name: str
    before: str
    after: str
    note: str = ""


def entries(changes: Iterable[Change]) -> list[Entry]:
    """The changes of a plan by address: networks first, then each sandbox followed by its endpoints."""
    grouped: dict[str, list[tuple[int, Change]]] = {}
    for number, change in enumerate(changes, 1):
        grouped.setdefault(change.origin, []).append((number, change))
    return [
        Entry(address, _verb(changes), changes, numbers)
        for address, steps in sorted(grouped.items(), key=lambda item: natural(item[0]))
        for numbers, changes in [zip(*steps, strict=True)]
    ]


def unchanged(plan: Plan, desired: Desired | None) -> int:
    """How many declared addresses a plan leaves as they are."""
    if desired is None:
        return 0
    declared = {item.origin for item in desired.objects.values()}
    waiting = {origin for one in plan.pending for origin in (one.origin, *one.held)}
    return len(
        declared - {change.origin for change in plan.changes} - {c.origin for c in plan.conflicts} - waiting
    )


def _verb(changes: Sequence[Change]) -> Verb:
    things = [change for change in changes if isinstance(change.object, Link | Netns)]
    actions = [change.action for change in things]
    created, deleted = Action.CREATE in actions, Action.DELETE in actions
    lost = any(c.action is Action.CREATE and c.cause is Cause.DEPENDENCY for c in things)
    if (created and deleted) or lost or any(change.replaces for change in things):
        return Verb.REPLACE
    if created:
        return Verb.CREATE
    return Verb.DELETE if deleted else Verb.CHANGE


# ------------------------------------------------------------------------------------------ what it is, in one line


def summary(entry: Entry, desired: Desired | None) -> str:
    """What a created entry will be: `bridge br-shop, 10.0.0.1/24`, `10.0.0.2/24 on front`, `namespace shop.web`."""
    after = [change.after for change in entry.changes if change.after is not None]
    addresses = [obj.address for obj in after if isinstance(obj, Address)]
    links = [obj for obj in after if isinstance(obj, Link)]
    if "/endpoint/" in entry.address:
        master = next((link.master for link in links if link.master), None)
        on = f"on {_network(master, desired)}" if master else ""
        where = " ".join(part for part in (", ".join(addresses), on) if part)
        shaped = [
            f"{_shaping(obj, entry.address)} {words.effect(obj)}" for obj in after if isinstance(obj, Qdisc)
        ]
        return ", ".join(part for part in (where, *shaped) if part)
    parts = [words.object_name(obj) for obj in after if isinstance(obj, Netns | Link)] + addresses
    parts += dict.fromkeys(f"mtu {link.mtu}" for link in links if link.mtu not in (None, words.USUAL_MTU))
    if others := sum(1 for obj in after if isinstance(obj, FdbEntry | Neighbour)):
        parts.append(f"{counted(others, 'table row')}")
    for kind, noun in ((Route, "route"), (Sysctl, "parameter")):
        number = sum(1 for obj in after if isinstance(obj, kind))
        if number and "sandbox/" in entry.address:
            parts.append(f"{number} {noun}{'s' if number > 1 else ''}")
    return ", ".join(parts)


def _network(bridge: str, desired: Desired | None) -> str:
    """The network that a bridge device stands for, else the device's own name."""
    if desired is not None:
        key = ("link", HOST, bridge)
        if (declared := desired.objects.get(key)) is not None:
            return declared.origin.removeprefix("network/")
        for wanted in desired.requirements:
            if wanted.key == key and wanted.origin.startswith("network/"):
                return wanted.origin.removeprefix("network/")
    return safe(bridge)


# ---------------------------------------------------------------------------------------------- what differs in it


def rows(entry: Entry) -> list[Row]:
    """What changes in an entry that exists before and after; empty for plain creations and deletions."""
    if entry.verb in (Verb.CREATE, Verb.DELETE):
        return []
    found: dict[Row, None] = {}
    tables = [change for change in entry.changes if isinstance(change.object, FdbEntry | Neighbour)]
    if len(tables) > _TABLE_ROWS:
        rest = tuple(c for c in entry.changes if not isinstance(c.object, FdbEntry | Neighbour))
        return [*rows(replace(entry, changes=rest)), _table_row(tables)]
    if entry.verb is Verb.REPLACE:
        found.update(dict.fromkeys(_devices(entry)))
    else:
        found.update(dict.fromkeys(_address_rows(entry.changes)))
    for change in entry.changes:
        if entry.verb is Verb.REPLACE and not change.attributes:
            continue
        found.update(dict.fromkeys(_change_rows(change)))
    return _without_twins(list(found))


def _table_row(changes: Sequence[Change]) -> Row:
    """One line instead of thousands: who is behind which host."""
    missing = sum(1 for change in changes if change.action is Action.CREATE)
    extra = sum(1 for change in changes if change.action is Action.DELETE)
    counts = (("missing", missing), ("to change", len(changes) - missing - extra), ("too many", extra))
    before = ", ".join(f"{number:,} {word}" for word, number in counts if number)
    causes = {change.cause for change in changes}
    return Row("table rows", before, "as declared", note(causes.pop()) if len(causes) == 1 else "")


def note(cause: Cause) -> str:
    """Why a change is there, where the file alone does not say it."""
    return {
        Cause.DECLARED: "",
        Cause.DRIFT: "drift",
        Cause.REMOVED: "no longer declared",
        Cause.DEPENDENCY: "dependency",
    }[cause]


def _devices(entry: Entry) -> list[Row]:
    """A device that goes and another that comes under a new name."""
    links = [change for change in entry.changes if isinstance(change.object, Link) and not change.replaces]
    gone = [c for c in links if c.action is Action.DELETE]
    new = [c for c in links if c.action is Action.CREATE]
    if gone and new and not isinstance(gone[0].object, Netns):
        before, after = words.object_name(gone[0].object), words.object_name(new[0].object)
        return [Row("device", before, after, "forces replacement")] if before != after else []
    return []


def _address_rows(changes: Sequence[Change]) -> list[Row]:
    links: dict[tuple[str, str], list[Change]] = {}
    for change in changes:
        if isinstance(change.object, Address) and change.action is not Action.UPDATE:
            links.setdefault((change.object.netns, change.object.link), []).append(change)
    found = []
    for touched in links.values():
        before = [c.object.key[-1] for c in touched if c.action is Action.DELETE]
        after = [c.object.key[-1] for c in touched if c.action is Action.CREATE]
        cause = note(touched[-1].cause)
        name = "address" if len(before) < 2 and len(after) < 2 else "addresses"
        found.append(Row(name, ", ".join(before) or "none", ", ".join(after) or "none", cause))
    return found


def _change_rows(change: Change) -> list[Row]:
    match change.object, change.action:
        case Address(), Action.CREATE | Action.DELETE:
            return []
        case Address() as address, Action.UPDATE:
            return [_address_row(address, attribute) for attribute in change.attributes]
        case Route(), Action.CREATE | Action.DELETE:
            before = words.way(change.before) if isinstance(change.before, Route) else "none"
            after = words.way(change.after) if isinstance(change.after, Route) else "none"
            return [Row(f"route {words.destination(_route(change))}", before, after, note(change.cause))]
        case Sysctl(path=path), _:
            return [
                Row(words.parameter(path), _held(change.before), _held(change.after), _sysctl_note(change))
            ]
        case Qdisc() as qdisc, Action.CREATE | Action.DELETE:
            before = words.effect(change.before) if isinstance(change.before, Qdisc) else "none"
            after = words.effect(change.after) if isinstance(change.after, Qdisc) else "none"
            return [Row(_shaping(qdisc, change.origin), before, after, note(change.cause))]
        case Port(name=name), Action.DELETE:
            return [Row(f"port {safe(name)}", _held(change.before), "none", note(change.cause))]
        case obj, Action.CREATE | Action.DELETE if not change.attributes and not isinstance(
            obj, Link | Netns
        ):
            there = ("none", "present") if change.action is Action.CREATE else ("present", "none")
            return [Row(words.object_name(obj), *there, note(change.cause))]
        case _:
            return [
                Row(
                    _label(change, attribute.name),
                    words.value(attribute.name, attribute.before),
                    words.value(attribute.name, attribute.after),
                    "forces replacement" if attribute.forces else note(attribute.cause),
                )
                for attribute in change.attributes
                if not _follows_master(attribute, change)
            ]


def _address_row(address: Address, attribute: AttributeChange) -> Row:
    """The route to its subnet is named as a route, which is how people see it."""
    if attribute.name == "connected":
        subnet = ip_interface(address.address).network
        return Row(f"route {subnet}", "none", f"dev {safe(address.link)}", note(attribute.cause))
    before, after = (words.value(attribute.name, value) for value in (attribute.before, attribute.after))
    name = f"address {address.address} {words.attribute_name(attribute.name)}"
    return Row(name, before, after, note(attribute.cause))


def _follows_master(attribute: AttributeChange, change: Change) -> bool:
    """Whether a link lacks a port attribute only because it joins a bridge, which has a row of its own."""
    joins = any(other.name == "master" for other in change.attributes)
    return joins and attribute.before is None and attribute.name in _PORT_ATTRIBUTES


def _route(change: Change) -> Route:
    assert isinstance(change.object, Route)
    return change.object


def _shaping(qdisc: Qdisc, origin: str) -> str:
    """What a queueing discipline is to its endpoint: the key of the file that asks for it."""
    if qdisc.discipline == "netem":
        return "impair"
    return "egress" if origin.endswith(f"/endpoint/{qdisc.link}") else "ingress"


def _held(obj: object) -> str:
    match obj:
        case Sysctl(value=held):
            return words.value("value", held)
        case Port(master=master):
            return words.value("master", master)
        case _:
            return "none"


def _sysctl_note(change: Change) -> str:
    causes = [attribute.cause for attribute in change.attributes] or [change.cause]
    return note(causes[0])


def _label(change: Change, attribute: str) -> str:
    name = words.attribute_name(attribute)
    match change.object:
        case Link(netns=netns) if netns == HOST and "/endpoint/" in change.origin:
            return f"{name} (host end)"
        case Route():
            return f"route {words.destination(_route(change))} {name}"
        case Qdisc() as qdisc:
            return f"{_shaping(qdisc, change.origin)} {name}"
        case Port(name=port):
            return f"port {safe(port)} {name}"
        case FdbEntry() | Neighbour() as obj:
            return f"{words.object_name(obj)} {name}"
        case _:
            return name


def _without_twins(found: list[Row]) -> list[Row]:
    """Both ends of a pair often change alike: one row says it."""
    inner = {(row.name, row.before, row.after) for row in found}
    return [
        row
        for row in found
        if not (
            row.name.endswith(" (host end)")
            and (row.name.removesuffix(" (host end)"), row.before, row.after) in inner
        )
    ]
