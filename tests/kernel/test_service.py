"""The watch as a service: what it tells the service manager, and that the unit's settings leave namespaces usable."""

from __future__ import annotations

import configparser
import json
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.watching import PATIENCE, watching
from tests.world import ROOT, World

LAB: dict[str, Any] = {
    "name": "lab",
    "networks": {"front": {"subnets": ["10.10.0.0/24"]}},
    "sandboxes": {
        "a": {"endpoints": {"eth0": {"network": "front", "addresses": ["10.10.0.11"]}}},
        "b": {"endpoints": {"eth0": {"network": "front", "addresses": ["10.10.0.12"]}}},
    },
}
MANY = {
    "name": "many",
    "networks": {"front": {"subnets": ["10.10.0.0/16"]}},
    "sandboxes": {"box": {"replicas": 120, "endpoints": {"eth0": "front"}}},
}


class Manager:
    """The receiving end of NOTIFY_SOCKET."""

    def __init__(self, world: World) -> None:
        self.path = world.root / "notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        world.call(self.socket.bind, str(self.path))
        self.socket.settimeout(PATIENCE)

    def until(self, wanted: str) -> list[str]:
        """Every line up to the first that begins so."""
        seen: list[str] = []
        while not (seen and any(line.startswith(wanted) for line in seen[-1:])):
            seen += self.socket.recv(4096).decode().splitlines()
        return seen


@pytest.fixture
def manager(world: World) -> Iterator[Manager]:
    found = Manager(world)
    with found.socket:
        yield found


def test_what_the_service_manager_hears(world: World, manager: Manager) -> None:
    """Ready after the first pass and not before, state, signs of life while nothing happens, reloads, the end."""
    env = {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "400000"}
    with watching(world, LAB, env=env) as watch:
        first = manager.until("READY=1")
        assert "STATUS=in sync, 0 repaired" in first
        assert world.netns() == ["lab.a", "lab.b"]

        began = time.monotonic()
        for _ in range(5):
            manager.until("WATCHDOG=1")
            assert time.monotonic() - began < 0.4
            began = time.monotonic()

        watch.signal(signal.SIGHUP)
        *_, usec = manager.until("MONOTONIC_USEC=")
        assert 0 <= time.monotonic() - int(usec.partition("=")[2]) / 1e6 < 5
        manager.until("READY=1")

        world.write("lab.topo.yaml", "name: [")
        assert "the files are wrong" in manager.until("STATUS=")[-1]
        watch.signal(signal.SIGTERM)
        manager.until("STOPPING=1")
        assert watch.process.wait(PATIENCE) == 143


def test_a_watchdog_of_another_process_is_not_fed(world: World, manager: Manager) -> None:
    """WATCHDOG_PID names who is watched; whoever inherits the variables stays silent."""
    env = {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "100000", "WATCHDOG_PID": "1"}
    with watching(world, LAB, env=env) as watch:
        watch.signal(signal.SIGTERM)
        assert "WATCHDOG=1" not in manager.until("STOPPING=1")
        watch.process.wait(PATIENCE)


def test_stop_and_start_lose_no_packet(world: World) -> None:
    """A ping every 20 ms through the stop and the next start of the watch is answered every time."""
    with watching(world, LAB) as watch:
        ping = world.start("ping", "-q", "-i", "0.02", "-w", "6", "10.10.0.12", netns="lab.a")
        assert watch.stop() == 143
    for _ in range(2):
        with watching(world, LAB) as watch:
            watch.signal(signal.SIGHUP)
            watch.kind("reloaded")
    said, _ = ping.communicate(timeout=PATIENCE)
    assert ", 0% packet loss" in said, said
    assert int(said.split(" packets transmitted")[0].split()[-1]) > 100


def test_a_stop_in_the_middle_of_a_pass(world: World) -> None:
    """SIGTERM while the first batch is made: it is finished, the next one is not begun, and the next start does the rest."""
    clean = world.snapshot()
    file = world.write("many.topo.yaml", json.dumps(MANY))
    env = world.environment({"RECONCILER_FAILPOINT": "after:create.netns#100=stop"})
    process = world.start(sys.executable, "-m", "reconciler", "watch", file, "-o", "json", env=env)
    stopped = _stopped(process.pid)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGCONT)
    said, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 143, errors
    assert stopped
    assert json.loads(said.splitlines()[-1])["kind"] == "stopped"
    pending = world.reconciler("plan", file, "-o", "json", exit=0).json()
    assert pending["changes"], "everything was made before the stop was honoured"
    with watching(world, MANY):
        assert len(world.netns()) == 120
    world.reconciler("destroy", "--name", "many", "--yes")
    world.assert_unchanged(clean)


def _stopped(pid: int) -> bool:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T":
            return True
        time.sleep(0.01)
    raise AssertionError("it never came to the step at which it was to stop")


# ----------------------------------------------------------------------------------------------------------- the unit


def unit() -> dict[str, str]:
    """The settings of the service; of one that is there several times, the last."""
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(ROOT / "docs/systemd/reconciler@.service")
    return dict(parser["Service"])


