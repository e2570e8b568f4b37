"""Limits of the kernel that a topology can be held against without asking a kernel. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from ..errors import Diagnostic
from ..model import Network, Sandbox
from ..options import BridgeOptions, OverlayOptions

BRIDGE_PORTS = 1023  # net/bridge/br_private.h: BR_MAX_PORTS, port number 0 is not given out


def check_ports(networks: Iterable[Network], sandboxes: Iterable[Sandbox]) -> Iterator[Diagnostic]:
    """A diagnostic for each bridge network with more endpoints and extra ports than a bridge takes."""
    used = Counter(endpoint.network for sandbox in sandboxes for endpoint in sandbox.endpoints)
    for network in networks:
        match network.options:
            case BridgeOptions(ports=extra):
                ports = used[network.name] + len(extra)
            case OverlayOptions():
                ports = used[network.name] + 1  # the tunnel
            case _:
                continue
        if ports > BRIDGE_PORTS:
            yield Diagnostic(
                "too-many",
                f"network '{network.name}' needs {ports} bridge ports, the kernel has {BRIDGE_PORTS} for each bridge",
                network.mark,
                "spread the endpoints over several networks",
            )
