"""Pools, addresses and MACs: who gets which. Pure and deterministic: same input and same leases, same output.

Explicit addresses are claimed first, by whoever reads the files; then what was leased before is kept as far as it
still fits; then the lowest free address goes to each endpoint in file order. So adding or removing an endpoint never
moves another one that has a lease, and no number of restarts can give a declared address to somebody else.

All of it works on whole numbers: `ipaddress` objects are slow to make, and a /64 has too many addresses to list.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import NamedTuple

from .errors import Mark
from .model import IPAddress, IPNetwork

BITS = {4: 32, 6: 128}
BUILT_IN_BASE = IPv4Network("10.201.0.0/16")
BUILT_IN_SIZE = {4: 24, 6: 64}


class Holder(NamedTuple):
    """Who has an address, in words for a message, and where the file says so."""

    label: str
    mark: Mark | None


class Ledger:
    """Which addresses of one subnet are taken. `ip_range` bounds what is handed out automatically."""

    __slots__ = ("_cursor", "_held", "_withheld", "first", "last", "range_first", "range_last", "subnet")

    def __init__(self, subnet: IPNetwork, ip_range: IPNetwork | None = None) -> None:
        self.subnet = subnet
        self.first, self.last = usable_bounds(subnet)
        bounds = ip_range or subnet
        self.range_first = max(self.first, int(bounds.network_address))
        self.range_last = min(self.last, int(bounds.broadcast_address))
        self._held: dict[int, Holder | None] = {}
        self._withheld: set[int] = set()
        self._cursor = self.range_first

    @property
    def capacity(self) -> int:
        """How many addresses automatic allocation could hand out in all, free or not."""
        return max(0, self.range_last - self.range_first + 1)

    def claim(self, address: int, holder: Holder) -> Holder | None:
        """Take an explicit address; whoever has it already comes back and keeps it."""
        earlier = self._held.setdefault(address, holder)
        return None if earlier is holder else earlier

    def withhold(self, address: int) -> None:
        """Never hand this address out automatically; an explicit claim may still take it."""
        self._withheld.add(address)

    def renew(self, address: int) -> bool:
        """Take a leased address again, if it is still one that could be handed out."""
        if not self.range_first <= address <= self.range_last or not self._is_free(address):
            return False
        self._held[address] = None
        return True

    def take_lowest(self) -> int | None:
        """Take the lowest free address, None when there is none. Claims only grow, so the search never goes back."""
        while self._cursor <= self.range_last:
            address = self._cursor
            self._cursor += 1
            if self._is_free(address):
                self._held[address] = None
                return address
        return None

    def _is_free(self, address: int) -> bool:
        return address not in self._held and address not in self._withheld


def usable_bounds(subnet: IPNetwork) -> tuple[int, int]:
    """The first and last address that an interface may have.

    IPv4 keeps back network and broadcast address, IPv6 the anycast address of the subnet's routers; pairs (/31, /127)
    and single addresses keep nothing back.
    """
    first, last = int(subnet.network_address), int(subnet.broadcast_address)
    if subnet.prefixlen >= BITS[subnet.version] - 1:
        return first, last
    return first + 1, last - 1 if subnet.version == 4 else last


def first_host(subnet: IPNetwork, ip_range: IPNetwork) -> IPAddress | None:
    """The address that a gateway gets unless declared, None for a subnet of one address."""
    if subnet.prefixlen == BITS[subnet.version]:
        return None
    return make_address(subnet.version, Ledger(subnet, ip_range).range_first)


def make_address(version: int, number: int) -> IPAddress:
    """The address with this number."""
    return IPv4Address(number) if version == 4 else IPv6Address(number)


class Want(NamedTuple):
    """An endpoint that needs one automatic address of a family. `key` is "sandbox/endpoint"."""

    key: str
    version: int


class Grant(NamedTuple):
    """The address that a want got, and the subnet that it comes from."""

    address: int
    subnet: IPNetwork


def allocate(
    ledgers: Sequence[Ledger], wants: Sequence[Want], leases: Mapping[str, tuple[str, ...]]
) -> dict[Want, Grant]:
    """One address for each want of a network, as far as there is room; explicit claims must be in the ledgers by now."""
    grants: dict[Want, Grant] = {}
    by_version = {version: [one for one in ledgers if one.subnet.version == version] for version in BITS}
    for want in wants:
        for address in _leased(leases.get(want.key, ()), want.version):
            if want not in grants and (grant := _renewed(by_version[want.version], address)):
                grants[want] = grant
    for want in wants:
        if want not in grants and (grant := _lowest(by_version[want.version])):
            grants[want] = grant
    return grants


def _leased(texts: Iterable[str], version: int) -> list[int]:
    found: list[int] = []
    for text in texts:
        if (6 if ":" in text else 4) != version:
            continue
        try:
            found.append(int(IPv6Address(text) if version == 6 else IPv4Address(text)))
        except ValueError:
            continue
    return found


def _renewed(ledgers: Iterable[Ledger], address: int) -> Grant | None:
    for ledger in ledgers:
        if ledger.renew(address):
            return Grant(address, ledger.subnet)
    return None


def _lowest(ledgers: Iterable[Ledger]) -> Grant | None:
    for ledger in ledgers:
        if (address := ledger.take_lowest()) is not None:
            return Grant(address, ledger.subnet)
    return None


@dataclass(frozen=True, slots=True)
class DefaultPool:
    """Where networks without declared subnets draw theirs from: prefixes of length `size` out of `base`."""

    base: IPNetwork
    size: int


class Draw(NamedTuple):
    """A network that draws its subnet number `place` (of all its subnets) from the default pools."""

    network: str
    place: int
    version: int


def built_in_pools(topology: str) -> tuple[DefaultPool, DefaultPool]:
    """The pools of a topology that declares none; the IPv6 one is a unique local /48 of its own (RFC 4193)."""
    digest = int.from_bytes(sha256(topology.encode()).digest()[:5], "big")
    local = IPv6Network((0xFD << 120 | digest << 80, 48))
    return DefaultPool(BUILT_IN_BASE, BUILT_IN_SIZE[4]), DefaultPool(local, BUILT_IN_SIZE[6])


def draw(
    draws: Sequence[Draw],
    pools: Sequence[DefaultPool],
    leases: Mapping[str, tuple[str, ...]],
    declared: Iterable[IPNetwork],
    taken: Iterable[IPNetwork] = (),
) -> dict[Draw, IPNetwork]:
    """A subnet for each draw, as far as the pools reach.

    What was leased stays, unless the files now declare it for something else or no pool has it any more. It is not
    compared with `taken`: after the first apply the host holds it because of us. New subnets avoid both.
    """
    busy = {4: _Busy(), 6: _Busy()}
    for network in declared:
        busy[network.version].add(network)
    drawn = _kept(draws, pools, leases, busy)
    for network in taken:
        if network.prefixlen:  # a default route uses no addresses
            busy[network.version].add(network)
    for one in draws:
        if one not in drawn and (subnet := _lowest_block(pools, one.version, busy[one.version])):
            drawn[one] = subnet
    return drawn


def _kept(
    draws: Sequence[Draw],
    pools: Sequence[DefaultPool],
    leases: Mapping[str, tuple[str, ...]],
    busy: Mapping[int, _Busy],
) -> dict[Draw, IPNetwork]:
    kept: dict[Draw, IPNetwork] = {}
    spent: set[tuple[str, int]] = set()
    for one in draws:
        for place, text in enumerate(leases.get(one.network, ())):
            subnet = _network(text)
            if subnet is None or subnet.version != one.version or (one.network, place) in spent:
                continue
            spent.add((one.network, place))
            if _from_pool(subnet, pools) and busy[one.version].end_of_clash(subnet) is None:
                kept[one] = subnet
                busy[one.version].add(subnet)
            break
    return kept


def _network(text: str) -> IPNetwork | None:
    try:
        return ip_network(text)
    except ValueError:
        return None


def _from_pool(subnet: IPNetwork, pools: Iterable[DefaultPool]) -> bool:
    first, last = int(subnet.network_address), int(subnet.broadcast_address)
    return any(
        subnet.version == pool.base.version
        and subnet.prefixlen == pool.size
        and int(pool.base.network_address) <= first
        and last <= int(pool.base.broadcast_address)
        for pool in pools
    )


def _lowest_block(pools: Iterable[DefaultPool], version: int, busy: _Busy) -> IPNetwork | None:
    for pool in pools:
        if pool.base.version != version:
            continue
        step = 1 << (BITS[version] - pool.size)
        start, end = int(pool.base.network_address), int(pool.base.broadcast_address)
        while start + step - 1 <= end:
            clash = busy.end_of_overlap(start, start + step - 1)
            if clash is None:
                block = make_network(version, start, pool.size)
                busy.add(block)
                return block
            start = -(-(clash + 1) // step) * step  # the next block that begins after the clash
    return None


def make_network(version: int, first: int, length: int) -> IPNetwork:
    """The prefix that begins at this number."""
    return IPv4Network((first, length)) if version == 4 else IPv6Network((first, length))


class _Busy:
    """Address ranges in use: sorted, disjoint, so that one look-up costs a bisection and a search jumps whole ranges."""

    __slots__ = ("_ranges",)

    def __init__(self) -> None:
        self._ranges: list[tuple[int, int]] = []

    def add(self, network: IPNetwork) -> None:
        first, last = int(network.network_address), int(network.broadcast_address)
        at = bisect_left(self._ranges, (first, -1))
        if at and self._ranges[at - 1][1] >= first - 1:
            at -= 1
        end = at
        while end < len(self._ranges) and self._ranges[end][0] <= last + 1:
            first, last = min(first, self._ranges[end][0]), max(last, self._ranges[end][1])
            end += 1
        del self._ranges[at:end]
        insort(self._ranges, (first, last))

    def end_of_clash(self, network: IPNetwork) -> int | None:
        return self.end_of_overlap(int(network.network_address), int(network.broadcast_address))

    def end_of_overlap(self, first: int, last: int) -> int | None:
        """The last number of a range that overlaps, None when all of first…last is free."""
        at = bisect_left(self._ranges, (last + 1, -1))
        if at and self._ranges[at - 1][1] >= first:
            return self._ranges[at - 1][1]
        return None


def derive_mac(
    topology: str, sandbox: str, endpoint: str, network: str, addresses: Sequence[IPAddress]
) -> str:
    """The MAC of an endpoint that declares none: stable, locally administered, unique as far as its source is."""
    for address in addresses:
        if address.version == 4:
            return _mac(b"\x42" + address.packed)
    source = f"{addresses[0]}{network}" if addresses else f"{topology}/{sandbox}/{endpoint}"
    return _mac(sha256(source.encode()).digest()[:5])


def _mac(tail: bytes) -> str:
    return f"02:{tail.hex(':')}"
