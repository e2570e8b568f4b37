"""A link in a sandbox, of whatever kind: the link, its kernel settings, its shaping, its addresses. Pure; used by drivers.

A driver says of which kind it is and what it stands on; everything else is the same for all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..model import SandboxKind
from ..objects import Address, Link, LinkKind, LinkRef, Sysctl
from .contract import Item, Member, Owner, declare
from .shaping import shaping

_USUAL_MTU = 1500
_MINIMUM_V6_MTU = 1280


def usual_mtu(declared: int | None) -> int:
    """As declared, else what a new link has: asked for, so that taking the value out of the file brings it back."""
    return _USUAL_MTU if declared is None else declared


def is_small(mtu: int | None) -> bool:
    """Whether an MTU leaves no room for IPv6: the kernel takes it off such a link, its parameters included."""
    return mtu is not None and mtu < _MINIMUM_V6_MTU


def link(owner: Owner, member: Member, kind: LinkKind, mtu: int | None) -> Link:
    """The endpoint's link. Without an IPv6 address it generates no link-local one."""
    endpoint = member.endpoint
    return Link(
        netns=member.netns,
        name=endpoint.name,
        kind=kind,
        mtu=mtu,
        mac=endpoint.mac,
        up=True,
        group=owner.group,
        alias=owner.alias(member.origin),
        addrgen=None if is_small(mtu) or endpoint.has_v6 else "none",
    )


def items(
    owner: Owner, member: Member, kind: LinkKind, mtu: int | None, outer: LinkRef | None = None
) -> Iterable[Item]:
    """The link with everything on it; `outer` is the other end of a pair, on which what comes in is limited."""
    made = link(owner, member, kind, mtu)
    return declare(
        member.origin,
        member.endpoint.mark,
        made,
        *shaping(member.endpoint, made.ref, outer),
        *parameters(member, small=is_small(mtu)),
        *addresses(member),
    )


def addresses(member: Member) -> Iterator[Address]:
    """The endpoint's addresses."""
    for address in member.endpoint.addresses:
        yield Address(
            netns=member.netns,
            link=member.endpoint.name,
            address=str(address),
            permanent=True,
            connected=True,
        )


def parameters(member: Member, *, small: bool = False) -> Iterator[Sysctl]:
    """Declared ones come first and win: with addresses of its own an endpoint needs no router to give it any.

    `small`: the MTU leaves no room for IPv6, so there are no parameters for it.
    """
    endpoint = member.endpoint
    for path, value in endpoint.sysctls.items():
        yield Sysctl(netns=member.netns, path=path, value=value)
    base = f"net/ipv6/conf/{endpoint.name}"
    if endpoint.has_v6:
        yield Sysctl(netns=member.netns, path=f"{base}/disable_ipv6", value="0")
        yield Sysctl(netns=member.netns, path=f"{base}/accept_ra", value="0")
    elif (
        not small and member.sandbox.kind is not SandboxKind.MADE
    ):  # in one of ours new links have it so anyway
        yield Sysctl(netns=member.netns, path=f"{base}/accept_ra", value="0")
    # New links inherit it from the sandbox (see `compile`); said again for a link that was there before.
    if not small and member.among_v6:
        yield Sysctl(netns=member.netns, path=f"{base}/accept_dad", value="0")
