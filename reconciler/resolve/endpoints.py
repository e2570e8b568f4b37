"""Endpoints: their networks, addresses, MACs and MTUs. Pure.

Two passes, because explicit addresses of all sandboxes come before automatic ones of any: `read_endpoint` claims
what is declared, `allocate_all` hands out the rest, `finish_endpoints` builds the model and checks what depends on
both. An endpoint with a mistake is still carried along, so that one mistake does not hide others.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Interface, IPv6Interface

from ..errors import Diagnostic, Mark
from ..ipam import BITS, Grant, Holder, Want, allocate, derive_mac, make_address
from ..model import Endpoint, IPAddress, IPInterface, Leases
from ..tree import Map
from . import fields
from .addresses import Fault, listed, parse_interface, parse_mac
from .linknames import name_fault
from .networks import Draft, Range, clash, inside
from .ranges import RangeIndex
from .sysctls import Setting, endpoint_settings

_MIN_V6_MTU = 1280


@dataclass(slots=True)
class EndpointDraft:
    """An endpoint on its way. `own` are addresses in subnets of its network, `extra` all others, `wants` what is missing.

    `broken` says that something of it was wrong, so that nothing is concluded from what it lacks.
    """

    sandbox: str
    name: str
    mark: Mark
    source: Map
    network: Draft | None
    own: list[IPInterface] = field(default_factory=list)
    extra: list[IPInterface] = field(default_factory=list)
    wants: list[Want] = field(default_factory=list)
    leased: list[str] = field(default_factory=list)
    mac: str | None = None
    settings: list[Setting] = field(default_factory=list)
    broken: bool = False

    @property
    def key(self) -> str:
        """Its name in the whole topology."""
        return f"{self.sandbox}/{self.name}"

    @property
    def addresses(self) -> tuple[IPInterface, ...]:
        """All addresses: the network's own first, IPv4 before IPv6."""
        return (*sorted(self.own, key=lambda each: each.version), *self.extra)


