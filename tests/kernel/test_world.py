"""The world is what all kernel tests look through, so it is tested first."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.world import ROOT, World

LAN = """
    netns add a
    netns add b
    link add br0 type bridge forward_delay 0
    link set br0 up
    link add va type veth peer name eth0 netns a
    link add vb type veth peer name eth0 netns b
    link set va master br0 up
    link set vb master br0 up
"""


@pytest.fixture
def lan(world: World) -> World:
    """Two namespaces on one bridge, made with ip."""
    world.run("ip", "-batch", "-", input=LAN)
    for number, name in enumerate("ab", start=1):
        lines = f"link set eth0 up\naddress add 10.0.0.{number}/24 dev eth0\naddress add fd00::{number}/64 dev eth0 nodad\n"
        world.run("ip", "-batch", "-", input=lines, netns=name)
    return world


def test_a_world_starts_with_loopback_only() -> None:
    """A new world has loopback up and no namespaces."""
    with World() as world:
        (loopback,) = world.ip("link", "show", "up")
        assert loopback["ifname"] == "lo"
        assert world.netns() == []


def test_what_is_made_and_removed_leaves_an_equal_snapshot(world: World) -> None:
    """Making and removing links, addresses, routes, rules, neighbours and namespaces restores the same text."""
    world.run("ip", "netns", "add", "before")
    before = world.snapshot()
    world.run("ip", "-batch", "-", input=LAN)
    lines = "address add 10.0.0.254/24 dev br0\nroute add 10.9.0.0/16 via 10.0.0.1\nrule add from 10.9.0.0/16 table 9\n"
    world.run("ip", "-batch", "-", input=lines)
    during = world.snapshot()
    assert during != before
    world.run("ip", "-batch", "-", input="rule del table 9\nlink del br0\nnetns del a\nnetns del b\n")
    world.assert_unchanged(before)


@pytest.mark.parametrize(
    "command",
    [
        "ip link set va alias hello",
        "ip link property add dev va altname other",
        "ip link set va mtu 1400",
        "ip -n a address add 10.0.0.9/32 dev eth0",
        "ip -n b route add blackhole 10.1.0.0/16 table 100",
        "ip -n b -6 route add fd01::/64 via fd00::1 metric 7",
        "ip rule add from 10.0.0.0/8 table 100",
        "ip neighbour add 10.0.0.7 lladdr 02:00:00:00:00:07 dev br0 nud permanent",
        "bridge fdb add 02:00:00:00:00:08 dev va master static",
        "bridge link set dev va isolated on",
        "sysctl -qw net.ipv4.ip_forward=1",
        "ip netns exec a sysctl -qw net.ipv4.conf.eth0.rp_filter=2",
        "ip link set br0 type bridge ageing_time 20000",
        "touch /run/file",
        "mkdir -p /run/netns/folder",
        "mount -t tmpfs none /run/netns",
    ],
)
def test_the_snapshot_sees_each_kind_of_change(lan: World, command: str) -> None:
    """Every single change that the reconciler could make shows in the snapshot."""
    before = lan.snapshot()
    lan.run(*command.split())
    assert lan.snapshot() != before


def test_the_snapshot_names_peers(lan: World) -> None:
    """The two ends of a veth name each other, whatever numbers the kernel chose."""
    namespaces = lan.observe()["namespaces"]
    assert namespaces[""]["links"]["va"]["peer"] == "a/eth0"
    assert namespaces["b"]["links"]["eth0"]["peer"] == "/vb"


def test_the_snapshot_is_stable_under_traffic(lan: World) -> None:
    """Learned addresses and neighbours are not configuration."""
    before = lan.snapshot()
    assert lan.ping("a", "10.0.0.2")
    assert lan.tcp("b", "a", "fd00::1", 80)
    assert lan.snapshot() == before


def test_masked_snapshots_of_worlds_are_equal() -> None:
    """Worlds with the same content differ in random addresses only, and the mask hides these."""
    texts = []
    for _ in range(6):
        with World() as world:
            world.run("ip", "-batch", "-", input=LAN)
            texts.append((world.snapshot(), world.snapshot(masked=True)))
    assert texts[0][0] != texts[1][0]
    assert len({masked for _, masked in texts}) == 1


def test_assert_unchanged_shows_the_difference(world: World) -> None:
    """A machine that stays changed is an assertion error with the changed line."""
    before = world.snapshot()
    world.run("touch", "/run/left-behind")
    with pytest.raises(AssertionError, match="left-behind"):
        world.assert_unchanged(before, timeout=0)


def test_ping_and_tcp_cross_the_bridge(lan: World) -> None:
    """Both families pass, and bytes go both ways."""
    for address in ("10.0.0.2", "fd00::2"):
        assert lan.ping("a", address, count=3)
        assert lan.tcp("a", "b", address, 8080)


def test_ping_and_tcp_fail_where_nothing_is(lan: World) -> None:
    """No answer, no listener, no route and a wrong target are all told as False."""
    assert not lan.ping("a", "10.0.0.77", timeout=0.3)
    assert not lan.ping("a", "192.0.2.1", timeout=0.1)
    assert not lan.tcp("a", None, "10.0.0.2", 80, timeout=0.3)


def test_ping_with_a_size_finds_the_mtu(lan: World) -> None:
    """A packet of exactly the MTU passes, one byte more does not."""
    assert lan.ping("a", "10.0.0.2", size=1472)
    assert not lan.ping("a", "10.0.0.2", size=1473, timeout=0.1)
    assert lan.ping("a", "fd00::2", size=1452)
    assert not lan.ping("a", "fd00::2", size=1453, timeout=0.1)


def test_the_monitor_counts_on_the_host_and_in_namespaces(lan: World) -> None:
    """A change anywhere in the world is one notification that says where, and silence is none."""
    lan.settle()
    with lan.monitor() as monitor:
        assert monitor.count() == 0
        lan.run("ip", "link", "set", "va", "alias", "x")
        here = monitor.events()
        lan.run("ip", "address", "add", "10.0.0.9/32", "dev", "eth0", netns="a")
        there = [event for event in monitor.events() if event.nsid is not None]
    assert {(event.kind, event.name, event.nsid) for event in here} == {("newlink", "va", None)}
    assert {event.kind for event in there} == {"newaddr", "newroute"}


def test_worlds_are_isolated(world: World) -> None:
    """Neither the machine's own host nor another world sees what is made, or the other way round."""
    with World() as other:
        world.run("ip", "-batch", "-", input=LAN)
        assert other.netns() == []
        assert [link["ifname"] for link in other.ip("link")] == ["lo"]
    assert not Path("/run/netns/a").exists()
    outside = subprocess.run(["ip", "link", "show", "br0"], capture_output=True, check=False)
    assert outside.returncode != 0
    assert world.run("ls", "/sys/class/net/br0/bridge").stdout


