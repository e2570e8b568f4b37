"""The route that the kernel makes with an address, to its subnet: whether it is there, and how it is made again.

Whoever takes it away takes the subnet from the sandbox, while the address stays: replacing the address would bring the
route back, but cut off whatever stands on both, so the route alone is made again, exactly as the kernel made it. It has
to be the same: else it would stay behind when the address goes.

The kernel makes one for each subnet of a link, not for each address: in IPv4 it is that of the first address (the
others are secondary), in IPv6 no address is named in it.

Sources: net/ipv4/fib_frontend.c (fib_add_ifaddr, fib_magic), net/ipv6/addrconf.c (addrconf_prefix_route).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from ipaddress import ip_interface
from socket import AF_INET, AF_INET6, inet_pton

from .. import marks
from ..objects import Address
from . import wire
from .decode import AddressRecord, LinkRecord, RouteRecord
from .netlink import Message

DUMP = wire.RTMSG.pack(0, 0, 0, 0, wire.RT_TABLE_MAIN, wire.RTPROT_KERNEL, 0, 0, 0)
_METRIC_V6 = 256  # IP6_RT_PRIO_ADDRCONF
_WHOLE = ("/32", "/128")
_Subnet = tuple[int | None, str]


def is_ours(record: AddressRecord) -> bool:
    """Whether we made an address, and the kernel therefore a route to its subnet."""
    secondary = record.flags & wire.IFA_F_SECONDARY and ":" not in record.address
    return record.protocol == marks.PROTOCOL and not secondary and not record.address.endswith(_WHOLE)


def lost(
    links: Iterable[LinkRecord], addresses: Iterable[AddressRecord], routes: Iterable[RouteRecord]
) -> Collection[tuple[int, str]]:
    """The addresses of ours, by link, that have no route to their subnet although they should: one for each subnet."""
    there = {_subnet_of_route(route) for route in routes if _is_kernels(route)}
    missing: dict[_Subnet, str] = {}
    for record in addresses:
        if is_ours(record) and (subnet := _subnet(record)) not in there:
            missing.setdefault(subnet, record.address)
    if not missing:
        return ()
    able = _with_routes(links)
    return {(index, address) for (index, _), address in missing.items() if index in able}


def again(address: Address, index: int) -> Message:
    """Make the route to the subnet of an address, as the kernel does. It stands beside one of another link."""
    network = ip_interface(address.address).network
    family, scope = (
        (AF_INET6, wire.RT_SCOPE_UNIVERSE) if network.version == 6 else (AF_INET, wire.RT_SCOPE_LINK)
    )
    body = wire.RTMSG.pack(
        family, network.prefixlen, 0, 0, wire.RT_TABLE_MAIN, wire.RTPROT_KERNEL, scope, wire.RTN_UNICAST, 0
    )
    body += wire.attribute(wire.RTA_DST, network.network_address.packed) + wire.u32(wire.RTA_OIF, index)
    if family == AF_INET:
        body += wire.attribute(wire.RTA_PREFSRC, inet_pton(AF_INET, address.address.partition("/")[0]))
    else:
        body += wire.u32(wire.RTA_PRIORITY, _METRIC_V6)
    return Message(wire.RTM_NEWROUTE, wire.NLM_F_CREATE | wire.NLM_F_APPEND, body)


def _subnet(record: AddressRecord) -> _Subnet:
    """What its route has to show. In IPv4 the route names the address, so that nothing need be computed."""
    if ":" in record.address:
        return record.index, str(ip_interface(record.address).network)
    return record.index, record.address


def _subnet_of_route(route: RouteRecord) -> _Subnet:
    if route.src is None:
        return route.device, route.to
    return route.device, f"{route.src}{route.to[route.to.index('/') :]}"


def _is_kernels(route: RouteRecord) -> bool:
    return route.protocol == wire.RTPROT_KERNEL and route.table == wire.RT_TABLE_MAIN


def _with_routes(links: Iterable[LinkRecord]) -> set[int]:
    """Links on which the kernel puts these routes into the main table: they are up and in no VRF."""
    links = list(links)
    tables = {record.index for record in links if record.kind == "vrf"}
    return {record.index for record in links if record.up and record.master not in tables}
