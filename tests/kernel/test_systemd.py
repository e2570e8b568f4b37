"""The unit as it is, run by systemd itself: in a world, with process ids and control groups of its own.

What a plain program cannot imitate is proven here: the filter of system calls, no executable memory, the protocol of
readiness and watchdog with the manager that invented it, and that what the service mounts is seen outside of it.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.world import ROOT, World

SYSTEMD = "/lib/systemd/systemd"
UNIT = ROOT / "docs/systemd/reconciler@.service"
LAB: dict[str, Any] = {
    "name": "lab",
    "networks": {"front": {"subnets": ["10.10.0.0/24", "fd00:10::/64"]}},
    "sandboxes": {"a": {"endpoints": {"eth0": "front"}}, "b": {"endpoints": {"eth0": "front"}}},
}

# The first process of the new machine: its mounts, then the manager in its place.
START = """
set -eu
units=/run/systemd/system
mount -t proc proc /proc
mount -t tmpfs tmpfs /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs tmpfs /etc/systemd/system
mount -t tmpfs tmpfs /var/lib
mkdir -p $units/reconciler@lab.service.d
cp "$UNIT" $units/
cat > $units/reconciler@lab.service.d/test.conf <<END
[Unit]
DefaultDependencies=no
[Service]
ExecStart=
ExecStart=$PYTHON -m reconciler watch $FILE
Environment=PYTHONPATH=$ROOT
WatchdogSec=2
StandardOutput=file:/run/said
StandardError=file:/run/said
END
cat > $units/lab.target <<END
[Unit]
DefaultDependencies=no
Requires=reconciler@lab.service try.service
END
cat > $units/try.service <<END
[Unit]
DefaultDependencies=no
After=reconciler@lab.service
[Service]
Type=oneshot
StandardOutput=file:/run/tried
StandardError=file:/run/tried
ExecStart=/bin/bash $TRY
ExecStopPost=/bin/touch /run/over
END
export container=other
exec $SYSTEMD --system --unit=lab.target --log-level=warning --log-target=console --show-status=0
"""

# Runs as a service beside it, once systemd says that it is ready. What it prints is checked.
TRY = """
show() { systemctl show reconciler@lab --value -p "$1"; }
wait_for() { for _ in $(seq 200); do [ "$(show "$1")" = "$2" ] && return; sleep 0.05; done; }
pid=$(show MainPID)
echo "state $(show ActiveState) $(show StatusText)"
echo "namespaces $(ip netns list | cut -d' ' -f1 | sort | xargs)"
[ "$(readlink /proc/$pid/ns/mnt)" = "$(readlink /proc/1/ns/mnt)" ] && echo "mounts of the host"
grep -E "^(CapEff|Seccomp|NoNewPrivs):" /proc/$pid/status | xargs echo confined
ip netns exec lab.a ping -c 1 -W 5 -q 10.10.0.1 > /dev/null && echo reached
ip link delete lab-a-eth0
wait_for StatusText "in sync, 2 repaired"
echo "repaired $(show StatusText)"
systemctl reload reconciler@lab && echo reloaded
before=$(show WatchdogTimestampMonotonic)
sleep 3
echo "alive $(show NRestarts) $([ "$(show WatchdogTimestampMonotonic)" != "$before" ] && echo fed)"
kill -STOP "$pid"
wait_for NRestarts 1
wait_for ActiveState active
echo "restarted $(show NRestarts) $(show ActiveState)"
systemctl stop reconciler@lab
echo "stopped $(show ActiveState) $(show Result) $(show ExecMainStatus)"
ip netns exec lab.a ping -c 1 -W 5 -q 10.10.0.1 > /dev/null && echo "reached still"
"""

EXPECTED = """\
state active in sync, 0 repaired
namespaces lab.a lab.b
mounts of the host
confined CapEff: 0000000000201800 NoNewPrivs: 1 Seccomp: 2
reached
repaired in sync, 2 repaired
reloaded
alive 0 fed
restarted 1 active
stopped inactive success 143
reached still
"""


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group of our own in the unified hierarchy, which is gone afterwards."""
    for top in (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified")):
        if (top / "cgroup.procs").exists() and (top / "cgroup.controllers").exists():
            break
    else:
        pytest.skip("this host has no unified hierarchy of control groups")
    own = top / f"reconciler-test-{os.getpid()}"
    try:
        own.mkdir()
    except OSError as error:
        pytest.skip(f"control groups cannot be made here: {error}")
    yield own
    (own / "cgroup.kill").write_text("1")
    deadline = time.monotonic() + 10
    while "populated 1" in (own / "cgroup.events").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    for folder, _, _ in os.walk(own, topdown=False):
        Path(folder).rmdir()


@pytest.mark.skipif(not Path(SYSTEMD).exists(), reason="systemd is not installed")
@pytest.mark.skipif(shutil.which("systemctl") is None, reason="systemctl is not installed")
def test_the_unit_under_systemd(world: World, group: Path) -> None:
    """Started, confined, ready, repairing, reloaded, watched over, restarted and stopped, by systemd and the real unit."""
    file = world.write("lab.topo.yaml", json.dumps(LAB))
    script, attempt = world.write("start.sh", START), world.write("try.sh", TRY)
    enter = (
        "set -eu; mkdir /run/groups; mount -t cgroup2 cgroup2 /run/groups; "  # the world's own /sys has none
        'echo $$ > "/run/groups/$0/cgroup.procs"; umount /run/groups; '
        'exec unshare --pid --uts --ipc --cgroup --fork --kill-child bash "$1"'
    )
    variables = {
        "UNIT": str(UNIT),
        "FILE": str(file),
        "TRY": str(attempt),
        "PYTHON": sys.executable,
        "ROOT": str(ROOT),
        "SYSTEMD": SYSTEMD,
    }
    manager = world.start("bash", "-c", enter, group.name, script, env=world.environment(variables))
    try:
        over = Path("/run/over")
        for _ in range(1800):
            if world.call(over.exists) or manager.poll() is not None:
                break
            world.run("sleep", "0.05")
        assert world.call(over.exists), f"it never came to an end: {manager.communicate()}"
        said = world.call(Path("/run/said").read_text)
        assert world.call(Path("/run/tried").read_text) == EXPECTED, said
    finally:
        manager.kill()
        manager.wait()
