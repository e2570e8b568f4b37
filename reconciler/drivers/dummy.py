"""The dummy driver: every endpoint is a link that leads nowhere. Pure.

It carries addresses: of services behind a router, of loopbacks in a routing lab, of programs that must find an
interface. What is sent into it is gone; endpoints of one network share its addresses and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..model import Network
from ..objects import Dummy
from . import interface
from .contract import Item, Member, Site


class DummyDriver:
    """Networks without a wire."""

    name = "dummy"

    def network(self, site: Site, network: Network) -> Iterable[Item]:
        """Nothing."""
        return ()

    def endpoint(self, site: Site, network: Network, member: Member) -> Iterable[Item]:
        """The link in the sandbox with its addresses and parameters."""
        return interface.items(site.owner, member, Dummy(), interface.usual_mtu(member.endpoint.mtu))
