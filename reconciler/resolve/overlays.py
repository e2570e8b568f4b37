"""Networks in tunnels: their numbers, how large a packet they carry, and that somebody answers as their gateway. Pure.

Every host has to come to the same answer from the same files. A number that nobody wrote down is derived from names, or
comes from the lock file; two networks that derive the same one are a mistake here, for any way out of it would change
the number of one network when another one is added.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from hashlib import sha256

from ..errors import Diagnostic, Mark
from ..load.tree import Map
from ..model import Host, Network, Sandbox
from ..options import OverlayOptions
from . import fields
from .networks import MIN_V6_MTU, Draft

# An Ethernet frame in VXLAN, UDP and IP: what the kernel calls VXLAN_HEADROOM and VXLAN6_HEADROOM.
OVERHEAD = {4: 50, 6: 70}
_FIRST_VNI, _VNIS = 4096, 1 << 24


def derive_vni(topology: str, network: str) -> int:
    """The number of a network that has none written or locked. Small ones are left to people."""
    digest = sha256(f"{topology}\0{network}".encode()).digest()
    return _FIRST_VNI + int.from_bytes(digest[:8], "big") % (_VNIS - _FIRST_VNI)


def fit_overlays(
    topology: str,
    drafts: Mapping[str, Draft],
    tree: Map,
    hosts: Mapping[str, Host],
    vnis: Mapping[str, int],
    found: list[Diagnostic],
) -> None:
    """Give each network in tunnels its number and its MTU, and report those that cannot be."""
    overlays = [
        draft
        for draft in drafts.values()
        if isinstance(draft.options, OverlayOptions) and draft.options_are_known
    ]
    declared = fields.section(tree, "hosts")
    if not declared and not fields.unknown(tree, "hosts"):
        found += [_without_hosts(draft) for draft in overlays]
    told = [host for host in hosts.values() if not _is_hidden(declared, host)]
    for draft in overlays:
        assert isinstance(draft.options, OverlayOptions)
        if draft.options.vni is None:
            number = vnis.get(draft.name) or derive_vni(topology, draft.name)
            draft.options = replace(draft.options, vni=number, dealt=True)
        if told and draft.mtu_is_known:
            _fit_mtu(draft, told, found)
    found += _same_number(overlays)


def _is_hidden(declared: Map, host: Host) -> bool:
    """Whether a mistake hides how large its packets are."""
    return fields.unknown(fields.section(declared, host.name), "underlay_mtu")


def _without_hosts(draft: Draft) -> Diagnostic:
    message = f"network '{draft.name}' is an overlay between hosts, and the topology has none"
    hint = "declare them, as in 'hosts: {node-1: 192.0.2.1, node-2: 192.0.2.2}'; on one machine use 'driver: bridge'"
    return Diagnostic("missing-key", message, draft.source.value_mark("driver"), hint)


def narrowest(hosts: Iterable[Host]) -> Host:
    """The host to which the smallest packets fit through a tunnel."""
    return min(hosts, key=lambda host: host.underlay_mtu - OVERHEAD[host.vtep.version])


def _fit_mtu(draft: Draft, hosts: Iterable[Host], found: list[Diagnostic]) -> None:
    """All hosts alike, those without an endpoint too: a sandbox that moves keeps its MTU."""
    narrow = narrowest(hosts)
    overhead = OVERHEAD[narrow.vtep.version]
    limit = narrow.underlay_mtu - overhead
    if draft.mtu is None:
        draft.tunnel_mtu = limit
        if limit < MIN_V6_MTU and 6 in draft.families():
            message = f"network '{draft.name}' has IPv6 subnets, and only {limit} bytes fit into its tunnel to host '{narrow.name}'"
            hint = f"IPv6 needs {MIN_V6_MTU} at least: an 'underlay_mtu' of {MIN_V6_MTU + overhead} or more"
            found.append(Diagnostic("conflict", message, draft.mark, hint, _here(narrow)))
    elif draft.mtu > limit:
        message = (
            f"mtu {draft.mtu} of network '{draft.name}' does not fit into its tunnel: packets to host "
            f"'{narrow.name}' have {narrow.underlay_mtu} bytes at most, {overhead} of them for the tunnel"
        )
        hint = f"{limit} at most; leave 'mtu' out to have that, or raise the 'underlay_mtu' if the wire can do more"
        found.append(Diagnostic("conflict", message, draft.source.value_mark("mtu"), hint, _here(narrow)))


def _here(host: Host) -> tuple[tuple[str, Mark], ...]:
    return ((f"'{host.name}' is here", host.mark),)


def _same_number(overlays: Iterable[Draft]) -> Iterator[Diagnostic]:
    first: dict[tuple[int | None, int], Draft] = {}
    for draft in overlays:
        assert isinstance(draft.options, OverlayOptions)
        earlier = first.setdefault((draft.options.vni, draft.options.udp_port), draft)
        if earlier is not draft:
            message = (
                f"networks '{earlier.name}' and '{draft.name}' have the same VNI {draft.options.vni} "
                f"on UDP port {draft.options.udp_port}"
            )
            related = ((f"'{earlier.name}' is here", _number_mark(earlier)),)
            yield Diagnostic(
                "conflict", message, _number_mark(draft), "give one of them another 'vni'", related
            )


def _number_mark(draft: Draft) -> Mark:
    options = fields.section(draft.source, "options")
    return options.value_mark("vni") if options.get("vni") is not None else draft.mark


def check_gateways(networks: Iterable[Network], sandboxes: Iterable[Sandbox]) -> Iterator[Diagnostic]:
    """A diagnostic for each gateway in a tunnel that no endpoint is: nobody would answer for it."""
    closed = {
        network.name: network
        for network in networks
        if isinstance(network.options, OverlayOptions)
        and not network.options.flood
        and any(subnet.gateway is not None for subnet in network.subnets)
    }
    if not closed:
        return
    held = {
        (endpoint.network, address.ip)
        for sandbox in sandboxes
        for endpoint in sandbox.endpoints
        if endpoint.network in closed
        for address in endpoint.addresses
    }
    for name, network in closed.items():
        for subnet in network.subnets:
            if subnet.gateway is not None and (name, subnet.gateway) not in held:
                message = f"gateway {subnet.gateway} of network '{name}' is no endpoint's address, and an overlay reaches only endpoints"
                hint = "give the address to the sandbox that is the router, remove 'gateway', or write 'options: {flood: replicate}'"
                yield Diagnostic("conflict", message, network.mark, hint)