class Reader:
    """Reads endpoints one by one against the networks of the topology."""

    def __init__(self, networks: Mapping[str, Draft], index: RangeIndex, found: list[Diagnostic]) -> None:
        self._networks = networks
        self._index = index
        self._found = found
        self._extras: dict[tuple[str, IPAddress], Holder] = {}

    def read(self, sandbox: str, name: str, source: Map, mark: Mark) -> EndpointDraft:
        """One endpoint; its explicit addresses are claimed afterwards."""
        draft = EndpointDraft(sandbox, name, mark, source, self._network(sandbox, name, source, mark))
        before = len(self._found)
        if fault := name_fault(name):
            self._found.append(fault.at(mark))
        if draft.network is None:
            draft.broken = True
        else:
            self._read_addresses(draft, draft.network)
        draft.settings = endpoint_settings(name, source, self._found)
        draft.mac = self._mac(source)
        draft.broken = draft.broken or len(self._found) > before
        return draft

    def _network(self, sandbox: str, name: str, source: Map, mark: Mark) -> Draft | None:
        wanted = fields.text(source, "network")
        if not wanted:
            message = f"endpoint '{sandbox}/{name}' does not say which network it joins"
            hint = f"write '{name}: NETWORK', or add 'network: …'"
            self._found.append(Diagnostic("missing-key", message, mark, hint))
            return None
        if (network := self._networks.get(wanted)) is None:
            near = difflib.get_close_matches(wanted, self._networks, 1)
            known = f"networks: {listed(self._networks)}" if self._networks else "no network is declared"
            hint = (
                f"did you mean '{near[0]}'? {known}" if near else f"{known}; declare it, or correct the name"
            )
            message = f"'{sandbox}/{name}' joins network '{wanted}', which does not exist"
            self._found.append(Diagnostic("unknown-network", message, source.value_mark("network"), hint))
        return network

    def _mac(self, source: Map) -> str | None:
        text = fields.text(source, "mac")
        mac = None if text is None else parse_mac(text)
        if isinstance(mac, Fault):
            self._found.append(mac.at(source.value_mark("mac")))
            return None
        return mac

    def _read_addresses(self, draft: EndpointDraft, network: Draft) -> None:
        listed_none = draft.source.get("addresses") == []
        covered: set[int] = set()
        for item, mark in fields.items(draft.source, "addresses"):
            version = self._number(draft, network, item, mark) if isinstance(item, int) else None
            if isinstance(item, str):
                version = self._text(draft, network, item, mark)
            if version:
                covered.add(version)
        if not listed_none:
            missing = sorted(network.families() - covered)
            draft.wants = [Want(draft.key, version) for version in missing]

    def _number(self, draft: EndpointDraft, network: Draft, number: int, mark: Mark) -> int | None:
        """Claim the k-th address of the first IPv4 subnet."""
        ledger = next((one for one in network.ledgers if one.subnet.version == 4), None)
        if ledger is None:
            if not network.broken:
                message = f"address number {number}: network '{network.name}' has no IPv4 subnet"
                hint = "write the address itself, or give the network an IPv4 subnet"
                self._found.append(Diagnostic("not-in-subnet", message, mark, hint))
            return 4
        if not 0 <= number < ledger.subnet.num_addresses:
            message = f"address number {number} is beyond subnet {ledger.subnet}"
            hint = f"it has the numbers {ledger.first - int(ledger.subnet[0])} to {ledger.last - int(ledger.subnet[0])}"
            self._found.append(Diagnostic("not-in-subnet", message, mark, hint))
            return 4
        address = make_address(4, int(ledger.subnet.network_address) + number)
        return self._claim(draft, network, address, None, mark)

    def _text(self, draft: EndpointDraft, network: Draft, text: str, mark: Mark) -> int | None:
        """Claim a written address; the family it covers comes back, None for an extra address."""
        parsed = parse_interface(text)
        if isinstance(parsed, Fault):
            self._found.append(parsed.at(mark))
            return 6 if ":" in text else 4
        return self._claim(draft, network, *parsed, mark)

    def _claim(
        self, draft: EndpointDraft, network: Draft, address: IPAddress, length: int | None, mark: Mark
    ) -> int | None:
        ledger = network.ledger_of(address)
        if ledger is None:
            self._extra(draft, network, address, length, mark)
            return address.version if length is None else None
        fault = inside(address, ledger, f"address {address}")
        if fault is None and length not in (None, ledger.subnet.prefixlen, BITS[address.version]):
            message = f"address {address}/{length} has another prefix length than its subnet {ledger.subnet}"
            fault = Fault("not-in-subnet", message, f"write '{address}'")
        if fault:
            self._found.append(fault.at(mark))
            return address.version
        earlier = ledger.claim(int(address), Holder(f"the address of '{draft.key}'", mark))
        if earlier:
            self._found.append(clash(f"address {address} of '{draft.key}'", mark, earlier))
            return address.version
        if length is None or length == ledger.subnet.prefixlen:
            draft.own.append(make_interface(address.version, int(address), ledger.subnet.prefixlen))
            return address.version
        draft.extra.append(
            make_interface(address.version, int(address), length)
        )  # a service address beside its own
        return None

    def _extra(
        self, draft: EndpointDraft, network: Draft, address: IPAddress, length: int | None, mark: Mark
    ) -> None:
        """An address outside the network's subnets: only with a prefix length of its own."""
        other = self._index.holder(address)
        if length is None:
            if not network.broken:
                self._found.append(_outside(draft, network, address, other, mark))
            return
        if other and length != BITS[address.version]:
            message = f"address {address}/{length} on network '{network.name}' lies in {other.subnet} of network '{other.network}'"
            hint = f"join '{other.network}' instead, or write '{address}/{BITS[address.version]}'"
            related = ((f"{other.subnet} is here", other.mark),)
            self._found.append(Diagnostic("overlap", message, mark, hint, related))
            return
        holder = Holder(f"the address of '{draft.key}'", mark)
        earlier = self._extras.setdefault((network.name, address), holder)
        if earlier is not holder:
            self._found.append(clash(f"address {address} of '{draft.key}'", mark, earlier))
            return
        extra = make_interface(address.version, int(address), length)
        if length < BITS[address.version] - 1 and address == extra.network.network_address:
            message = f"{address}/{length} is the address of the subnet itself"
            hint = f"choose an address in {extra.network}, or write '{address}/{BITS[address.version]}'"
            self._found.append(Diagnostic("bad-address", message, mark, hint))
            return
        draft.extra.append(extra)


