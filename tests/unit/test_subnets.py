"""Which addresses miss the route that the kernel makes with them: where it makes none, none is missed."""

from __future__ import annotations

import pytest

from reconciler import marks
from reconciler.kernel import subnets, wire
from reconciler.kernel.decode import AddressRecord, LinkRecord, RouteRecord

UP, DOWN, IN_VRF, VRF = 2, 3, 4, 5
LINKS = [
    LinkRecord(UP, up=True),
    LinkRecord(DOWN, up=False),
    LinkRecord(IN_VRF, up=True, master=VRF),
    LinkRecord(VRF, up=True, kind="vrf"),
]
V4, V6 = "10.0.0.2/24", "fd00::2/64"


def address(text: str, index: int = UP, flags: int = 0, protocol: int = marks.PROTOCOL) -> AddressRecord:
    """One as the kernel shows it."""
    return AddressRecord(index, text, flags, protocol)


def route(to: str, src: str | None = None, **other: int) -> RouteRecord:
    """One as the kernel makes it, or nearly so."""
    values = {"table": 254, "protocol": wire.RTPROT_KERNEL, "device": UP, **other}
    return RouteRecord(
        to=to,
        type="unicast",
        table=values["table"],
        metric=0,
        protocol=values["protocol"],
        device=values["device"],
        via=None,
        src=src,
        onlink=False,
        family=2,
    )


@pytest.mark.parametrize(
    "held",
    [
        address("10.0.0.2/32"),
        address("fd00::2/128"),
        address(V4, DOWN),
        address(V4, IN_VRF),
        address(V4, flags=wire.IFA_F_SECONDARY),
        address(V4, protocol=0),
    ],
)
def test_not_missed(held: AddressRecord) -> None:
    """One address alone, a link that is down or has a table of its own, a secondary one, somebody else's."""
    assert not subnets.lost(LINKS, [held], [])


@pytest.mark.parametrize(
    ("held", "beside"),
    [
        (V4, route("10.0.0.0/24", "10.0.0.3")),
        (V4, route("10.0.0.0/24", "10.0.0.2", device=DOWN)),
        (V4, route("10.0.0.0/24", "10.0.0.2", protocol=3)),
        (V4, route("10.0.0.0/24", "10.0.0.2", table=100)),
        (V6, route("fd00::/64", device=DOWN)),
        (V6, route("fd00::/48")),
    ],
)
def test_another_route_is_not_it(held: str, beside: RouteRecord) -> None:
    """It has to be the kernel's own, of this address, on this link: only that goes when the address goes."""
    assert subnets.lost(LINKS, [address(held)], [beside]) == {(UP, held)}


def test_one_for_each_subnet() -> None:
    """In IPv6 several addresses have one route between them, which is to be made once."""
    held = [address(V4), address(V6), address("fd00::3/64"), address("fd00:1::3/64")]
    assert subnets.lost(LINKS, held, []) == {(UP, V4), (UP, V6), (UP, "fd00:1::3/64")}
    assert not subnets.lost(LINKS, held[1:3], [route("fd00::/64")])
