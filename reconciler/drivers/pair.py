"""The veth pair by which an endpoint joins a bridge: one end in the host, plugged in, one in the sandbox. Pure; used by
drivers.
"""

from __future__ import annotations

from ..objects import HOST, BridgePort, Link, LinkRef, Veth
from . import interface
from .contract import Member, Owner


def pair(owner: Owner, member: Member, master: str, port: BridgePort, mtu: int | None) -> tuple[Link, Link]:
    """The host end and the sandbox end."""
    sandbox, endpoint, alias = member.sandbox, member.endpoint, owner.alias(member.origin)
    outer = LinkRef(HOST, owner.link_name(sandbox.name, endpoint.name))
    inner = LinkRef(member.netns, endpoint.name)
    no_v6 = None if is_small(mtu) else "none"
    host_end = Link(
        netns=outer.netns,
        name=outer.name,
        kind=Veth(peer=inner),
        port=port,
        mtu=mtu,
        up=True,
        master=master,
        group=owner.group,
        alias=alias,
        altnames=(owner.altname(sandbox.name, endpoint.name),),
        addrgen=no_v6,
    )
    sandbox_end = Link(
        netns=inner.netns,
        name=inner.name,
        kind=Veth(peer=outer, made_by_peer=True),
        mtu=mtu,
        mac=endpoint.mac,
        up=True,
        group=owner.group,
        alias=alias,
        addrgen=None if interface.has_v6(endpoint) else no_v6,
    )
    return host_end, sandbox_end


def is_small(mtu: int | None) -> bool:
    """Whether an MTU leaves no room for IPv6."""
    return mtu is not None and mtu < interface.MINIMUM_V6_MTU
