"""What the kernel must be able to do: every feature by name, and which of them kernel objects need. Pure.

A feature is a link kind, a queueing discipline, or a protocol family. `needs` says who asks for one first, so that a
host that lacks it is told by network and file line, before anything is touched. Whether this host has it is found out
in `kernel.facts`; here are only the words and the data. Names are the kernel's own, and no link kind is called as a
queueing discipline is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Protocol

from .errors import Mark
from .objects import Address, KernelObject, Link, OtherKind, Qdisc, Route

IPV6 = "ipv6"
BRIDGE_TOPOLOGY = ("bridge", "veth")


class Sort(Enum):
    """What kind of feature it is; the value is the word for people."""

    LINK = "link kind"
    QDISC = "queueing discipline"
    FAMILY = "protocol family"


class Feature(NamedTuple):
    """A feature with the kernel module that brings it, the option it is built by, and what uses it."""

    name: str
    sort: Sort
    module: str
    option: str
    use: str

    def __str__(self) -> str:
        return f"{self.sort.value} '{self.name}'"


_ALL = (
    Feature("bridge", Sort.LINK, "bridge", "CONFIG_BRIDGE", "networks on bridges"),
    Feature("veth", Sort.LINK, "veth", "CONFIG_VETH", "endpoints on bridges, links"),
    Feature(IPV6, Sort.FAMILY, "ipv6", "CONFIG_IPV6", "IPv6 subnets and routes"),
    Feature("macvlan", Sort.LINK, "macvlan", "CONFIG_MACVLAN", "networks on macvlan"),
    Feature("ipvlan", Sort.LINK, "ipvlan", "CONFIG_IPVLAN", "networks on ipvlan"),
    Feature("vlan", Sort.LINK, "8021q", "CONFIG_VLAN_8021Q", "networks on VLANs, parents that are VLANs"),
    Feature("vxlan", Sort.LINK, "vxlan", "CONFIG_VXLAN", "networks over several hosts"),
    Feature("dummy", Sort.LINK, "dummy", "CONFIG_DUMMY", "networks without a wire"),
    Feature("ifb", Sort.LINK, "ifb", "CONFIG_IFB", "limits on what an endpoint receives"),
    Feature("vrf", Sort.LINK, "vrf", "CONFIG_NET_VRF", "separate routing tables"),
    Feature("tbf", Sort.QDISC, "sch_tbf", "CONFIG_NET_SCH_TBF", "bandwidth limits"),
    Feature("netem", Sort.QDISC, "sch_netem", "CONFIG_NET_SCH_NETEM", "delay, loss and other impairments"),
)
FEATURES = {feature.name: feature for feature in _ALL}


class Asking(Protocol):
    """What asks for a kernel object, as `sides.Declared` and `plan.Change` do: with its address and file line."""

    @property
    def object(self) -> KernelObject:
        """The object."""

    @property
    def origin(self) -> str:
        """Its address in the topology."""

    @property
    def mark(self) -> Mark | None:
        """The line that asks for it."""


class Need(NamedTuple):
    """Who needs a feature first."""

    origin: str
    mark: Mark | None

    def __str__(self) -> str:
        return self.origin if self.mark is None else f"{self.mark}: {self.origin}"


def needs(asking: Iterable[Asking]) -> dict[str, Need]:
    """Features by name, in the order in which they are first asked for, each with the first that does."""
    found: dict[str, Need] = {}
    for item in asking:
        name = _of(item.object)
        if name is not None and name not in found:
            found[name] = Need(item.origin, item.mark)
    return found


def _of(obj: KernelObject) -> str | None:
    match obj:
        case Link():
            return None if isinstance(obj.kind, OtherKind) else obj.kind.name
        case Address():
            return IPV6 if ":" in obj.address else None
        case Route():
            return IPV6 if ":" in obj.to else None
        case Qdisc():
            return obj.discipline
        case _:
            return None


class Verdict(Enum):
    """Whether this host has something; the value is the word for people and programs."""

    PRESENT = "present"
    MISSING = "missing"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that this host has or lacks. `answer` is how we know, `remedy` what to do when it is missing.

    `needed_by` is a use in general, or the first place of a topology that needs it. `vital`: nothing works without.
    """

    name: str
    verdict: Verdict
    answer: str
    needed_by: str
    remedy: str = ""
    vital: bool = False


class Setting(NamedTuple):
    """A value of this host that is worth knowing, and why. Nothing depends on it."""

    name: str
    value: str
    meaning: str


class Lack(NamedTuple):
    """Why a feature is not there: the kernel's answer, and what to do."""

    answer: str
    remedy: str


def by_place(names: Iterable[str], needed: Mapping[str, Need]) -> list[str]:
    """The features in the order of the file lines that need them; first what no line asks for."""
    return sorted(names, key=lambda name: (needed[name].mark or ("", 0, 0, 0))[:3])


def missing(need: Need, name: str, lack: Lack) -> str:
    """One line about a feature that a topology needs and this host lacks."""
    feature = FEATURES.get(name, name)
    return f"{need} needs {feature}, which this kernel lacks ({lack.answer}); {lack.remedy}"
