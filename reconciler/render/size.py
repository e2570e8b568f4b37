"""How large a topology is, in words. Pure; apart from the rest so that `validate` imports no more than this."""

from __future__ import annotations

from ..model import Topology
from .style import counted


def things(topology: Topology) -> str:
    """How many networks, sandboxes and endpoints a topology has."""
    endpoints = sum(len(sandbox.endpoints) for sandbox in topology.sandboxes.values())
    return ", ".join(
        (
            counted(len(topology.networks), "network"),
            counted(len(topology.sandboxes), "sandbox"),
            counted(endpoints, "endpoint"),
        )
    )
