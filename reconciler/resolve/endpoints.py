"""Endpoints as declared: their networks, explicit addresses and settings. Pure.

Explicit addresses of all sandboxes come before automatic ones of any, so reading only claims what is declared;
`allocation` hands out the rest and `interfaces` completes the model. An endpoint with a mistake is carried along, so
that one mistake does not hide others.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Interface, IPv6Interface

from ..errors import Diagnostic, Mark
from ..ipam import BITS, Holder, Want, make_address
from ..load.tree import Map
from ..model import IPAddress, IPInterface
from . import fields
from .addresses import Fault, listed, parse_interface, parse_mac
from .linknames import name_fault
from .networks import Draft, Range, clash, inside
from .ranges import RangeIndex
from .sysctls import Setting, endpoint_settings

_SUGGESTIONS = 20


@dataclass(slots=True)
class EndpointDraft:
    """An endpoint on its way. `own` are addresses in subnets of its network, `extra` all others, `wants` what is missing.

    `broken` says that something of it was wrong, so that nothing is concluded from what it lacks; `guessed` that its
    automatic addresses may become others, so that nothing is concluded from what they are; `hides_addresses` that a mistake hides a
    declared one.
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
    guessed: bool = False
    hides_addresses: bool = False

    @property
    def key(self) -> str:
        """Its name in the whole topology."""
        return f"{self.sandbox}/{self.name}"

    @property
    def addresses(self) -> tuple[IPInterface, ...]:
        """All addresses: the network's own first, IPv4 before IPv6."""
        return (*sorted(self.own, key=lambda each: each.version), *self.extra)

    @property
    def certain_addresses(self) -> tuple[IPInterface, ...]:
        """Those of its addresses that it keeps whatever else is mended."""
        if not self.guessed:
            return self.addresses
        return tuple(each for each in self.addresses if str(each.ip) not in self.leased)

    @property
    def guessed_addresses(self) -> set[IPAddress]:
        """Those that it may lose to somebody else when mistakes are mended."""
        return {each.ip for each in self.addresses} - {each.ip for each in self.certain_addresses}


class Reader:
    """Reads endpoints one by one against the networks of the topology."""

    def __init__(
        self,
        networks: Mapping[str, Draft],
        index: RangeIndex,
        found: list[Diagnostic],
        *,
        all_are_known: bool = True,
    ) -> None:
        self._networks = networks
        self._all_are_known = all_are_known
        self._index = index
        self._found = found
        self._extras: dict[tuple[str, IPAddress], Holder] = {}
        self._near: dict[str, list[str]] = {}

    def read(self, sandbox: str, name: str, source: Map, mark: Mark) -> EndpointDraft:
        """One endpoint; its explicit addresses are claimed afterwards."""
        draft = EndpointDraft(sandbox, name, mark, source, self._network(sandbox, name, source, mark))
        draft.hides_addresses = fields.has_gap(source, "addresses")
        before = len(self._found)
        if draft.network is not None and draft.network.options.traits.links:
            self._read_addresses(draft, draft.network)
        draft.broken = draft.network is None or draft.network.broken or len(self._found) > before
        if draft.hides_addresses:
            draft.broken = True
            if draft.network is not None:
                draft.network.unsettled = True
        if fault := name_fault(name):
            self._found.append(fault.at(mark))
        draft.settings = endpoint_settings(name, source, self._found)
        draft.mac = self._mac(source)
        return draft

    def _network(self, sandbox: str, name: str, source: Map, mark: Mark) -> Draft | None:
        wanted = fields.text(source, "network")
        if fields.unknown(source, "network"):
            return None
        if not wanted:
            message = f"endpoint '{sandbox}/{name}' does not say which network it joins"
            hint = f"write '{name}: NETWORK', or add 'network: …'"
            self._found.append(Diagnostic("missing-key", message, mark, hint))
            return None
        network = self._networks.get(wanted)
        if network is None and self._all_are_known:
            near = self._nearest(wanted)
            known = f"networks: {listed(self._networks)}" if self._networks else "no network is declared"
            hint = (
                f"did you mean '{near[0]}'? {known}" if near else f"{known}; declare it, or correct the name"
            )
            message = f"'{sandbox}/{name}' joins network '{wanted}', which does not exist"
            self._found.append(Diagnostic("unknown-network", message, source.value_mark("network"), hint))
        return network

    def _nearest(self, wanted: str) -> list[str]:
        """The network that was perhaps meant; searching is slow, so only the first few unknown names are worth it."""
        if wanted not in self._near:
            few = len(self._near) < _SUGGESTIONS
            self._near[wanted] = difflib.get_close_matches(wanted, self._networks, 1) if few else []
        return self._near[wanted]

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
        if not listed_none and not draft.hides_addresses:
            missing = sorted(network.families() - covered)
            draft.wants = [Want(draft.key, version) for version in missing]

    def _number(self, draft: EndpointDraft, network: Draft, number: int, mark: Mark) -> int | None:
        """Claim the k-th address of the first IPv4 subnet."""
        ledger = next((one for one in network.ledgers if one.subnet.version == 4), None)
        if network.broken:
            return 4  # the first subnet may be the one that is wrong
        if ledger is None:
            message = f"address number {number} of '{draft.key}': network '{network.name}' has no IPv4 subnet"
            hint = "write the address itself, or give the network an IPv4 subnet"
            self._found.append(Diagnostic("not-in-subnet", message, mark, hint))
            return 4
        if not 0 <= number < ledger.subnet.num_addresses:
            message = f"address number {number} of '{draft.key}' is beyond subnet {ledger.subnet}"
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
        fault = inside(address, ledger, f"address {address} of '{draft.key}'")
        if fault is None and length not in (None, ledger.subnet.prefixlen, BITS[address.version]):
            message = f"address {address}/{length} of '{draft.key}' has another prefix length than its subnet {ledger.subnet}"
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
        if length is None or network.broken:
            if not network.broken:
                self._found.append(_outside(draft, network, address, other, mark))
            return
        if other and length != BITS[address.version]:
            message = f"address {address}/{length} of '{draft.key}' on network '{network.name}' lies in {other.subnet} of network '{other.network}'"
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
            message = f"{address}/{length} of '{draft.key}' is a network address"
            hint = f"choose an address in {extra.network}, or write '{address}/{BITS[address.version]}'"
            self._found.append(Diagnostic("bad-address", message, mark, hint))
            return
        draft.extra.append(extra)


def make_interface(version: int, address: int, length: int) -> IPInterface:
    """The address with its prefix length."""
    return IPv4Interface((address, length)) if version == 4 else IPv6Interface((address, length))


def _outside(
    draft: EndpointDraft, network: Draft, address: IPAddress, other: Range | None, mark: Mark
) -> Diagnostic:
    message = f"address {address} of '{draft.key}' is in no subnet of network '{network.name}' ({network.described()})"
    hint = f"write '{address}/{BITS[address.version]}' if it is an extra address"
    if other is not None:
        hint = f"it belongs to network '{other.network}' ({other.subnet})"
    return Diagnostic("not-in-subnet", message, mark, hint)
