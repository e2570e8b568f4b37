"""What the kernel can hold, as frozen data: the only vocabulary that drivers, the planner and the kernel share.

Each class is one kind of kernel object. Fields without `attr()` are its identity (`key`); fields with `attr()` are
attributes, compared when the desired value is not None. None always means "not asked for": it is neither set nor
compared, which is what keeps values that the kernel chooses itself from looking like drift. The metadata of each
attribute says whether the kernel can change it in place, and how two values are compared when plain equality would
lie (the kernel rounds bridge timers to its tick, a link may carry further altnames, …).

Pure: no I/O. A namespace is named by a `netns` text: "" is the host, a plain name is an entry of the netns directory,
an absolute path or "pid:N" is a namespace that we were given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

from .sameness import includes, nearly, same_parameter, same_set, within_tick

HOST = ""
Key = tuple[str, ...]
Value = str | int | bool | tuple[str, ...] | None
Same = Callable[[Any, Any], bool]
Unless = Callable[[Any, Any], bool]


class LinkRef(NamedTuple):
    """A link by namespace and name."""

    netns: str
    name: str

    def __str__(self) -> str:
        return f"{self.name} in {self.netns}" if self.netns else self.name


def attr(
    *,
    in_place: bool = True,
    unless: Unless | None = None,
    same: Same | None = None,
    exact: bool = False,
) -> Any:
    """A compared attribute.

    `in_place` False: a difference can only be mended by replacing the object. `unless` says for which observed and
    desired values that is so although others can be changed. `exact`: None is a value as any other, "there shall be
    none", instead of "not asked for".
    """
    metadata = {"attr": True, "in_place": in_place, "unless": unless, "same": same, "exact": exact}
    return field(default=None, metadata=metadata)


def _passthru(observed: str | None, desired: str) -> bool:
    """A passthru link owns its parent: the kernel lets none become one or cease to be one (macvlan_changelink)."""
    return "passthru" in (observed, desired)


def _other_family(observed: str | None, desired: str) -> bool:
    """The kernel lets a tunnel end become another address of its family only (vxlan_nl2conf)."""
    return observed is None or (":" in observed) != (":" in desired)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bridge:
    """Attributes of a bridge device. Times in hundredths of a second (USER_HZ)."""

    name: ClassVar[str] = "bridge"
    stp: bool | None = attr()
    ageing_time: int | None = attr(same=within_tick)
    forward_delay: int | None = attr(same=within_tick)


@dataclass(frozen=True, slots=True, kw_only=True)
class Veth:
    """One end of a veth pair. `made_by_peer`: this end appears when the other end is created."""

    name: ClassVar[str] = "veth"
    peer: LinkRef | None = attr(in_place=False)
    made_by_peer: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Macvlan:
    """A link with a MAC address of its own on `parent`. `sources`: the MACs that mode "source" lets in."""

    name: ClassVar[str] = "macvlan"
    parent: LinkRef | None = attr(in_place=False)
    mode: str | None = attr(unless=_passthru)
    sources: tuple[str, ...] | None = attr(same=same_set)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ipvlan:
    """A link that shares the MAC address of `parent` and is told apart by its IP addresses.

    The kernel keeps mode and flag once for all ipvlan links of a parent; changing them on one changes all.
    """

    name: ClassVar[str] = "ipvlan"
    parent: LinkRef | None = attr(in_place=False)
    mode: str | None = attr()
    flag: str | None = attr()


@dataclass(frozen=True, slots=True, kw_only=True)
class Vlan:
    """A link that carries one VLAN of `parent`. `protocol` is "802.1Q" or "802.1ad"."""

    name: ClassVar[str] = "vlan"
    parent: LinkRef | None = attr(in_place=False)
    id: int | None = attr(in_place=False)
    protocol: str | None = attr(in_place=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vxlan:
    """A tunnel that carries Ethernet frames in UDP, `local` being this host's end of it."""

    name: ClassVar[str] = "vxlan"
    vni: int | None = attr(in_place=False)
    local: str | None = attr(unless=_other_family)
    udp_port: int | None = attr(in_place=False)
    learning: bool | None = attr()
    proxy: bool | None = attr(in_place=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dummy:
    """A link that leads nowhere."""

    name: ClassVar[str] = "dummy"


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherKind:
    """A link kind that no driver of ours makes: observed only ("" for devices without a kind, as loopback)."""

    kind: str
    name: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.kind)


