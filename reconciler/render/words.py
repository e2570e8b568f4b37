"""Kernel objects and their attributes in words. Pure.

The kernel's nouns stay (link, route, …), its encodings do not: times are seconds, a missing value is `none`, a mark is
called a mark. Every text that comes from a file or from the kernel passes through `safe` here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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
    Value,
    goes_to_several,
)
from ..plan import Action, Change
from .style import safe

_NAMES = {
    "alias": "ownership mark",
    "group": "link group",
    "altnames": "further names",
    "addrgen": "link-local addresses",
    "master": "port of",
    "ageing_time": "ageing time",
    "forward_delay": "forward delay",
    "sources": "allowed MACs",
    "id": "VLAN",
    "protocol": "VLAN protocol",
    "vni": "VNI",
    "local": "tunnel end",
    "udp_port": "UDP port",
    "proxy": "answers ARP itself",
    "discipline": "queueing discipline",
    "further": "other settings",
    "corrupt": "corruption",
    "duplicate": "duplication",
    "reorder": "reordering",
    "learn": "learns who is there",
    "flood": "gets what nobody knows",
    "dst": "behind host",
}
_TIMES = ("delay", "jitter")
_SHARES = ("correlation", "loss", "duplicate", "corrupt", "reorder")
_SIZES = ("burst", "queue")
_HUNDREDTHS = ("ageing_time", "forward_delay")
USUAL_MTU = 1500
_VERBS = {Action.CREATE: "create", Action.UPDATE: "change", Action.DELETE: "delete"}


def attribute_name(name: str) -> str:
    """What people call an attribute of `objects`."""
    return _NAMES.get(name, name)


def value(attribute: str, held: Value) -> str:
    """The value of an attribute as a reader expects it."""
    match held:
        case None | "" | ():
            return "none"
        case bool():
            return "yes" if held else "no"
        case int() if attribute in _HUNDREDTHS:
            return f"{held / 100:g} s"
        case int() if attribute in _TIMES:
            return _scaled(held, 1000, ("ns", "us", "ms", "s"))
        case int() if attribute in _SHARES:
            return f"{held / 10**7:.7f}".rstrip("0").rstrip(".") + "%"
        case int() if attribute in _SIZES:
            return _scaled(held, 1024, ("bytes", "KiB", "MiB", "GiB"))
        case int() if attribute == "rate":
            return _scaled(held * 8, 1000, ("bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"))
        case int() if attribute == "group":
            return hex(held)
        case (str(netns), str(name)) if attribute in ("peer", "parent"):
            return f"{safe(name)} {f'in {safe(netns)}' if netns else 'on the host'}"
        case tuple():
            return safe(", ".join(held))
        case _:
            return safe(str(held))


def _scaled(held: int, step: int, units: Sequence[str]) -> str:
    """In the largest unit that leaves at least one of it; three decimals at most."""
    power = next((n for n in range(len(units) - 1, 0, -1) if held >= step**n), 0)
    number = f"{held / step**power:.3f}".rstrip("0").rstrip(".") if power else str(held)
    return f"{number} {units[power]}"


def parameter(path: str) -> str:
    """A kernel parameter as sysctl(8) writes it; a dot within a link's name becomes a slash, as there."""
    return safe(path.translate({ord("/"): ".", ord("."): "/"}))