def make_interface(version: int, address: int, length: int) -> IPInterface:
    """The address with its prefix length."""
    return IPv4Interface((address, length)) if version == 4 else IPv6Interface((address, length))


def allocate_all(drafts: Sequence[EndpointDraft], leases: Leases, found: list[Diagnostic]) -> None:
    """Give every endpoint the addresses that it wants; networks without room are reported once a family."""
    by_network: dict[str, list[EndpointDraft]] = {}
    for draft in drafts:
        if draft.network is not None and draft.wants:
            by_network.setdefault(draft.network.name, []).append(draft)
    for group in by_network.values():
        network = group[0].network
        assert network is not None
        wants = [want for draft in group for want in draft.wants]
        grants = allocate(network.ledgers, wants, leases.endpoints)
        for draft in group:
            _grant(draft, grants)
        for version in (4, 6):
            missing = [d for d in group if any(w.version == version and w not in grants for w in d.wants)]
            if missing:
                found.append(_no_room(network, version, missing))


def _grant(draft: EndpointDraft, grants: Mapping[Want, Grant]) -> None:
    for want in draft.wants:
        if grant := grants.get(want):
            interface = make_interface(want.version, grant.address, grant.subnet.prefixlen)
            draft.own.append(interface)
            draft.leased.append(str(interface.ip))
        else:
            draft.broken = True


def _no_room(network: Draft, version: int, missing: Sequence[EndpointDraft]) -> Diagnostic:
    ledgers = [ledger for ledger in network.ledgers if ledger.subnet.version == version]
    ranges = [
        str(one.subnet) if one.capacity >= one.last - one.first + 1 else f"the ip_range of {one.subnet}"
        for one in ledgers
    ]
    capacity = sum(ledger.capacity for ledger in ledgers)
    others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
    message = (
        f"no free address for '{missing[0].key}'{others} in {listed(ranges)} of network '{network.name}': "
        f"all {capacity} are in use, gateway and reserved ones included"
    )
    hint = "make the subnet or its ip_range larger, add a subnet, or remove endpoints"
    related = ((f"network '{network.name}' is here", network.mark),)
    return Diagnostic("exhausted", message, missing[0].mark, hint, related)


def _outside(
    draft: EndpointDraft, network: Draft, address: IPAddress, other: Range | None, mark: Mark
) -> Diagnostic:
    message = f"address {address} of '{draft.key}' is in no subnet of network '{network.name}' ({network.described()})"
    hint = f"write '{address}/{BITS[address.version]}' if it is an extra address"
    if other is not None:
        hint = f"it belongs to network '{other.network}' ({other.subnet})"
    return Diagnostic("not-in-subnet", message, mark, hint)


def finish_endpoints(
    topology: str, drafts: Sequence[EndpointDraft], found: list[Diagnostic]
) -> list[Endpoint]:
    """The endpoints as the model has them, in the same order."""
    macs = _Macs(found)
    for draft in drafts:
        if draft.network is not None and draft.mac is not None:
            macs.declare(draft.network, draft.mac, draft.key, draft.source.value_mark("mac"))
    result: list[Endpoint] = []
    for draft in drafts:
        addresses = draft.addresses
        network = draft.network.name if draft.network else ""
        mac = draft.mac
        if mac is None:
            mac = derive_mac(topology, draft.sandbox, draft.name, network, [each.ip for each in addresses])
            if draft.network is not None:
                macs.derive(draft.network, mac, draft.key, draft.mark)
        _check_mtu(draft, addresses, found)
        _check_ipv6_stays(draft, addresses, draft.settings, found)
        result.append(
            Endpoint(
                name=draft.name,
                network=network,
                addresses=addresses,
                mac=mac,
                mtu=_mtu(draft),
                gateway_priority=fields.number(draft.source, "gateway_priority") or 0,
                sysctls={setting.path: setting.value for setting in draft.settings},
                mark=draft.mark,
            )
        )
    return result


