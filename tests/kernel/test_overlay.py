"""Networks over several hosts: three private hosts on one wire, one set of files, the reconciler on each of them."""

from __future__ import annotations

import itertools
import json
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests import examples, icmp
from tests.fleet import Fleet, listen, received
from tests.watching import watching
from tests.world import World

pytestmark = pytest.mark.needs("bridge", "veth", "vxlan")

ON_NODE_1 = ("--host", "node-1", "--yes")
RECONCILER = (sys.executable, "-m", "reconciler")
# Who is where; `front` reaches over two hosts, `back` over all three.
PLACES = {"web-1": "node-1", "web-2": "node-2", "db-1": "node-1", "db-2": "node-2", "db-3": "node-3"}
V4 = {
    "web-1": "10.10.0.11",
    "web-2": "10.10.0.12",
    "db-1": "10.20.0.11",
    "db-2": "10.20.0.12",
    "db-3": "10.20.0.13",
}
V6 = {name: f"fd00:{address.split('.')[1]}::{address.split('.')[3]}" for name, address in V4.items()}
NOBODY_V4, NOBODY_V6 = "10.20.0.99", "fd00:20::99"


@pytest.fixture(params=[4, 6], ids=["IPv4 between hosts", "IPv6 between hosts"])
def fleet(request: pytest.FixtureRequest) -> Iterator[Fleet]:
    """Three hosts on a wire, in each family."""
    with Fleet(3, request.param) as fleet:
        yield fleet


@pytest.fixture
def small() -> Iterator[Fleet]:
    """The same in one family, for what does not depend on it."""
    with Fleet(3) as fleet:
        yield fleet


def topology(vteps: Mapping[str, str], places: Mapping[str, str] = PLACES, **options: Any) -> dict[str, Any]:
    """Two networks with both families, every address declared."""
    subnets = {number: [f"10.{number}.0.0/24", f"fd00:{number}::/64"] for number in (10, 20)}
    networks = {
        name: {"driver": "overlay", "subnets": subnets[number], "options": options}
        for name, number in (("front", 10), ("back", 20))
    }
    sandboxes = {
        name: {
            "host": place,
            "endpoints": {
                "eth0": {
                    "network": "front" if name.startswith("web") else "back",
                    "addresses": [V4[name], V6[name]],
                }
            },
        }
        for name, place in places.items()
    }
    return {"name": "shop", "hosts": dict(vteps), "networks": networks, "sandboxes": sandboxes}


def reachable(fleet: Fleet, places: Mapping[str, str] = PLACES) -> dict[tuple[str, str], bool]:
    """For each pair of a sandbox and an address of another one: whether it answers."""
    answers: dict[tuple[str, str], bool] = {}
    for here, there in itertools.permutations(places, 2):
        same = here[:2] == there[:2]
        found = fleet.echoes(places[here], f"shop.{here}", (V4[there], V6[there]), timeout=5 if same else 0.3)
        answers |= {(here, address): answer for address, answer in found.items()}
    return answers


def as_declared(places: Mapping[str, str] = PLACES) -> dict[tuple[str, str], bool]:
    """The same by the file: those of one network reach each other, the others do not."""
    return {
        (here, address): here[:2] == there[:2]
        for here, there in itertools.permutations(places, 2)
        for address in (V4[there], V6[there])
    }


def test_everybody_reaches_whom_the_file_says(fleet: Fleet) -> None:
    """All pairs, over tunnels in either family; the tables are those of the file; the second apply has nothing to do."""
    fleet.apply(topology(fleet.vteps))
    assert reachable(fleet) == as_declared()
    for name in fleet.hosts:
        again = fleet.reconciler(
            name, "apply", fleet.write(name, topology(fleet.vteps)), "--yes", "-o", "json"
        ).json()
        assert (again["changes"], again["messages"]) == ([], 0)
        for network, letters in (("front", "web"), ("back", "db")):
            members = {each: place for each, place in PLACES.items() if each.startswith(letters)}
            if name in members.values():
                wanted = {
                    (mac(V4[each]), fleet.vteps[place]) for each, place in members.items() if place != name
                }
                assert forwarding_of(fleet, name, network) == wanted