def object_name(obj: KernelObject) -> str:
    """A kernel object in a few words, with its namespace unless that is the host."""
    where = "" if obj.netns == HOST else f" in {safe(obj.netns)}"
    match obj:
        case Netns():
            return f"namespace {safe(obj.netns)}"
        case Link():
            return f"{link_kind(obj)} {safe(obj.name)}{where}"
        case Port():
            return f"bridge port {safe(obj.name)}{where}"
        case Address():
            return f"address {obj.address} on {safe(obj.link)}{where}"
        case Route():
            return f"route {destination(obj)}{where}"
        case Rule():
            return f"rule {obj.priority}{where}"
        case Neighbour():
            return f"neighbour {obj.address} on {safe(obj.link)}{where}"
        case Qdisc():
            return f"queueing discipline {safe(obj.discipline or '')} on {safe(obj.link)}{where}"
        case FdbEntry(dst=dst) if dst is not None and goes_to_several(obj.mac):
            return f"forwarding entry {obj.mac} to {dst} on {safe(obj.link)}{where}"
        case FdbEntry():
            return f"forwarding entry {obj.mac} on {safe(obj.link)}{where}"
        case Sysctl():
            return f"parameter {parameter(obj.path)}{where}"


def effect(obj: Qdisc) -> str:
    """What a queueing discipline does to packets in few words: `10 Mbit/s`, `delay 20 ms, loss 1%`."""
    if obj.rate is not None:
        return value("rate", obj.rate)
    return _settings(obj, (*_TIMES, *_SHARES)) or safe(obj.discipline or "none")


def qdisc(obj: Qdisc) -> str:
    """Everything that a queueing discipline does to packets."""
    names = ("rate", "burst", "queue", *_TIMES, *_SHARES, "gap", "limit")
    parts = (f"on {safe(obj.link)}", _settings(obj, names), *map(safe, obj.further or ()))
    return ", ".join(part for part in parts if part)


def _settings(obj: Qdisc, names: Iterable[str]) -> str:
    """What it is told, without the zeros."""
    told = [
        f"{attribute_name(name)} {value(name, held)}"
        for name in names
        if (held := getattr(obj, name)) not in (None, 0)
    ]
    return ", ".join(told)


def rule(obj: Rule) -> str:
    """What a policy routing rule does, in the words of `ip rule`."""
    selector = f"from {obj.source or 'all'}" + (f" to {obj.to}" if obj.to else "")
    return f"{selector} lookup {obj.table}" if obj.action == "lookup" else f"{selector} {obj.action}"


def link_kind(link: Link) -> str:
    """The kind of a link; devices without one are just links."""
    return safe(link.kind.name) or "link"


def destination(route: Route) -> str:
    """Where a route leads: its prefix, and table or metric when they are not the usual ones."""
    usual = 1024 if ":" in route.to else 0
    extra = ""
    if route.table != 254:
        extra += f" table {route.table}"
    if route.metric != usual:
        extra += f" metric {route.metric}"
    to = "default" if route.to in ("0.0.0.0/0", "::/0") else route.to
    return (f"{to} (v6)" if route.to == "::/0" else to) + extra


def way(route: Route) -> str:
    """How a route gets there: `via 10.0.0.1 dev eth0`, or its type when it leads nowhere."""
    if route.type not in (None, "unicast"):
        return str(route.type)
    parts = [("via", route.via), ("dev", route.dev), ("src", route.src)]
    text = " ".join(f"{word} {safe(part)}" for word, part in parts if part)
    return f"{text} onlink" if route.onlink else text


def operation(change: Change) -> str:
    """One step of a plan as the kernel sees it."""
    what = object_name(change.object)
    if isinstance(change.object, Sysctl) and isinstance(change.after, Sysctl):
        return f"set {what} to {value('value', change.after.value)}"
    if change.action is Action.UPDATE:
        names = ", ".join(attribute_name(attribute.name) for attribute in change.attributes)
        return f"change {what}: {names}" if names else f"change {what}"
    return f"{_VERBS[change.action]} {what}"


def link_summary(link: Link) -> str:
    """A link in one line: kind, mtu, mac, where it is plugged in."""
    parts = [link_kind(link)]
    if link.mtu is not None:
        parts.append(f"mtu {link.mtu}")
    if link.mac is not None:
        parts.append(link.mac)
    if link.master is not None:
        parts.append(f"port of {safe(link.master)}")
    if link.up is False:
        parts.append("down")
    return ", ".join(parts)
