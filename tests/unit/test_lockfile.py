"""The lock file: what it holds, where it is, and what goes before what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler import lockfile
from reconciler.errors import TopologyError, UsageError
from reconciler.load import source
from reconciler.lockfile import Lock
from reconciler.model import Leases, Topology
from reconciler.resolve import resolve

FILES = """\
name: shop
hosts: {node-1: 192.0.2.1, node-2: 192.0.2.2}
networks: {front: {}}
sandboxes:
  web: {replicas: 2, host: node-1, endpoints: {eth0: front}}
"""


@pytest.mark.parametrize(
    "name", ["null", "true", "no", "12", "1e3", "0x1f", "1_000", "2001-01-01", "a-b_c", "web"]
)
@pytest.mark.parametrize("interface", ["eth0", "-", "~", "0", "null", "a.b"])
def test_what_is_written_is_read_back(name: str, interface: str) -> None:
    """Whatever names look like, the text holds the same lock, and writing it again changes nothing."""
    addresses = ("10.201.0.2", "fd00::", "::2")
    leases = Leases({name: ("10.201.0.0/24", "fd00::/64")}, {f"{name}/{interface}": addresses})
    lock = Lock(leases, {name: lockfile.MAX_VNI})
    text = lockfile.render(lock, name)
    again = lockfile.parse(source.parse(text.encode(), "shop.lock.yaml"), name)
    assert again == lock
    assert lockfile.render(again, name) == text


def test_the_text_is_sorted_with_a_line_for_an_entry() -> None:
    """The order of the files does not show, so a change of one endpoint is a change of one line."""
    leases = Leases(
        {"front": ("10.201.0.0/24",)}, {"web/eth0": ("10.201.0.3", "fd00::2"), "db/eth0": ("10.201.0.2",)}
    )
    lines = lockfile.render(Lock(leases, {"back": 4711, "a": 12}), "shop").splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        "version: 1",
        "topology: shop",
        "networks:",
        "  front: [10.201.0.0/24]",
        "vnis:",
        "  a: 12",
        "  back: 4711",
        "endpoints:",
        "  db/eth0: [10.201.0.2]",
        '  web/eth0: [10.201.0.3, "fd00::2"]',
    ]


def test_a_lock_file_that_nobody_could_read_is_not_written() -> None:
    """The limit of a topology file holds for the lock file, before it is there."""
    leases = Leases({}, {f"{'s' * 60}-{n}/eth0": ("10.0.0.1",) for n in range(60_000)})
    with pytest.raises(TopologyError, match="1 mistake"):
        lockfile.render(Lock(leases), "shop")


@pytest.mark.parametrize(
    ("paths", "overrides", "expected"),
    [
        (["shop.topo.yaml"], [], "shop.lock.yaml"),
        (["net"], [], "net/shop.lock.yaml"),
        (["net/"], [], "net/shop.lock.yaml"),
        (["net/b.yaml", "net/a.yaml"], [], "net/shop.lock.yaml"),
        (["net/*.yaml"], [], "net/shop.lock.yaml"),
        (["net", "shop.topo.yaml"], [], "shop.lock.yaml"),
        (["net"], ["prod.topo.yaml", "eu.yml"], "net/shop.prod.eu.lock.yaml"),
        (["net"], ["env/"], "net/shop.env.lock.yaml"),
        (["-"], [], None),
        (["net"], ["-"], None),
    ],
)
def test_where_it_is(
    paths: list[str],
    overrides: list[str],
    expected: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Any path to the files of a topology finds one lock file; other overrides are another topology."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net").mkdir()
    for name in ("shop.topo.yaml", "net/a.yaml", "net/b.yaml", "net/shop.lock.yaml"):
        (tmp_path / name).touch()
    assert lockfile.path_of(paths, overrides, "shop") == expected


def test_it_is_no_topology_file(tmp_path: Path) -> None:
    """A directory and a pattern leave it out, and named as a topology it is refused."""
    for name in ("a.yaml", "shop.lock.yaml"):
        (tmp_path / name).touch()
    assert source.collect([str(tmp_path), f"{tmp_path}/*l"]) == (str(tmp_path / "a.yaml"),)
    with pytest.raises(UsageError, match="is a lock file"):
        source.collect([str(tmp_path / "shop.lock.yaml")])


def test_the_lock_goes_before_the_state() -> None:
    """What the state directory remembers fills gaps, and never takes what the lock gives to somebody else."""
    lock = Leases({"a": ("10.1.0.0/24",)}, {"web/eth0": ("10.1.0.5",)})
    state = Leases(
        {"a": ("10.1.0.0/24",), "b": ("10.1.0.128/25",), "c": ("10.2.0.0/24", "nonsense")},
        {"db/eth0": ("10.1.0.5", "fd00::5"), "web/eth0": ("10.1.0.7",), "log/eth0": ("10.1.0.5",)},
    )
    assert lockfile.prefer(lock, state) == Leases(
        {"a": ("10.1.0.0/24",), "c": ("10.2.0.0/24",)},
        {"web/eth0": ("10.1.0.5", "10.1.0.7"), "db/eth0": ("fd00::5",)},
    )


def test_the_digest_changes_with_the_lock(tmp_path: Path) -> None:
    """It is one of the files that decide what is desired."""
    path, lock = tmp_path / "shop.yaml", tmp_path / "shop.lock.yaml"
    path.write_text(FILES)
    seen = [lockfile.load([str(path)]).expanded]
    for text in ("version: 1\ntopology: shop\n", "version: 1\ntopology: shop\nvnis: {front: 7}\n"):
        lock.write_text(text)
        seen.append(lockfile.load([str(path)]).expanded)
    assert len({one.digest for one in seen}) == 3
    assert [one.files for one in seen[:2]] == [(str(path),), (str(path), str(lock))]


def test_numbers_of_networks_that_are_gone_are_dropped() -> None:
    """The number of a network that is still declared stays."""
    lock = Lock(vnis={"front": 7, "old": 8})
    topology, leases = _topology(
        text=FILES.replace("{front: {}}", "{front: {driver: overlay}}"), vnis=lock.vnis
    )
    wanted = lockfile.needed(leases, topology)
    assert wanted.vnis == {"front": 7}
    assert [one for one in lockfile.differences(lock, wanted) if "number" in one.what] == [
        ("number of network", "old", ("8",), ())
    ]


# ------------------------------------------------------------------------------------------- networks on several hosts


def test_a_network_on_two_hosts_needs_all_of_its_addresses_locked() -> None:
    """One diagnostic for the network, with the command that mends it."""
    topology, leases = _topology({"web-2": "node-2"})
    (found,) = lockfile.unlocked(topology, leases, Leases(), "net/")
    assert found.code == "not-locked"
    assert found.message == (
        "network 'front' is on hosts 'node-1', 'node-2', and its subnet and 2 more are neither written nor locked: "
        "each host would choose for itself"
    )
    assert found.hint == "run `reconciler lock net/` and commit what it writes"


def test_a_stale_lock_is_no_lock() -> None:
    """An entry that was dealt anew because it no longer fits counts as missing."""
    topology, leases = _topology({"web-2": "node-2"})
    stale = replace(leases, endpoints={**leases.endpoints, "web-2/eth0": ("10.9.9.9",)})
    (found,) = lockfile.unlocked(topology, leases, stale, "net/")
    assert "and an address of 'web-2/eth0' is neither" in found.message


@pytest.mark.parametrize("places", [{}, {"web-1": "node-2", "web-2": "node-2"}])
def test_a_network_on_one_host_needs_none(places: Mapping[str, str]) -> None:
    """Where only one machine deals, its state directory is enough."""
    topology, leases = _topology(places)
    assert list(lockfile.unlocked(topology, leases, Leases(), "net/")) == []


def test_a_locked_network_may_be_on_two_hosts() -> None:
    """Nothing is said when the lock file gives every address."""
    topology, leases = _topology({"web-2": "node-2"})
    assert list(lockfile.unlocked(topology, leases, leases, "net/")) == []


def _topology(
    moved: Mapping[str, str] = {},  # never changed
    text: str = FILES,
    vnis: Mapping[str, int] = {},  # nor this one
) -> tuple[Topology, Leases]:
    """FILES resolved, with some sandboxes moved afterwards: to where a bridge would not be allowed to reach."""
    from reconciler.load import expand, layers

    sources = layers.Sources(((source.parse(text.encode(), "shop.yaml"),),), ("shop.yaml",), "", ())
    expanded = expand.expand(sources)
    topology, leases = resolve(
        expanded.tree, name_mark=expanded.name_mark, files=expanded.files, leases=Leases(), vnis=vnis
    )
    sandboxes = {
        name: replace(sandbox, host=moved.get(name, sandbox.host))
        for name, sandbox in topology.sandboxes.items()
    }
    return replace(topology, sandboxes=sandboxes), leases
