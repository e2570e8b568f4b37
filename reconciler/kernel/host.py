"""What this host allows and how it is set: privileges, places and values, read from /proc for `doctor`.

Reads only, and needs no privilege. What a container hides is unknown, not missing.
"""

from __future__ import annotations

import os
import resource
import shutil
from pathlib import Path

from ..features import Fact, Setting, Verdict
from . import netns

BRIDGE_PORTS = 1023  # net/bridge/br_private.h, BR_MAX_PORTS; port 0 is none
# include/uapi/linux/capability.h
_CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21, "CAP_NET_BROADCAST": 11}
_USES = {
    "CAP_NET_ADMIN": "everything that makes or changes links",
    "CAP_SYS_ADMIN": "entering namespaces",
    "CAP_NET_BROADCAST": "watch: hearing what happens in sandboxes",
}
_VITAL = ("CAP_NET_ADMIN", "CAP_SYS_ADMIN")
_AS_ROOT = "run as root, or give the process {name}"
_SYSCTL = "/proc/sys/"
_WRITTEN = "net/ipv4/conf/default/rp_filter"  # one that every namespace has, as those that are written
_SETTINGS = (
    ("net/ipv4/ip_forward", "1: this host forwards IPv4 between its networks and to the outside"),
    ("net/ipv6/conf/all/forwarding", "1: the same for IPv6"),
    ("net/ipv6/conf/all/disable_ipv6", "1: links made from now on have no IPv6"),
    ("net/ipv4/conf/all/rp_filter", "not 0: packets from where no route leads are dropped, on every link"),
    ("net/ipv4/conf/default/rp_filter", "the same, for links made from now on"),
    ("net/bridge/bridge-nf-call-iptables", "1: the host's firewall also sees what bridges carry inside"),
    ("net/bridge/bridge-nf-call-ip6tables", "the same for IPv6"),
    ("user/max_net_namespaces", "how many network namespaces a user may have"),
)
_ABSENT = {"net/bridge": "module br_netfilter is not loaded: bridges bypass the host's firewall"}


def facts() -> list[Fact]:
    """Privileges and places that every topology needs (`vital`), and some that only certain things do."""
    held = _held()
    return [
        *(_capability(name, bit, held) for name, bit in _CAPABILITIES.items()),
        _namespaces(),
        _directory(),
        _parameters(),
        _rootless(),
        _program("nft", "firewall rules", "install the package nftables"),
    ]


def settings() -> list[Setting]:
    """Values that explain what a host does with the traffic of a topology, and the limits that a topology can reach."""
    return [
        Setting("kernel", os.uname().release, ""),
        *(_setting(path, meaning) for path, meaning in _SETTINGS),
        *(_neighbours(family) for family in ("ipv4", "ipv6")),
        Setting("ports of a bridge", f"{BRIDGE_PORTS:,}", "the kernel's limit: endpoints of one network"),
        Setting("open files", _open_files(), "the limit (hard); a look holds one for each namespace"),
    ]


def _held() -> int | None:
    for line in (_text("/proc/thread-self/status") or "").splitlines():
        name, _, value = line.partition(":")
        if name == "CapEff":
            return int(value, 16)
    return None


def _capability(name: str, bit: int, held: int | None) -> Fact:
    if held is None:
        return Fact(name, Verdict.UNKNOWN, "/proc is not readable", _USES[name], vital=name in _VITAL)
    if held >> bit & 1:
        return Fact(name, Verdict.PRESENT, "this process has it", _USES[name], vital=name in _VITAL)
    remedy = _AS_ROOT.format(name=name)
    return Fact(
        name, Verdict.MISSING, "this process does not have it", _USES[name], remedy, vital=name in _VITAL
    )


def _namespaces() -> Fact:
    name, use = "network namespaces", "sandboxes"
    if os.path.exists("/proc/thread-self/ns/net"):
        return Fact(name, Verdict.PRESENT, "/proc has them", use, vital=True)
    remedy = "boot a kernel with CONFIG_NET_NS, and mount /proc"
    return Fact(name, Verdict.MISSING, "/proc does not have them", use, remedy, vital=True)


def _directory() -> Fact:
    """The nearest directory that exists decides: entries, or the directory itself, are made in it."""
    name, use = str(netns.DIRECTORY), "names of namespaces"
    missing = netns.preparation()
    there = next(path for path in (netns.DIRECTORY, *netns.DIRECTORY.parents) if path.exists())
    if not there.is_dir():
        return Fact(name, Verdict.MISSING, f"{there} is no directory", use, "move it away", vital=True)
    if not os.access(there, os.W_OK):
        remedy = "run as root; in a container, make it writable"
        return Fact(name, Verdict.MISSING, f"{there} cannot be written", use, remedy, vital=True)
    state = "made when needed" if missing.made else "mounted when needed" if missing.mounted else "mounted"
    return Fact(name, Verdict.PRESENT, state, use, vital=True)


def _parameters() -> Fact:
    name, use = "writable /proc/sys", "kernel settings of links and sandboxes"
    if os.access(_SYSCTL + _WRITTEN, os.W_OK):
        return Fact(name, Verdict.PRESENT, "it is", use, vital=True)
    remedy = "run as root; in a container, mount /proc/sys writable"
    return Fact(name, Verdict.MISSING, "it is not", use, remedy, vital=True)


def _rootless() -> Fact:
    name, use = "user namespaces", "running without root"
    for path, off in (
        ("user/max_user_namespaces", "0"),
        ("kernel/unprivileged_userns_clone", "0"),
        ("kernel/apparmor_restrict_unprivileged_userns", "1"),
    ):
        if (value := _text(_SYSCTL + path)) is not None and value.strip() == off:
            parameter = path.replace("/", ".")
            remedy = f"change {parameter} with `sysctl -w`, if that is wanted"
            return Fact(name, Verdict.MISSING, f"{parameter} is {off}", use, remedy)
    if os.path.exists("/proc/thread-self/ns/user"):
        return Fact(name, Verdict.PRESENT, "/proc has them", use)
    remedy = "boot a kernel with CONFIG_USER_NS"
    return Fact(name, Verdict.MISSING, "/proc does not have them", use, remedy)


def _program(name: str, use: str, remedy: str) -> Fact:
    found = shutil.which(name)
    if found is not None:
        return Fact(f"program {name}", Verdict.PRESENT, found, use)
    return Fact(f"program {name}", Verdict.MISSING, "not in PATH", use, remedy)


def _setting(path: str, meaning: str) -> Setting:
    value = _text(_SYSCTL + path)
    if value is not None:
        return Setting(path.replace("/", "."), value.strip(), meaning)
    why = next((why for prefix, why in _ABSENT.items() if path.startswith(prefix)), "this kernel has none")
    return Setting(path.replace("/", "."), "-", why)


def _neighbours(family: str) -> Setting:
    base = f"net/{family}/neigh/default/gc_thresh"
    name = f"{base.replace('/', '.')}1 2 3"
    values = [_text(f"{_SYSCTL}{base}{number}") for number in (1, 2, 3)]
    if None in values:
        return Setting(name, "-", "not to be seen from here: only the machine's first namespace has it")
    meaning = "neighbours of all namespaces together: kept, tolerated for a while, at most"
    return Setting(name, " ".join((value or "").strip() for value in values), meaning)


def _open_files() -> str:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return "unlimited" if hard == resource.RLIM_INFINITY else f"{hard:,}"


def _text(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