class _Macs:
    """Who has which MAC in which network."""

    def __init__(self, found: list[Diagnostic]) -> None:
        self._found = found
        self._held: dict[tuple[str, str], Holder] = {}

    def declare(self, network: Draft, mac: str, key: str, mark: Mark) -> None:
        self._bridge(network)
        holder = Holder(f"the MAC of '{key}'", mark)
        earlier = self._held.setdefault((network.name, mac), holder)
        if earlier is not holder:
            message = f"MAC {mac} of '{key}' is already {earlier.label} in network '{network.name}'"
            related = (("first used here", earlier.mark),) if earlier.mark else ()
            hint = "choose another one, or leave it out to have one derived from the address"
            self._found.append(Diagnostic("duplicate-mac", message, mark, hint, related))

    def derive(self, network: Draft, mac: str, key: str, mark: Mark) -> None:
        self._bridge(network)
        holder = Holder(f"the MAC of '{key}'", mark)
        earlier = self._held.setdefault((network.name, mac), holder)
        if earlier is not holder:
            message = f"MAC {mac} is {earlier.label}, and '{key}' derives the same from its address"
            hint = f"choose another one, or declare a 'mac' for '{key}'"
            related = ((f"'{key}' is here", mark),)
            self._found.append(Diagnostic("duplicate-mac", message, earlier.mark, hint, related))

    def _bridge(self, network: Draft) -> None:
        if mac := network.options.mac:
            mark = fields.section(network.source, "options").value_mark("mac")
            self._held.setdefault((network.name, mac), Holder("the MAC of the bridge", mark))


def _mtu(draft: EndpointDraft) -> int | None:
    own = fields.number(draft.source, "mtu")
    return own if own is not None or draft.network is None else draft.network.mtu


def _check_mtu(draft: EndpointDraft, addresses: Iterable[IPInterface], found: list[Diagnostic]) -> None:
    mtu = _mtu(draft)
    if mtu is None or draft.network is None:
        return
    own = draft.source.get("mtu") is not None
    mark = draft.source.value_mark("mtu") if own else draft.mark
    if draft.network.mtu is not None and mtu > draft.network.mtu:
        message = f"mtu {mtu} of '{draft.key}' is above {draft.network.mtu}, the mtu of network '{draft.network.name}'"
        related = (("the network's mtu is here", draft.network.source.value_mark("mtu")),)
        found.append(Diagnostic("conflict", message, mark, "lower it, or raise the network's", related))
    v6 = [each for each in addresses if each.version == 6]
    told = not own and 6 in draft.network.families()  # the network's own diagnostic says it
    if mtu < _MIN_V6_MTU and v6 and not told:
        message = f"mtu {mtu} of '{draft.key}' is too small for its IPv6 address {v6[0].ip}"
        hint = f"IPv6 needs {_MIN_V6_MTU} at least"
        found.append(Diagnostic("conflict", message, mark, hint))


def _check_ipv6_stays(
    draft: EndpointDraft,
    addresses: Iterable[IPInterface],
    settings: Iterable[Setting],
    found: list[Diagnostic],
) -> None:
    v6 = [each for each in addresses if each.version == 6]
    for setting in settings:
        if v6 and setting.disables_ipv6:
            message = f"'{setting.key}: {setting.value}' would take the IPv6 address {v6[0].ip} of '{draft.key}' away"
            hint = "remove the setting, or the IPv6 subnets and addresses"
            found.append(Diagnostic("conflict", message, setting.mark, hint))
