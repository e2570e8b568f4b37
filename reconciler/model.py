"""The topology in the words of the Container Network Model: networks, sandboxes, endpoints.

Frozen data only: no I/O, no defaults that depend on the machine. `resolve` builds these from the files, drivers
compile them into kernel objects. Everything here is complete: addresses are allocated, short forms expanded,
references checked, so a reader of these classes never asks "what if it is missing".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network

from .errors import Mark
from .options import Options

IPAddress = IPv4Address | IPv6Address
IPInterface = IPv4Interface | IPv6Interface
IPNetwork = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Subnet:
    """One address pool of a network.

    `gateway` is None when the network offers none. `ip_range` bounds automatic allocation and equals `subnet`
    unless declared. `aux_addresses` are reserved: never handed out.
    """

    subnet: IPNetwork
    gateway: IPAddress | None
    ip_range: IPNetwork
    aux_addresses: tuple[tuple[str, IPAddress], ...] = ()


@dataclass(frozen=True, slots=True)
class Network:
    """Endpoints that can talk to each other. `internal` networks never give a default route; those that are to
    `protect` are not deleted or replaced by the way.
    """

    name: str
    driver: str
    subnets: tuple[Subnet, ...]
    internal: bool
    mtu: int | None
    options: Options
    labels: Mapping[str, str]
    mark: Mark
    protect: bool = False


@dataclass(frozen=True, slots=True)
class Host:
    """One of the machines that a topology spreads over.

    `vtep` is the address by which the others reach it and by which it is recognised. `underlay_mtu` is the size of the
    largest packet between hosts.
    """

    name: str
    vtep: IPAddress
    underlay_mtu: int
    mark: Mark


@dataclass(frozen=True, slots=True)
class Bucket:
    """A token bucket: `rate` bytes per second on average, `burst` bytes at once; what would have to wait for longer than
    `latency` nanoseconds is dropped.
    """

    rate: int
    burst: int
    latency: int


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """Limits of what a sandbox sends (`egress`) and receives (`ingress`) through an endpoint; None is no limit."""

    egress: Bucket | None = None
    ingress: Bucket | None = None


@dataclass(frozen=True, slots=True)
class Impairment:
    """What happens to packets that a sandbox sends. Times in nanoseconds, probabilities in parts of 10^9.

    `gap` is 0 unless packets are reordered; `limit` is how many packets may be under way at once.
    """

    delay: int = 0
    jitter: int = 0
    correlation: int = 0
    loss: int = 0
    duplicate: int = 0
    corrupt: int = 0
    reorder: int = 0
    gap: int = 0
    limit: int = 1000


class SandboxKind(Enum):
    """Whose network namespace it is."""

    MADE = "made"
    PATH = "path"
    PID = "pid"
    HOST = "host"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What joins a sandbox to a network; `name` is the interface name inside the sandbox.

    `addresses` are complete with prefix length, the network's own first. `mac` is declared, or derived from the first
    address; None with drivers whose endpoints have none of their own. `mtu` falls back to the network's.
    """

    name: str
    network: str
    addresses: tuple[IPInterface, ...]
    mac: str | None
    mtu: int | None
    gateway_priority: int
    sysctls: Mapping[str, str]
    mark: Mark
    bandwidth: Bandwidth | None = None
    impairment: Impairment | None = None

    @property
    def has_v6(self) -> bool:
        """Whether it has an IPv6 address."""
        return any(address.version == 6 for address in self.addresses)


class RouteType(Enum):
    """What the kernel does with a packet that matches."""

    UNICAST = "unicast"
    BLACKHOLE = "blackhole"
    UNREACHABLE = "unreachable"
    PROHIBIT = "prohibit"


@dataclass(frozen=True, slots=True)
class StaticRoute:
    """A route declared in the file. `dev` names an endpoint of the sandbox (or any link for given sandboxes)."""

    to: IPNetwork
    via: IPAddress | None
    dev: str | None
    metric: int | None
    table: int
    type: RouteType
    src: IPAddress | None
    onlink: bool
    mark: Mark


@dataclass(frozen=True, slots=True)
class DefaultGateway:
    """The default route that a sandbox gets from one endpoint's network; at most one per address family.

    `via` None: everything is on the link itself, as with ipvlan in its layer 3 modes.
    """

    version: int
    via: IPAddress | None
    endpoint: str


@dataclass(frozen=True, slots=True)
class Sandbox:
    """An isolated network stack.

    `where` is how to reach a given namespace: an absolute path (PATH), the decimal pid (PID), "" otherwise.
    `gateways` holds the default gateways chosen by priority, v4 before v6. `host` is the name of the host that it is
    placed on, None in a topology without hosts.
    """

    name: str
    kind: SandboxKind
    where: str
    endpoints: tuple[Endpoint, ...]
    routes: tuple[StaticRoute, ...]
    gateways: tuple[DefaultGateway, ...]
    sysctls: Mapping[str, str]
    labels: Mapping[str, str]
    mark: Mark
    host: str | None = None
    protect: bool = False

    @property
    def has_v6(self) -> bool:
        """Whether any endpoint has an IPv6 address; goes through all of them."""
        return any(endpoint.has_v6 for endpoint in self.endpoints)


class CheckKind(Enum):
    """How a check tries."""

    PING = "ping"
    TCP = "tcp"
    UDP = "udp"
    HTTP = "http"


@dataclass(frozen=True, slots=True)
class Check:
    """One sandbox tries one target at each of `addresses`: all of them answer, or with `open` False none does.

    `target` is what the file calls it, a URL for HTTP. `sandbox` is the target's name if it is one of the topology's.
    `size` is that of the whole IP packet of a ping, in bytes; None leaves it open and allows fragments.
    """

    source: str
    target: str
    kind: CheckKind
    addresses: tuple[IPAddress, ...]
    mark: Mark
    sandbox: str | None = None
    port: int | None = None
    size: int | None = None
    open: bool = True


@dataclass(frozen=True, slots=True)
class Topology:
    """Everything that one name owns. `files` are the sources in reading order, for messages and digests.

    `hosts` is empty for a topology of one machine; otherwise every sandbox names one of them.
    """

    name: str
    networks: Mapping[str, Network]
    sandboxes: Mapping[str, Sandbox]
    files: tuple[str, ...]
    hosts: Mapping[str, Host] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()

    def on(self, host: str | None) -> Topology:
        """The part that one host makes: its sandboxes, what they try, and the networks that they join. None is all of it."""
        if host is None:
            return self
        sandboxes = {name: sandbox for name, sandbox in self.sandboxes.items() if sandbox.host == host}
        joined = {endpoint.network for sandbox in sandboxes.values() for endpoint in sandbox.endpoints}
        networks = {name: network for name, network in self.networks.items() if name in joined}
        checks = tuple(check for check in self.checks if check.source in sandboxes)
        return replace(self, networks=networks, sandboxes=sandboxes, checks=checks)


@dataclass(frozen=True, slots=True)
class Leases:
    """Addresses that automatic allocation handed out before, so that what an endpoint holds it keeps.

    `networks`: network name → subnets drawn from the default pools. `endpoints`: "sandbox/endpoint" → the automatic
    addresses (without prefix length), each valid only while the named network still contains it.
    """

    networks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    endpoints: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
