"""The probes by which tests are skipped: right about what `ip` and `tc` can tell too, and skipping with the reason."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import features
from tests.world import ROOT, World

pytestmark = pytest.mark.needs()  # nothing, but is run in each kernel
BELOW = {"ipvlan", "ipvtap", "macsec", "macvlan", "macvtap", "vlan"}
WORDS = {"vlan": ["id", "7"], "vrf": ["table", "100"], "vxlan": ["id", "7", "dstport", "4789"]}
LINKS = sorted(BELOW | {"bridge", "dummy", "ifb", "veth", "vrf", "vxlan"})
QUEUES = {"netem": ["limit", "1000"], "tbf": ["rate", "1mbit", "burst", "10k", "latency", "10ms"]}

SKIPPED = """
import pytest

@pytest.mark.needs("bridge", "{feature}")
def test_it():
    pass
"""


@pytest.mark.parametrize("kind", LINKS)
def test_a_link_probe_agrees_with_ip(world: World, kind: str) -> None:
    """What the probe says about a link kind is what `ip link add` says."""
    world.run("ip", "link", "add", "below", "type", "veth", "peer", "name", "other")
    below = ["link", "below"] if kind in BELOW else []
    done = world.run(
        "ip", "link", "add", *below, "name", "x", "type", kind, *WORDS.get(kind, []), check=False
    )
    assert (features.lack(kind) is None) == (done.returncode == 0), done.stderr


@pytest.mark.parametrize("kind", sorted(QUEUES))
def test_a_queue_probe_agrees_with_tc(world: World, kind: str) -> None:
    """What the probe says about a queueing discipline is what `tc qdisc add` says."""
    done = world.run("tc", "qdisc", "add", "dev", "lo", "root", kind, *QUEUES[kind], check=False)
    assert (features.lack(kind) is None) == (done.returncode == 0), done.stderr


def test_every_probe_answers(record_property: Callable[[str, object], None]) -> None:
    """None is refused for another reason than that the kernel lacks the feature; the answers go into the report."""
    for name in features.FEATURES:
        reason = features.lack(name)
        record_property("lacks" if reason else "has", f"{name}: {reason}" if reason else name)


def test_a_test_is_skipped_with_the_kernels_answer(tmp_path: Path) -> None:
    """The summary shows why, and a need that is met does not skip."""
    lacking = [name for name in features.FEATURES if features.lack(name)]
    if not lacking:
        pytest.skip("this kernel lacks nothing")
    said = inner_pytest(tmp_path, lacking[0])
    assert f"1 {features.lack(lacking[0])} (" in said
    assert "1 skipped" in said
    assert "1 passed" in inner_pytest(tmp_path, "veth")


def test_an_unknown_need_is_refused(tmp_path: Path) -> None:
    """A need that is spelt wrong would skip for ever, or never."""
    assert "needs 'ipvaln', which tests/features.py does not know" in inner_pytest(tmp_path, "ipvaln")


def inner_pytest(tmp_path: Path, feature: str) -> str:
    """What pytest prints about one test that needs the feature."""
    test = tmp_path / "test_needs.py"
    test.write_text(SKIPPED.format(feature=feature))
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "tests.conftest", "-c", str(ROOT / "pyproject.toml"), str(test)]  # fmt: skip
    # Not as a part of the run that this is in.
    env = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "TEST_"))}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=ROOT, env=env)
    return done.stdout + done.stderr