def forwarding_of(fleet: Fleet, name: str, network: str) -> set[tuple[str, str]]:
    """The entries of the VXLAN device that is a port of the network's bridge."""
    (device,) = devices(fleet, name, network)
    return fleet.forwarding(name, device)


def devices(fleet: Fleet, name: str, network: str) -> list[str]:
    """The VXLAN devices in the network's bridge on one host."""
    shown = fleet.hosts[name].ip("link", "show", "master", f"shop-{network}", "type", "vxlan")
    return [link["ifname"] for link in shown]


def mac(address: str) -> str:
    """The MAC address that an endpoint with this IPv4 address derives."""
    return f"02:42:{socket.inet_aton(address).hex(':')}"


def test_a_host_outside_a_network_hears_nothing_of_it(fleet: Fleet) -> None:
    """The third host has no endpoint in `front`: not one tunnel packet reaches it, and it has no device for it."""
    fleet.apply(topology(fleet.vteps))
    with fleet.listening() as heard:
        for address in (V4["web-2"], V6["web-2"]):
            assert fleet.hosts["node-1"].ping("shop.web-1", address, count=20, timeout=5)
    assert len(heard["node-1"].sizes) >= 80  # requests and answers, and nothing else
    assert heard["node-3"].sizes == []
    assert "shop-front" not in {link["ifname"] for link in fleet.hosts["node-3"].ip("link")}


def test_what_nobody_knows_goes_nowhere(fleet: Fleet) -> None:
    """Neither an address, nor a MAC address, nor a broadcast that no file declares makes a packet on the wire."""
    fleet.apply(topology(fleet.vteps))
    host = fleet.hosts["node-1"]
    with fleet.listening() as heard:
        for address in (NOBODY_V4, NOBODY_V6):
            assert not host.ping("shop.db-1", address, timeout=0.5)
        host.call(send_frame, "02:00:de:ad:be:ef", "02:00:00:00:00:01", netns="shop.db-1")
        host.call(send_frame, "ff:ff:ff:ff:ff:ff", "02:00:00:00:00:01", netns="shop.db-1")
    assert {name: each.sizes for name, each in heard.items()} == {name: [] for name in fleet.hosts}


