"""The good news of `validate`, as text and as JSON. Pure."""

from __future__ import annotations

from typing import Any

from ..model import Topology
from .size import things
from .style import safe


def text(title: str, topology: Topology) -> str:
    """One line: what was checked and how large it is."""
    return f"{safe(title)}: {things(topology)} are valid.\n"


def document(topology: Topology, digest: str) -> dict[str, Any]:
    """The same for programs; failures have the same keys (see `documents.error`)."""
    return {
        "valid": True,
        "diagnostics": [],
        "topology": topology.name,
        "inputs": {"files": list(topology.files), "digest": digest},
        "networks": len(topology.networks),
        "sandboxes": len(topology.sandboxes),
        "endpoints": sum(len(sandbox.endpoints) for sandbox in topology.sandboxes.values()),
    }
