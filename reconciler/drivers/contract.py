"""The contract of a driver: one network and its endpoints in, kernel objects out.

A driver is a pure compiler: same input, same output, no kernel, no files, no clock. It is given names and marks to
use and never invents its own, so that ownership, preview, ordering, batching, roll-back and drift detection are
written once for all drivers. Drivers do not know each other.

Everything around the network at hand comes as a `Site`: a driver whose links lead from one endpoint straight to
another has to know the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from .. import marks, names
from ..errors import Mark
from ..model import Endpoint, Host, Network, Sandbox
from ..objects import KernelObject
from ..sides import Declared, Requirement

Item = Declared | Requirement


@dataclass(frozen=True, slots=True)
class Owner:
    """Who owns what is compiled: gives each object its origin, its ownership mark and its names."""

    topology: str

    @property
    def group(self) -> int:
        """The link group of everything this topology makes."""
        return marks.group(self.topology)

    def alias(self, origin: str) -> str:
        """The ownership mark for the ifalias of a link."""
        return marks.alias(self.topology, origin)

    def link_name(self, *parts: str) -> str:
        """A name of at most 15 bytes for a link in the host."""
        return names.link(self.topology, *parts)

    def tunnel_name(self, network: str) -> str:
        """A name of at most 15 bytes for the VXLAN device of a network."""
        return names.tunnel(self.topology, network)

    def altname(self, *parts: str) -> str:
        """The full readable name of a link in the host."""
        return names.altname(self.topology, *parts)


@dataclass(frozen=True, slots=True)
class Member:
    """An endpoint in its sandbox. `netns` is how the kernel layer finds the sandbox's namespace (see `objects`).

    `among_v6`: any endpoint of the sandbox has an IPv6 address.
    """

    sandbox: Sandbox
    endpoint: Endpoint
    netns: str
    among_v6: bool

    @property
    def origin(self) -> str:
        """The address of the endpoint in the topology."""
        return endpoint_origin(self.sandbox, self.endpoint)


@dataclass(frozen=True, slots=True)
class Site:
    """What a driver may know beside its own network: whose topology it is, and who else is in each network.

    `host` is the host for which is compiled and `hosts` are all of them; None and empty for a topology of one machine.
    The members are those of all hosts; the namespace of one that is elsewhere means nothing here.
    `namespaces` are those of the sandboxes in the order in which things are made in them.
    """

    owner: Owner
    members: Mapping[str, tuple[Member, ...]]
    host: str | None = None
    hosts: Mapping[str, Host] = field(default_factory=dict)
    namespaces: Mapping[str, int] = field(default_factory=dict)

    def of(self, network: Network) -> tuple[Member, ...]:
        """Everyone in `network`, in the order of the files."""
        return self.members.get(network.name, ())

    def elsewhere(self, network: Network) -> tuple[tuple[Member, Host], ...]:
        """Everyone in `network` on another host, with that host, in the order of the files."""
        return tuple(
            (member, self.hosts[member.sandbox.host])
            for member in self.of(network)
            if self.host is not None and member.sandbox.host not in (None, self.host)
        )


def network_origin(network: Network) -> str:
    """The address of a network in the topology."""
    return f"network/{network.name}"


def endpoint_origin(sandbox: Sandbox, endpoint: Endpoint) -> str:
    """The address of an endpoint in the topology."""
    return f"sandbox/{sandbox.name}/endpoint/{endpoint.name}"


def declare(origin: str, mark: Mark | None, *objects: KernelObject) -> Iterable[Declared]:
    """Attach origin and file place to kernel objects."""
    return (Declared(obj, origin, mark) for obj in objects)


class Driver(Protocol):
    """Turns one network and its endpoints into the kernel objects that realise them."""

    name: str

    def network(self, site: Site, network: Network) -> Iterable[Item]:
        """What the network needs even without an endpoint, parents before children."""

    def endpoint(self, site: Site, network: Network, member: Member) -> Iterable[Item]:
        """What one endpoint needs on both sides, parents before children."""
