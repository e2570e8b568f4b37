"""What the kernel can do, found out by doing it: a link or a queue is made in a throw-away network namespace.

Tests and data cases say what they need (`@pytest.mark.needs("ipvlan")`, `needs: [netem]`); where a kernel lacks it,
they are skipped with the answer that the kernel gave. So no test knows the name or the version of a kernel, and the
same suite runs on all of them (CONTRIBUTING.md, "A second kernel").

Independent of the reconciler, like everything that judges it. Raw rtnetlink for what has rtnetlink, because `ip`
knows only the kinds of its own year; text for `nft`, whose messages would be a page each.
"""

from __future__ import annotations

import errno
import os
import platform
import shutil
import struct
import subprocess
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests import inside, rtnl

RTM_NEWLINK, RTM_GETLINK, RTM_NEWQDISC = 16, 18, 36
IFLA_IFNAME, IFLA_LINK, IFLA_LINKINFO, IFLA_INFO_KIND, IFLA_INFO_DATA = 3, 5, 18, 1, 2
IFLA_BR_VLAN_FILTERING = 7
TCA_KIND, TCA_OPTIONS = 1, 2
TC_ROOT, TC_INGRESS = 0xFFFFFFFF, 0xFFFFFFF1
LOOPBACK = 1

# How the kernel says that it does not know something; links and tables say the first, queues the second.
_LACKING = {errno.EOPNOTSUPP: "EOPNOTSUPP", errno.ENOENT: "ENOENT", errno.EAFNOSUPPORT: "EAFNOSUPPORT"}


@dataclass(frozen=True, slots=True)
class Probe:
    """One feature: what it is in words, and what does it, which raises OSError where the kernel refuses."""

    what: str
    run: Callable[[], None]


def lack(feature: str) -> str | None:
    """Why this kernel cannot do the feature, None if it can. Tried once per process; raises KeyError for no feature."""
    return _lack(FEATURES[feature])


def kernel() -> str:
    """The running kernel, as results are told apart by it."""
    user_mode = "User Mode Linux" in Path("/proc/cpuinfo").read_text()
    return platform.release() + (" user-mode" if user_mode else "")


@cache
def _lack(probe: Probe) -> str | None:
    with ThreadPoolExecutor(max_workers=1) as thread:  # the namespace goes with the thread
        try:
            thread.submit(_apart, probe.run).result()
        except OSError as error:
            if error.filename:
                return f"{error.filename} is not installed"
            if (
                error.errno not in _LACKING
            ):  # the probe is wrong, or not allowed: that says nothing about the kernel
                raise
            return f"this kernel has no {probe.what} ({_LACKING[error.errno]})"
    return None


def _apart(run: Callable[[], None]) -> None:
    inside.leave_network()
    run()


# ------------------------------------------------------------------------------------------------------------- links


@dataclass(frozen=True, slots=True)
class _Kind:
    name: str
    data: bytes = b""
    above: str = ""  # the kind of the link that it is stacked upon

    def __call__(self) -> None:
        below = b""
        if self.above:
            _link("below", _Kind(self.above))
            below = _attribute(IFLA_LINK, struct.pack("=I", _index("below")))
        _link("probed", self, below)


def _link(name: str, kind: _Kind, more: bytes = b"") -> None:
    info = _attribute(IFLA_INFO_KIND, kind.name.encode())
    if kind.data:
        info += _attribute(IFLA_INFO_DATA, kind.data)
    body = bytes(16) + _attribute(IFLA_IFNAME, name.encode()) + _attribute(IFLA_LINKINFO, info) + more
    rtnl.request(RTM_NEWLINK, body, create=True)


def _get(name: str) -> bytes:
    return rtnl.request(RTM_GETLINK, bytes(16) + _attribute(IFLA_IFNAME, name.encode()))


def _index(name: str) -> int:
    index: int = struct.unpack_from("=i", _get(name), 4)[0]
    return index


def _bridge_vlans() -> None:
    """A kernel without it ignores the attribute when a bridge is made, and does not show it afterwards."""
    _link("probed", _Kind("bridge", _attribute(IFLA_BR_VLAN_FILTERING, b"\1")))
    info = dict(rtnl.attributes(dict(rtnl.attributes(_get("probed")[16:]))[IFLA_LINKINFO]))
    if IFLA_BR_VLAN_FILTERING not in dict(rtnl.attributes(info[IFLA_INFO_DATA])):
        raise OSError(errno.EOPNOTSUPP, "no vlan_filtering")


def _u32(kind: int, value: int) -> bytes:
    return _attribute(kind, struct.pack("=I", value))


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