def test_a_killed_test_process_leaves_nothing(world: World) -> None:
    """When the process that holds a world is killed, programs started inside die too."""
    script = (
        "from tests.world import World\n"
        "inner = World()\n"
        "inner.run('ip', 'netns', 'add', 'a')\n"
        "print(inner.start('cat', '/dev/zero').pid, inner.root, flush=True)\n"
        "__import__('signal').pause()\n"
    )
    process = world.start(sys.executable, "-c", script, env={"PYTHONPATH": str(ROOT)})
    assert process.stdout
    pid, root = process.stdout.readline().split()
    assert Path(f"/proc/{pid}").exists()
    process.kill()
    process.wait()
    deadline = time.monotonic() + 5
    while _runs(int(pid)) and time.monotonic() < deadline:
        os.sched_yield()
    assert not _runs(int(pid))
    Path(root).rmdir()


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    "command",
    [
        "ip link set shop-zz mtu 1400",
        "ip link del br-x",
        "ip route del 198.51.100.16/28",
        "ip -n shop.x link del eth0",
        "ip netns del shop.x",
        "rm /run/netns/shop.link",
        "rm /run/netns/shop.file",
    ],
)
def test_decoys_are_noticed_when_touched(lan: World, command: str) -> None:
    """Untouched decoys pass; whatever is changed or removed does not."""
    decoys = lan.decoys("shop", bridge="br0")
    decoys.check()
    lan.run(*command.split())
    with pytest.raises(AssertionError, match="decoys"):
        decoys.check()


def test_decoys_survive_their_bridge(lan: World) -> None:
    """A foreign port loses its bridge when the bridge goes; that is not touching it."""
    decoys = lan.decoys("shop", bridge="br0")
    lan.run("ip", "link", "del", "br0")
    decoys.check()


def test_the_reconciler_runs_inside(world: World) -> None:
    """The command starts, and an unexpected exit code is an assertion error with its output."""
    assert "usage" in world.reconciler("--help").stdout.lower()
    with pytest.raises(AssertionError, match="returned"):
        world.reconciler("--help", exit=99)
