"""What every link in a sandbox needs besides itself: its kernel settings and its addresses. Pure; used by drivers."""

from __future__ import annotations

from collections.abc import Iterator

from ..model import Endpoint, SandboxKind
from ..objects import (
    Address,
    Sysctl,
)
from .contract import Member

MINIMUM_V6_MTU = 1280  # below it the kernel takes IPv6 off a link, its parameters included


def has_v6(endpoint: Endpoint) -> bool:
    """Whether it has an IPv6 address that is written or dealt."""
    return any(address.version == 6 for address in endpoint.addresses)


def addresses(member: Member) -> Iterator[Address]:
    """The endpoint's addresses."""
    for address in member.endpoint.addresses:
        yield Address(netns=member.netns, link=member.endpoint.name, address=str(address), permanent=True)


def parameters(member: Member, *, small: bool = False) -> Iterator[Sysctl]:
    """Declared ones come first and win: with addresses of its own an endpoint needs no router to give it any.

    `small`: the MTU leaves no room for IPv6, so there are no parameters for it.
    """
    endpoint = member.endpoint
    for path, value in endpoint.sysctls.items():
        yield Sysctl(netns=member.netns, path=path, value=value)
    base = f"net/ipv6/conf/{endpoint.name}"
    if has_v6(endpoint):
        yield Sysctl(netns=member.netns, path=f"{base}/disable_ipv6", value="0")
        yield Sysctl(netns=member.netns, path=f"{base}/accept_ra", value="0")
    elif (
        not small and member.sandbox.kind is not SandboxKind.MADE
    ):  # in one of ours new links have it so anyway
        yield Sysctl(netns=member.netns, path=f"{base}/accept_ra", value="0")
    # New links inherit it from the sandbox (see `compile`); said again for a link that was there before.
    if not small and any(has_v6(each) for each in member.sandbox.endpoints):
        yield Sysctl(netns=member.netns, path=f"{base}/accept_dad", value="0")