# The numbers are those of linux/if_link.h: the least that the kind wants to be told.
_KINDS = (
    _Kind("bareudp", _attribute(1, struct.pack(">H", 6635)) + _attribute(2, struct.pack(">H", 0x8847))),
    _Kind("bond"),
    _Kind("bridge"),
    _Kind("dummy"),
    _Kind("geneve", _u32(1, 7) + _attribute(2, bytes((192, 0, 2, 1)))),
    _Kind("gre", _attribute(6, bytes((192, 0, 2, 1))) + _attribute(7, bytes((192, 0, 2, 2)))),
    _Kind("gretap", _attribute(6, bytes((192, 0, 2, 1))) + _attribute(7, bytes((192, 0, 2, 2)))),
    _Kind("ifb"),
    _Kind("ipip", _attribute(2, bytes((192, 0, 2, 1))) + _attribute(3, bytes((192, 0, 2, 2)))),
    _Kind("ipvlan", above="veth"),
    _Kind("ipvtap", above="veth"),
    _Kind("macsec", above="veth"),
    _Kind("macvlan", above="veth"),
    _Kind("macvtap", above="veth"),
    _Kind("netkit"),
    _Kind("sit", _attribute(2, bytes((192, 0, 2, 1))) + _attribute(3, bytes((192, 0, 2, 2)))),
    _Kind("team"),
    _Kind("veth"),
    _Kind("vlan", _attribute(1, struct.pack("=H", 7)), above="veth"),
    _Kind("vrf", _u32(1, 100)),
    _Kind("vxlan", _u32(1, 7)),
    _Kind("wireguard"),
    _Kind("xfrm", _u32(2, 7), above="veth"),
)

# ------------------------------------------------------------------------------------------------------------ queues


@dataclass(frozen=True, slots=True)
class _Queue:
    name: str
    options: bytes = b""
    parent: int = TC_ROOT

    def __call__(self) -> None:
        handle = 0xFFFF0000 if self.parent == TC_INGRESS else 0
        body = struct.pack("=iiIII", 0, LOOPBACK, handle, self.parent, 0)
        body += _attribute(TCA_KIND, self.name.encode() + b"\0")
        if self.options:
            body += _attribute(TCA_OPTIONS, self.options)
        rtnl.request(RTM_NEWQDISC, body, create=True)


# linux/pkt_sched.h: struct tc_ratespec with its rate, twice; limit, buffer, mtu.
_TBF = struct.pack("=6xHI12xIII", 0, 125_000, 30_000, 1_000_000, 0)

_QUEUES = (
    _Queue("cake"),
    _Queue("clsact", parent=TC_INGRESS),
    _Queue("fq"),
    _Queue("fq_codel"),
    _Queue("htb", _attribute(2, struct.pack("=5I", 3, 10, 0, 0, 0))),
    _Queue("ingress", parent=TC_INGRESS),
    _Queue("netem", struct.pack("=6I", 0, 1000, 0, 0, 0, 0)),
    _Queue("prio", struct.pack("=i16B", 3, *(1, 2, 2, 2, 1, 2, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1))),
    _Queue("sfq"),
    _Queue("tbf", _attribute(1, _TBF)),
)

# ---------------------------------------------------------------------------------------------------------- nftables


@dataclass(frozen=True, slots=True)
class _Rules:
    text: str

    def __call__(self) -> None:
        program = shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin:/bin")
        if program is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "nft")
        done = subprocess.run(
            [program, "-f", "-"], input=self.text, capture_output=True, text=True, check=False
        )
        if done.returncode:
            said = (number for number in _LACKING if os.strerror(number) in done.stderr)
            raise OSError(next(said, errno.EINVAL), done.stderr)


_RULES = {
    "nft": ("nftables of family inet", "table inet t { chain c { type filter hook forward priority 0; ct state new; }; }"),
    "nft-bridge": ("nftables of family bridge", "table bridge t { chain c { type filter hook forward priority 0; }; }"),
    "nft-nat": (
        "address translation by nftables",
        "table inet t { chain c { type nat hook postrouting priority 100; masquerade; }; }",
    ),
    "nft-netdev": (
        "nftables of family netdev",
        "table netdev t { chain c { type filter hook ingress device lo priority 0; }; }",
    ),
}  # fmt: skip

FEATURES: Mapping[str, Probe] = {
    **{kind.name: Probe(f"link kind {kind.name}", kind) for kind in _KINDS},
    **{queue.name: Probe(f"queueing discipline {queue.name}", queue) for queue in _QUEUES},
    **{name: Probe(what, _Rules(text)) for name, (what, text) in _RULES.items()},
    "bridge-vlan": Probe("VLAN filtering in bridges", _bridge_vlans),
}
