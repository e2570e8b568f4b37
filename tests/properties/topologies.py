"""Small topologies drawn by chance, and what others may do to a machine meanwhile: hypothesis strategies.

Every topology is valid by construction, so nothing is filtered away, and small, so that two of them often share a
network, a sandbox or an address and differ in one thing. All are called `shop`. They may use what `furnish` puts on the
fake kernel: a given namespace `vm`, a host link `uplink0`, parameters of the host.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from reconciler.objects import (
    HOST,
    Address,
    Bridge,
    KernelObject,
    Key,
    Link,
    LinkRef,
    Netns,
    Qdisc,
    Route,
    Sysctl,
    Veth,
)
from tests.fake import FakeKernel

Topology = dict[str, Any]
NETWORKS = {"front": 10, "back": 20, "lan": 30}
SANDBOXES = ("web", "db", "app")
FORWARDING = "net/ipv4/ip_forward"


# ------------------------------------------------------------------------------------------------------- the topology


def _subnets(number: int) -> st.SearchStrategy[list[Any]]:
    v4, v6 = f"10.{number}.0.0/24", f"fd00:{number}::/64"
    other_gateway = {"subnet": v4, "gateway": f"10.{number}.0.254"}
    no_gateway = {"subnet": v4, "gateway": False}
    return st.sampled_from(
        [[v4], [v4, v6], [v6], [], [other_gateway], [no_gateway], [v4, f"10.{number + 1}.0.0/28"]]
    )


@st.composite
def _network(draw: st.DrawFn, number: int) -> dict[str, Any]:
    network: dict[str, Any] = {"subnets": draw(_subnets(number))}
    if draw(st.booleans()):
        network["internal"] = True
    if (mtu := draw(st.sampled_from([None, 1400, 9000]))) is not None:
        network["mtu"] = mtu
    options: dict[str, Any] = {}
    for name, values in (
        ("stp", [True, False]),
        ("ageing_time", [60, 2.01]),
        ("isolated", [True]),
        ("hairpin", [True]),
        ("address", [False]),
        ("mac", [f"02:00:00:00:00:{number}"]),
        ("name", [f"br-{number}"]),
    ):
        if draw(st.integers(0, 4)) == 0:
            options[name] = draw(st.sampled_from(values))
    if "isolated" in options:
        options.pop("hairpin", None)  # refused: it has no effect there
    if number == 30 and draw(st.booleans()):
        options["ports"] = ["uplink0"]
    return {**network, "options": options} if options else network


@st.composite
def _endpoint(draw: st.DrawFn, network: str, body: dict[str, Any], free: set[str]) -> Any:
    endpoint: dict[str, Any] = {"network": network}
    v4 = [subnet for subnet in body["subnets"] if ":" not in str(subnet)]
    addresses = []
    if v4:
        declared = f"10.{NETWORKS[network]}.0.{draw(st.sampled_from([20, 21, 22]))}"
        if draw(st.booleans()) and declared in free:
            free.discard(declared)
            addresses.append(declared)
    extra = f"192.0.2.{draw(st.sampled_from([1, 2, 3]))}/32"
    if draw(st.integers(0, 4)) == 0 and extra in free:
        free.discard(extra)
        addresses.append(extra)
    if addresses:
        endpoint["addresses"] = addresses
    if draw(st.integers(0, 3)) == 0:
        endpoint["mtu"] = draw(st.sampled_from([1300, 1400]))
    if draw(st.integers(0, 4)) == 0:
        endpoint["sysctls"] = {"net.ipv4.conf.IFNAME.rp_filter": draw(st.sampled_from([0, 2]))}
    if draw(st.integers(0, 3)) == 0:
        limits = ["10mbit", {"egress": "1gbit", "burst": "2mb"}, {"ingress": "500kbit", "latency": "1s"}]
        endpoint["bandwidth"] = draw(st.sampled_from(limits))
    if draw(st.integers(0, 3)) == 0:
        endpoint["impair"] = draw(st.sampled_from([{"loss": "1%"}, {"delay": "20ms", "jitter": "5ms"}]))
    if draw(st.integers(0, 4)) == 0:
        endpoint["gateway_priority"] = draw(st.sampled_from([-1, 5]))
    return endpoint if len(endpoint) > 1 else network


@st.composite
def _sandbox(draw: st.DrawFn, name: str, networks: dict[str, Any], free: set[str]) -> dict[str, Any]:
    sandbox: dict[str, Any] = {}
    given = draw(st.sampled_from([None, None, None, "netns", "host"]))
    prefix = "eth"
    if given == "netns" and "vm" in free:
        free.discard("vm")
        sandbox["netns"] = "vm"
    elif given == "host" and "host" in free:
        free.discard("host")
        sandbox["host"] = True
        prefix = f"{name}-if"
    joined = draw(st.lists(st.sampled_from(sorted(networks)), max_size=2)) if networks else []
    endpoints = {
        f"{prefix}{number}": draw(_endpoint(network, networks[network], free))
        for number, network in enumerate(joined)
    }
    if endpoints:
        sandbox["endpoints"] = endpoints
    if draw(st.integers(0, 3)) == 0:
        sandbox["sysctls"] = {"net.ipv4.ip_forward": 1}
    routes: list[Topology] = [
        {
            "to": f"198.51.100.{16 * SANDBOXES.index(name)}/28",
            "type": draw(st.sampled_from(["blackhole", "prohibit"])),
        }
        for _ in range(draw(st.integers(0, 1)))
    ]
    if endpoints and draw(st.integers(0, 3)) == 0:
        via = f"10.{NETWORKS[joined[0]]}.0.{draw(st.sampled_from([200, 201]))}"
        routes.append({"to": "203.0.113.0/24", "via": via, "dev": f"{prefix}0", "onlink": True})
    return {**sandbox, "routes": routes} if routes else sandbox


@st.composite
def topologies(draw: st.DrawFn) -> Topology:
    """A valid topology called `shop` with up to three networks and three sandboxes."""
    names = draw(st.lists(st.sampled_from(sorted(NETWORKS)), unique=True, max_size=3))
    networks = {name: draw(_network(NETWORKS[name])) for name in names}
    free = {"vm", "host"} | {f"10.{n}.0.{k}" for n in NETWORKS.values() for k in (20, 21, 22)}
    free |= {f"192.0.2.{k}/32" for k in (1, 2, 3)}
    chosen = draw(st.lists(st.sampled_from(SANDBOXES), unique=True, max_size=3))
    sandboxes = {name: draw(_sandbox(name, networks, free)) for name in chosen}
    for name, network in networks.items():
        ends = [
            each if isinstance(each, dict) else {}
            for sandbox in sandboxes.values()
            for each in sandbox.get("endpoints", {}).values()
            if (each["network"] if isinstance(each, dict) else each) == name
        ]
        if driver := draw(st.sampled_from(_drivers(network, ends))):
            networks[name] = {**network, "driver": driver, "options": {}}
    return {"name": "shop", "networks": networks, "sandboxes": sandboxes}


def _drivers(network: Topology, ends: list[dict[str, Any]]) -> list[str | None]:
    """The drivers that the network may as well have; None leaves it a bridge."""
    if network.get("options") or any("ingress" in str(end) or "10mbit" in str(end) for end in ends):
        return [None]
    return [None, None, "dummy", *(["ptp"] if len(ends) <= 2 else [])]


# ------------------------------------------------------------------------------------------------ the machine around


def furnish(kernel: FakeKernel) -> dict[Key, KernelObject]:
    """Put foreign objects onto a machine, some of which look like ours; returns those that nobody may change."""
    other = "reconciler:shop-other:network/front"
    decoys: list[KernelObject] = [
        Netns(netns="shop.x", up=False),
        Link(netns=HOST, name="br-x", kind=Bridge()),
        Link(netns=HOST, name="shop-oth", kind=Bridge(), alias=other, group=0x52000000),
        Link(netns=HOST, name="shop-v0", kind=Veth(peer=LinkRef("shop.x", "eth0")), master="br-x"),
        Address(netns=HOST, link="br-x", address="10.10.0.1/24"),
        Address(netns="shop.x", link="eth0", address="10.10.0.2/24"),
        Route(netns=HOST, to="203.0.114.0/24", type="unicast", via="10.10.0.9", dev="br-x"),
        Sysctl(netns=HOST, path="net/ipv4/conf/br-x/proxy_arp", value="1"),
    ]
    usable: list[KernelObject] = [
        Netns(netns="vm", up=False),
        Netns(netns="/run/netns/vm", up=False),
        Link(netns=HOST, name="uplink0", kind=Veth(peer=LinkRef(HOST, "uplink1"))),
        *(Sysctl(netns=where, path=FORWARDING, value="0") for where in (HOST, "vm", "/run/netns/vm")),
    ]
    for obj in (*decoys, *usable):
        kernel.put(obj)
    decoys.append(Link(netns="shop.x", name="eth0", kind=Veth()))
    return {obj.key: kernel.objects[obj.key] for obj in decoys}


# -------------------------------------------------------------------------------------------------------- the vandal

VANDALISM = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "delete",
                "mtu",
                "down",
                "mac",
                "loose",
                "stolen",
                "stp",
                "parameter",
                "address",
                "route",
                "slower",
                "cut off",
            ]
        ),
        st.integers(0, 1000),
    ),
    max_size=4,
)


def vandalise(kernel: FakeKernel, steps: list[tuple[str, int]], decoys: dict[Key, KernelObject]) -> None:
    """Do each step to one of the objects that it fits, chosen by its number; what looks foreign is spared."""
    for what, number in steps:
        victims = [key for key in sorted(kernel.objects) if _fits(what, kernel, key) and key not in decoys]
        if victims:
            _harm(kernel, what, victims[number % len(victims)])


def _fits(what: str, kernel: FakeKernel, key: Key) -> bool:
    obj = kernel.objects[key]
    if what == "delete":
        spared = isinstance(obj, Sysctl) or (isinstance(obj, Netns | Link) and obj.alias is None)
        return not spared and (not isinstance(obj, Address | Route) or key in kernel.marked)
    if what == "parameter":
        return isinstance(obj, Sysctl)
    if what == "slower":
        return isinstance(obj, Qdisc)
    if what == "cut off":
        return isinstance(obj, Address) and key in kernel.marked and not obj.secondary
    if not isinstance(obj, Link) or obj.alias is None:
        return False
    if what in ("loose", "stolen"):
        return obj.master is not None
    return what != "stp" or isinstance(obj.kind, Bridge)


def _harm(kernel: FakeKernel, what: str, key: Key) -> None:
    obj = kernel.objects[key]
    match what, obj:
        case "delete", _:
            kernel.delete(key)
        case "parameter", Sysctl():
            kernel.objects[key] = replace(obj, value="7")
        case "slower", Qdisc():
            limited = obj.discipline == "tbf"
            kernel.objects[key] = replace(obj, rate=1) if limited else replace(obj, delay=1, loss=1)
        case "cut off", Address():
            kernel.objects[key] = replace(obj, connected=False)
        case "address", Link():
            kernel.put(Address(netns=obj.netns, link=obj.name, address="10.77.0.7/24"))
        case "route", Link():
            kernel.put(
                Route(netns=obj.netns, to="10.78.0.0/16", type="unicast", via="10.77.0.1", dev=obj.name)
            )
        case _, Link():
            kernel.objects[key] = _harmed(obj, what)
        case _:
            raise AssertionError(what)


def _harmed(link: Link, what: str) -> Link:
    match what, link.kind:
        case "mtu", _:
            return replace(link, mtu=1280)
        case "down", _:
            return replace(link, up=False)
        case "mac", _:
            return replace(link, mac="02:00:00:00:00:99")
        case "loose", _:
            return replace(link, master=None, port=None)
        case "stolen", _:
            return replace(link, master="br-x")
        case "stp", Bridge() as kind:
            return replace(link, kind=replace(kind, stp=not kind.stp))
        case _:
            raise AssertionError(what)
