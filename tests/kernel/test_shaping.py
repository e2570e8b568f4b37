"""Rates and impairments by traffic: compared with an endpoint that has none, in the same run, so no machine is too slow."""

from __future__ import annotations

import json
import select
import socket
import time
from typing import Any

import pytest

from reconciler.kernel import observe
from reconciler.kernel.netlink import Socket
from reconciler.kernel.qdisc import QdiscRecord
from reconciler.sides import Scope
from tests import icmp
from tests.world import World

CHUNK = bytes(32 * 1024)


def topology(**endpoint: Any) -> dict[str, Any]:
    """Three sandboxes on one bridge; the endpoint of `web` has what is asked for."""
    return {
        "name": "shop",
        "networks": {"front": {"subnets": ["10.10.0.0/24"]}},
        "sandboxes": {
            "web": {"endpoints": {"eth0": {"network": "front", "addresses": ["10.10.0.2"], **endpoint}}},
            "db": {"endpoints": {"eth0": {"network": "front", "addresses": ["10.10.0.3"]}}},
            "app": {"endpoints": {"eth0": {"network": "front", "addresses": ["10.10.0.4"]}}},
        },
    }


def apply(world: World, **endpoint: Any) -> None:
    """The topology, established."""
    world.reconciler("apply", world.write("t.yaml", json.dumps(topology(**endpoint))), "--yes")


def seconds(world: World, source: str, target: str, address: str, amount: int) -> float:
    """How long a TCP transfer of `amount` bytes takes from one sandbox to another."""
    with (
        world.call(socket.create_server, (address, 5001), netns=f"shop.{target}") as server,
        world.call(socket.socket, netns=f"shop.{source}") as client,
    ):
        server.settimeout(30)
        client.settimeout(30)
        client.connect((address, 5001))
        accepted, _ = server.accept()
        with accepted:
            accepted.settimeout(30)
            return _transfer(client, accepted, amount)


def _transfer(client: socket.socket, server: socket.socket, amount: int) -> float:
    client.setblocking(False)
    started, sent, received = time.monotonic(), 0, 0
    while received < amount:
        readable, writable, _ = select.select([server], [client] if sent < amount else [], [], 30)
        assert readable or writable, f"{received} of {amount} bytes, then nothing for 30 seconds"
        if writable:
            sent += client.send(CHUNK[: amount - sent])
        if readable:
            received += len(server.recv(1 << 20))
    return time.monotonic() - started


@pytest.mark.needs("tbf")
def test_only_who_shapes_pays_for_a_look(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Disciplines are asked for in the namespaces in which a link of ours has one, and in no other."""
    asked: list[Socket] = []
    dump = observe._qdiscs

    def counted(sock: Socket) -> list[QdiscRecord]:
        asked.append(sock)
        return dump(sock)

    monkeypatch.setattr(observe, "_qdiscs", counted)
    apply(world)
    world.call(observe.observe, Scope("shop"))
    assert asked == []
    apply(world, bandwidth={"egress": "8mbit"})
    world.call(observe.observe, Scope("shop"))
    assert len(asked) == 1


@pytest.mark.needs("tbf")
def test_what_a_sandbox_sends_is_limited(world: World) -> None:
    """A transfer at 8 Mbit/s takes as long as its bytes need; the same in the other direction and beside it does not."""
    amount, rate = 1_000_000, 1_000_000
    apply(world, bandwidth={"egress": "8mbit", "burst": "64kb"})
    out = seconds(world, "web", "db", "10.10.0.3", amount)
    back = seconds(world, "db", "web", "10.10.0.2", amount)
    beside = seconds(world, "app", "db", "10.10.0.3", amount)
    assert out > 0.8 * (amount - 65536) / rate
    assert out > 3 * back
    assert out > 3 * beside


@pytest.mark.needs("tbf")
def test_what_a_sandbox_receives_is_limited(world: World) -> None:
    """A limit on what comes in holds for whoever sends, and not for what goes out."""
    amount, rate = 1_000_000, 1_000_000
    apply(world, bandwidth={"ingress": "8mbit", "burst": "64kb"})
    back = seconds(world, "db", "web", "10.10.0.2", amount)
    out = seconds(world, "web", "db", "10.10.0.3", amount)
    assert back > 0.8 * (amount - 65536) / rate
    assert back > 3 * out


@pytest.mark.needs("tbf")
def test_a_small_burst_lets_large_packets_through(world: World) -> None:
    """The kernel takes what TCP hands over in 64 KB apart, where only one packet fits into a burst."""
    apply(world, bandwidth={"egress": "8mbit", "burst": "1514b"})
    assert world.ping("shop.web", "10.10.0.3", size=1472)
    assert seconds(world, "web", "db", "10.10.0.3", 200_000) > 0.15


@pytest.mark.needs("netem")
def test_a_cut_cable(world: World) -> None:
    """With a loss of 100% nothing arrives; taken out of the file, everything does."""
    apply(world, impair={"loss": "100%"})
    assert not world.ping("shop.web", "10.10.0.3", timeout=0.5)
    assert world.ping("shop.app", "10.10.0.3")
    apply(world)
    assert world.ping("shop.web", "10.10.0.3")


@pytest.mark.needs("netem")
def test_a_delay(world: World) -> None:
    """An echo takes at least the delay, once: only what the sandbox sends is delayed."""
    apply(world, impair={"delay": "100ms"})
    assert world.ping("shop.web", "10.10.0.3")  # the neighbours know each other from here on
    slow, fast = round_trip(world, "web", "10.10.0.3"), round_trip(world, "app", "10.10.0.3")
    assert slow >= 0.1
    assert slow - fast >= 0.05


@pytest.mark.needs("netem", "tbf")
def test_a_limit_below_a_delay(world: World) -> None:
    """A limit counts in the child of an impairment as it does alone."""
    amount, rate = 1_000_000, 1_000_000
    apply(world, bandwidth={"egress": "8mbit", "burst": "64kb"}, impair={"delay": "5ms"})
    out = seconds(world, "web", "db", "10.10.0.3", amount)
    beside = seconds(world, "app", "db", "10.10.0.3", amount)
    assert out > 0.8 * (amount - 65536) / rate
    assert out > 3 * beside


def round_trip(world: World, sandbox: str, address: str) -> float:
    """Seconds until an echo request is answered, the shortest of three."""
    return min(_round_trip(world, sandbox, address, number) for number in range(3))


def _round_trip(world: World, sandbox: str, address: str, number: int) -> float:
    started = time.monotonic()
    assert world.call(icmp.echo, address, number, None, netns=f"shop.{sandbox}")
    return time.monotonic() - started
