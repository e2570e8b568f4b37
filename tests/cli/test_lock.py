"""`lock`: what it writes, keeps, drops and says."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.cli.conftest import Run

SHOP = """\
name: shop
networks: {front: {}}
sandboxes:
  web: {replicas: 2, endpoints: {eth0: front}}
"""


def _locked(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line.startswith("  ")]


def test_it_writes_keeps_and_drops(run: Run, tmp_path: Path) -> None:
    """What is there stays when something comes before it, what is gone goes, and a second run writes nothing."""
    topology, lock = tmp_path / "shop.topo.yaml", tmp_path / "shop.lock.yaml"
    topology.write_text(SHOP)
    first = run("lock")
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout == (
        "Wrote shop.lock.yaml: 3 added.\n"
        "  + network front  10.201.0.0/24\n"
        "  + endpoint web-1/eth0  10.201.0.2\n"
        "  + endpoint web-2/eth0  10.201.0.3\n"
    )
    topology.write_text(SHOP.replace("sandboxes:", "sandboxes:\n  db: {endpoints: {eth0: front}}"))
    assert "  + endpoint db/eth0  10.201.0.4\n" in run("lock").stdout
    topology.write_text(SHOP.replace("replicas: 2", "replicas: 1"))
    assert run("lock").stdout.splitlines()[0] == "Wrote shop.lock.yaml: 2 dropped."
    assert _locked(lock) == ["  front: [10.201.0.0/24]", "  web-1/eth0: [10.201.0.2]"]
    before = lock.stat().st_mtime_ns
    assert run("lock").stdout == "shop.lock.yaml: up to date, 2 entries.\n"
    assert lock.stat().st_mtime_ns == before


def test_check_writes_nothing_and_says_why(run: Run, tmp_path: Path) -> None:
    """Exit code 4 with the entries while it is out of date, 0 when it is not."""
    (tmp_path / "shop.topo.yaml").write_text(SHOP)
    result = run("lock", "--check", "shop.topo.yaml")
    assert result.returncode == 4
    assert result.stdout.startswith("shop.lock.yaml is out of date: 3 added.\n")
    assert result.stdout.endswith("`reconciler lock shop.topo.yaml` brings it up to date.\n")
    assert not (tmp_path / "shop.lock.yaml").exists()
    run("lock")
    assert run("lock", "--check").returncode == 0


def test_the_locked_address_is_the_one_that_is_used(run: Run, tmp_path: Path) -> None:
    """An address that a review chose goes before the lowest free one."""
    (tmp_path / "shop.topo.yaml").write_text(SHOP)
    run("lock")
    lock = tmp_path / "shop.lock.yaml"
    lock.write_text(lock.read_text().replace("10.201.0.3", "10.201.0.77"))
    assert "= 10.201.0.77/24\n" in run("config", "--explain", "web-2.eth0.addresses").stdout
    assert run("lock", "--check").returncode == 0


def test_an_entry_that_no_longer_fits_is_dealt_anew(run: Run, tmp_path: Path) -> None:
    """The file says so with both values; two endpoints with one address, as after a careless merge, count as well."""
    (tmp_path / "shop.topo.yaml").write_text(SHOP)
    run("lock")
    lock = tmp_path / "shop.lock.yaml"
    lock.write_text(lock.read_text().replace("10.201.0.3", "10.201.0.2"))
    assert "  ~ endpoint web-2/eth0  10.201.0.2 → 10.201.0.3\n" in run("lock").stdout
    (tmp_path / "shop.topo.yaml").write_text(SHOP.replace("front: {}", "front: {subnets: [10.1.0.0/24]}"))
    assert run("lock").stdout.splitlines() == [
        "Wrote shop.lock.yaml: 2 changed, 1 dropped.",
        "  - network front  10.201.0.0/24",
        "  ~ endpoint web-1/eth0  10.201.0.2 → 10.1.0.2",
        "  ~ endpoint web-2/eth0  10.201.0.3 → 10.1.0.3",
    ]


def test_without_anything_to_lock_there_is_no_file(run: Run, tmp_path: Path) -> None:
    """A topology whose addresses are all written needs none."""
    (tmp_path / "shop.topo.yaml").write_text("name: shop\nnetworks: {front: {subnets: [10.1.0.0/24]}}\n")
    assert run("lock").stdout == "shop.lock.yaml: nothing to lock, every address is in the files.\n"
    assert not (tmp_path / "shop.lock.yaml").exists()


def test_a_damaged_lock_file_is_named_and_left_alone(run: Run, tmp_path: Path) -> None:
    """Every command that reads it says where, and `lock` does not deal everything anew over it."""
    (tmp_path / "shop.topo.yaml").write_text(SHOP)
    (tmp_path / "shop.lock.yaml").write_text("version: 1\ntopology: shop\nnetworks: {front: 7}\n")
    for command in ("lock", "validate"):
        result = run(command)
        assert result.returncode == 3
        assert result.stderr.startswith("shop.lock.yaml:3:19: error[bad-lock]: 'front' must have a list\n")
    assert "front: 7" in (tmp_path / "shop.lock.yaml").read_text()


def test_a_link_in_its_place_leads_nowhere_else(run: Run, tmp_path: Path) -> None:
    """Whoever may write the topology may not have other files of the host read and quoted."""
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "shop.yaml").write_text(SHOP)
    (tmp_path / "secret").write_text("secret: 1\n")
    (tmp_path / "net" / "shop.lock.yaml").symlink_to(tmp_path / "secret")
    for command in ("validate", "lock"):
        result = run(command, "net")
        assert result.returncode == 3
        assert result.stderr.startswith(
            "error[bad-lock]: 'net/shop.lock.yaml' leads out of the topology's directory\n"
        )
        assert "secret: 1" not in result.stderr


def test_a_fifo_in_its_place_is_not_opened(run: Run, tmp_path: Path) -> None:
    """The lock file is opened like any other file of the topology."""
    (tmp_path / "shop.topo.yaml").write_text(SHOP)
    os.mkfifo(tmp_path / "shop.lock.yaml")
    result = run("validate")
    assert result.returncode == 3
    assert "error[unreadable]: cannot read 'shop.lock.yaml': it is not a regular file" in result.stderr


def test_standard_input_has_no_lock_file(run: Run) -> None:
    """There is no place beside it."""
    result = run("lock", "-", stdin=SHOP)
    assert result.returncode == 2
    assert result.stderr.startswith("error: files from standard input have no lock file\n")


def test_json(run: Run, tmp_path: Path) -> None:
    """The differences for programs, with what was and what is."""
    (tmp_path / "shop.topo.yaml").write_text(SHOP)
    document = json.loads(run("lock", "--check", "-o", "json").stdout)
    assert document["up_to_date"] is False
    assert document["written"] is False
    assert document["differences"][0] == {
        "kind": "network",
        "name": "front",
        "before": [],
        "after": ["10.201.0.0/24"],
    }