LinkKind = Bridge | Veth | Macvlan | Ipvlan | Vlan | Vxlan | Dummy | OtherKind
Stacked = Macvlan | Ipvlan | Vlan


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgePort:
    """Attributes that a link has because it is a port of a bridge.

    `learn`: the bridge notes who sends through it. `flood`: it gets what is for a MAC address that nobody knows.
    """

    isolated: bool | None = attr()
    hairpin: bool | None = attr()
    learn: bool | None = attr()
    flood: bool | None = attr()

    @property
    def asks(self) -> bool:
        """Whether anything is asked for."""
        return self != _NO_PORT


_NO_PORT = BridgePort()


@dataclass(frozen=True, slots=True, kw_only=True)
class Netns:
    """A named network namespace: an entry of the netns directory.

    `alias` and `up` are those of its loopback device: the first carries our mark, the second makes 127.0.0.1 work.
    """

    kind_name: ClassVar[str] = "netns"
    netns: str
    alias: str | None = attr()
    up: bool | None = attr()

    @property
    def key(self) -> Key:
        return ("netns", self.netns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A network device. `alias` carries the ownership mark and `group` speeds up bulk deletion (see `marks`)."""

    kind_name: ClassVar[str] = "link"
    netns: str
    name: str
    kind: LinkKind
    port: BridgePort | None = None
    mtu: int | None = attr()
    mac: str | None = attr()
    up: bool | None = attr()
    master: str | None = attr()
    group: int | None = attr()
    alias: str | None = attr()
    altnames: tuple[str, ...] | None = attr(same=includes)
    addrgen: str | None = attr()

    @property
    def key(self) -> Key:
        return ("link", self.netns, self.name)

    @property
    def ref(self) -> LinkRef:
        return LinkRef(self.netns, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A link that is not ours, enslaved to a bridge because the file says so; only the port role is ours."""

    kind_name: ClassVar[str] = "port"
    netns: str
    name: str
    port: BridgePort | None = None
    master: str | None = attr()

    @property
    def key(self) -> Key:
        return ("port", self.netns, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """An address on a link, `address` with prefix length. `permanent` False means that a lifetime runs out.

    `connected`: the route to its subnet is there, which the kernel made with it. Observed it is False for one address
    only of each subnet that lacks its route.
    `secondary` is only ever observed: the kernel makes every IPv4 address but the first of a subnet depend on it.
    """

    kind_name: ClassVar[str] = "address"
    netns: str
    link: str
    address: str
    permanent: bool | None = attr()
    connected: bool | None = attr()
    secondary: bool = False

    @property
    def key(self) -> Key:
        return ("address", self.netns, self.link, self.address)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A route. `to` is a prefix with cleared host bits; `metric` is the kernel's priority (IPv6 default: 1024)."""

    kind_name: ClassVar[str] = "route"
    netns: str
    to: str
    table: int = 254
    metric: int = 0
    type: str | None = attr()
    via: str | None = attr(exact=True)
    dev: str | None = attr()
    src: str | None = attr(exact=True)
    onlink: bool | None = attr()

    @property
    def key(self) -> Key:
        return ("route", self.netns, self.to, str(self.table), str(self.metric))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sysctl:
    """A kernel parameter of a namespace. `path` is below /proc/sys, with slashes: net/ipv4/conf/eth0/rp_filter."""

    kind_name: ClassVar[str] = "sysctl"
    netns: str
    path: str
    value: str | None = attr(same=same_parameter)

    @property
    def key(self) -> Key:
        return ("sysctl", self.netns, self.path)

    @property
    def link(self) -> str | None:
        """The link whose directory holds it, None for parameters of the whole namespace."""
        parts = self.path.split("/")
        if len(parts) >= 5 and parts[2] in ("conf", "neigh") and parts[3] not in ("all", "default"):
            return parts[3]
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A policy routing rule. `source` and `to` are prefixes, None for any; `action` is "lookup" or the kernel's word."""

    kind_name: ClassVar[str] = "rule"
    netns: str
    family: int
    priority: int
    source: str | None = None
    to: str | None = None
    table: int | None = attr()
    action: str | None = attr()

    @property
    def key(self) -> Key:
        return ("rule", self.netns, str(self.family), str(self.priority), self.source or "", self.to or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """A permanent entry that says which MAC address an IP address has on a link."""

    kind_name: ClassVar[str] = "neighbour"
    of_bridge: ClassVar[bool] = False
    netns: str
    link: str
    address: str
    mac: str | None = attr()

    @property
    def is_plain(self) -> bool:
        """Whether it says which MAC address that is."""
        return self.mac is not None

    @property
    def key(self) -> Key:
        return ("neighbour", self.netns, self.link, self.address)


@dataclass(frozen=True, slots=True, kw_only=True)
class FdbEntry:
    """A forwarding entry: behind which host (`dst`) a VXLAN device has a MAC address.

    With `of_bridge` it is one of the bridge that `link` is a port of, and says that the MAC address is behind that
    port; a `sticky` one stays there, whoever else sends with that address. `learned` entries come and go by themselves.
    What is for no single station, and what nobody knows (all zeros), can be sent to several hosts: these are as many
    entries.
    """

    kind_name: ClassVar[str] = "fdb"
    netns: str
    link: str
    mac: str
    of_bridge: bool = False
    learned: bool = False
    dst: str | None = attr()
    sticky: bool | None = attr()

    @property
    def is_plain(self) -> bool:
        """Whether it says which host a MAC address is behind, and nothing else."""
        return not (self.of_bridge or self.learned or self.dst is None or self.sticky is not None)

    @property
    def key(self) -> Key:
        if self.of_bridge:
            return ("fdb", self.netns, self.link, self.mac, IN_BRIDGE)
        return ("fdb", self.netns, self.link, self.mac, (self.dst or "") if goes_to_several(self.mac) else "")


ENTRIES = (FdbEntry, Neighbour)  # what a tunnel has ten thousands of
FLOOD = "00:00:00:00:00:00"
IN_BRIDGE = "bridge"


def goes_to_several(mac: str) -> bool:
    """Whether a forwarding entry for this MAC address can have several destinations."""
    return mac == FLOOD or mac[1] in "13579bdf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Qdisc:
    """A queueing discipline: what a link does with the packets that it is given to send.

    `place` is where it hangs, as tc(8) has it: "root", or the class of another one ("7c01:1"). `handle` tells whose it
    is (`marks.QDISCS`): a handle cannot be changed, so it is not compared. Rates are bytes per second, `burst` and
    `queue` bytes, times nanoseconds, probabilities parts in 10^9, `limit` packets. `further` are settings that nobody
    declares here, by name.
    """

    kind_name: ClassVar[str] = "qdisc"
    netns: str
    link: str
    place: str
    handle: str = ""
    discipline: str | None = attr(in_place=False)
    further: tuple[str, ...] | None = attr(in_place=False)
    rate: int | None = attr()
    burst: int | None = attr(same=nearly)
    queue: int | None = attr()
    delay: int | None = attr()
    jitter: int | None = attr()
    correlation: int | None = attr()
    loss: int | None = attr()
    duplicate: int | None = attr()
    corrupt: int | None = attr()
    reorder: int | None = attr()
    gap: int | None = attr()
    limit: int | None = attr()

    @property
    def key(self) -> Key:
        return ("qdisc", self.netns, self.link, self.place)


ROOT = "root"
KernelObject = Netns | Link | Port | Address | Route | Sysctl | Rule | Neighbour | FdbEntry | Qdisc


def parent(obj: KernelObject) -> LinkRef | None:
    """The link that a macvlan, ipvlan or VLAN link stands on, perhaps in another namespace."""
    return obj.kind.parent if isinstance(obj, Link) and isinstance(obj.kind, Stacked) else None


def reaches_host(link: Link) -> bool:
    """Whether a link is one end of a pair whose other end is in the host, or is there itself."""
    peer = link.kind.peer if isinstance(link.kind, Veth) else None
    return link.netns == HOST or (peer is not None and peer.netns == HOST)


def parents(obj: KernelObject) -> tuple[Key, ...]:
    """Keys of the objects that must exist before `obj` can; when one of them goes, `obj` goes with it or is cut off."""
    match obj:
        case Netns():
            return ()
        case Link():
            found: list[Key] = [("netns", obj.netns)]
            if obj.master:
                found.append(("link", obj.netns, obj.master))
            if isinstance(obj.kind, Veth) and obj.kind.peer is not None:
                peer = obj.kind.peer
                found.append(("link", *peer) if obj.kind.made_by_peer else ("netns", peer.netns))
            if (below := parent(obj)) is not None:
                found.append(("link", *below))
            return tuple(found)
        case Port():
            return (("netns", obj.netns), ("link", obj.netns, obj.master or ""))
        case Rule():
            return (("netns", obj.netns),)
        case Address() | Neighbour() | FdbEntry():
            return (("netns", obj.netns), ("link", obj.netns, obj.link))
        case Qdisc():
            above: tuple[Key, ...] = (("netns", obj.netns), ("link", obj.netns, obj.link))
            return above if obj.place == ROOT else (*above, ("qdisc", obj.netns, obj.link, ROOT))
        case Route():
            return (
                (("netns", obj.netns), ("link", obj.netns, obj.dev)) if obj.dev else (("netns", obj.netns),)
            )
        case Sysctl():
            return (
                (("netns", obj.netns), ("link", obj.netns, obj.link)) if obj.link else (("netns", obj.netns),)
            )