def send_frame(target: str, source: str) -> None:
    """An Ethernet frame of an experimental type through the sandbox's interface."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind(("eth0", 0))
        addresses = bytes.fromhex(target.replace(":", "")) + bytes.fromhex(source.replace(":", ""))
        sock.send(addresses + b"\x88\xb5" + bytes(46))


def test_who_pretends_to_be_another_gets_nothing_of_his(small: Fleet) -> None:
    """Neither of one on another host nor of one beside it; and what is for others is not even seen."""
    small.apply(topology(small.vteps, {**PLACES, "db-3": "node-1"}))
    host = small.hosts["node-1"]
    with host.call(listen, netns="shop.db-3") as ear:
        for victim in ("db-2", "db-1"):
            host.call(send_frame, "ff:ff:ff:ff:ff:ff", mac(V4[victim]), netns="shop.db-3")
        assert host.ping("shop.db-1", V4["db-2"], count=5, timeout=5)
        assert small.hosts["node-2"].ping("shop.db-2", V4["db-1"], count=5, timeout=5)
        others = {bytes.fromhex(mac(V4[victim]).replace(":", "")) for victim in ("db-2", "db-1")}
        assert {packet[:6] for packet in received(ear)} & others == set()


def test_the_mtu_is_what_fits(fleet: Fleet) -> None:
    """A packet of the whole MTU travels in one piece that fills the wire exactly; one byte more is refused."""
    fleet.apply(topology(fleet.vteps))
    overhead = 50 if "." in fleet.vteps["node-1"] else 70
    mtu = 1500 - overhead
    host = fleet.hosts["node-1"]
    for address, header in ((V4["db-2"], 28), (V6["db-2"], 48)):
        with fleet.listening() as heard:
            assert host.ping("shop.db-1", address, size=mtu - header, timeout=5)
        assert max(heard["node-2"].sizes) == 1500
        assert heard["node-2"].fragments == 0
        assert not host.ping("shop.db-1", address, size=mtu - header + 1, timeout=0.3)


def test_a_moved_sandbox_is_reached_once_all_hosts_have_applied(small: Fleet) -> None:
    """The addresses, and so the MAC address, stay the same: only the entries of the others change."""
    small.apply(topology(small.vteps))
    assert small.hosts["node-1"].ping("shop.db-1", V4["db-2"], timeout=5)
    moved = {**PLACES, "db-2": "node-3"}
    small.apply(topology(small.vteps, moved))
    assert reachable(small, moved) == as_declared(moved)
    assert forwarding_of(small, "node-1", "back") == {
        (mac(V4["db-2"]), small.vteps["node-3"]),
        (mac(V4["db-3"]), small.vteps["node-3"]),
    }


def test_new_host_first_and_old_host_last_loses_no_packet(small: Fleet) -> None:
    """A move in the right order: the one that answers is the old sandbox until the sender applies, then the new one."""
    small.apply(topology(small.vteps))
    host, asked = small.hosts["node-1"], itertools.count()
    assert host.ping("shop.db-1", V4["db-2"], timeout=5)
    moved = topology(small.vteps, {**PLACES, "db-2": "node-3"})
    small.apply(moved, "node-3")
    small.hosts["node-3"].settle()
    argv = [*RECONCILER, "apply", small.write("node-1", moved), "--host", "node-1", "--yes"]
    process = host.start(*argv, env=host.environment())
    while process.poll() is None:
        assert host.call(icmp.echo, V4["db-2"], next(asked), None, netns="shop.db-1")
    assert process.wait() == 0
    small.apply(moved, "node-2")
    assert host.call(icmp.echo, V4["db-2"], next(asked), None, netns="shop.db-1")
    assert next(asked) > 10


def test_a_watch_mends_the_tables(small: Fleet) -> None:
    """It hears of entries that others delete, point elsewhere or add, without waiting for its next full look."""
    files = topology(small.vteps)
    host = small.hosts["node-1"]
    with watching(host, files, "--host", "node-1") as watch:
        (device,) = devices(small, "node-1", "back")
        wanted = forwarding_of(small, "node-1", "back")
        for words in (
            ("del", mac(V4["db-2"])),
            ("replace", mac(V4["db-3"]), "dst", "192.0.2.9"),
            ("append", "00:00:00:00:00:00", "dst", "192.0.2.9"),
        ):
            host.run("bridge", "fdb", words[0], words[1], "dev", device, *words[2:])
            assert watch.kind("changed", "network/back")["cause"] in ("drift", "removed")
            assert forwarding_of(small, "node-1", "back") == wanted
        host.run("ip", "neigh", "flush", "dev", device, "nud", "permanent")
        watch.kind("changed", "network/back")
        watch.reports("trouble", {})


def test_a_host_that_lags_behind_loses_only_what_moved(small: Fleet) -> None:
    """Until it applies, it sends to where the sandbox was; whoever stayed is reached all the time."""
    small.apply(topology(small.vteps))
    moved = {**PLACES, "db-2": "node-3"}
    small.apply(topology(small.vteps, moved), "node-2", "node-3")
    lagging = small.hosts["node-1"]
    assert lagging.ping("shop.db-1", V4["db-3"], timeout=5)
    assert not lagging.ping("shop.db-1", V4["db-2"], timeout=0.3)
    small.apply(topology(small.vteps, moved), "node-1")
    assert lagging.ping("shop.db-1", V4["db-2"], timeout=5)


def test_a_host_that_is_cut_off_comes_back(small: Fleet) -> None:
    """Nothing is withdrawn meanwhile: the tables are the same, a plan is empty, and traffic goes on after the cut."""
    small.apply(topology(small.vteps))
    host = small.hosts["node-1"]
    before = forwarding_of(small, "node-1", "back")
    small.cut("node-2")
    assert not host.ping("shop.db-1", V4["db-2"], timeout=0.5)
    assert host.ping("shop.db-1", V4["db-3"], timeout=5)
    for name in small.hosts:
        plan = small.reconciler(name, "plan", small.write(name, topology(small.vteps)), "-o", "json").json()
        assert plan["changes"] == []
    assert forwarding_of(small, "node-1", "back") == before
    small.heal("node-2")
    assert host.ping("shop.db-1", V4["db-2"], timeout=5)
    assert host.ping("shop.db-1", V6["db-2"], timeout=5)


@pytest.mark.parametrize("step", ["before:*.*#1", "after:create.fdb#1", "after:create.link#2"])
def test_a_killed_reconciler_loses_no_packet(small: Fleet, step: str) -> None:
    """While it works, when it is killed and until it has been run again, every single request is answered."""
    places = {name: place for name, place in PLACES.items() if name != "db-3"}
    small.apply(topology(small.vteps, places))
    host, asked = small.hosts["node-1"], itertools.count()
    assert host.ping("shop.db-1", V4["db-2"], timeout=5)

    def answered(until_ended: Any) -> bool:
        return all(
            host.call(icmp.echo, V4["db-2"], next(asked), None, netns="shop.db-1")
            for _ in itertools.takewhile(lambda _: until_ended.poll() is None, itertools.count())
        )

    # One more here, one more elsewhere: something to make on both sides of the tunnel.
    more = topology(small.vteps, {**PLACES, "web-2": "node-1"})
    file = small.write("node-1", more)
    argv = [*RECONCILER, "apply", file, "--host", "node-1", "--yes"]
    killed = host.start(*argv, env=host.environment({"RECONCILER_FAILPOINT": f"{step}=kill"}))
    assert answered(killed)
    assert killed.wait() == -signal.SIGKILL
    again = host.start(*argv, env=host.environment())
    assert answered(again)
    assert again.wait() == 0
    assert next(asked) > 10
    small.apply(more, "node-2", "node-3")
    assert host.ping("shop.db-1", V4["db-3"], timeout=5)


@pytest.mark.many_runs
def test_killed_at_every_step_of_the_tables(world: World) -> None:
    """Whatever was sent when it died, the next run ends right, and finds nothing to do after that."""
    world.run("ip", "addr", "add", "192.0.2.1/32", "dev", "lo")
    vteps = {f"node-{number}": f"192.0.2.{number}" for number in (1, 2, 3)}
    file = str(world.write("shop.topo.yaml", json.dumps(topology(vteps, flood="replicate"))))
    clean = world.snapshot()
    for step in itertools.count(1):
        point = {"RECONCILER_FAILPOINT": f"after:create.fdb#{step}=kill"}
        died = world.reconciler("apply", file, *ON_NODE_1, env=point, exit=None).code
        world.reconciler("apply", file, *ON_NODE_1)
        assert "In sync" in world.reconciler("plan", file, "--host", "node-1").stdout
        world.reconciler("destroy", file, *ON_NODE_1)
        if died == 0:
            break
    assert step > 5
    world.assert_unchanged(clean)


def test_what_another_daemon_says_of_an_endpoint_is_a_conflict(world: World) -> None:
    """An entry that it has learned is its own: nothing is touched, the plan names it, and without it all goes on."""
    world.run("ip", "addr", "add", "192.0.2.1/32", "dev", "lo")
    vteps = {f"node-{number}": f"192.0.2.{number}" for number in (1, 2, 3)}
    file = str(world.write("shop.topo.yaml", json.dumps(topology(vteps))))
    world.reconciler("apply", file, *ON_NODE_1)
    (device,) = [link["ifname"] for link in world.ip("link", "show", "master", "shop-back", "type", "vxlan")]
    entry = (mac(V4["db-2"]), "dev", device)
    world.run("bridge", "fdb", "del", *entry)
    world.run("bridge", "fdb", "add", *entry, "dst", "192.0.2.9", "extern_learn")
    refused = world.reconciler("apply", file, *ON_NODE_1, exit=5)
    assert f"another program put an entry for {entry[0]} on '{device}'" in refused.stdout + refused.stderr
    world.run("bridge", "fdb", "replace", *entry, "dst", "192.0.2.2", "extern_learn")
    assert "In sync" in world.reconciler("plan", file, "--host", "node-1").stdout


def test_a_number_that_is_taken_out_of_sight_is_told(world: World) -> None:
    """The kernel refuses a second device with the number of one that was moved into another namespace, as Docker's are."""
    world.run("ip", "addr", "add", "192.0.2.1/32", "dev", "lo")
    vteps = {f"node-{number}": f"192.0.2.{number}" for number in (1, 2, 3)}
    files = topology(vteps)
    files["networks"]["back"]["options"] = {"vni": 42}
    world.run("ip", "netns", "add", "hidden")
    kind = ("type", "vxlan", "id", "42", "local", "192.0.2.1", "dstport", "4789")
    world.run("ip", "link", "add", "vxlan0", *kind)
    world.run("ip", "link", "set", "vxlan0", "netns", "hidden")
    file = str(world.write("shop.topo.yaml", json.dumps(files)))
    failed = world.reconciler("apply", file, *ON_NODE_1, exit=1)
    assert "hides in another namespace" in failed.stdout + failed.stderr


