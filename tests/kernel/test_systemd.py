"""The unit as it is, run by systemd itself: in a world, with process ids and control groups of its own.

What a plain program cannot imitate is proven here: the filter of system calls, no executable memory, the protocol of
readiness and watchdog with the manager that invented it, and that what the service mounts is seen outside of it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.repository import Repository
from tests.world import ROOT, World

SYSTEMD = "/lib/systemd/systemd"
UNIT = ROOT / "docs/systemd/reconciler@.service"
DROPIN = ROOT / "docs/systemd/reconciler-git.conf"
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
[ -z "$DROPIN" ] || cp "$DROPIN" $units/reconciler@lab.service.d/git.conf
cat > $units/reconciler@lab.service.d/test.conf <<END
[Unit]
DefaultDependencies=no
[Service]
ExecStart=
ExecStart=$COMMAND
EnvironmentFile=
EnvironmentFile=$GIVEN
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


with_systemd = pytest.mark.skipif(
    not Path(SYSTEMD).exists() or shutil.which("systemctl") is None, reason="systemd is not installed"
)


@with_systemd
def test_the_unit_under_systemd(world: World, group: Path) -> None:
    """Started, confined, ready, repairing, reloaded, watched over, restarted and stopped, by systemd and the real unit."""
    file = world.write("lab.topo.yaml", json.dumps(LAB))
    tried, said = under_systemd(world, group, f"watch {file}", TRY)
    assert tried == EXPECTED, said


# The same for the drop-in: REPOSITORY stands for where one pushes to.
TRY_GIT = """
show() { systemctl show reconciler@lab --value -p "$1"; }
push() { git -C REPOSITORY -c user.name=a -c user.email=a@example.org commit --quiet --allow-empty -am "$1"; }
pid=$(show MainPID)
echo "state $(show ActiveState) $(show StatusText)"
[ "$(readlink /proc/$pid/ns/mnt)" = "$(readlink /proc/1/ns/mnt)" ] && echo "mounts of the host"
grep -E "^(CapEff|Seccomp|NoNewPrivs):" /proc/$pid/status | xargs echo confined
stat -c "%U %a" /var/lib/reconciler /var/lib/reconciler/lab/source/repository
ip netns exec lab.a ping -c 1 -W 5 -q 10.10.0.1 > /dev/null && echo reached
sed -i s/10[.]10/10.11/g REPOSITORY/topologies/lab.yaml
push second
systemctl reload reconciler@lab
for _ in $(seq 200); do ip netns exec lab.a ping -c 1 -W 1 -q 10.11.0.1 > /dev/null && break; sleep 0.05; done
ip netns exec lab.a ping -c 1 -W 5 -q 10.11.0.1 > /dev/null && echo followed
systemctl stop reconciler@lab
echo "stopped $(show ActiveState) $(show Result) $(show ExecMainStatus)"
"""

EXPECTED_GIT = """\
state active in sync, 0 repaired
mounts of the host
confined CapEff: 00000000002018e3 NoNewPrivs: 1 Seccomp: 2
root 711
nobody 700
reached
followed
stopped inactive success 143
"""


@with_systemd
def test_the_drop_in_for_repositories_under_systemd(world: World, group: Path) -> None:
    """Git may run as another user and nothing else is given back: what is pushed is applied after a reload."""
    repository = Repository(world)
    repository.commit({"topologies/lab.yaml": LAB})
    (command,) = re.findall(r"^ExecStart=reconciler (.+)$", DROPIN.read_text(), re.MULTILINE)
    command = command.replace("reconciler-git", "nobody")  # whom this machine has
    script = TRY_GIT.replace("REPOSITORY", str(repository.path))
    given = f"REPOSITORY={repository.path}\nOPTIONS=--branch main --interval 9999\n"
    tried, said = under_systemd(world, group, command, script, DROPIN, given)
    assert tried == EXPECTED_GIT, said


def under_systemd(
    world: World, group: Path, command: str, attempt: str, dropin: Path | None = None, given: str = ""
) -> tuple[str, str]:
    """What `attempt` printed beside the unit as systemd runs it with this command, and what the unit said."""
    script = world.write("start.sh", START)
    enter = (
        "set -eu; mkdir /run/groups; mount -t cgroup2 cgroup2 /run/groups; "  # the world's own /sys has none
        'echo $$ > "/run/groups/$0/cgroup.procs"; umount /run/groups; '
        'exec unshare --pid --uts --ipc --cgroup --fork --kill-child bash "$1"'
    )
    variables = {
        "UNIT": str(UNIT),
        "DROPIN": "" if dropin is None else str(dropin),
        "COMMAND": f"{sys.executable} -m reconciler {command}",
        "GIVEN": str(world.write("given.env", given)),
        "TRY": str(world.write("try.sh", attempt)),
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
        return world.call(Path("/run/tried").read_text), world.call(Path("/run/said").read_text)
    finally:
        manager.kill()
        manager.wait()
