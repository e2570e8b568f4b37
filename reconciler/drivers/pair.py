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
        addrgen=None if interface.is_small(mtu) else "none",
    )
    sandbox_end = interface.link(owner, member, Veth(peer=outer, made_by_peer=True), mtu)
    return host_end, sandbox_end
