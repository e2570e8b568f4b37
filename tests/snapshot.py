"""What a world looks like, as data and as canonical text.

Read with `ip`, `bridge`, `nft` and /proc only. What says nothing about configuration is left out: numbers that the
kernel hands out (peers are named instead), counters, timers, learned entries. What is left must be equal before and
after anything that promises to leave the machine as it was.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.inside import NETNS_DIR, is_namespace, own_sysfs

if TYPE_CHECKING:
    from tests.world import World

FOREVER = 2**32 - 1
# The last two: a bridge takes offload limits from its ports and does not get them back when they leave.
LINK_NOISE = {
    "ifindex", "link_index", "link_netnsid", "link", "link_pointtopoint", "operstate", "tso_max_size", "tso_max_segs",
}  # fmt: skip
# Timers, and port numbers, which depend on the order in which ports came.
KIND_NOISE = {
    "hello_timer", "tcn_timer", "topology_change_timer", "gc_timer", "topology_change", "topology_change_detected",
    "message_age_timer", "forward_delay_timer", "hold_timer", "id", "no", "designated_port", "root_port",
}  # fmt: skip
ROUTE_NOISE = {"expires", "users", "age", "used", "cache"}
NET_ADDR_RANDOM = "1"
LINK_LOCAL = re.compile(r"fe80::[0-9a-f:]*ff:fe[0-9a-f]{2}:[0-9a-f]{1,4}")
SOLICITED = re.compile(r"33:33:ff(:[0-9a-f]{2}){3}|ff02::1:ff[0-9a-f]{2}:[0-9a-f]{1,4}")
# Not configuration: a count of flows, and files that can only be written.
SYSCTL_NOISE = {"nf_conntrack_count", "flush"}


def observe(world: World) -> dict[str, Any]:
    """Namespaces (`""` is the host), the entries of /run and of the state directory, the mounts on them."""
    names = world.call(netns_names)
    raw = {name: world.call(_read_namespace, netns=name or None) for name in ("", *names)}
    peers = _Peers(world, raw)
    return {
        "namespaces": {name: _namespace(name, data, peers) for name, data in raw.items()},
        "files": world.call(_files, world.state_dir),
        "mounts": world.call(_mounts, world.state_dir),
    }


def canonical(observed: dict[str, Any]) -> str:
    """Sorted, indented JSON."""
    return json.dumps(observed, sort_keys=True, indent=1)


def mask(world: World, text: str) -> str:
    """The text without the MAC addresses that were drawn by chance, and without what derives from MAC addresses.

    One label for all: a bridge takes over the lowest MAC of its ports, so which one it has is chance too.
    """
    for name in ("", *world.call(netns_names)):
        for mac in world.call(_random_macs, world.root / "sys", netns=name or None):
            bridge_id = ":".join(part.lstrip("0") or "0" for part in mac.split(":"))
            text = text.replace(mac, "(random)").replace(bridge_id, "(random)")
    text = LINK_LOCAL.sub("(link-local)", text)
    return canonical(_resorted(json.loads(SOLICITED.sub("(solicited)", text))))


def _resorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _resorted(item) for key, item in value.items()}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return _sorted(map(_resorted, value))
    return value


def netns_names() -> list[str]:
    """The sorted entries of /run/netns that are namespaces; plain files and links to nowhere are not."""
    if not NETNS_DIR.is_dir():
        return []
    return sorted(
        entry.name for entry in NETNS_DIR.iterdir() if not entry.is_symlink() and is_namespace(entry)
    )


def read_sysctl(key: str) -> str:
    """The value of a key in dots or, where a name has dots itself, in slashes."""
    path = key if "/" in key else key.replace(".", "/")
    return (Path("/proc/sys") / path).read_text().strip()


def pending(world: World, *, dad: bool) -> list[str]:
    """What the kernel still has to finish by itself, in words; empty when nothing. `dad`: count tentative addresses."""
    names = ("", *world.call(netns_names))
    return [
        f"{name or 'host'}: {what}"
        for name in names
        for what in world.call(_pending, dad, netns=name or None)
    ]


def _pending(dad: bool) -> list[str]:
    (links,) = _batch("ip", "-d", lines=["address show"])
    return [what for link in links if link for what in _pending_on(link, dad)]


def _pending_on(link: dict[str, Any], dad: bool) -> Iterator[str]:
    flags, name = link["flags"], link["ifname"]
    # Who has a carrier is up, who has none is told so; older kernels take a second for that with a new bridge.
    if "UP" in flags and ("LOWER_UP" in flags) == ("NO-CARRIER" in flags):
        yield f"carrier of {name}"
    state = link.get("linkinfo", {}).get("info_slave_data", {}).get("state")
    if state in ("listening", "learning"):
        yield f"port {name} is {state}"
    if dad and "LOWER_UP" in flags:
        tentative = (
            info for info in link["addr_info"] if info.get("tentative") and not info.get("dadfailed")
        )
        yield from (f"{info['local']} on {name} is tentative" for info in tentative)


# ------------------------------------------------------------------------------------------------ one namespace, raw


def _read_namespace() -> dict[str, Any]:
    links, addresses = _batch("ip", "-d", lines=["link show", "address show"])
    data: dict[str, Any] = {"links": links, "addresses": addresses, "sysctls": _sysctls()}
    for family in ("-4", "-6"):
        lines = ["route show table all", "rule show", "neighbour show nud permanent", "neighbour show proxy"]
        data[family] = _batch("ip", "-d", family, lines=lines)
    data["fdb"], data["vlans"] = _batch("bridge", lines=["fdb show", "vlan show"])
    data["nft"] = _nft()
    return data


def _batch(program: str, *options: str, lines: list[str]) -> list[Any]:
    """The parsed output of each line; one process for all, because starting it is what costs."""
    argv = [program, *options, "-j", "-batch", "-"]
    env = {**os.environ, "PATH": f"/usr/sbin:/sbin:{os.environ.get('PATH', '')}"}
    text = subprocess.run(
        argv, input="\n".join(lines), capture_output=True, text=True, check=True, env=env
    ).stdout
    decoder, found, text = json.JSONDecoder(), [], text.strip()
    while text:
        value, end = decoder.raw_decode(text)
        found.append(value)
        text = text[end:].lstrip()
    assert len(found) == len(lines), f"{program} answered {len(found)} of {len(lines)} questions"
    return found


def _sysctls() -> dict[str, str]:
    found: dict[str, str] = {}
    base = "/proc/sys/"
    for folder, _, files in os.walk(base + "net"):
        for name in files:
            if name not in SYSCTL_NOISE:
                path = f"{folder}/{name}"
                found[path[len(base) :]] = _text(path)
    return found


def _text(path: str) -> str:
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError as error:
        return f"({os.strerror(error.errno or 0)})"
    try:
        return os.read(fd, 1 << 16).decode().strip()
    except OSError as error:  # a key without a value yet, like stable_secret
        return f"({os.strerror(error.errno or 0)})"
    finally:
        os.close(fd)


def _nft() -> list[str]:
    program = shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if program is None:
        return []
    return subprocess.run(
        [program, "-s", "list", "ruleset"], capture_output=True, text=True, check=False
    ).stdout.splitlines()


def _random_macs(folder: Path) -> list[str]:
    with own_sysfs(folder) as sys:
        links = sorted(link for link in (sys / "class/net").iterdir() if (link / "addr_assign_type").exists())
        drawn = (link for link in links if (link / "addr_assign_type").read_text().strip() == NET_ADDR_RANDOM)
        return [(link / "address").read_text().strip() for link in drawn]


# ------------------------------------------------------------------------------------------- one namespace, without noise


class _Peers:
    """Names the other end of a link, which the kernel gives as a number in a numbered namespace."""

    def __init__(self, world: World, raw: dict[str, dict[str, Any]]) -> None:
        self._world = world
        self._names = {
            ns: {link["ifindex"]: link["ifname"] for link in data["links"]} for ns, data in raw.items()
        }
        self._nsids: dict[tuple[str, str], int | None] = {}

    def name(self, netns: str, link: dict[str, Any]) -> str | None:
        """`NETNS/LINK` of the other end or of the link below, None when there is none."""
        if "link_netnsid" in link:
            index = link.get("link_index", 0)
            for other in self._names:
                if self._nsid(netns, other) == link["link_netnsid"]:
                    return f"{other}/{self._names[other].get(index, '?')}"
            return "(a namespace without a name)"
        if "link" in link:
            return f"{netns}/{link['link']}"
        if "link_index" in link:
            return f"{netns}/{self._names[netns].get(link['link_index'], '?')}"
        return None

    def _nsid(self, netns: str, other: str) -> int | None:
        if (netns, other) not in self._nsids:
            self._nsids[netns, other] = self._world.nsid(netns, other)
        return self._nsids[netns, other]


def _namespace(name: str, data: dict[str, Any], peers: _Peers) -> dict[str, Any]:
    return {
        "links": {link["ifname"]: _link(name, link, peers) for link in data["links"] if link},
        "addresses": {
            link["ifname"]: _sorted(map(_address, link["addr_info"])) for link in data["addresses"] if link
        },
        "routes": _sorted(
            _without(route, ROUTE_NOISE) for route in (*data["-4"][0], *data["-6"][0]) if not _late(route)
        ),
        "rules": _sorted(rule for family in ("-4", "-6") for rule in data[family][1]),
        "neighbours": _sorted(
            entry for family in ("-4", "-6") for part in (2, 3) for entry in data[family][part]
        ),
        "fdb": _sorted(entry for entry in data["fdb"] if entry.get("state") in ("permanent", "static")),
        "vlans": _sorted(data["vlans"]),
        "sysctls": data["sysctls"],
        "nft": data["nft"],
    }


def _link(netns: str, link: dict[str, Any], peers: _Peers) -> dict[str, Any]:
    found = _without(link, LINK_NOISE)
    found["peer"] = peers.name(netns, link)
    info = dict(link.get("linkinfo", {}))
    for part in ("info_data", "info_slave_data"):
        if part in info:
            kept = {"id"} if part == "info_data" else set()  # of a VLAN or a VXLAN it is configuration
            info[part] = _without(info[part], KIND_NOISE - kept)
    return found | {"linkinfo": info} if info else found


def _address(info: dict[str, Any]) -> dict[str, Any]:
    found = _without(info, {"tentative", "valid_life_time", "preferred_life_time"})
    for key in ("valid_life_time", "preferred_life_time"):
        found[key] = "forever" if info.get(key, FOREVER) == FOREVER else "limited"
    return found


def _late(route: dict[str, Any]) -> bool:
    """The kernel's own route to an IPv6 address: it says no more than the address, and comes a second after it."""
    return route.get("type") in ("local", "anycast") and route.get("table") == "local" and ":" in route["dst"]


