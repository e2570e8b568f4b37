"""Endpoints complete: the MAC and MTU of the interface, and whether they let its addresses work. Pure.

Declared MACs are compared before derived ones, so that a clash is reported at the one that a person can change.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..errors import Diagnostic, Mark
from ..ipam import Holder, derive_mac
from ..model import Endpoint, IPInterface
from ..options import BridgeOptions
from . import fields
from .endpoints import EndpointDraft
from .networks import MIN_V6_MTU, Draft
from .shaping import Where, read_bandwidth, read_impairment


def finish_endpoints(
    topology: str, drafts: Sequence[EndpointDraft], found: list[Diagnostic]
) -> list[Endpoint]:
    """The endpoints as the model has them, in the same order."""
    macs = _Macs(found)
    for draft in drafts:
        if draft.network is not None and draft.network.options_are_known and draft.mac is not None:
            if draft.network.options.traits.own_macs:
                macs.declare(draft.network, draft.mac, draft.key, draft.source.value_mark("mac"))
            else:
                found.append(_no_mac(draft, draft.network))
    result: list[Endpoint] = []
    for draft in drafts:
        addresses = draft.addresses
        network = draft.network.name if draft.network else ""
        mac = draft.mac
        if draft.network is not None and not draft.network.options.traits.own_macs:
            mac = None
        elif mac is None:
            mac = derive_mac(topology, draft.sandbox, draft.name, network, [each.ip for each in addresses])
            if draft.network is not None and not draft.guessed and not fields.unknown(draft.source, "mac"):
                macs.derive(draft.network, mac, draft.key, draft.mark)
        certain = draft.certain_addresses if draft.guessed else addresses
        _check_mtu(draft, certain, found)
        _check_ipv6_stays(draft, certain, found)
        where = _where(draft)
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
                bandwidth=read_bandwidth(draft.source, where, found) if _has(draft, "bandwidth") else None,
                impairment=read_impairment(draft.source, where, found) if _has(draft, "impair") else None,
            )
        )
    return result


def _no_mac(draft: EndpointDraft, network: Draft) -> Diagnostic:
    driver = fields.text(network.source, "driver")
    message = f"'{draft.key}' cannot have a MAC address of its own on network '{network.name}'"
    related = ((f"the {driver} driver is chosen here", network.source.value_mark("driver")),)
    hint = f"remove 'mac': with {driver} every endpoint has the MAC address of the parent"
    return Diagnostic("conflict", message, draft.source.key_mark("mac"), hint, related)


def _has(draft: EndpointDraft, key: str) -> bool:
    """Whether there is a `bandwidth` or `impair`, and no mistake hides a part of it or what it is held against."""
    source, network = draft.source, draft.network
    if key not in source or fields.unknown(source, key, "network", "mtu") or fields.has_gap(source, key):
        return False
    return network is None or (network.options_are_known and network.mtu_is_known)


def _where(draft: EndpointDraft) -> Where:
    """An endpoint whose network is unknown counts as one that can be limited: that is told already."""
    if draft.network is None:
        return Where(draft.key, _mtu(draft), "", outer_end=True)
    ends = draft.network.options.traits.host_ends
    return Where(draft.key, _mtu(draft), draft.network.driver, outer_end=ends)


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
        if isinstance(network.options, BridgeOptions) and (mac := network.options.mac):
            mark = fields.section(network.source, "options").value_mark("mac")
            self._held.setdefault((network.name, mac), Holder("the MAC of the bridge", mark))


def _mtu(draft: EndpointDraft) -> int | None:
    own = fields.number(draft.source, "mtu")
    return own if own is not None or draft.network is None else draft.network.mtu


def _check_mtu(draft: EndpointDraft, addresses: Iterable[IPInterface], found: list[Diagnostic]) -> None:
    mtu = _mtu(draft)
    if mtu is None or draft.network is None or fields.unknown(draft.source, "mtu"):
        return
    own = draft.source.get("mtu") is not None
    mark = draft.source.value_mark("mtu") if own else draft.mark
    if draft.network.mtu is not None and mtu > draft.network.mtu:
        message = f"mtu {mtu} of '{draft.key}' is above {draft.network.mtu}, the mtu of network '{draft.network.name}'"
        related = (("the network's mtu is here", draft.network.source.value_mark("mtu")),)
        found.append(Diagnostic("conflict", message, mark, "lower it, or raise the network's", related))
    v6 = [each for each in addresses if each.version == 6]
    told = not own and 6 in draft.network.families()  # the network's own diagnostic says it
    if mtu < MIN_V6_MTU and v6 and not told and (own or not draft.network.broken):
        message = f"mtu {mtu} of '{draft.key}' is too small for its IPv6 address {v6[0].ip}"
        hint = f"IPv6 needs {MIN_V6_MTU} at least"
        found.append(Diagnostic("conflict", message, mark, hint))


def _check_ipv6_stays(
    draft: EndpointDraft,
    addresses: Iterable[IPInterface],
    found: list[Diagnostic],
) -> None:
    v6 = [each for each in addresses if each.version == 6]
    for setting in draft.settings:
        if v6 and setting.disables_ipv6:
            message = f"'{setting.key}: {setting.value}' would take the IPv6 address {v6[0].ip} of '{draft.key}' away"
            hint = "remove the setting, or the IPv6 subnets and addresses"
            found.append(Diagnostic("conflict", message, setting.mark, hint))
