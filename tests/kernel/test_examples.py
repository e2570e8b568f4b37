"""Every file in topologies/ on a real kernel: it does what its comments promise, and leaves nothing behind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import examples
from tests.kernel.silence import silent
from tests.world import World

EXAMPLES = [path for path in examples.PATHS if path not in examples.OF_SEVERAL_HOSTS]


@dataclass(frozen=True)
class Reach:
    """Who reaches what: (sandbox, address), and which sandboxes have a default route by family.

    `wire` is an address on the other end of eth1, for examples that stand on such a link; "" is an end without one.
    """

    pings: tuple[tuple[str, str], ...] = ()
    silent: tuple[tuple[str, str], ...] = ()
    default_v4: tuple[str, ...] = ()
    default_v6: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    wire: str | None = None


EXPECTED = {
    "macvlan": Reach(
        pings=(("left", "10.30.0.11"), ("right", "10.30.0.250"), ("right", "10.30.0.254")),
        default_v4=("left", "right"),
        needs=("macvlan",),
        wire="10.30.0.254/24",
    ),
    "ipvlan": Reach(
        pings=(("left", "10.32.0.10"), ("right", "10.31.0.10"), ("left", "fd00:32::10")),
        default_v4=("left", "right"),
        default_v6=("left", "right"),
        needs=("ipvlan",),
        wire="",
    ),
    "vlan": Reach(
        pings=(("router", "10.50.0.1"), ("router", "10.51.0.1")),
        silent=(("router", "10.50.0.9"),),
        needs=("vlan",),
        wire="",
    ),
    "ptp": Reach(
        pings=(("left", "10.70.0.1"), ("left", "10.72.0.0"), ("right", "10.72.0.0")),
        default_v4=("left", "right"),
        needs=("veth",),
    ),
    "dummy": Reach(
        pings=(("client", "10.60.0.1"),),
        silent=(("client", "10.60.0.2"),),
        needs=("dummy", "veth"),
    ),
    "null": Reach(
        pings=(("vault", "127.0.0.1"), ("web", "10.10.0.1")),
        silent=(("vault", "10.10.0.2"),),
        default_v4=("web",),
    ),
    "host": Reach(pings=(("web", "10.10.0.1"),), default_v4=("web",)),
    "quickstart": Reach(
        pings=(("alice", "10.10.0.3"), ("carol", "10.10.0.2"), ("bob", "10.10.0.1")),
        default_v4=("alice", "bob", "carol"),
    ),
    "lossy-wan": Reach(
        pings=(("hq", "10.62.0.10"), ("branch", "10.61.0.10")),
        default_v4=("hq", "branch"),
        needs=("netem", "tbf"),
    ),
    "routed-lab": Reach(
        pings=(
            ("left", "10.52.0.10"),
            ("right", "10.51.0.10"),
            ("left", "fd00:52::10"),
            ("right", "fd00:51::10"),
        ),
        silent=(("left", "10.53.0.1"),),
        default_v4=("left", "right"),
        default_v6=("left", "right"),
    ),
    "shop": Reach(
        pings=(
            ("web-1", "10.10.0.12"),
            ("web-3", "10.20.0.21"),
            ("app-1", "10.30.0.5"),
            ("db", "10.30.0.1"),
            ("web-2", "10.10.0.1"),
        ),
        silent=(("web-1", "10.30.0.5"), ("db", "10.10.0.11"), ("db", "10.20.0.21"), ("app-1", "10.10.0.11")),
        default_v4=("web-1", "web-2", "web-3"),
    ),
    "dual-stack": Reach(
        pings=(
            ("laptop", "10.210.0.1"),
            ("phone", "fd00:210::1"),
            ("phone", "10.210.0.2"),
            ("collector", "10.40.0.10"),
            ("collector", "fd00:40::10"),
            ("collector", "fd00:41::7"),
            ("collector", "fd00:99::7"),
        ),
        silent=(("thermometer", "fd00:40::10"), ("thermometer", "10.40.0.10")),
        default_v4=("laptop", "phone", "collector"),
        default_v6=("laptop", "phone", "thermometer", "collector"),
    ),
}


def test_every_example_is_expected_to_do_something() -> None:
    """A new example is added to the table above."""
    assert {path.stem for path in EXAMPLES} == set(EXPECTED)


def test_every_example_says_itself_what_it_is_for() -> None:
    """Each has checks, which `reconciler verify` then tries below."""
    assert [path.name for path in EXAMPLES if "\nchecks:" not in path.read_text(encoding="utf-8")] == []


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=pytest.mark.needs(*EXPECTED.get(path.stem, Reach()).needs))
        for path in EXAMPLES
    ],
)
def test_example(world: World, path: Path) -> None:
    """Applied it gives the reachability that it describes, by its own checks and by a ping of ours; a second apply is silent; destroy leaves no trace."""
    name, reach = path.stem, EXPECTED[path.stem]
    if reach.wire is not None:
        lay_wire(world, reach.wire)
    decoys = world.decoys(name)
    clean = world.snapshot()
    world.reconciler("apply", path)

    world.settle()  # a router asks for IPv6 neighbours from its link-local address, which is tentative for a second
    world.reconciler("verify", path, "--timeout", "30")
    for sandbox, address in reach.pings:
        assert world.ping(f"{name}.{sandbox}", address), f"{sandbox} does not reach {address}"
    for sandbox, address in reach.silent:
        assert not world.ping(f"{name}.{sandbox}", address, timeout=0.3), f"{sandbox} reaches {address}"
    assert with_default(world, name, "-4") == set(reach.default_v4)
    assert with_default(world, name, "-6") == set(reach.default_v6)

    assert silent(world, path)
    assert "In sync" in world.reconciler("status", path, "--exit-code").stdout
    decoys.check()
    world.reconciler("destroy", path, "--yes")
    world.assert_unchanged(clean)
    decoys.check()


def lay_wire(world: World, address: str) -> None:
    """Link eth1 of the host, and what it is connected to."""
    world.run(
        "ip", "link", "add", "eth1", "address", "02:00:00:00:00:e1", "type", "veth", "peer", "name", "wire"
    )
    for name in ("eth1", "wire"):
        world.run("ip", "link", "set", name, "up")
    if address:
        world.run("ip", "address", "add", address, "dev", "wire")


def with_default(world: World, name: str, family: str) -> set[str]:
    """The sandboxes that have a default route."""
    sandboxes = [netns for netns in world.netns() if netns.startswith(f"{name}.") and netns != f"{name}.x"]
    return {
        netns.removeprefix(f"{name}.")
        for netns in sandboxes
        if world.netns_ip(netns, family, "route", "show", "default")
    }
