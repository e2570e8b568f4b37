"""The contract of a driver: one network and its endpoints in, kernel objects out.

A driver is a pure compiler: same input, same output, no kernel, no files, no clock. It is given names and marks to
use and never invents its own, so that ownership, preview, ordering, batching, roll-back and drift detection are
written once for all drivers. Drivers do not know each other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from .. import marks, names
from ..errors import Mark
from ..model import Endpoint, Network, Sandbox
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

    def altname(self, *parts: str) -> str:
        """The full readable name of a link in the host."""
        return names.altname(self.topology, *parts)


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

    def network(self, owner: Owner, network: Network) -> Iterable[Item]:
        """What the network needs even without an endpoint, parents before children."""

    def endpoint(
        self, owner: Owner, network: Network, sandbox: Sandbox, endpoint: Endpoint, netns: str
    ) -> Iterable[Item]:
        """What one endpoint needs on both sides, parents before children. `netns` is the sandbox's namespace."""