def _without(item: dict[str, Any], noise: set[str]) -> dict[str, Any]:
    return {key: value for key, value in item.items() if key not in noise}


def _sorted(items: Any) -> list[Any]:
    return sorted(items, key=lambda item: json.dumps(item, sort_keys=True))


# ---------------------------------------------------------------------------------------------------------- files, mounts


def _files(state_dir: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for top in (Path("/run"), state_dir):
        for folder, folders, files in os.walk(top):
            for name in (*folders, *files):
                path = Path(folder) / name
                found[str(path)] = _describe(path)
    if state_dir.exists():
        found[str(state_dir)] = _describe(state_dir)
    return {path.replace(str(state_dir), "STATE", 1): text for path, text in found.items()}


def _describe(path: Path) -> str:
    status = path.lstat()
    kind = f"{stat.filemode(status.st_mode)} {status.st_uid}:{status.st_gid}"
    if path.is_symlink():
        return f"{kind} -> {path.readlink()}"
    if is_namespace(path):
        return f"{kind} namespace"
    if path.is_file():
        return f"{kind} {hashlib.sha256(path.read_bytes()).hexdigest()}"
    return kind


def _mounts(state_dir: Path) -> list[str]:
    lines = Path("/proc/thread-self/mountinfo").read_text().splitlines()
    points = (line.split()[4] for line in lines)
    return sorted(
        point.replace(str(state_dir), "STATE", 1)
        for point in points
        if point.startswith(("/run", str(state_dir)))
    )
