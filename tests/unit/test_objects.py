"""Kernel objects compare on what was asked for, by the kernel's own rules."""

from __future__ import annotations

import pytest

from reconciler.comparison import compare
from reconciler.objects import (
    HOST,
    Address,
    Bridge,
    BridgePort,
    KernelObject,
    Link,
    LinkRef,
    Netns,
    OtherKind,
    Port,
    Route,
    Sysctl,
    Veth,
    parents,
)


def bridge(**values: int | bool | None) -> Link:
    return Link(netns=HOST, name="br0", kind=Bridge(**values))  # type: ignore[arg-type]


def names(desired: KernelObject, observed: KernelObject) -> list[str]:
    return [difference.name for difference in compare(desired, observed)]


def test_what_nobody_asked_for_is_no_difference() -> None:
    """None on the desired side matches anything."""
    observed = Link(
        netns=HOST, name="br0", kind=Bridge(stp=True, ageing_time=1), mtu=1500, mac="02::", up=True
    )
    assert compare(bridge(), observed) == ()


@pytest.mark.parametrize(
    ("observed", "same"), [(201, True), (200, True), (199, False), (202, False), (None, False)]
)
def test_timers_are_rounded_by_the_kernel(observed: int | None, *, same: bool) -> None:
    """One tick less than asked for is the same; anything else is not."""
    assert (compare(bridge(ageing_time=201), bridge(ageing_time=observed)) == ()) is same


def test_further_alternative_names_are_no_difference() -> None:
    """Ours must be among them."""
    ours = Link(netns=HOST, name="v0", kind=Veth(), altnames=("shop.web",))
    assert names(ours, Link(netns=HOST, name="v0", kind=Veth(), altnames=("other", "shop.web"))) == []
    assert names(ours, Link(netns=HOST, name="v0", kind=Veth(), altnames=("other",))) == ["altnames"]
    assert names(ours, Link(netns=HOST, name="v0", kind=Veth())) == ["altnames"]


def test_another_kind_is_the_only_difference_that_counts() -> None:
    """It forces a replacement, whatever else differs."""
    (difference,) = compare(
        bridge(stp=True), Link(netns=HOST, name="br0", kind=OtherKind(kind="vrf"), mtu=9000)
    )
    assert (difference.name, difference.observed, difference.desired) == ("kind", "vrf", "bridge")
    assert not difference.in_place


def test_another_peer_cannot_change_in_place() -> None:
    """A pair is made together."""
    ours = Link(netns=HOST, name="v0", kind=Veth(peer=LinkRef("web", "eth0")))
    (difference,) = compare(ours, Link(netns=HOST, name="v0", kind=Veth(peer=None)))
    assert (difference.name, difference.in_place) == ("peer", False)


def test_port_attributes_of_a_link_that_is_no_port_differ() -> None:
    """It has none, so they are not as asked for."""
    ours = Link(netns=HOST, name="v0", kind=Veth(), master="br0", port=BridgePort(isolated=False))
    assert names(ours, Link(netns=HOST, name="v0", kind=Veth())) == ["master", "isolated"]


@pytest.mark.parametrize(
    ("desired", "observed", "same"),
    [
        ("1", "1", True),
        ("0x10", "16", True),
        ("010", "8", True),
        ("4096 87380", "4096  87380", True),
        ("1", "2", False),
    ],
)
def test_parameters_are_compared_as_the_kernel_reads_them(desired: str, observed: str, *, same: bool) -> None:
    """Numbers by value, lists word by word."""
    path = "net/ipv4/tcp_rmem"
    differences = compare(
        Sysctl(netns=HOST, path=path, value=desired), Sysctl(netns=HOST, path=path, value=observed)
    )
    assert (differences == ()) is same


@pytest.mark.parametrize(
    ("path", "link"),
    [
        ("net/ipv4/conf/eth0/rp_filter", "eth0"),
        ("net/ipv6/neigh/eth0.100/gc_stale_time", "eth0.100"),
        ("net/ipv4/conf/all/rp_filter", None),
        ("net/ipv4/conf/default/rp_filter", None),
        ("net/ipv4/ip_forward", None),
        ("net/core/somaxconn", None),
    ],
)
def test_the_link_of_a_parameter(path: str, link: str | None) -> None:
    """Only parameters in a link's own directory come and go with it."""
    assert Sysctl(netns=HOST, path=path).link == link


def test_parents() -> None:
    """What must be there before: the namespace, the link, the bridge, the other end's namespace."""
    pair = Link(netns=HOST, name="v0", kind=Veth(peer=LinkRef("web", "eth0")), master="br0")
    inner = Link(netns="web", name="eth0", kind=Veth(peer=LinkRef(HOST, "v0"), made_by_peer=True))
    assert parents(Netns(netns="web")) == ()
    assert set(parents(pair)) == {("netns", HOST), ("link", HOST, "br0"), ("netns", "web")}
    assert set(parents(inner)) == {("netns", "web"), ("link", HOST, "v0")}
    assert ("link", "web", "eth0") in parents(Address(netns="web", link="eth0", address="10.0.0.1/24"))
    assert parents(Route(netns="web", to="10.0.0.0/8", type="blackhole")) == (("netns", "web"),)
    assert ("link", HOST, "br0") in parents(Port(netns=HOST, name="eth1", master="br0"))
