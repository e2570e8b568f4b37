"""What the kernel holds, namespace by namespace, as text and as JSON. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .. import serial
from ..objects import (
    HOST,
    Address,
    FdbEntry,
    KernelObject,
    Link,
    Neighbour,
    Netns,
    Port,
    Qdisc,
    Route,
    Rule,
    Sysctl,
)
from . import words
from .style import Style, columns, counted, natural, safe

_KINDS = (Link, Port, Qdisc, Address, Route, Rule, Neighbour, FdbEntry, Sysctl, Netns)
_ORDER: dict[type, int] = {kind: place for place, kind in enumerate(_KINDS)}


@dataclass(frozen=True, slots=True)
class Shown:
    """One object with its owner: `topology` None for foreign ones, `origin` its address in the topology."""

    object: KernelObject
    topology: str | None
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class Space:
    """A namespace and what is in it. `topology` and `origin` say whose it is, as for its objects."""

    netns: str
    objects: Sequence[Shown]
    topology: str | None = None
    origin: str | None = None


def text(spaces: Sequence[Space], hidden: int, style: Style) -> str:
    """A block for each namespace; `hidden` foreign objects were left out."""
    lines = [line for space in spaces for line in (*_block(space, style), "")]
    if not spaces:
        lines.append("Nothing of any topology is on this host.")
    if hidden:
        lines.append(f"{counted(hidden, 'foreign object')} not shown; --foreign lists them.")
    return "\n".join(lines).rstrip("\n") + "\n"


def _block(space: Space, style: Style) -> list[str]:
    name = "the host" if space.netns == HOST else f"namespace {safe(space.netns)}"
    whose = "" if space.netns == HOST else f"   {_owner(space.topology, space.origin)}"
    rows = [
        (_what(item.object), _value(item.object), _owner(item.topology, item.origin))
        for item in sorted(space.objects, key=lambda item: _place(item.object))
    ]
    return [f"{style.paint(name, 'bold')}{whose}", *columns(rows, indent="  ")]


def _place(obj: KernelObject) -> tuple[object, ...]:
    return (_ORDER[type(obj)], natural("\0".join(obj.key)))


def _owner(topology: str | None, origin: str | None) -> str:
    if topology is None:
        return "foreign"
    return f"ours: {safe(topology)} {safe(origin)}" if origin else f"ours: {safe(topology)}"


def _what(obj: KernelObject) -> str:
    match obj:
        case Link():
            return f"link {safe(obj.name)}"
        case Port():
            return f"port {safe(obj.name)}"
        case Address():
            return f"address {obj.address}"
        case Route():
            return f"route {words.destination(obj)}"
        case Rule():
            return f"rule {obj.priority}"
        case Neighbour():
            return f"neighbour {obj.address}"
        case FdbEntry():
            return f"forwarding {obj.mac}"
        case Qdisc():
            return f"qdisc {safe(obj.discipline or '')} {safe(obj.handle)}"
        case Sysctl():
            return f"parameter {words.parameter(obj.path)}"
        case Netns():
            return f"namespace {safe(obj.netns)}"


def _value(obj: KernelObject) -> str:
    match obj:
        case Link():
            return words.link_summary(obj)
        case Port():
            return f"port of {safe(obj.master)}" if obj.master else "in no bridge"
        case Address():
            return f"on {safe(obj.link)}"
        case Route():
            return words.way(obj)
        case Rule():
            return words.rule(obj)
        case Neighbour():
            return f"is {obj.mac} on {safe(obj.link)}"
        case FdbEntry():
            learned = ", learned" if obj.learned else ""
            return f"behind {obj.dst or safe(obj.link)}{learned}"
        case Qdisc():
            return words.qdisc(obj)
        case Sysctl():
            return words.value("value", obj.value)
        case Netns():
            return ""


def document(spaces: Sequence[Space]) -> dict[str, Any]:
    """Every object with its owner, for programs."""
    return {
        "namespaces": [
            {
                "netns": space.netns,
                "topology": space.topology,
                "address": space.origin,
                "objects": [
                    {
                        **serial.to_data(item.object),
                        "ours": item.topology is not None,
                        "topology": item.topology,
                        "address": item.origin,
                    }
                    for item in sorted(space.objects, key=lambda item: _place(item.object))
                ],
            }
            for space in spaces
        ]
    }
