"""The dummy driver: every endpoint is a link that leads nowhere. Pure.

It carries addresses: of services behind a router, of loopbacks in a routing lab, of programs that must find an
interface. What is sent into it is gone; endpoints of one network share its addresses and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..model import Network
from ..objects import Dummy, Link
from . import interface
from .contract import Item, Member, Site, declare
from .shaping import shaping

# What a new link has, so that taking the value out of the file brings it back.
_MTU = 1500


class DummyDriver:
    """Networks without a wire."""

    name = "dummy"

    def network(self, site: Site, network: Network) -> Iterable[Item]:
        """Nothing."""
        return ()

    def endpoint(self, site: Site, network: Network, member: Member) -> Iterable[Item]:
        """The link in the sandbox with its addresses and parameters."""
        endpoint = member.endpoint
        mtu = _MTU if endpoint.mtu is None else endpoint.mtu
        small = mtu < interface.MINIMUM_V6_MTU
        link = Link(
            netns=member.netns,
            name=endpoint.name,
            kind=Dummy(),
            mtu=mtu,
            mac=endpoint.mac,
            up=True,
            group=site.owner.group,
            alias=site.owner.alias(member.origin),
            addrgen=None if small or interface.has_v6(endpoint) else "none",
        )
        return declare(
            member.origin,
            endpoint.mark,
            link,
            *shaping(endpoint, link.ref, None),
            *interface.parameters(member, small=small),
            *interface.addresses(member),
        )
