"""Kernel objects, changes and places to JSON data and back. Pure; used for saved plans, the journal and the record
of what was applied.

Absent fields are None, so that the files stay small. Reading checks shapes and raises ValueError: a saved plan can
come from another machine or another version, and nothing of it may be believed unread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from .errors import Mark
from .objects import (
    Address,
    Bridge,
    BridgePort,
    FdbEntry,
    KernelObject,
    Link,
    LinkKind,
    LinkRef,
    Neighbour,
    Netns,
    OtherKind,
    Port,
    Route,
    Rule,
    Sysctl,
    Veth,
)

Data = dict[str, Any]
_CLASSES: Mapping[str, type[Any]] = {
    cls.kind_name: cls for cls in (Netns, Link, Port, Address, Route, Sysctl, Rule, Neighbour, FdbEntry)
}
_KINDS: Mapping[str, type[Any]] = {"bridge": Bridge, "veth": Veth}
_TYPES: Mapping[str, type] = {"str": str, "int": int, "bool": bool}
_FIELDS = {cls: tuple(f.name for f in fields(cls)) for cls in (*_CLASSES.values(), Bridge, Veth, BridgePort)}


def to_data(obj: KernelObject) -> Data:
    """A kernel object as JSON data; `kind` names its class."""
    data: Data = {"kind": obj.kind_name}
    for name in _FIELDS[type(obj)]:
        value = getattr(obj, name)
        if value is None:
            continue
        match name:
            case "kind":
                data["link_kind"] = _kind_to_data(value)
            case "port":
                data["port"] = _plain(value)
            case _:
                data[name] = value
    return data


def _kind_to_data(kind: LinkKind) -> Data:
    return {"kind": kind.kind} if isinstance(kind, OtherKind) else {"kind": kind.name, **_plain(kind)}


def _plain(obj: Any) -> Data:
    return {name: value for name in _FIELDS[type(obj)] if (value := getattr(obj, name)) is not None}


def from_data(data: object) -> KernelObject:
    """The object that `to_data` described. Raises ValueError for anything else."""
    try:
        return _from_data(_mapping(data))
    except (TypeError, KeyError) as error:
        raise ValueError(f"not a kernel object: {error}") from error


def _from_data(data: Data) -> KernelObject:
    cls = _CLASSES[data["kind"]]
    known = set(_FIELDS[cls])
    values = {name: value for name, value in data.items() if name not in ("kind", "link_kind", "port")}
    if not set(values) <= known:
        raise ValueError(f"unknown attributes of a {data['kind']}: {sorted(set(values) - known)}")
    if cls is Link:
        values["kind"] = _kind_from_data(_mapping(data["link_kind"]))
    if "port" in data:
        values["port"] = _checked(BridgePort(**data["port"]))
    if "altnames" in values:
        values["altnames"] = _texts(values["altnames"])
    obj: KernelObject = _checked(cls(**values))
    return obj


def _kind_from_data(data: Data) -> LinkKind:
    rest = {name: value for name, value in data.items() if name != "kind"}
    if data["kind"] not in _KINDS:
        return OtherKind(kind=str(data["kind"]))
    if "peer" in rest:
        rest["peer"] = LinkRef(*_texts(rest["peer"]))
    kind: LinkKind = _checked(_KINDS[data["kind"]](**rest))
    return kind


def _checked(obj: Any) -> Any:
    """`obj` if every plain field holds what its annotation says; what is written to the kernel must be of its type."""
    for item in fields(obj):
        wanted = _TYPES.get(str(item.type).removesuffix(" | None"))
        value = getattr(obj, item.name)
        if wanted is not None and value is not None and type(value) is not wanted:
            raise ValueError(f"{item.name} is {value!r}")
    return obj


def _texts(data: object) -> tuple[str, ...]:
    if not isinstance(data, list | tuple) or not all(isinstance(item, str) for item in data):
        raise ValueError(f"expected a list of texts, found {data!r}")
    return tuple(data)


def _mapping(data: object) -> Data:
    if not isinstance(data, dict):
        raise ValueError(f"expected a JSON object, found {type(data).__name__}")
    return data


def mark_to_data(mark: Mark | None) -> list[Any] | None:
    """A place in a file as a JSON array."""
    return None if mark is None else list(mark)


def mark_from_data(data: object) -> Mark | None:
    """The place that `mark_to_data` described."""
    match data:
        case None:
            return None
        case [str(file), int(line), int(col), int(end)]:
            return Mark(file, line, col, end)
        case _:
            raise ValueError("not a place in a file")