def test_with_replicate_what_no_file_declares_is_found(small: Fleet) -> None:
    """An address that somebody adds inside a sandbox answers over the tunnel; a host without an endpoint hears nothing."""
    small.apply(topology(small.vteps, flood="replicate"))
    assert reachable(small) == as_declared()
    small.hosts["node-2"].run("ip", "addr", "add", "10.10.0.77/24", "dev", "eth0", netns="shop.web-2")
    with small.listening("node-3") as heard:
        assert small.hosts["node-1"].ping("shop.web-1", "10.10.0.77", timeout=5)
    assert heard["node-3"].sizes == []


def test_destroy_leaves_every_host_as_it_was(small: Fleet) -> None:
    """Devices, entries and directories are gone on each of them."""
    for host in small.hosts.values():
        host.settle()
    clean = {name: host.snapshot() for name, host in small.hosts.items()}
    small.apply(topology(small.vteps))
    for name, host in small.hosts.items():
        small.reconciler(name, "destroy", small.write(name, topology(small.vteps)), "--yes")
        host.run("rm", "-r", str(host.root / "files"))
        host.assert_unchanged(clean[name])


def test_the_example_of_three_hosts(small: Fleet) -> None:
    """Applied on each host it does what its comments say; with its lock file, all agree on the addresses that it leaves
    open; a lock is up to date; destroyed on each, nothing is left.
    """
    (path,) = examples.OF_SEVERAL_HOSTS
    clean = {name: host.snapshot() for name, host in small.hosts.items()}
    small.hosts["node-1"].reconciler("lock", path, "--check")
    for name in small.hosts:
        small.reconciler(name, "apply", str(path), "--yes")
    netns, host = "overlay-three-hosts", small.hosts
    for address in ("10.80.0.3", "10.80.0.6", "fd00:80::4"):
        assert host["node-1"].ping(f"{netns}.web-1", address, timeout=5)
    assert host["node-3"].ping(f"{netns}.web-3", "10.80.0.1", timeout=5)
    assert host["node-3"].netns_ip(f"{netns}.web-3", "route", "show", "default")[0]["gateway"] == "10.80.0.1"
    with small.listening("node-1") as heard:
        assert host["node-2"].ping(f"{netns}.db-1", "10.81.0.12", size=1430 - 28, timeout=5)
    assert heard["node-1"].sizes == []
    for name in small.hosts:
        assert "In sync" in small.reconciler(name, "plan", str(path)).stdout
        small.reconciler(name, "destroy", str(path), "--yes")
        host[name].assert_unchanged(clean[name])
