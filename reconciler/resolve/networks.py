"""Networks: their address ranges, gateways and reserved addresses, and the ledgers that hand addresses out. Pure.

Ranges are compared across the whole topology, because the host has one routing table: two networks with overlapping
ranges would take each other's packets. Drawn ranges come after all declared ones are known, so that they avoid them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..errors import Diagnostic, Mark
from ..ipam import Draw, Holder, Ledger, draw, first_host
from ..load.tree import Map
from ..model import IPAddress, IPNetwork, Leases, Network, Subnet
from ..options import Options
from . import fields
from .addresses import Fault, listed, parse_address, parse_network, parse_subnet
from .driver_options import read_options
from .pairs import members
from .pools import exhausted, read_pools

MIN_V6_MTU = 1280


@dataclass(slots=True)
class Range:
    """One entry of `subnets`: declared, or drawn for a family. `subnet` is None until it is known, or never."""

    network: str
    place: int
    source: Map
    mark: Mark
    family: int | None = None
    subnet: IPNetwork | None = None


@dataclass(slots=True)
class Draft:
    """A network on its way: what is known of it, and one ledger for each usable range.

    `options_are_known` says that no mistake hides the driver or one of its options, and with them what the driver does,
    `mtu_is_known` the same of the MTU. `broken` says that some range was wrong, so that nothing is concluded from its absence; `unsettled` that nobody can
    tell which automatic addresses its endpoints get, because a mistake hides a part of the network or an endpoint.
    `tunnel_mtu` is what fits into a tunnel, where nothing else is declared.
    """

    name: str
    mark: Mark
    source: Map
    options: Options
    ranges: list[Range] = field(default_factory=list)
    ledgers: list[Ledger] = field(default_factory=list)
    subnets: list[Subnet] = field(default_factory=list)
    options_are_known: bool = True
    mtu_is_known: bool = True
    broken: bool = False
    unsettled: bool = False
    tunnel_mtu: int | None = None

    @property
    def driver(self) -> str:
        """The driver that realises it."""
        return fields.text(self.source, "driver") or "bridge"

    @property
    def internal(self) -> bool:
        """Whether no default route may lead through it."""
        return fields.flag(self.source, "internal")

    @property
    def mtu(self) -> int | None:
        """The MTU: declared, or fitted to the tunnel."""
        declared = fields.number(self.source, "mtu")
        return self.tunnel_mtu if declared is None else declared

    def families(self) -> set[int]:
        """The address families that it has ranges of."""
        return {ledger.subnet.version for ledger in self.ledgers}

    def ledger_of(self, address: IPAddress) -> Ledger | None:
        """The ledger of the range that holds this address."""
        for ledger in self.ledgers:
            if ledger.subnet.version == address.version and address in ledger.subnet:
                return ledger
        return None

    def described(self) -> str:
        """Its ranges, for a message."""
        return listed(ledger.subnet for ledger in self.ledgers) or "none"

    def finish(self) -> Network:
        """The network as the model has it."""
        return Network(
            name=self.name,
            driver=self.driver,
            subnets=tuple(self.subnets),
            internal=self.internal,
            mtu=self.mtu,
            options=self.options,
            labels=fields.scalars(fields.section(self.source, "labels")),
            mark=self.mark,
            protect=fields.flag(self.source, "protect"),
        )


def read_networks(
    tree: Map, topology: str, leases: Leases, taken: Sequence[IPNetwork], found: list[Diagnostic]
) -> dict[str, Draft]:
    """Every network with its ledgers ready for explicit claims."""
    joined = members(tree)
    drafts = {
        name: _read(name, source, mark, joined.get(name, 0), found)
        for name, source, mark in fields.sections(tree, "networks")
    }
    ranges = [one for draft in drafts.values() for one in draft.ranges]
    found += overlaps(ranges)
    _draw(tree, topology, ranges, leases.networks, taken, found)
    for draft in drafts.values():
        for one in draft.ranges:
            if one.subnet is None:
                draft.broken = draft.unsettled = True
            else:
                _complete(draft, one, one.subnet, found)
        if fields.has_gap(draft.source, "subnets"):
            draft.broken = draft.unsettled = True
        if not draft.options_are_known or (draft.driver == "ptp" and not joined):
            draft.unsettled = True
        _check_mtu(draft, found)
        _check_reserved(draft, found)
    return drafts


def drawn(drafts: Mapping[str, Draft]) -> dict[str, tuple[str, ...]]:
    """What was drawn from the default pools, as leases."""
    result = {
        name: tuple(str(one.subnet) for one in draft.ranges if one.family and one.subnet)
        for name, draft in drafts.items()
    }
    return {name: subnets for name, subnets in result.items() if subnets}


def _read(name: str, source: Map, mark: Mark, joined: int, found: list[Diagnostic]) -> Draft:
    draft = Draft(name, mark, source, read_options(name, source, joined, found))
    draft.options_are_known = not fields.unknown(source, "driver") and not fields.has_gap(source, "options")
    draft.mtu_is_known = not fields.unknown(source, "mtu")
    for place, item in enumerate(fields.maps(source, "subnets")):
        draft.ranges.append(_range(name, place, item, found))
    return draft


def _range(network: str, place: int, item: Map, found: list[Diagnostic]) -> Range:
    if word := fields.text(item, "draw"):
        return Range(network, place, item, item.value_mark("draw"), family=6 if word == "ipv6" else 4)
    one = Range(network, place, item, item.value_mark("subnet"))
    if fields.unknown(item, "subnet"):
        return one
    subnet = parse_subnet(fields.text(item, "subnet") or "")
    if isinstance(subnet, Fault):
        found.append(subnet.at(one.mark))
    else:
        one.subnet = subnet
    return one


def overlaps(ranges: Sequence[Range]) -> Iterator[Diagnostic]:
    """A diagnostic for each range that overlaps one before it."""
    order = {id(one): place for place, one in enumerate(ranges)}
    for version in (4, 6):
        spans = sorted(
            (int(one.subnet.network_address), int(one.subnet.broadcast_address), order[id(one)], one)
            for one in ranges
            if one.subnet is not None and one.subnet.version == version
        )
        widest: tuple[int, Range] | None = None
        for first, last, _, one in spans:
            if widest and first <= widest[0]:
                yield _overlap(*sorted((one, widest[1]), key=lambda each: order[id(each)]))
            if not widest or last > widest[0]:
                widest = (last, one)


def _overlap(earlier: Range, later: Range) -> Diagnostic:
    if earlier.network == later.network:
        message = f"subnets {earlier.subnet} and {later.subnet} of network '{later.network}' overlap"
    else:
        message = (
            f"subnet {later.subnet} of network '{later.network}' overlaps {earlier.subnet} "
            f"of network '{earlier.network}'"
        )
    related = ((f"{earlier.subnet} first used here", earlier.mark),)
    return Diagnostic("overlap", message, later.mark, "choose another range for one of the two", related)


def _draw(
    tree: Map,
    topology: str,
    ranges: Sequence[Range],
    leases: Mapping[str, tuple[str, ...]],
    taken: Sequence[IPNetwork],
    found: list[Diagnostic],
) -> None:
    wanted = {Draw(one.network, one.place, one.family): one for one in ranges if one.family is not None}
    pools = read_pools(tree, topology, found)
    if not _draws_are_known(tree):
        return
    declared = [one.subnet for one in ranges if one.subnet is not None]
    result = draw(tuple(wanted), pools, leases, declared, taken)
    for key, one in wanted.items():
        one.subnet = result.get(key)
    for family in (4, 6):
        missing = [one for key, one in wanted.items() if key not in result and key.version == family]
        if missing:
            found.append(exhausted(family, pools, [one.network for one in missing], missing[0].mark))


def _draws_are_known(tree: Map) -> bool:
    """Whether no mistake hides a pool, or a network that could draw from one before others do."""
    pools = list(fields.maps(tree, "pools"))
    networks = [network for _, network, _ in fields.sections(tree, "networks")]
    subnets = [subnet for network in networks for subnet in fields.maps(network, "subnets")]
    return not (
        fields.unknown(tree, "name")
        or fields.has_gap(tree, "pools")
        or fields.has_gap(tree, "networks")
        or any(fields.unknown(pool, "base", "size") for pool in pools)
        or any(fields.has_gap(network, "subnets") for network in networks)
        or any(fields.unknown(subnet, "subnet") for subnet in subnets)
    )


def _complete(draft: Draft, one: Range, subnet: IPNetwork, found: list[Diagnostic]) -> None:
    """The rest of one range: what is handed out, what is reserved, who is the gateway."""
    ip_range = _ip_range(one, subnet, found)
    ledger = Ledger(subnet, ip_range)
    gateway, gateway_mark = _gateway(draft, one, ledger, ip_range, found)
    if not draft.options_are_known or fields.unknown(one.source, "gateway", "ip_range"):
        draft.unsettled = True
    if fields.has_gap(one.source, "aux_addresses"):
        draft.unsettled = True
    if gateway is not None:
        if draft.options.traits.holds_gateway and draft.options_are_known:
            who = "the gateway" if draft.options.traits.device else "the address of the host's end"
            ledger.claim(int(gateway), Holder(f"{who} of network '{draft.name}'", gateway_mark))
        else:
            ledger.withhold(int(gateway))
    _reserve(draft, ledger, gateway, found)
    aux = _aux_addresses(draft, one, ledger, gateway, found)
    draft.ledgers.append(ledger)
    draft.subnets.append(Subnet(subnet, gateway, ip_range, aux))


def _reserve(draft: Draft, ledger: Ledger, gateway: IPAddress | None, found: list[Diagnostic]) -> None:
    """What the driver needs an address for is claimed before anybody else can have it."""
    for what, address in draft.options.traits.reserved if draft.options_are_known else ():
        if address.version != ledger.subnet.version or address not in ledger.subnet:
            continue
        title = f"{what} ({address})"
        fault = inside(address, ledger, title)
        if fault:
            found.append(fault.at(draft.mark))
        elif address == gateway:
            found.append(clash(title, draft.mark, Holder("the gateway", None)))
        elif earlier := ledger.claim(int(address), Holder(f"{what} '{draft.name}'", draft.mark)):
            found.append(clash(title, draft.mark, earlier))


def _check_reserved(draft: Draft, found: list[Diagnostic]) -> None:
    for what, address in draft.options.traits.reserved if draft.options_are_known else ():
        if draft.ledger_of(address) is None and not draft.broken:
            message = f"{what} ({address}) is in no subnet of '{draft.name}' ({draft.described()})"
            hint = "choose an address of a subnet"
            found.append(Diagnostic("not-in-subnet", message, draft.mark, hint))


def _ip_range(one: Range, subnet: IPNetwork, found: list[Diagnostic]) -> IPNetwork:
    text = fields.text(one.source, "ip_range")
    if text is None:
        return subnet
    mark = one.source.value_mark("ip_range")
    ip_range = parse_network(text)
    if isinstance(ip_range, Fault):
        found.append(ip_range.at(mark))
        return subnet
    inner = (int(ip_range.network_address), int(ip_range.broadcast_address))
    outer = (int(subnet.network_address), int(subnet.broadcast_address))
    if ip_range.version == subnet.version and outer[0] <= inner[0] and inner[1] <= outer[1]:
        return ip_range
    message = f"ip_range {ip_range} is not part of subnet {subnet}"
    found.append(Diagnostic("not-in-subnet", message, mark, "choose a part of the subnet, or leave it out"))
    return subnet


def _gateway(
    draft: Draft, one: Range, ledger: Ledger, ip_range: IPNetwork, found: list[Diagnostic]
) -> tuple[IPAddress | None, Mark]:
    """The gateway and where it is declared; a derived one stands where its subnet does."""
    declared = one.source.get("gateway")
    if fields.unknown(one.source, "gateway"):
        return None, one.mark
    if declared is None:
        if not draft.options_are_known or fields.unknown(one.source, "ip_range"):
            return None, one.mark
        return (first_host(ledger.subnet, ip_range) if draft.options.traits.holds_gateway else None), one.mark
    mark = one.source.value_mark("gateway")
    if declared is False:
        return None, mark
    gateway = parse_address(str(declared))
    fault = gateway if isinstance(gateway, Fault) else inside(gateway, ledger, f"gateway {gateway}")
    if fault:
        found.append(fault.at(mark))
        return None, mark
    return (None if isinstance(gateway, Fault) else gateway), mark


def _aux_addresses(
    draft: Draft, one: Range, ledger: Ledger, gateway: IPAddress | None, found: list[Diagnostic]
) -> tuple[tuple[str, IPAddress], ...]:
    aux: list[tuple[str, IPAddress]] = []
    source = fields.section(one.source, "aux_addresses")
    for name in source:
        if fields.unknown(source, name):
            continue
        mark = source.value_mark(name)
        address = parse_address(fields.text(source, name) or "")
        if (
            fault := address
            if isinstance(address, Fault)
            else inside(address, ledger, f"reserved address {address} ('{name}')")
        ):
            found.append(fault.at(mark))
            continue
        assert not isinstance(address, Fault)
        aux.append((name, address))
        holder = Holder(f"the reserved address '{name}' of network '{draft.name}'", mark)
        if address == gateway and not (draft.options.traits.holds_gateway and draft.options_are_known):
            continue  # a name for the router that is no part of the topology
        if earlier := ledger.claim(int(address), holder):
            found.append(clash(f"reserved address {address} ('{name}')", mark, earlier))
    return tuple(aux)


def inside(address: IPAddress, ledger: Ledger, title: str) -> Fault | None:
    """Why an interface of this subnet cannot have the address."""
    subnet, value = ledger.subnet, int(address)
    if address.version != subnet.version or address not in subnet:
        return Fault("not-in-subnet", f"{title} is not in subnet {subnet}", f"choose an address of {subnet}")
    if ledger.first <= value <= ledger.last:
        return None
    what = "the broadcast address" if value > ledger.last else "the network address"
    if subnet.version == 6:
        what = "the routers' anycast address"
    hint = f"usable are {type(address)(ledger.first)} to {type(address)(ledger.last)}"
    return Fault("bad-address", f"{title} is {what} of {subnet}", hint)


def clash(title: str, mark: Mark, earlier: Holder) -> Diagnostic:
    """Two claims on one address of a network."""
    hint = "choose another address"
    if earlier.label.startswith("the gateway"):
        hint = (
            "choose another address, or another 'gateway'; if a sandbox is the router, "
            "give the network 'options: {address: false}'"
        )
    related = () if earlier.mark is None else (("first used here", earlier.mark),)
    return Diagnostic("duplicate-address", f"{title} is already {earlier.label}", mark, hint, related)


def _check_mtu(draft: Draft, found: list[Diagnostic]) -> None:
    if draft.mtu is not None and draft.mtu < MIN_V6_MTU and 6 in draft.families():
        message = f"mtu {draft.mtu} of network '{draft.name}' is too small for IPv6"
        hint = f"IPv6 needs {MIN_V6_MTU} at least; raise it, or remove the IPv6 subnets"
        found.append(Diagnostic("conflict", message, draft.source.value_mark("mtu"), hint))
