"""Where a value of the topology comes from: the place in a file, or what decides it where no file says it.

Every answer is about the value that drivers get, so it is taken from the topology, and only the words for it are made
here. A value that the kernel decides has none: what a link has from its parent is known when it is made.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_network
from typing import NamedTuple

from ..load.expand import Expanded, OriginKind
from ..load.tree import Map, Seq
from ..model import Endpoint, IPAddress, IPNetwork, Network
from ..options import OverlayOptions
from ..pipeline import Loaded
from ..render.explained import Explained
from ..render.words import USUAL_MTU
from ..resolve.overlays import OVERHEAD, narrowest

_WHY = {
    OriginKind.DECLARED: "declared",
    OriginKind.OVERRIDE: "declared by an override",
    OriginKind.DEFAULTS: "from defaults",
    OriginKind.BUILT_IN: "built-in default",
}
_OF_A_RANGE = re.compile(r"subnets\.(\d+)(?:\.(subnet|draw|gateway|ip_range))?")
_NO_LINK = ("addresses", "mac", "mtu", "bandwidth", "impair")


def declared(expanded: Expanded, path: str) -> list[Explained]:
    """The value that the canonical tree has at a path; nothing if it has none."""
    origin = expanded.origin(path)
    if origin is None:
        return []
    why = _WHY[origin.kind]
    if origin.replica is not None:
        why = f"replica {origin.replica[1]} of '{origin.replica[0]}', {why}"
    return [Explained(origin.path, origin.value, origin.kind.value, why, origin.mark)]


def decided(loaded: Loaded, path: str) -> Iterator[Explained]:
    """What no file says literally: derived, allocated, or handed down. Nothing for values that stand in the tree."""
    path = path.replace("[", ".").replace("]", "")
    network, rest = _network(loaded, path)
    if network is not None:
        yield from _of_network(loaded, network, rest)
    endpoint = _endpoint(loaded, path)
    if endpoint is not None:
        yield from _of_endpoint(loaded, endpoint)


# ----------------------------------------------------------------------------------------------------------- networks


def _network(loaded: Loaded, path: str) -> tuple[Network | None, str]:
    """The network that `networks.front.mtu` or `front.mtu` is about, and the rest of the path."""
    name, _, rest = path.removeprefix("networks.").partition(".")
    return loaded.topology.networks.get(name), rest


def _of_network(loaded: Loaded, network: Network, rest: str) -> Iterator[Explained]:
    where = f"networks.{network.name}"
    if rest == "mtu" and not declared(loaded.expanded, f"{where}.mtu"):
        yield _mtu(loaded, network, f"{where}.mtu", "the network sets none")
    elif rest == "options.vni" and isinstance(network.options, OverlayOptions) and network.options.dealt:
        locked = _lock_name(loaded) if network.name in _vnis(loaded) else None
        why = f"locked in {locked}" if locked else "derived from the names of the topology and the network"
        yield Explained(f"{where}.{rest}", network.options.vni, "locked" if locked else "derived", why)
    elif rest == "subnets" and any(_pool_of(loaded, network.name, each.subnet) for each in network.subnets):
        for index in range(len(network.subnets)):
            yield _range(loaded, network, index, f"{where}.subnets")
    elif (match := _OF_A_RANGE.fullmatch(rest)) and int(match[1]) < len(network.subnets):
        yield from _of_a_range(loaded, network, int(match[1]), match[2])


def _of_a_range(loaded: Loaded, network: Network, index: int, field: str | None) -> Iterator[Explained]:
    subnet = network.subnets[index]
    path = f"networks.{network.name}.subnets.{index}"
    full = f"{path}.{field}"
    if field in (None, "subnet", "draw"):
        if _pool_of(loaded, network.name, subnet.subnet):
            yield _range(loaded, network, index, f"{path}.subnet")
    elif declared(loaded.expanded, full):
        return
    elif field == "ip_range":
        yield Explained(full, str(subnet.ip_range), "derived", f"all of the subnet {subnet.subnet}")
    elif subnet.gateway is not None:
        part = "" if subnet.ip_range == subnet.subnet else f"{subnet.ip_range}, the ip_range of "
        yield Explained(
            full, str(subnet.gateway), "derived", f"the first address of {part}subnet {subnet.subnet}"
        )
    else:
        why = "none is declared, and the network itself has no address there to be one"
        yield Explained(full, None, "unset", why)


def _range(loaded: Loaded, network: Network, index: int, path: str) -> Explained:
    """One address range, which was drawn or stands in the file."""
    subnet = network.subnets[index].subnet
    pool = _pool_of(loaded, network.name, subnet)
    if pool:
        return Explained(path, str(subnet), "allocated", f"drawn from {pool}{_kept(loaded, network, subnet)}")
    found = declared(loaded.expanded, f"networks.{network.name}.subnets.{index}.subnet")[0]
    return Explained(path, str(subnet), found.kind, found.why, found.mark)


def _pool_of(loaded: Loaded, network: str, subnet: IPNetwork) -> str | None:
    """The default pool that a subnet was drawn from, None for a declared one."""
    if str(subnet) not in loaded.leases.networks.get(network, ()):
        return None
    pools = loaded.expanded.tree.get("pools")
    for item in pools if isinstance(pools, Seq) else ():
        base = item.get("base") if isinstance(item, Map) else None
        if isinstance(base, str) and _holds(base, subnet):
            return f"the pool {base}"
    return "the built-in pool"


def _holds(base: str, subnet: IPNetwork) -> bool:
    pool = ip_network(base, strict=False)
    return pool.version == subnet.version and subnet.network_address in pool


def _mtu(loaded: Loaded, network: Network, path: str, because: str) -> Explained:
    """The MTU that links of a network get where nobody declares one."""
    if not network.options.traits.links:
        return Explained(path, None, "unset", _without_link(network))
    if network.mtu is not None:
        host = narrowest(loaded.topology.hosts.values())
        version = host.vtep.version
        why = (
            f"{host.underlay_mtu}, the underlay_mtu of host '{host.name}', "
            f"less {OVERHEAD[version]} for the tunnel over IPv{version}"
        )
        found = declared(loaded.expanded, f"hosts.{host.name}.underlay_mtu")
        return Explained(path, network.mtu, "derived", f"{because}: {why}", found[0].mark if found else None)
    if parent := getattr(network.options, "parent", None):
        return Explained(path, None, "unset", f"{because}: what a new link on '{parent}' has")
    if getattr(network.options, "adopt", False):
        return Explained(path, None, "unset", f"{because}: what a new link on the adopted bridge has")
    return Explained(path, USUAL_MTU, "derived", f"{because}: what a new link has")


def _without_link(network: Network) -> str:
    return f"network '{network.name}' of driver {network.driver} gives its sandboxes no interface"


# ---------------------------------------------------------------------------------------------------------- endpoints


class _Field(NamedTuple):
    """A field of an endpoint. `endpoint` is None where the driver makes none, `own` says that it declares a value."""

    sandbox: str
    name: str
    field: str
    network: Network
    endpoint: Endpoint | None
    own: bool

    @property
    def path(self) -> str:
        return f"sandboxes.{self.sandbox}.endpoints.{self.name}.{self.field}"


def _endpoint(loaded: Loaded, path: str) -> _Field | None:
    """The field of an endpoint that `web.eth0.mtu` names, short or in full."""
    above, _, field = path.rpartition(".")
    origin = loaded.expanded.origin(above)
    if origin is None or not isinstance(origin.value, Map):
        return None
    network = loaded.topology.networks.get(str(origin.value.get("network")))
    sandbox, middle, name = origin.path.removeprefix("sandboxes.").partition(".endpoints.")
    if network is None or not middle:
        return None
    endpoints = loaded.topology.sandboxes[sandbox].endpoints
    found = next((each for each in endpoints if each.name == name), None)
    return _Field(sandbox, name, field, network, found, field in origin.value)


def _of_endpoint(loaded: Loaded, item: _Field) -> Iterator[Explained]:
    if item.endpoint is None or not item.network.options.traits.links:
        if item.field in _NO_LINK and not item.own:
            yield Explained(item.path, None, "unset", _without_link(item.network))
        return
    match item.field:
        case "addresses":
            yield from _addresses(loaded, item, item.endpoint)
        case "mac" if not item.own:
            yield Explained(item.path, item.endpoint.mac, *_mac(item, item.endpoint))
        case "mtu" if not item.own:
            found = declared(loaded.expanded, f"networks.{item.network.name}.mtu")
            if found:
                why = f"the mtu of network '{item.network.name}', {found[0].why}"
                yield Explained(item.path, item.endpoint.mtu, "derived", why, found[0].mark)
            else:
                yield _mtu(loaded, item.network, item.path, "neither the endpoint nor its network sets one")


def _mac(item: _Field, endpoint: Endpoint) -> tuple[str, str]:
    """The kind and the words for a MAC address that nobody declares."""
    if endpoint.mac is None:
        return (
            "unset",
            f"with network '{item.network.name}' of driver {item.network.driver} it is the parent's",
        )
    fourth = [each for each in endpoint.addresses if each.version == 4]
    if fourth:
        return "derived", f"derived from its address {fourth[0].ip}"
    if endpoint.addresses:
        first = endpoint.addresses[0].ip
        return "derived", f"derived from its address {first} and the name of network '{item.network.name}'"
    return "derived", "derived from the names of topology, sandbox and endpoint, since it has no address"


def _addresses(loaded: Loaded, item: _Field, endpoint: Endpoint) -> Iterator[Explained]:
    automatic = loaded.leases.endpoints.get(f"{item.sandbox}/{item.name}", ())
    for address in endpoint.addresses:
        if str(address.ip) in automatic:
            why = f"allocated from {_source(loaded, item.network, address.ip)}"
            yield Explained(item.path, str(address), "allocated", f"{why}{_kept(loaded, item, address.ip)}")
        else:
            found = declared(loaded.expanded, item.path)[0]
            yield Explained(item.path, str(address), found.kind, found.why, found.mark)


def _source(loaded: Loaded, network: Network, address: IPAddress) -> str:
    for subnet in network.subnets:
        if address in subnet.subnet:
            place = f"subnet {subnet.subnet}"
            if subnet.ip_range != subnet.subnet:
                place = f"{subnet.ip_range}, the ip_range of subnet {subnet.subnet}"
            drawn = _pool_of(loaded, network.name, subnet.subnet)
            return f"{place} of network '{network.name}'{f', itself drawn from {drawn}' if drawn else ''}"
    return f"network '{network.name}'"


# ------------------------------------------------------------------------------------------------------ the lock file


def _kept(loaded: Loaded, owner: Network | _Field, value: IPNetwork | IPAddress) -> str:
    """What to add to an allocated value that the lock file has."""
    if loaded.locked is None:
        return ""
    leases = loaded.locked.lock.leases
    held = (
        leases.networks.get(owner.name, ())
        if isinstance(owner, Network)
        else leases.endpoints.get(f"{owner.sandbox}/{owner.name}", ())
    )
    return f", locked in {_lock_name(loaded)}" if str(value) in held else ""


def _vnis(loaded: Loaded) -> frozenset[str]:
    return frozenset(loaded.locked.lock.vnis if loaded.locked is not None else ())


def _lock_name(loaded: Loaded) -> str | None:
    return None if loaded.locked is None else loaded.locked.path
