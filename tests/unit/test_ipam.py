"""Allocation on its own: ledgers, leases, default pools, MACs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address, ip_network

import pytest

from reconciler.ipam import (
    DefaultPool,
    Draw,
    Holder,
    Ledger,
    Want,
    allocate,
    built_in_pools,
    derive_mac,
    draw,
    first_host,
    usable_bounds,
)
from reconciler.model import IPNetwork

ME = Holder("me", None)


def net(text: str) -> IPNetwork:
    return ip_network(text)


def ledger(subnet: str, ip_range: str | None = None) -> Ledger:
    return Ledger(net(subnet), net(ip_range) if ip_range else None)


def granted(
    ledgers: list[Ledger], keys: str, leases: Mapping[str, tuple[str, ...]] | None = None
) -> dict[str, str]:
    """Allocate one IPv4 address for each word of `keys`: who got which."""
    grants = allocate(ledgers, [Want(key, 4) for key in keys.split()], leases or {})
    return {want.key: str(IPv4Address(grant.address)) for want, grant in grants.items()}


@pytest.mark.parametrize(
    ("subnet", "first", "last"),
    [
        ("10.1.0.0/24", "10.1.0.1", "10.1.0.254"),
        ("10.1.0.0/30", "10.1.0.1", "10.1.0.2"),
        ("10.1.0.0/31", "10.1.0.0", "10.1.0.1"),
        ("10.1.0.7/32", "10.1.0.7", "10.1.0.7"),
        ("fd00::/64", "fd00::1", "fd00::ffff:ffff:ffff:ffff"),
        ("fd00::/127", "fd00::", "fd00::1"),
        ("fd00::5/128", "fd00::5", "fd00::5"),
    ],
)
def test_usable_bounds(subnet: str, first: str, last: str) -> None:
    """Network, broadcast and router anycast addresses are kept back, except in pairs and single addresses."""
    assert usable_bounds(net(subnet)) == (int(ip_address(first)), int(ip_address(last)))


@pytest.mark.parametrize(
    ("subnet", "ip_range", "gateway"),
    [
        ("10.1.0.0/24", "10.1.0.0/24", "10.1.0.1"),
        ("10.1.0.0/24", "10.1.0.128/25", "10.1.0.128"),
        ("10.1.0.0/31", "10.1.0.0/31", "10.1.0.0"),
        ("10.1.0.0/32", "10.1.0.0/32", None),
        ("fd00::/64", "fd00::/64", "fd00::1"),
        ("fd00::/128", "fd00::/128", None),
    ],
)
def test_derived_gateway(subnet: str, ip_range: str, gateway: str | None) -> None:
    """The gateway is the first usable address of the range, and a single address has none to spare."""
    assert first_host(net(subnet), net(ip_range)) == (gateway and ip_address(gateway))


def test_lowest_free_address_in_file_order() -> None:
    """Without leases the lowest addresses go out in the order of the file, around what is claimed and withheld."""
    one = ledger("10.1.0.0/29")
    one.claim(int(IPv4Address("10.1.0.2")), ME)
    one.withhold(int(IPv4Address("10.1.0.3")))
    assert granted([one], "a b c d e") == {"a": "10.1.0.1", "b": "10.1.0.4", "c": "10.1.0.5", "d": "10.1.0.6"}


def test_second_subnet_when_the_first_is_full() -> None:
    """Allocation goes on in the next subnet of the family."""
    assert granted([ledger("10.1.0.0/31"), ledger("10.2.0.0/24")], "a b c")["c"] == "10.2.0.1"


def test_claims_tell_who_was_first() -> None:
    """A second claim on an address gets the first holder back, and a withheld address can still be claimed."""
    one, other = ledger("10.1.0.0/24"), Holder("other", None)
    address = int(IPv4Address("10.1.0.9"))
    one.withhold(address)
    assert one.claim(address, ME) is None
    assert one.claim(address, other) is ME


def test_lease_is_kept() -> None:
    """An endpoint keeps its leased address when others before it come new."""
    leases = {"b": ("10.1.0.1",), "c": ("10.1.0.5",)}
    assert granted([ledger("10.1.0.0/24")], "a b c", leases) == {
        "a": "10.1.0.2",
        "b": "10.1.0.1",
        "c": "10.1.0.5",
    }


@pytest.mark.parametrize(
    "lease",
    ["10.9.0.5", "10.1.0.0", "10.1.0.255", "10.1.0.7", "10.1.0.200", "fd00::1", "rubbish", "10.1.0.300", ""],
)
def test_lease_that_no_longer_fits_is_ignored(lease: str) -> None:
    """A lease outside of the range, on a claimed or reserved address, or unreadable gives way to the lowest free one."""
    one = ledger("10.1.0.0/24", "10.1.0.0/25")
    one.claim(int(IPv4Address("10.1.0.7")), ME)
    assert granted([one], "a", {"a": (lease,)}) == {"a": "10.1.0.1"}


def test_two_leases_on_one_address() -> None:
    """Of two endpoints that were leased the same address the first in the file keeps it."""
    leases = {"a": ("10.1.0.9",), "b": ("10.1.0.9",)}
    assert granted([ledger("10.1.0.0/24")], "a b", leases) == {"a": "10.1.0.9", "b": "10.1.0.1"}


def test_capacity_counts_the_range_only() -> None:
    """The number in the message about exhaustion is what could be handed out."""
    assert ledger("10.1.0.0/24", "10.1.0.0/30").capacity == 3
    assert ledger("10.1.0.0/24", "10.1.0.128/25").capacity == 127


def test_huge_pools_cost_nothing() -> None:
    """A /8 and a /32 of IPv6 are never listed: thousands of addresses and subnets take a fraction of a second."""
    began = time.perf_counter()
    wants = [Want(str(number), 6) for number in range(5000)]
    grants = allocate([ledger("fd00::/32")], wants, {})
    assert grants[wants[-1]].address == int(IPv6Address("fd00::1388"))
    pools = [DefaultPool(net("fd00::/16"), 112)]
    draws = [Draw(str(number), 0, 6) for number in range(2000)]
    taken = [net(f"fd00::{number:x}:0/112") for number in range(0, 4000, 2)]
    assert len(set(draw(draws, pools, {}, [], taken).values())) == 2000
    assert time.perf_counter() - began < 2


def drawn(
    leases: dict[str, tuple[str, ...]], declared: str = "", taken: str = "", names: str = "a b"
) -> list[str]:
    """Draw one IPv4 subnet for each name from 10.9.0.0/22 in pieces of /24."""
    draws = [Draw(name, 0, 4) for name in names.split()]
    pools = [DefaultPool(net("10.9.0.0/22"), 24)]
    result = draw(draws, pools, leases, map(net, declared.split()), map(net, taken.split()))
    return [str(result.get(one)) for one in draws]


@pytest.mark.parametrize(
    ("declared", "taken", "expected"),
    [
        ("", "", ["10.9.0.0/24", "10.9.1.0/24"]),
        ("10.9.0.0/24", "", ["10.9.1.0/24", "10.9.2.0/24"]),
        ("10.9.1.128/25", "10.9.0.7/32", ["10.9.2.0/24", "10.9.3.0/24"]),
        ("10.9.0.0/23", "10.9.2.0/23", ["None", "None"]),
        ("", "10.0.0.0/8", ["None", "None"]),
        ("", "0.0.0.0/0", ["10.9.0.0/24", "10.9.1.0/24"]),
        ("", "10.9.0.0/25 10.9.0.0/23 10.9.0.64/26", ["10.9.2.0/24", "10.9.3.0/24"]),
        ("", "fd00::/8", ["10.9.0.0/24", "10.9.1.0/24"]),
    ],
)
def test_draw_avoids_declared_and_taken(declared: str, taken: str, expected: list[str]) -> None:
    """Default pools give the lowest piece that overlaps nothing; a default route on the host takes nothing away."""
    assert drawn({}, declared, taken) == expected


def test_drawn_subnet_is_kept_though_the_host_has_it() -> None:
    """After the first apply the host holds a drawn subnet because of us, so it is no reason to move."""
    assert drawn({"b": ("10.9.0.0/24",)}, taken="10.9.0.0/24") == ["10.9.1.0/24", "10.9.0.0/24"]


@pytest.mark.parametrize(
    "lease", ["10.8.0.0/24", "10.9.0.0/25", "10.9.3.1/24", "rubbish", "fd00::/64", "10.9.2.0/24"]
)
def test_subnet_lease_that_no_longer_fits_is_ignored(lease: str) -> None:
    """A leased subnet that no pool has, of another size, unreadable, or declared elsewhere is drawn anew."""
    assert drawn({"a": (lease,)}, declared="10.9.2.0/23") == ["10.9.0.0/24", "10.9.1.0/24"]


def test_leases_of_one_network_keep_their_order() -> None:
    """A network that draws twice gets each subnet back at its own place."""
    draws = [Draw("a", 0, 4), Draw("a", 1, 6), Draw("a", 2, 4)]
    pools = [DefaultPool(net("10.9.0.0/16"), 24), DefaultPool(net("fd00:9::/48"), 64)]
    leases = {"a": ("10.9.7.0/24", "fd00:9:0:5::/64", "10.9.3.0/24")}
    result = draw(draws, pools, leases, [])
    assert [str(result[one]) for one in draws] == ["10.9.7.0/24", "fd00:9:0:5::/64", "10.9.3.0/24"]


def test_built_in_pools() -> None:
    """The IPv6 pool is a unique local /48 that belongs to the topology's name and never changes."""
    v4, v6 = built_in_pools("shop")
    assert v4 == DefaultPool(IPv4Network("10.201.0.0/16"), 24)
    assert (str(v6.base), v6.size) == ("fd8d:9001:d32c::/48", 64)
    assert built_in_pools("shop2")[1].base != v6.base


@pytest.mark.parametrize(
    ("addresses", "mac"),
    [
        (["10.1.0.5"], "02:42:0a:01:00:05"),
        (["fd00::5", "10.1.0.5", "10.1.0.6"], "02:42:0a:01:00:05"),
        (["fd00::5"], "02:04:59:5d:8c:52"),
        ([], "02:e6:1f:6c:64:05"),
    ],
)
def test_mac(addresses: list[str], mac: str) -> None:
    """MACs come from the first IPv4 address, else the first IPv6 one, else the names, and never change."""
    assert derive_mac("shop", "web", "eth0", "front", [ip_address(one) for one in addresses]) == mac
