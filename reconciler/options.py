"""What `options` of a network say: one frozen class a driver, and what everybody else must know of that driver.

Frozen data only. `traits` is how code that serves all drivers asks what differs between them: nothing but a driver
itself, and the reader of its options in `resolve`, names a class of these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """How the networks of a driver differ for those who do not care which driver it is.

    `links`: an endpoint is an interface of its sandbox. `holds_gateway`: the network itself has the gateway's address, so one is derived where none is declared, and nobody
    else may have it. `device`: each network has a link of its own in the host, and `host_ends`: so has each endpoint.
    `own_macs`: endpoints have MAC addresses of their own. `routes_on_link`: a default route needs no gateway address.
    `shared_segment`: endpoints on several hosts meet on the wire below, so the network may span hosts as it is.
    `spans_hosts`: the driver itself carries the network between hosts. `reserved` are addresses that the network itself
    uses, each with what it is for, so that nobody else gets them.
    """

    links: bool = True
    holds_gateway: bool = False
    device: bool = False
    host_ends: bool = False
    own_macs: bool = True
    routes_on_link: bool = False
    shared_segment: bool = False
    spans_hosts: bool = False
    reserved: tuple[tuple[str, IPv4Address | IPv6Address], ...] = ()


@dataclass(frozen=True, slots=True)
class BridgeOptions:
    """Options of the bridge driver. None means "not asked for": neither set nor compared.

    `ageing_time` and `forward_delay` are hundredths of a second, the kernel's USER_HZ unit.
    `name` is the device name; None lets the driver derive one. `adopt` uses an existing bridge and leaves its own
    attributes alone. `address` False keeps the gateway address off the bridge. `ports` are host links to enslave.
    """

    name: str | None = None
    adopt: bool = False
    mac: str | None = None
    stp: bool | None = None
    ageing_time: int | None = None
    forward_delay: int | None = None
    isolated: bool = False
    hairpin: bool = False
    address: bool = True
    ports: tuple[str, ...] = ()

    @property
    def traits(self) -> Traits:
        """A bridge is a link of its own and has the gateway's address, unless told otherwise."""
        return Traits(holds_gateway=self.address, device=True, host_ends=True)


@dataclass(frozen=True, slots=True)
class MacvlanOptions:
    """Options of the macvlan driver.

    `parent` is a link of the host; `vlan` is set when its name says that it is a VLAN link, which is made on demand.
    `sources` are the MAC addresses that mode "source" lets in. `shim` are addresses of the host in the network.
    """

    parent: str
    vlan: int | None = None
    mode: str = "bridge"
    sources: tuple[str, ...] = ()
    shim: tuple[IPv4Address | IPv6Address, ...] = ()

    @property
    def traits(self) -> Traits:
        """The gateway is a machine on the parent's wire, known only if declared."""
        reserved = tuple(("the host's address in the network", address) for address in self.shim)
        own = self.mode != "passthru"  # else a MAC address of ours would become the parent's
        return Traits(device=bool(self.shim), own_macs=own, shared_segment=True, reserved=reserved)


@dataclass(frozen=True, slots=True)
class IpvlanOptions:
    """Options of the ipvlan driver. `vlan` is set when the name of `parent` says that it is a VLAN link."""

    parent: str
    vlan: int | None = None
    mode: str = "l2"
    flag: str = "bridge"

    @property
    def traits(self) -> Traits:
        """Everybody has the parent's MAC address; above layer 2 the parent is the router, and needs no address."""
        return Traits(own_macs=False, routes_on_link=self.mode != "l2", shared_segment=True)


@dataclass(frozen=True, slots=True)
class OverlayOptions:
    """Options of the overlay driver.

    `vni` is None only while the files are read, and `dealt` says that they do not have it. `flood`: what is for
    everybody, or for nobody known, goes to every host. `name` is the bridge's device name; None lets the driver
    derive one.
    """

    vni: int | None = None
    udp_port: int = 4789
    flood: bool = False
    name: str | None = None
    dealt: bool = False

    @property
    def traits(self) -> Traits:
        """The bridge is a link in the host without an address: a gateway is a sandbox, known only if declared."""
        return Traits(device=True, host_ends=True, spans_hosts=True)


@dataclass(frozen=True, slots=True)
class VlanOptions:
    """Options of the vlan driver: VLAN `id` of `parent`. `vlan` is set when the parent's name says that it is one too."""

    parent: str
    vlan: int | None = None
    id: int = 0
    protocol: str = "802.1Q"

    @property
    def traits(self) -> Traits:
        """The gateway is a machine in the VLAN, known only if declared."""
        return Traits(shared_segment=True)


@dataclass(frozen=True, slots=True)
class PtpOptions:
    """The ptp driver has no options; `host_end` says that the network has one endpoint, and the host the other end."""

    host_end: bool = False

    @property
    def traits(self) -> Traits:
        """A host's end has the gateway's address, as a bridge has."""
        return Traits(holds_gateway=self.host_end, host_ends=self.host_end)


@dataclass(frozen=True, slots=True)
class DummyOptions:
    """The dummy driver has no options."""

    @property
    def traits(self) -> Traits:
        """Nobody else is there, so there is no gateway either."""
        return Traits()


@dataclass(frozen=True, slots=True)
class NullOptions:
    """The null driver has no options."""

    @property
    def traits(self) -> Traits:
        """Its endpoints are no links at all."""
        return Traits(links=False, own_macs=False)


@dataclass(frozen=True, slots=True)
class HostOptions:
    """The host driver has no options."""

    @property
    def traits(self) -> Traits:
        """Its endpoints are no links at all: the sandbox has those of the host."""
        return Traits(links=False, own_macs=False)


@dataclass(frozen=True, slots=True)
class PluginOptions:
    """Options of a driver from another distribution: plain data as its own schema accepts it."""

    values: Mapping[str, object] = field(default_factory=dict)
    traits: Traits = Traits()


Options = (
    BridgeOptions
    | MacvlanOptions
    | IpvlanOptions
    | VlanOptions
    | OverlayOptions
    | PtpOptions
    | DummyOptions
    | NullOptions
    | HostOptions
    | PluginOptions
)
