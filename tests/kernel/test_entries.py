"""Thousands of entries of a tunnel at once, on a kernel that does not take all of them."""

from __future__ import annotations

import errno
import json
from collections.abc import Sequence

import pytest

from reconciler.joined import parts
from reconciler.kernel.execute import Executor
from reconciler.objects import FLOOD, HOST, FdbEntry, Neighbour
from reconciler.outcome import Done, Outcome
from reconciler.plan import Cause, Creations
from reconciler.sides import Declared, Entries
from tests.world import World

pytestmark = pytest.mark.needs("vxlan")

LINK = "vx"


def forwarding(number: int, link: str = LINK) -> FdbEntry:
    mac = f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}"
    return FdbEntry(netns=HOST, link=link, mac=mac, dst=f"192.0.2.{number % 200 + 1}")


def neighbour(number: int, family: str = "10.0.{}.{}") -> Neighbour:
    address = family.format(number >> 8, number & 255)
    return Neighbour(netns=HOST, link=LINK, address=address, mac=forwarding(number).mac)


def creations(entries: Sequence[FdbEntry | Neighbour]) -> Creations:
    return Creations(Entries({each.key: Declared(each, "network/back") for each in entries}), Cause.DECLARED)


def execute(world: World, wanted: Creations) -> tuple[Sequence[Outcome], int]:
    """What became of them, and how many messages that took."""
    executor = Executor()
    outcomes = world.call(executor.execute, wanted, lambda _: None)
    executor.release()
    return outcomes, executor.messages


def shown(world: World) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """Forwarding entries and neighbours, as the kernel shows them to others."""
    hosts = json.loads(world.run("bridge", "-j", "fdb", "show", "dev", LINK).stdout)
    neighbours = json.loads(world.run("ip", "-j", "neigh", "show", "dev", LINK, "nud", "permanent").stdout)
    return {(e["mac"], e["dst"]) for e in hosts}, {(e["dst"], e["lladdr"]) for e in neighbours}


def device(world: World, *words: str) -> None:
    words = ("type", "vxlan", "id", "7", "local", "127.0.0.1", "dstport", "4789", "nolearning", *words)
    world.run("ip", "link", "add", LINK, "up", *words)


def test_all_are_there(world: World) -> None:
    """Hosts, neighbours of both families, and what is for everybody: in as many messages as there are entries."""
    device(world, "proxy")
    hosts, v4 = [forwarding(n) for n in range(1300)], [neighbour(n) for n in range(1300)]
    v6 = [neighbour(n, "fd00::1:{:x}:{:x}") for n in range(256, 900)]
    to_all = [FdbEntry(netns=HOST, link=LINK, mac=FLOOD, dst=f"192.0.2.{n}") for n in (1, 2)]
    mixed = [one for pair in zip(hosts, v4, strict=True) for one in pair]
    outcomes, messages = execute(world, creations([*to_all, *mixed, *v6]))
    assert [type(part) for part in parts(outcomes)] == [Done]
    assert (len(outcomes), messages) == (3246, 3246)
    seen_hosts, seen_neighbours = shown(world)
    assert seen_hosts == {(e.mac, e.dst) for e in (*hosts, *to_all)}
    assert seen_neighbours == {(e.address, e.mac) for e in (*v4, *v6)}


def test_each_refusal_is_told_of_its_own_entry(world: World) -> None:
    """The kernel takes 700 of a thousand: those that are said to be done are there, and of no other is that said."""
    device(world, "maxaddress", "700")
    wanted = creations([one for n in range(1000) for one in (forwarding(n), neighbour(n))])
    outcomes, _ = execute(world, wanted)
    assert [outcome.change.object for outcome in outcomes] == [change.object for change in wanted]
    refused = [outcome for outcome in outcomes if not outcome.done]
    assert {outcome.error.errno for outcome in refused if outcome.error is not None} == {errno.ENOSPC}
    there = {outcome.change.object for outcome in outcomes if outcome.done}
    assert len(refused) == 300
    hosts, neighbours = shown(world)
    assert hosts == {(e.mac, e.dst) for e in there if isinstance(e, FdbEntry)}
    assert neighbours == {(e.address, e.mac) for e in there if isinstance(e, Neighbour)}


def test_entries_of_a_device_that_is_gone(world: World) -> None:
    """Each of them failed; those of another device are made."""
    device(world)
    lost = [forwarding(n, "gone") for n in range(20)]
    outcomes, _ = execute(world, creations([*lost, *map(forwarding, range(20))]))
    assert [outcome.change.object for outcome in outcomes if not outcome.done] == lost
    assert {outcome.error.errno for outcome in outcomes if outcome.error is not None} == {errno.ENODEV}
    assert len(shown(world)[0]) == 20
