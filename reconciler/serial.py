"""Kernel objects and places to JSON data and back. Pure; used for saved plans, the journal and the record of what was
applied.

Absent fields are None, so that the files stay small. Reading raises ValueError for anything that the kernel could not
be asked for: a saved plan can come from another machine or another version, and what is wrong in it must be noticed
before the first change, not by the hundredth. So every value is checked by what it stands for: a prefix is parsed, a
number is within the kernel's range, a name is one that the topology file could have.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from functools import lru_cache
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

from . import marks
from .errors import Mark
from .model import Leases
from .names import IFNAMSIZ
from .objects import (
    FLOOD,
    HOST,
    IN_BRIDGE,
    ROOT,
    Address,
    Bridge,
    BridgePort,
    Dummy,
    FdbEntry,
    Ipvlan,
    KernelObject,
    Key,
    Link,
    LinkKind,
    LinkRef,
    Macvlan,
    Neighbour,
    Netns,
    OtherKind,
    Port,
    Qdisc,
    Route,
    Rule,
    Sysctl,
    Veth,
    Vlan,
    Vxlan,
)
from .sides import Established, Table

Data = dict[str, Any]
_CLASSES: Mapping[str, type[Any]] = {
    cls.kind_name: cls
    for cls in (Netns, Link, Port, Address, Route, Sysctl, Rule, Neighbour, FdbEntry, Qdisc)
}
_KINDS: Mapping[str, type[Any]] = {
    cls.name: cls for cls in (Bridge, Veth, Macvlan, Ipvlan, Vlan, Vxlan, Dummy)
}
_TYPES: Mapping[str, type] = {"str": str, "int": int, "bool": bool}
_FIELDS = {
    cls: tuple(f.name for f in fields(cls)) for cls in (*_CLASSES.values(), *_KINDS.values(), BridgePort)
}


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
    """The object that `to_data` described. Raises ValueError for anything else, and for values that cannot be."""
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
    for name in ("altnames", "further"):
        if name in values:
            values[name] = _texts(values[name])
    obj: KernelObject = _checked(cls(**values))
    if isinstance(obj, Route):
        _check_families(obj)
    return obj


def many_to_data(objects: Mapping[Key, KernelObject]) -> Data:
    """Many objects as JSON data. The entries of tunnels, of which there are ten thousands, are columns of words, by link."""
    known = objects if isinstance(objects, Established) else Established.of(objects)
    hosts, neighbours, others = known.entries.tables
    more = (known.entries.by_key[key].object for key in others)
    return {
        "objects": [to_data(obj) for obj in (*known.others.values(), *more)],
        "hosts": _columns(hosts),
        "neighbours": _columns(neighbours),
    }


def _columns(tables: Iterable[Table]) -> dict[str, list[str]]:
    """By link, a text with the MAC addresses, and one with their places."""
    found: defaultdict[str, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    for table in tables:
        found[table.link][0].extend(table.macs)
        found[table.link][1].extend(table.places)
    return {link: [" ".join(column) for column in columns] for link, columns in found.items()}


def many_from_data(data: Data) -> list[KernelObject]:
    """The objects that `many_to_data` described; the order is lost. Raises ValueError as `from_data` does."""
    found = [from_data(item) for item in data["objects"]]
    for link, columns in _mapping(data.get("hosts", {})).items():
        found += [_checked(FdbEntry(netns=HOST, link=link, mac=m, dst=p)) for m, p in _rows(columns)]
    for link, columns in _mapping(data.get("neighbours", {})).items():
        found += [_checked(Neighbour(netns=HOST, link=link, address=p, mac=m)) for m, p in _rows(columns)]
    return found


def _rows(columns: object) -> list[tuple[str, str]]:
    macs, places = _texts(columns)
    return list(zip(macs.split(), places.split(), strict=True))


def _kind_from_data(data: Data) -> LinkKind:
    rest = {name: value for name, value in data.items() if name != "kind"}
    if data["kind"] not in _KINDS:
        return _checked_kind(OtherKind(kind=str(data["kind"])))
    for name in ("peer", "parent"):
        if name in rest:
            rest[name] = LinkRef(*_texts(rest[name]))
    if "sources" in rest:
        rest["sources"] = _texts(rest["sources"])
    return _checked_kind(_KINDS[data["kind"]](**rest))


def _checked_kind(obj: LinkKind) -> LinkKind:
    kind: LinkKind = _checked(obj)
    return kind


def check_desired(obj: KernelObject) -> None:
    """Raise ValueError for an object that can be observed, but that no topology can ask for."""
    match obj:
        case (
            Link(name=name)
            | Port(name=name)
            | Address(link=name)
            | FdbEntry(link=name)
            | Neighbour(link=name)
        ) if name in _RESERVED:
            raise ValueError(f"{obj.kind_name} on {name!r} is nothing that can be made")
        case Link(kind=kind) if (
            _can_be_made(kind)
            and (obj.mtu is None or obj.mtu <= _LARGEST_MTU)
            and (obj.mac is None or _is_unicast(obj.mac))
        ):
            return
        case Qdisc(discipline=discipline, handle=handle, further=()) if (
            marks.QDISCS.get(discipline or "") == handle
        ):
            return
        case FdbEntry(mac=mac, of_bridge=True, dst=None, learned=False) if _is_unicast(mac):
            return
        case FdbEntry(mac=mac, of_bridge=False, dst=str(), learned=False) if mac == FLOOD or _is_unicast(mac):
            return
        case Neighbour(mac=str(mac)) if _is_unicast(mac):
            return
        case Netns() | Address() | Port(master=str()) | Sysctl(value=str()) | Route(type=str()):
            return
        case _:
            raise ValueError(f"{obj.kind_name} {obj.key[-1]!r} is nothing that can be made")


def _can_be_made(kind: LinkKind) -> bool:
    match kind:
        case OtherKind() | Veth(peer=None) | Macvlan(parent=None) | Ipvlan(parent=None):
            return False
        case Vlan(parent=below, id=number):
            return below is not None and number is not None
        case Vxlan(vni=vni, local=local):
            return vni is not None and local is not None
        case _:
            return True


def key_from_data(data: object) -> Key:
    """The key of a kernel object from a JSON array. Raises ValueError for what cannot be one."""
    kind, *rest = _texts(data)
    cls = _CLASSES.get(kind)
    if cls is None or len(rest) != len(_KEY_PARTS[kind]):
        raise ValueError(f"not the key of a kernel object: {data!r}")
    for name, value in zip(_KEY_PARTS[kind], rest, strict=True):
        if name not in _NUMBERS:
            _check(Link if cls is Netns else cls, name, value)  # a given namespace is required by its key
        elif not value.isdecimal() or not value.isascii() or len(value) > _DIGITS:
            raise ValueError(f"{name} is {value!r}")
    return (kind, *rest)


# ----------------------------------------------------------------------------------------------- what a value must be

_KEY_PARTS: Mapping[str, tuple[str, ...]] = {
    "netns": ("netns",),
    "link": ("netns", "name"),
    "port": ("netns", "name"),
    "address": ("netns", "link", "address"),
    "route": ("netns", "to", "table", "metric"),
    "sysctl": ("netns", "path"),
    "qdisc": ("netns", "link", "place"),
    "neighbour": ("netns", "link", "address"),
    "fdb": ("netns", "link", "mac", "at"),
}
_NUMBERS = ("table", "metric")
_DIGITS = 10
_NAME = re.compile(r"[A-Za-z0-9_.@+-]+")
_ENTRY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,254}")
_PID = re.compile(r"pid:[1-9][0-9]{0,9}")
_PARAMETER = re.compile(r"net(/[A-Za-z0-9_.:@+-]+){2,}")
_VALUE = re.compile(r"[\x20-\x7e\t]*")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_ALTNAME = re.compile(r"[\x21-\x2e\x30-\x7e]{1,127}")
_CLASS = re.compile(r"[0-9a-f]{1,4}:[0-9a-f]{1,4}")
_HANDLE = re.compile(r"[0-9a-f]{1,4}:")
_LENGTH = re.compile(r"/[0-9]{1,3}$")
_ADDRGEN = ("eui64", "none", "stable_secret", "random")
_ROUTES = ("unicast", "blackhole", "unreachable", "prohibit")
_MODES = ("bridge", "private", "vepa", "passthru", "source", "l2", "l3", "l3s")
_FLAGS = ("bridge", "private", "vepa")
_U32 = 2**32 - 1
_S63 = 2**63 - 1
_WHOLE = 10**9
_S32 = 2**31 - 1
_LARGEST_MTU = 65535
_RESERVED = ("lo", "all", "default")  # what every namespace has, and two words of /proc/sys/net


def _is_unicast(mac: str) -> bool:
    return not int(mac[:2], 16) & 1 and mac.strip("0:") != ""


def _is_interface(text: str) -> bool:
    return text not in (".", "..") and len(text) <= IFNAMSIZ and _NAME.fullmatch(text) is not None


@lru_cache(4096)
def _is_netns(text: str) -> bool:
    if text.startswith("/"):
        return len(text) < 4096 and text.isprintable()
    return text == HOST or (_PID if ":" in text else _ENTRY).fullmatch(text) is not None


def _is_parameter(path: str) -> bool:
    parts = path.split("/")
    return _PARAMETER.fullmatch(path) is not None and not {".", ".."} & set(parts)


def _parses(parse: Callable[[str], object], *, prefix: bool = False) -> Callable[[str], bool]:
    """`prefix`: a length follows, as a number. The parsers would take a netmask, or nothing at all."""

    def check(text: str) -> bool:
        parse(text)  # raises ValueError itself, with better words
        return "%" not in text and prefix == (_LENGTH.search(text) is not None)

    return check


def _within(low: int, high: int) -> Callable[[int], bool]:
    return lambda number: low <= number <= high


def _is_peer(peer: LinkRef) -> bool:
    return _is_netns(peer.netns) and _is_interface(peer.name)


_Checks = Mapping[str, Callable[[Any], bool]]
_COMMON: _Checks = {
    "netns": _is_netns,
    "name": _is_interface,
    "link": _is_interface,
    "master": _is_interface,
    "dev": _is_interface,
    "alias": lambda text: text.isprintable() and len(text.encode()) < 256,
    "altnames": lambda names: all(_ALTNAME.fullmatch(name) for name in names),
    "addrgen": _ADDRGEN.__contains__,
    "mac": lambda text: _MAC.fullmatch(text) is not None,
    "mtu": _within(68, _S32),
    "group": _within(0, _U32),
    "ageing_time": _within(0, _U32),
    "forward_delay": _within(0, _U32),
    "peer": _is_peer,
    "parent": _is_peer,
    "mode": _MODES.__contains__,
    "flag": _FLAGS.__contains__,
    "sources": lambda macs: all(_MAC.fullmatch(mac) for mac in macs),
    "id": _within(1, 4094),
    "protocol": ("802.1Q", "802.1ad").__contains__,
    "vni": _within(1, 2**24 - 1),
    "local": _parses(ip_address),
    "udp_port": _within(1, 65535),
    "to": _parses(ip_network, prefix=True),
    "source": _parses(ip_network, prefix=True),
    "via": _parses(ip_address),
    "src": _parses(ip_address),
    "dst": _parses(ip_address),
    "address": _parses(ip_address),
    "at": lambda text: text in ("", IN_BRIDGE) or _parses(ip_address)(text),
    "table": _within(1, _U32),
    "metric": _within(0, _U32),
    "priority": _within(0, _U32),
    "type": _ROUTES.__contains__,
    "action": str.isprintable,
    "kind": str.isprintable,
    "place": lambda text: text == ROOT or _CLASS.fullmatch(text) is not None,
    "handle": lambda text: _HANDLE.fullmatch(text) is not None,
    "discipline": lambda text: text.isprintable() and len(text) < 16,
    "further": lambda names: all(name.isprintable() for name in names),
    "rate": _within(0, _S63),
    "burst": _within(0, _S63),
    "queue": _within(0, _U32),
    "delay": _within(0, _S63),
    "jitter": _within(0, _S63),
    **dict.fromkeys(("correlation", "loss", "duplicate", "corrupt", "reorder"), _within(0, _WHOLE)),
    "gap": _within(0, _U32),
    "limit": _within(0, _U32),
    "path": _is_parameter,
    "value": lambda text: _VALUE.fullmatch(text) is not None,
}
_CHECKS: Mapping[type, _Checks] = {
    Netns: {**_COMMON, "netns": lambda text: _ENTRY.fullmatch(text) is not None},
    Address: {**_COMMON, "address": _parses(ip_interface, prefix=True)},
    Link: {name: check for name, check in _COMMON.items() if name != "kind"},
    OtherKind: {"kind": str.isprintable},
}


def _check(cls: type, name: str, value: Any) -> None:
    check = _CHECKS.get(cls, _COMMON).get(name)
    try:
        fits = check is None or check(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    if not fits:
        raise ValueError(f"{name} is {value!r}")


def _checked(obj: Any) -> Any:
    """`obj` if every field holds what its annotation says, and a value that the kernel may be asked for."""
    for item in fields(obj):
        value = getattr(obj, item.name)
        if value is None:
            continue
        wanted = _TYPES.get(str(item.type).removesuffix(" | None"))
        if wanted is not None and type(value) is not wanted:
            raise ValueError(f"{item.name} is {value!r}")
        _check(type(obj), item.name, value)
    return obj


def _check_families(route: Route) -> None:
    family = ip_network(route.to).version
    for name, other in (("via", route.via), ("src", route.src)):
        if other is not None and ip_address(other).version != family:
            raise ValueError(f"{name} is {other!r}, of another family than {route.to}")


def _texts(data: object) -> tuple[str, ...]:
    if not isinstance(data, list | tuple) or not all(isinstance(item, str) for item in data):
        raise ValueError(f"expected a list of texts, found {data!r}")
    return tuple(data)


def _mapping(data: object) -> Data:
    if not isinstance(data, dict):
        raise ValueError(f"expected a JSON object, found {type(data).__name__}")
    return data


def leases_to_data(leases: Leases) -> Data:
    """Leases as JSON data."""
    return {"networks": dict(leases.networks), "endpoints": dict(leases.endpoints)}


def leases_from_data(data: object) -> Leases:
    """The leases that `leases_to_data` described. Raises ValueError for anything else."""
    held = _mapping(data)
    try:
        networks, endpoints = _mapping(held["networks"]), _mapping(held["endpoints"])
    except KeyError as error:
        raise ValueError(f"no leases: {error} is missing") from error
    return Leases(
        {name: _parsed(texts, ip_network) for name, texts in networks.items()},
        {name: _parsed(texts, ip_address) for name, texts in endpoints.items()},
    )


def _parsed(data: object, parse: Callable[[str], object]) -> tuple[str, ...]:
    texts = _texts(data)
    for text in texts:
        parse(text)
    return texts


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
