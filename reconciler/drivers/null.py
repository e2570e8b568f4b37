"""The null driver: a sandbox on such a network has its loopback device and nothing else. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from ..model import Network
from .contract import Item, Member, Site


class NullDriver:
    """Networks that give their sandboxes no interface."""

    name = "null"

    def network(self, site: Site, network: Network) -> Iterable[Item]:
        """Nothing."""
        return ()

    def endpoint(self, site: Site, network: Network, member: Member) -> Iterable[Item]:
        """Nothing."""
        return ()
