"""What somebody made in the kernel, as named facts that two tools can be compared by. Pure.

Facts are grouped by the thing that they are about, and the thing is named by its role: `port of web eth0` is the host's
end of that endpoint, whatever the tool calls it, and `bridge of front` that network's bridge, in whichever namespace it
is. What was there before is no fact, nor is a kernel setting that has its usual value, nor what the kernel makes by
itself for every link: the tables `local`, multicast entries, its own forwarding entries.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Interface
from typing import Any

Facts = dict[str, dict[str, str]]
HOST = ""
SEGMENT = "segment of "
# Numbers that follow from other facts, or from the drawing of a MAC address.
LINK_NOISE = {
    "ifname", "address", "master", "peer", "link_type", "linkinfo", "broadcast", "promiscuity", "allmulti",
    "num_tx_queues", "num_rx_queues", "gso_max_size", "gso_max_segs", "gro_max_size", "gso_ipv4_max_size",
    "gro_ipv4_max_size", "permaddr", "min_mtu", "max_mtu", "mode",
}  # fmt: skip
KIND_NOISE = {
    "bridge_id", "root_id", "root_path_cost", "designated_bridge", "designated_cost", "group_addr", "link",
    "gc_timer", "hash_elasticity", "hash_max",
}  # fmt: skip
SETTING_NOISE = {"mtu", "stable_secret", "base_reachable_time", "retrans_time", "nf_log"}
MULTICAST = ("(solicited)", "33:33:", "01:00:5e:", "01:80:c2:")
_PER_LINK = re.compile(r"(net/ipv[46]/(?:conf|neigh))/([^/]+)/(.+)")
_PORTS = re.compile(r"(?<=127\.0\.0\.11:)\d+|(?<=--sport )\d{4,}")  # where Docker's name server listens
_GENERATED = re.compile(r"\(link-local\)|fe80::[0-9a-f]+:")  # by the kernel; a short one was typed
_MAC = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class Names:
    """What a tool calls things: its bridges by network, and its namespaces by sandbox, or `segment of NETWORK`."""

    bridges: Mapping[str, str] = field(default_factory=dict)
    namespaces: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a host: its namespaces as tests/snapshot.py describes them, and the lines of their firewalls."""

    namespaces: Mapping[str, Any]
    firewall: Mapping[str, tuple[str, ...]]


def facts(before: Look, after: Look, names: Names) -> Facts:
    """What was made between two looks at a host. A namespace that is new is compared with the host's before."""
    return _Reader(before, after, names).read()


