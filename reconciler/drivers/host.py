"""The host driver: a sandbox on such a network has no stack of its own but the host's. Pure.

There is nothing to make. That the sandbox is the host is settled when the files are read (`resolve.stacks`), so that
everything else of it, kernel settings and routes, is checked and compiled as for one that says `host: true`.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..model import Network
from .contract import Item, Member, Site


class HostDriver:
    """Networks whose sandboxes are the host itself."""

    name = "host"

    def network(self, site: Site, network: Network) -> Iterable[Item]:
        """Nothing."""
        return ()

    def endpoint(self, site: Site, network: Network, member: Member) -> Iterable[Item]:
        """Nothing."""
        return ()
