"""The sides as maps: many entries of tunnels beside all else."""

from __future__ import annotations

import pytest

from reconciler.objects import FLOOD, HOST, Bridge, FdbEntry, KernelObject, Key, Link, Neighbour
from reconciler.sides import Declared, Desired, Entries, Established

MAC = "02:00:00:00:00:{:02x}"
BRIDGE = Link(netns=HOST, name="br", kind=Bridge())


def entries(link: str) -> list[FdbEntry | Neighbour]:
    hosts = [FdbEntry(netns=HOST, link=link, mac=MAC.format(n), dst="192.0.2.1") for n in (1, 2)]
    to_all = FdbEntry(netns=HOST, link=link, mac=FLOOD, dst="192.0.2.1")
    v4 = Neighbour(netns=HOST, link=link, address="10.0.0.1", mac=MAC.format(1))
    v6 = Neighbour(netns=HOST, link=link, address="fd00::1", mac=MAC.format(1))
    return [to_all, hosts[0], v4, v6, hosts[1], Neighbour(netns=HOST, link=link, address="10.0.0.9")]


def by_key(*objects: KernelObject) -> dict[Key, KernelObject]:
    return {obj.key: obj for obj in objects}


def test_entries_in_columns() -> None:
    """By link and origin; what leaves something open is told apart; in the order in which they are declared."""
    some = [(each, f"network/{link}") for link in ("vx", "vy") for each in entries(link)]
    mixed = [*some[6:8], *some[:6], *some[8:]]
    hosts, neighbours, others = Entries({each.key: Declared(each, origin) for each, origin in mixed}).tables
    assert [(t.link, t.origin) for t in hosts] == [("vy", "network/vy"), ("vx", "network/vx")]
    assert [(t.macs, t.places) for t in hosts] == [
        ([FLOOD, MAC.format(1), MAC.format(2)], ["192.0.2.1"] * 3)
    ] * 2
    assert {t.link: (t.macs, t.places) for t in neighbours} == dict.fromkeys(
        ("vx", "vy"), ([MAC.format(1)] * 2, ["10.0.0.1", "fd00::1"])
    )
    assert others == [("neighbour", HOST, link, "10.0.0.9") for link in ("vx", "vy")]
    for table in (*hosts, *neighbours):
        assert [key[2] for key in table.keys] == [table.link] * len(table.macs)


def test_what_is_established_is_a_map() -> None:
    """Equal to any other of the same objects, and found by key whichever part it is in."""
    objects = by_key(BRIDGE, *entries("vx"))
    desired = Desired("lab", {key: Declared(obj, "network/x") for key, obj in objects.items()})
    for known in (desired.established, Established.of(objects)):
        assert known == objects
        assert objects == known
        assert (len(known), [*known]) == (len(objects), [BRIDGE.key, *(each.key for each in entries("vx"))])
        assert all(known[key] == obj and key in known for key, obj in objects.items())
        assert ("link", HOST, "no") not in known
        with pytest.raises(KeyError):
            known["link", HOST, "no"]
    assert desired.established == desired.established
    assert Established.of(objects) != Established.of(by_key(*entries("vx")))
    assert Established({}, desired.entries) != desired.established
