"""What the kernel takes along when something is deleted, and what a replacement interrupts."""

from __future__ import annotations

import pytest

from reconciler import marks
from reconciler.effects import Lost
from reconciler.objects import (
    HOST,
    Address,
    Bridge,
    BridgePort,
    KernelObject,
    Key,
    Link,
    LinkRef,
    Netns,
    OtherKind,
    Port,
    Route,
    Sysctl,
    Veth,
)
from reconciler.plan import (
    Action,
)
from reconciler.planner import plan
from reconciler.sides import Declared, Desired, Found, Observed

OBJECTS: list[KernelObject] = [
    Netns(netns="web"),
    Link(netns=HOST, name="br0", kind=Bridge()),
    Link(netns=HOST, name="v0", kind=Veth(peer=LinkRef("web", "eth0")), master="br0", port=BridgePort()),
    Link(netns="web", name="eth0", kind=Veth(peer=LinkRef(HOST, "v0"))),
    Port(netns=HOST, name="uplink", master="br0"),
    Sysctl(netns=HOST, path="net/ipv6/conf/br0/accept_ra", value="0"),
    Address(netns=HOST, link="br0", address="10.0.0.1/24"),
    Address(netns="web", link="eth0", address="10.0.0.2/24"),
    Address(netns="web", link="eth0", address="10.0.0.3/24", secondary=True),
    Address(netns="web", link="eth0", address="10.9.0.2/24"),
    Address(netns="web", link="eth0", address="fd00::2/64"),
    Route(netns="web", to="0.0.0.0/0", via="10.0.0.1", dev="eth0"),
    Route(netns="web", to="10.5.0.0/16", via="10.0.0.1", dev="eth0", src="10.0.0.3"),
    Route(netns="web", to="::/0", metric=1024, via="fd00::1", dev="eth0"),
    Route(netns="web", to="10.8.0.0/16", type="blackhole"),
]
STATE: dict[Key, KernelObject] = {obj.key: obj for obj in OBJECTS}
WEB = {key for key in STATE if key[1] == "web"}
V0: Key = ("link", HOST, "v0")


def lost(*keys: Key) -> Lost:
    """What goes with `keys`."""
    found = Lost(STATE)
    found.delete(keys)
    return found


def test_a_namespace_takes_all_of_it_and_the_other_ends() -> None:
    """The pair's end in the host goes too."""
    found = lost(("netns", "web"))
    assert found.gone == WEB | {V0}
    assert found.released == set()


def test_a_bridge_releases_its_ports() -> None:
    """Ports of both kinds stay without a bridge; its address and parameters go."""
    found = lost(("link", HOST, "br0"))
    assert found.released == {V0, ("port", HOST, "uplink")}
    assert found.gone == {
        ("link", HOST, "br0"),
        ("address", HOST, "br0", "10.0.0.1/24"),
        ("sysctl", HOST, "net/ipv6/conf/br0/accept_ra"),
    }


@pytest.mark.parametrize("end", [V0, ("link", "web", "eth0")])
def test_one_end_of_a_pair_takes_the_other(end: Key) -> None:
    """With addresses and routes, from whichever side; what does not use the link stays."""
    assert lost(end).gone == (WEB | {V0}) - {("netns", "web"), ("route", "web", "10.8.0.0/16", "254", "0")}


def test_a_primary_address_takes_its_secondaries_and_what_uses_them() -> None:
    """Another subnet's address and IPv6 stay, and so do routes that another address keeps alive."""
    gone = lost(("address", "web", "eth0", "10.0.0.2/24")).gone
    assert gone == {
        ("address", "web", "eth0", "10.0.0.2/24"),
        ("address", "web", "eth0", "10.0.0.3/24"),
        ("route", "web", "10.5.0.0/16", "254", "0"),
    }


def test_a_secondary_goes_alone() -> None:
    """But for the routes that prefer it as source."""
    gone = lost(("address", "web", "eth0", "10.0.0.3/24")).gone
    assert gone == {("address", "web", "eth0", "10.0.0.3/24"), ("route", "web", "10.5.0.0/16", "254", "0")}


def test_the_last_v4_address_takes_all_v4_routes_of_the_link() -> None:
    """IPv6 is another matter, and so are routes without a link."""
    gone = lost(("address", "web", "eth0", "10.0.0.2/24"), ("address", "web", "eth0", "10.9.0.2/24")).gone
    assert {key for key in gone if key[0] == "route"} == {
        ("route", "web", "0.0.0.0/0", "254", "0"),
        ("route", "web", "10.5.0.0/16", "254", "0"),
    }


def test_an_ipv6_address_goes_alone() -> None:
    """The kernel keeps IPv6 routes without it."""
    assert len(lost(("address", "web", "eth0", "fd00::2/64")).gone) == 1


def test_what_is_not_there_takes_nothing() -> None:
    """A key that was not observed."""
    assert lost(("link", HOST, "nothing")).gone == {("link", HOST, "nothing")}


def test_of_asks_about_some_keys_alone() -> None:
    """It neither counts nor changes what else is being deleted."""
    found = lost(("netns", "web"))
    before = set(found.gone)
    assert V0 in found.of([("link", HOST, "br0")])
    assert ("address", "web", "eth0", "10.0.0.2/24") not in found.of([("link", HOST, "br0")])
    assert found.gone == before


def test_a_replaced_bridge_names_the_endpoints_that_it_interrupts() -> None:
    """A device of another kind with our mark holds an endpoint: its replacement cuts that endpoint off meanwhile."""
    alias = marks.alias("shop", "network/front")
    bridge = Link(netns=HOST, name="br0", kind=Bridge(), alias=alias)
    port = Link(
        netns=HOST,
        name="v0",
        kind=Veth(peer=LinkRef("web", "eth0")),
        master="br0",
        alias=marks.alias("shop", "sandbox/web/endpoint/eth0"),
    )
    origins = {bridge.key: "network/front", port.key: "sandbox/web/endpoint/eth0"}
    desired = Desired("shop", {obj.key: Declared(obj, origins[obj.key]) for obj in (bridge, port)})
    vrf = Link(netns=HOST, name="br0", kind=OtherKind(kind="vrf"), alias=alias)
    observed = Observed({obj.key: Found(obj, ours=True, origin=origins[obj.key]) for obj in (vrf, port)})

    delete, create, join = plan(desired, observed).changes

    assert (delete.action, delete.replaces) == (Action.DELETE, ("kind",))
    assert delete.interrupts == ("sandbox/web/endpoint/eth0",)
    assert (create.action, create.key) == (Action.CREATE, bridge.key)
    assert (join.action, [a.name for a in join.attributes]) == (Action.UPDATE, ["master"])
