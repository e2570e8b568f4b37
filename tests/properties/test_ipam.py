"""Allocation under any sequence of edits: nobody gets what another has, nobody moves without need."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, ip_address, ip_network
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from reconciler.ipam import DefaultPool, Draw, Grant, Holder, Ledger, Want, allocate, draw

SUBNETS = ("10.1.0.0/28", "10.2.0.0/29", "fd00:1::/125")
NAMES = st.sampled_from("abcdefghijklmnop")
LEASE = st.one_of(
    st.integers(0, 20).map(lambda n: str(ip_address("10.1.0.0") + n)),
    st.integers(0, 9).map(lambda n: str(ip_address("10.2.0.0") + n)),
    st.integers(0, 9).map(lambda n: str(ip_address("fd00:1::") + n)),
    st.sampled_from(["", "rubbish", "10.1.0.5/28", "::ffff:10.1.0.1", "255.255.255.255"]),
)
LEASES = st.dictionaries(NAMES, st.lists(LEASE, max_size=3).map(tuple), max_size=8)
WANTS = st.lists(st.builds(Want, NAMES, st.sampled_from((4, 6))), unique=True, max_size=24)
CLAIMS = st.sets(st.integers(1, 14).map(lambda n: int(ip_address("10.1.0.0")) + n), max_size=6)


def ledgers(claims: set[int]) -> list[Ledger]:
    made = [Ledger(ip_network(subnet)) for subnet in SUBNETS]
    for address in claims:
        made[0].claim(address, Holder("declared", None))
    return made


@dataclass(frozen=True)
class World:
    """What one run of allocation depends on."""

    claims: set[int]
    wants: list[Want]
    leases: dict[str, tuple[str, ...]]

    def run(self) -> dict[Want, Grant]:
        return allocate(ledgers(self.claims), self.wants, self.leases)


WORLDS = st.builds(World, CLAIMS, WANTS, LEASES)


def as_leases(grants: dict[Want, Grant]) -> dict[str, tuple[str, ...]]:
    """What the next run gets to know of this one."""
    leases: dict[str, tuple[str, ...]] = {}
    for want, grant in grants.items():
        text = str(ip_address(grant.address) if want.version == 4 else grant.subnet[0] + _offset(grant))
        leases[want.key] = (*leases.get(want.key, ()), text)
    return leases


def _offset(grant: Grant) -> int:
    return grant.address - int(grant.subnet.network_address)


@given(WORLDS)
def test_same_input_same_output(world: World) -> None:
    """Allocation is a function of its input."""
    assert world.run() == world.run()


@given(WORLDS)
def test_no_address_twice_none_reserved(world: World) -> None:
    """Every address that is handed out is usable, in its subnet, undeclared, and of one endpoint only."""
    grants = world.run()
    addresses = [grant.address for grant in grants.values()]
    assert len(set(addresses)) == len(addresses)
    assert not world.claims & set(addresses)
    for want, grant in grants.items():
        one = Ledger(grant.subnet)
        assert grant.subnet.version == want.version
        assert one.first <= grant.address <= one.last


@given(WORLDS)
def test_room_is_used_to_the_last_address(world: World) -> None:
    """Somebody goes without only when every address of the family is in use."""
    grants = world.run()
    for version in (4, 6):
        wanted = sum(want.version == version for want in world.wants)
        room = sum(one.capacity for one in ledgers(set()) if one.subnet.version == version)
        room -= len(world.claims) if version == 4 else 0
        assert sum(want.version == version for want in grants) == min(wanted, room)


@given(WORLDS, WANTS, st.sets(NAMES, max_size=8), st.randoms())
def test_leased_endpoints_never_move(
    world: World, added: list[Want], removed: set[str], random: Random
) -> None:
    """Endpoints that come, go or change places in the file leave every other one its address."""
    before = world.run()
    wants = list(dict.fromkeys([*added, *(want for want in world.wants if want.key not in removed)]))
    random.shuffle(wants)
    after = World(world.claims, wants, as_leases(before)).run()
    for want in wants:
        if want in before:
            assert after[want] == before[want]


@given(WORLDS, CLAIMS)
def test_only_claimed_addresses_move(world: World, claims: set[int]) -> None:
    """When addresses become declared for somebody, exactly their holders get another one."""
    before = world.run()
    after = World(world.claims | claims, world.wants, as_leases(before)).run()
    for want, grant in before.items():
        if grant.address not in claims or want.version == 6:
            assert after[want] == grant
        elif want in after:
            assert after[want].address not in claims


DRAWS = st.lists(
    st.builds(Draw, NAMES, st.integers(0, 1), st.sampled_from((4, 6))),
    unique_by=lambda one: one[:2],
    max_size=12,
)
POOLS = (
    DefaultPool(IPv4Network("10.9.0.0/20"), 24),
    DefaultPool(IPv4Network("10.77.0.0/26"), 28),
    DefaultPool(ip_network("fd00:9::/61"), 64),
)
BLOCKS = st.lists(
    st.builds(
        lambda base, length: ip_network((int(IPv4Address(base)) >> (32 - length) << (32 - length), length)),
        st.integers(0x0A090000, 0x0A090FFF) | st.integers(0x0A4D0000, 0x0A4D003F),
        st.integers(20, 32),
    ),
    max_size=6,
)


@given(DRAWS, BLOCKS, BLOCKS)
def test_drawn_subnets_are_apart(
    draws: list[Draw], declared: list[IPv4Network], taken: list[IPv4Network]
) -> None:
    """What is drawn overlaps nothing declared, nothing of the host, and nothing else that is drawn."""
    result = list(draw(draws, POOLS, {}, declared, taken).values())
    for place, one in enumerate(result):
        others = [*result[:place], *declared, *taken]
        assert not any(one.version == other.version and one.overlaps(other) for other in others)


@given(DRAWS, BLOCKS, st.data())
def test_drawn_subnets_stay(draws: list[Draw], declared: list[IPv4Network], data: st.DataObject) -> None:
    """A network keeps its drawn subnets when others come, go or change places, even if the host now lists them."""
    before = draw(draws, POOLS, {}, declared)
    leases: dict[str, tuple[str, ...]] = {}
    for one in sorted(before, key=lambda each: each.place):
        leases[one.network] = (*leases.get(one.network, ()), str(before[one]))
    full = {one.network for one in draws if one not in before}
    kept = data.draw(st.lists(st.sampled_from(draws), unique=True)) if draws else []
    names = {one.network for one in kept}
    kept = [one for one in draws if one.network in names and one.network not in full]
    kept = data.draw(st.permutations(kept))
    after = draw(
        [Draw("new", 0, 4), *sorted(kept, key=lambda each: each.place)],
        POOLS,
        leases,
        declared,
        before.values(),
    )
    assert {one: after[one] for one in kept} == {one: before[one] for one in kept}
