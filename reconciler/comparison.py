"""How a desired object is held against an observed one of the same key: attribute by attribute, as `objects` says. Pure.

Only what is asked for is compared. A difference says whether the kernel can mend it in place; the tables are made once,
from the fields of the classes, so that an attribute is described in one place only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, NamedTuple

from .objects import (
    Address,
    Bridge,
    BridgePort,
    Dummy,
    FdbEntry,
    Ipvlan,
    KernelObject,
    Link,
    Macvlan,
    Neighbour,
    Netns,
    OtherKind,
    Port,
    Qdisc,
    Route,
    Rule,
    Same,
    Sysctl,
    Unless,
    Value,
    Veth,
    Vlan,
    Vxlan,
)


class Attribute(NamedTuple):
    """One row of the comparison table: how to read an attribute and what a difference means."""

    name: str
    get: Callable[[Any], Value]
    in_place: bool
    unless: Unless | None
    same: Same | None
    exact: bool

    def can_change(self, observed: Value, desired: Value) -> bool:
        """Whether the kernel takes the desired value without a new object."""
        return self.in_place and (self.unless is None or not self.unless(observed, desired))


@dataclass(frozen=True, slots=True)
class Difference:
    """An attribute whose observed value is not the desired one."""

    name: str
    observed: Value
    desired: Value
    in_place: bool


def _table(cls: type, prefix: str = "") -> tuple[Attribute, ...]:
    return tuple(
        Attribute(
            f.name,
            attrgetter(prefix + f.name),
            f.metadata["in_place"],
            f.metadata["unless"],
            f.metadata["same"],
            f.metadata["exact"],
        )
        for f in fields(cls)
        if f.metadata.get("attr")
    )


_PLAIN = {
    cls: _table(cls) for cls in (Netns, Link, Port, Address, Route, Sysctl, Rule, Neighbour, FdbEntry, Qdisc)
}
_KINDS = {cls: _table(cls, "kind.") for cls in (Bridge, Veth, Macvlan, Ipvlan, Vlan, Vxlan, Dummy, OtherKind)}
_BRIDGE_PORT = _table(BridgePort, "port.")


def attributes(obj: KernelObject) -> Iterator[tuple[Attribute, Value]]:
    """Every attribute that `obj` asks for, with its value; link kind and port attributes included."""
    for row in _PLAIN[type(obj)]:
        if (value := row.get(obj)) is not None or row.exact:
            yield row, value
    if isinstance(obj, Link):
        for row in _KINDS[type(obj.kind)]:
            if (value := row.get(obj)) is not None:
                yield row, value
    if isinstance(obj, Link | Port) and obj.port is not None:
        for row in _BRIDGE_PORT:
            if (value := row.get(obj)) is not None:
                yield row, value


def compare(desired: KernelObject, observed: KernelObject) -> tuple[Difference, ...]:
    """The attributes that `desired` asks for and `observed` does not have. Both must have the same key."""
    if desired == observed:  # most are, and it is asked of all
        return ()
    if isinstance(desired, Link) and isinstance(observed, Link) and desired.kind.name != observed.kind.name:
        return (Difference("kind", observed.kind.name, desired.kind.name, in_place=False),)
    if (
        isinstance(desired, Qdisc)
        and isinstance(observed, Qdisc)
        and desired.discipline != observed.discipline
    ):
        return (Difference("discipline", observed.discipline, desired.discipline, in_place=False),)
    found = []
    for row, wanted in attributes(desired):
        held = _read(row, observed)
        if held == wanted or (row.same is not None and held is not None and row.same(wanted, held)):
            continue
        in_place = row.can_change(held, wanted) and not _is_rename(row, held)
        found.append(Difference(row.name, held, wanted, in_place))
    return tuple(found)


def _is_rename(row: Attribute, held: Value) -> bool:
    """Another part of the topology gets this link: names and marks of both could not be exchanged one by one."""
    return row.name == "alias" and bool(held)


def _read(row: Attribute, observed: KernelObject) -> Value:
    try:
        return row.get(observed)
    except AttributeError:  # a port attribute of a link that is no bridge port
        return None