def confined(settings: dict[str, str]) -> list[str]:
    """A command line that takes away what these settings take away, as far as a plain program can."""
    capabilities = [name.removeprefix("CAP_").lower() for name in settings["CapabilityBoundingSet"].split()]
    bounding = ",".join(["-all", *(f"+{name}" for name in capabilities)])
    return ["setpriv", "--bounding-set", bounding, "--no-new-privs", "--"]


def test_under_the_limits_of_the_unit(world: World) -> None:
    """With only the unit's capabilities everything is made, healed and removed, and is there for everybody else."""
    clean = world.snapshot()
    file = world.write("lab.topo.yaml", json.dumps(LAB))
    command = [*confined(unit()), sys.executable, "-m", "reconciler"]
    world.run(*command, "apply", file, env=world.environment())
    assert world.netns() == ["lab.a", "lab.b"]
    assert world.ping("lab.a", "10.10.0.12", timeout=5)
    watch = world.start(*command, "watch", file, "-o", "json", env=world.environment())
    assert watch.stdout is not None
    while json.loads(watch.stdout.readline())["kind"] != "ready":
        pass
    world.run("ip", "link", "del", "lab-b-eth0")
    world.run(
        "ip", "address", "flush", "dev", "eth0", netns="lab.a"
    )  # only who hears namespaces knows at once
    assert world.ping("lab.b", "10.10.0.11", timeout=10)
    watch.terminate()
    assert watch.wait(PATIENCE) == 143
    world.run(*command, "destroy", file, "--yes", env=world.environment())
    world.assert_unchanged(clean)


def test_what_the_unit_does_without(world: World) -> None:
    """With mounts of its own, as ProtectSystem and the like give a service, its namespaces lead nowhere outside."""
    file = world.write("lab.topo.yaml", json.dumps(LAB))
    world.run("ip", "netns", "add", "shared")  # the directory is a shared mount from now on
    own = ["unshare", "--mount", "--propagation", "slave", "--"]
    world.run(*own, sys.executable, "-m", "reconciler", "apply", file, env=world.environment())
    assert world.netns() == ["shared"]
    directory = "/run/netns"
    assert sorted(world.call(lambda: [path.name for path in Path(directory).iterdir()])) == [
        "lab.a",
        "lab.b",
        "shared",
    ]


PRIVATE_MOUNTS = (
    "PrivateMounts PrivateTmp PrivateDevices PrivateIPC ProtectSystem ProtectHome ProtectKernelTunables "
    "ProtectKernelModules ProtectKernelLogs ProtectControlGroups ProtectProc ProcSubset ReadWritePaths ReadOnlyPaths "
    "InaccessiblePaths ExecPaths NoExecPaths TemporaryFileSystem BindPaths BindReadOnlyPaths RootDirectory RootImage "
    "MountImages ExtensionImages ExtensionDirectories MountFlags LogNamespace DynamicUser IPCNamespacePath"
)


def test_the_unit_keeps_the_mounts_of_the_host() -> None:
    """No setting is there for which the service manager would give the service a mount namespace of its own."""
    assert not unit().keys() & set(PRIVATE_MOUNTS.split())


# ---------------------------------------------------------------------------------------------------- figures and logs


def test_figures_of_a_watch(world: World) -> None:
    """A repair is in the file a moment later; the file goes when the watch does."""
    file = world.root / "files" / "lab.prom"
    with watching(world, LAB, "--metrics-file", str(file)) as watch:
        world.run("ip", "link", "set", "lab-front", "mtu", "1400")
        watch.kind("changed", "network/front")
        _until(lambda: 'repairs_total{topology="lab",kind="network"} 1' in world.call(file.read_text))
        text = world.call(file.read_text)
        assert 'reconciler_addresses{topology="lab",reason="InSync"} 5' in text
        assert 'reconciler_source_ok{topology="lab"} 1' in text
        world.write("lab.topo.yaml", "name: [")
        watch.kind("mistake")
        _until(lambda: 'reconciler_source_ok{topology="lab"} 0' in world.call(file.read_text))
    assert not world.call(file.exists)


def test_lines_for_programs_and_for_the_journal(world: World) -> None:
    """JSON lines say time, level, topology, digest, address, cause and run; the journal gets priorities and no times."""
    with watching(world, LAB) as watch:
        world.run("ip", "link", "set", "lab-front", "mtu", "1400")
        event = watch.kind("changed", "network/front")
        assert (event["level"], event["topology"], event["cause"]) == ("info", "lab", "drift")
        assert len(event["digest"]) == 64
        assert event["run"]
    file = world.write("lab.topo.yaml", json.dumps(LAB))
    script = (
        'exec 3> >(cat); eval "$(stat -Lc "JOURNAL_STREAM=%d:%i" /dev/fd/3)"; export JOURNAL_STREAM; '
        'exec "$0" -m reconciler watch "$1" >&3'
    )
    process = world.start("bash", "-c", script, sys.executable, file, env=world.environment())
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(2)]
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 143
    assert lines == ["<5>watching topology 'lab'\n", "<5>in sync\n"]


def _until(wanted: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not wanted():
        assert time.monotonic() < deadline
        time.sleep(0.05)