class _Reader:
    def __init__(self, before: Look, after: Look, names: Names) -> None:
        self._before, self._after, self._names = before, after, names
        self._found: Facts = {}

    def read(self) -> Facts:
        for namespace, held in self._after.namespaces.items():
            had = self._before.namespaces.get(namespace)
            self._links(namespace, held, had)
            self._tables(namespace, held, had)
            self._settings(namespace, held, had)
            rules = set(self._before.firewall.get(namespace, ()))
            for line in self._after.firewall.get(namespace, ()):
                if line not in rules:
                    self._add(self._where(namespace, "firewall"), self._worded(namespace, line), "present")
        for namespace in self._before.namespaces.keys() - self._after.namespaces.keys():
            self._add(self._where(namespace, "namespace"), "entry", "gone")
        return {place: dict(sorted(each.items())) for place, each in sorted(self._found.items()) if each}

    def _add(self, place: str, attribute: str, value: object) -> None:
        text = value if isinstance(value, str) else _text(value)
        self._found.setdefault(place, {})[attribute] = text

    # -------------------------------------------------------------------------------------------------------- names

    def _sandbox(self, namespace: str) -> str:
        return self._names.namespaces.get(namespace, namespace)

    def _where(self, namespace: str, what: str) -> str:
        return f"{self._sandbox(namespace)} {what}" if namespace else what

    def _thing(self, namespace: str, name: str) -> str:
        """The role of a link; its own name where it has none, as a link that was there before."""
        link = self._after.namespaces[namespace]["links"].get(name, {})
        sandbox = self._sandbox(namespace)
        if namespace and not sandbox.startswith(SEGMENT):
            return f"{sandbox} {name}"
        if namespace == HOST and name in self._before.namespaces[HOST]["links"]:
            return name
        match link.get("linkinfo", {}).get("info_kind"):
            case "bridge":
                return f"bridge of {self._network(namespace, name)}"
            case "vxlan" if master := link.get("master"):
                return f"tunnel of {self._network(namespace, master)}"
            case "veth" if link.get("peer"):
                other, _, peer = str(link["peer"]).partition("/")
                if other != namespace and other in self._after.namespaces:
                    return f"port of {self._sandbox(other)} {peer}"
        return self._where(namespace, name)

    def _network(self, namespace: str, bridge: str) -> str:
        sandbox = self._sandbox(namespace)
        if sandbox.startswith(SEGMENT):
            return sandbox.removeprefix(SEGMENT)
        return self._names.bridges.get(bridge, bridge)

    def _worded(self, namespace: str, text: str) -> str:
        """A text of the firewall with links called by their roles."""
        for name in sorted(self._after.namespaces[namespace]["links"], key=len, reverse=True):
            if name not in ("lo", "eth0"):
                text = re.sub(
                    rf"(?<![\w.-]){re.escape(name)}(?![\w.-])", f"({self._thing(namespace, name)})", text
                )
        return _PORTS.sub("(port)", text)

    # -------------------------------------------------------------------------------------------------------- links

    def _links(self, namespace: str, held: Mapping[str, Any], had: Mapping[str, Any] | None) -> None:
        old = (had or {}).get("links", {})
        for name, link in held["links"].items():
            if had is None and name != "lo" and name in self._usual():
                continue
            thing, was = self._thing(namespace, name), _flat(old[name]) if name in old else {}
            if not was and name != "lo":
                for key, value in self._identity(namespace, name, link):
                    self._add(thing, key, value)
            for key, value in _flat(link).items():
                if was.get(key) != value and not (name == "lo" and not was):
                    self._add(thing, key, value)
            if was and old[name].get("address") != link.get("address"):
                self._add(thing, "MAC address", "another one than before")
            self._addresses(namespace, name, held, had)
        for name in old.keys() - held["links"].keys():
            self._add(self._thing(namespace, name), "link", "gone")

    def _usual(self) -> set[str]:
        """What modules put into every namespace."""
        return set(self._before.namespaces[HOST]["links"])

    def _identity(self, namespace: str, name: str, link: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        if not namespace or self._sandbox(namespace).startswith(SEGMENT):
            yield "namespace", "the host's" if not namespace else "one of the network's own"
            yield "name", re.sub(r"[0-9a-f]{5,}", "(id)", name)
        yield "MAC address", _mac(link, self._after.namespaces[namespace]["addresses"].get(name, []))
        if master := link.get("master"):
            yield "port of", self._thing(namespace, master)
        other, _, its = str(link.get("peer") or "/").partition("/")
        if its in self._after.namespaces.get(other, {}).get("links", {}):
            yield "other end or parent", self._thing(other, its)

    def _addresses(
        self, namespace: str, name: str, held: Mapping[str, Any], had: Mapping[str, Any] | None
    ) -> None:
        old = [] if had is None else had["addresses"].get(name, [])
        for each in held["addresses"].get(name, []):
            if each not in old and not _GENERATED.match(each["local"]):
                said = {k: v for k, v in each.items() if k not in ("local", "prefixlen", "family", "label")}
                self._add(
                    self._thing(namespace, name), f"address {each['local']}/{each['prefixlen']}", _words(said)
                )

    # ------------------------------------------------------------------------------------------------------- tables

    def _tables(self, namespace: str, held: Mapping[str, Any], had: Mapping[str, Any] | None) -> None:
        old = had or self._before.namespaces[HOST]
        for kind, describe in (
            ("routes", _route),
            ("rules", _rule),
            ("neighbours", _neighbour),
            ("fdb", _entry),
        ):
            known = [describe(each) for each in old[kind]]
            for each in held[kind]:
                said = describe(each)
                if said is None or said in known:
                    continue
                key, link, value = said
                if link is None:
                    self._add(self._where(namespace, "routing"), key, value)
                else:
                    self._add(self._thing(namespace, link), key, value)

    # ----------------------------------------------------------------------------------------------------- settings

    def _settings(self, namespace: str, held: Mapping[str, Any], had: Mapping[str, Any] | None) -> None:
        settings: Mapping[str, str] = held["sysctls"]
        usual: Mapping[str, str] = (had or self._before.namespaces[HOST])["sysctls"]
        for path, value in sorted(settings.items()):
            if path.rpartition("/")[2] in SETTING_NOISE or path.rpartition("/")[2].endswith(
                ("_ms", "_jiffies")
            ):
                continue
            parts = _PER_LINK.fullmatch(path)
            if parts is None or parts[2] in ("all", "default"):
                if usual.get(path) not in (value, None):
                    self._add(
                        self._where(namespace, "settings"), path.replace("/", "."), " ".join(value.split())
                    )
                continue
            base, name, key = parts.groups()
            # Only the first namespace shows the usual values for neighbours, but nobody sets them on loopback.
            model = "lo" if base.endswith("neigh") else "default"
            if value in (usual.get(path), settings.get(f"{base}/{model}/{key}")):
                continue
            if name in held["links"] and (name == "lo" or name not in self._usual()):
                self._add(self._thing(namespace, name), f"{base}/IFNAME/{key}".replace("/", "."), value)
            elif had is not None and name in self._usual():
                self._add(name, f"{base}/IFNAME/{key}".replace("/", "."), value)


def _flat(link: Mapping[str, Any]) -> dict[str, str]:
    info = link.get("linkinfo", {})
    plain = {key: value for key, value in link.items() if key not in LINK_NOISE}
    plain["flags"] = [flag for flag in link["flags"] if flag != "LOWER_UP"]
    plain["group"] = "default" if link.get("group") == "default" else "a number of the topology's"
    if "ifalias" in link:
        plain["ifalias"] = "says whose it is"
    if "altnames" in link:
        plain["altnames"] = "says whose it is"
    kind = {"kind": info["info_kind"]} if "info_kind" in info else {}
    parts = ((info.get("info_kind"), "info_data"), (f"{info.get('info_slave_kind')} port", "info_slave_data"))
    data = {
        f"{what} {k}": v for what, part in parts for k, v in info.get(part, {}).items() if k not in KIND_NOISE
    }
    return {key: _text(value) for key, value in {**plain, **kind, **data}.items()}


def _mac(link: Mapping[str, Any], addresses: list[Mapping[str, Any]]) -> str:
    mac = str(link.get("address"))
    v4 = [IPv4Interface(each["local"]).packed for each in addresses if each["family"] == "inet"]
    if any(mac == f"02:42:{packed.hex(':')}" for packed in v4):
        return "02:42 and the IPv4 address"
    return "set to one of its own" if _MAC.fullmatch(mac) else mac.strip("()")


def _route(route: Mapping[str, Any]) -> tuple[str, str | None, str] | None:
    if route.get("table") == "local" or route.get("dst") in ("ff00::/8", "multicast", "fe80::/64"):
        return None
    said = {k: v for k, v in route.items() if k not in ("dst", "dev", "pref", "type", "flags")}
    family = "IPv6 " if "pref" in route and route["dst"] == "default" else ""
    kind = "" if route.get("type") in (None, "unicast") else f"{route['type']} "
    flags = [flag for flag in route.get("flags", []) if flag not in ("linkdown", "dead")]
    return (
        f"{family}route {kind}{route['dst']}",
        route.get("dev"),
        _words(said | ({"flags": flags} if flags else {})),
    )


def _rule(rule: Mapping[str, Any]) -> tuple[str, None, str]:
    return f"rule {rule.get('priority')}", None, _words(rule)


def _neighbour(entry: Mapping[str, Any]) -> tuple[str, str, str] | None:
    if str(entry.get("lladdr", "")).startswith(MULTICAST) or "NOARP" in entry.get("state", []):
        return None
    return (
        f"neighbour {entry['dst']}",
        entry["dev"],
        _words({k: v for k, v in entry.items() if k not in ("dst", "dev")}),
    )


def _entry(entry: Mapping[str, Any]) -> tuple[str, str, str] | None:
    if entry["mac"].startswith(MULTICAST) or ("dst" not in entry and "self" not in entry.get("flags", [])):
        return None
    said = {k: v for k, v in entry.items() if k not in ("mac", "ifname", "linkNetNsId")}
    return f"forwarding {entry['mac']}", entry["ifname"], _words(said)


def _words(said: Mapping[str, Any]) -> str:
    return ", ".join(
        key if value is True else f"{key} {_text(value)}"
        for key, value in sorted(said.items())
        if value not in ([], "", None, "forever")
    )


def _text(value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case list():
            return " ".join(_text(each) for each in value)
        case dict():
            return _words(value)
    return str(value)
