"""Whoever shares the wire cannot give a sandbox an address or a way out: router advertisements are not believed."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

import pytest

from tests.world import World

PREFIX = "2001:db8:1::"
_ROUTER, _HOP_LIMIT, _LIFETIME, _PREFIX_OPTION, _ON_LINK_AND_AUTONOMOUS = 134, 64, 1800, 3, 0xC0


def advertise(interface: str) -> None:
    """Send one router advertisement with a prefix (RFC 4861) as a router on this link would."""
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as sock:
        index = socket.if_nametoindex(interface)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        router = struct.pack("!BBHBBHII", _ROUTER, 0, 0, _HOP_LIMIT, 0, _LIFETIME, 0, 0)
        prefix = struct.pack("!BBBBIII", _PREFIX_OPTION, 4, 64, _ON_LINK_AND_AUTONOMOUS, 86400, 14400, 0)
        sock.sendto(router + prefix + socket.inet_pton(socket.AF_INET6, PREFIX), ("ff02::1", 0, 0, index))


def from_advertisement(world: World, netns: str, link: str) -> list[str]:
    """The addresses that an advertisement gave to a link."""
    (shown,) = world.netns_ip(netns, "-6", "address", "show", "dev", link) or [{"addr_info": []}]
    return [each["local"] for each in shown["addr_info"] if each["local"].startswith("2001:db8:1:")]


@pytest.mark.needs("macvlan")
@pytest.mark.parametrize(
    "network",
    [
        {"subnets": ["10.10.0.0/24"], "options": {"ports": ["wire0"]}},
        {"driver": "macvlan", "subnets": ["10.10.0.0/24"], "options": {"parent": "wire0"}},
        {"driver": "macvlan", "subnets": ["10.10.0.0/24", "fd00:10::/64"], "options": {"parent": "wire0"}},
    ],
    ids=["bridge", "macvlan", "macvlan with IPv6"],
)
def test_advertisements_are_not_believed(world: World, network: dict[str, Any]) -> None:
    """A link that anybody made takes the address; that of a sandbox, made and given, on the same wire does not."""
    for line in ("add wire0 type veth peer name wire1", "set wire0 up", "set wire1 up"):
        world.run("ip", "link", *line.split())
    for name in ("vm", "other"):
        world.run("ip", "netns", "add", name)
    lab = {
        "name": "lab",
        "networks": {"front": network},
        "sandboxes": {
            "web": {"endpoints": {"eth0": "front"}},
            "vm": {"netns": "vm", "endpoints": {"eth0": "front"}},
        },
    }
    world.reconciler("apply", world.write("lab.topo.yaml", json.dumps(lab)), "--yes")
    if "driver" in network:
        world.run(
            *[
                "ip",
                "link",
                "add",
                "link",
                "wire0",
                "name",
                "mv0",
                "netns",
                "other",
                "type",
                "macvlan",
                "mode",
                "bridge",
            ]
        )
    else:
        world.run(*["ip", "link", "add", "mv1", "type", "veth", "peer", "name", "mv0", "netns", "other"])
        world.run(*["ip", "link", "set", "mv1", "up", "master", "lab-front"])
    world.run("ip", "link", "set", "mv0", "up", netns="other")
    world.settle()

    with world.monitor() as monitor:
        for _ in range(100):
            world.call(advertise, "wire1")
            if from_advertisement(world, "other", "mv0"):
                break
            monitor.wait(0.1)
    assert from_advertisement(world, "other", "mv0"), "the advertisement itself does not work"
    assert from_advertisement(world, "lab.web", "eth0") == []
    assert from_advertisement(world, "vm", "eth0") == []
