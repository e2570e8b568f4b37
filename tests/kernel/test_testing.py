"""`reconciler.testing` and the pytest plugin: alone, beside each other, as an ordinary user, killed, and where it cannot be."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.errors import ReconcilerError, Unsupported
from reconciler.testing import Topology, stand
from tests import ordinary
from tests.world import ROOT, World

EXAMPLE = ROOT / "tests" / "example"
LAB = {
    "name": "lab",
    "networks": {"lan": {"subnets": ["10.1.0.0/24", "fd00:1::/64"]}},
    "sandboxes": {
        "a": {"endpoints": {"eth0": {"network": "lan", "addresses": ["10.1.0.2", "fd00:1::2"]}}},
        "b": {"endpoints": {"eth0": "lan"}},
    },
    "checks": ["a -> b tcp/80"],
}


def pytest_in(
    world: World, folder: Path, *words: str, who: tuple[str, ...] = (), check: bool = False
) -> subprocess.CompletedProcess[str]:
    """A user's pytest in a folder of his own, without anything of this suite."""
    return world.run(*who, *command(folder), *words, check=check, env=environment(), timeout=110)


def command(folder: Path) -> tuple[str, ...]:
    own = ("-c", "/dev/null", "--rootdir", str(folder), "--confcutdir", str(folder), "-p", "no:cacheprovider")
    return (sys.executable, "-m", "pytest", "-p", "reconciler.pytest_plugin", *own, "-rs", str(folder))


def environment() -> dict[str, str]:
    return {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.fixture(scope="module")
def lab() -> Iterator[Topology]:
    """One topology for what does not change it."""
    with stand(LAB) as lab:
        yield lab


@pytest.mark.parametrize("user", ["root", "ordinary"])
def test_the_example_with_eight_workers(world: World, user: str) -> None:
    """The same names and addresses in as many views at once as there are tests, as either user; the host is as before."""
    who: tuple[str, ...] = ()
    if user == "ordinary":
        if reason := ordinary.refusal(world):
            pytest.skip(reason)
        ordinary.admit(world)
        who = ordinary.COMMAND
    before = world.snapshot()
    done = pytest_in(world, EXAMPLE, "-n", "8", who=who)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 passed, 1 skipped" in done.stdout or "6 passed" in done.stdout
    if "skipped" in done.stdout:
        assert "netem" in done.stdout
    world.assert_unchanged(before)


HANGS = """
import os, sys, time
def test_it(topology):
    lab = topology({"name": "x", "networks": {"lan": {}}, "sandboxes": {"a": {"endpoints": {"eth0": "lan"}}}})
    script = "exec 3>$CHANNEL; trap '' TERM INT HUP; echo $PID >&3; sleep 1000"
    lab.sandbox("a").start(["sh", "-c", script], env={"PID": str(os.getpid())})
    time.sleep(1000)
"""


@pytest.mark.parametrize("workers", ["0", "2"])
def test_killed_in_the_middle(world: World, workers: str) -> None:
    """SIGKILL for the pytest that runs the test: what was started in a sandbox dies, and the host is as before."""
    before = world.snapshot()
    folder = world.write("test_hangs.py", HANGS).parent
    channel = folder / "channel"
    world.call(os.mkfifo, channel)
    world.run("mkdir", folder / "tmp")
    process = world.start(
        *command(folder),
        "-n",
        workers,
        env={**environment(), "CHANNEL": str(channel), "TMPDIR": str(folder / "tmp")},
    )
    with world.call(channel.open) as reader:
        victim = int(reader.readline())
        assert (victim == process.pid) == (workers == "0")
        os.kill(victim, signal.SIGKILL)
        assert reader.read() == ""  # the end of the file: nobody who could write is left
    process.communicate()
    assert "reconciler" not in world.run("ls", folder / "tmp").stdout  # pytest keeps folders of its own
    world.run("rm", "-r", folder)
    world.assert_unchanged(before)


FORBIDDEN = (
    'echo 0 >/proc/sys/user/max_net_namespaces && echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"'
)


@pytest.mark.parametrize(("flags", "code", "word"), [((), 0, "SKIPPED"), (("--require-topologies",), 1, "Unsupported")])  # fmt: skip
def test_where_namespaces_are_forbidden(world: World, flags: tuple[str, ...], code: int, word: str) -> None:
    """Tests are skipped with the setting to change, or fail where that was asked for."""
    folder = world.write("test_one.py", "def test_one(topology):\n    topology({'name': 'x'})\n").parent
    words = ("unshare", "--user", "--map-root-user", "sh", "-c", FORBIDDEN, "sh")
    done = pytest_in(world, folder, *flags, who=words)
    assert done.returncode == code, done.stdout + done.stderr
    assert word in done.stdout
    assert "sysctl -w user.max_user_namespaces=" in done.stdout


def test_unused_it_imports_nothing(world: World) -> None:
    """Loading the plugin imports no module of the reconciler but itself."""
    code = (
        "import sys, reconciler.pytest_plugin; print([m for m in sys.modules if m.startswith('reconciler.')])"
    )
    done = world.run(sys.executable, "-c", code, env=environment())
    assert done.stdout == "['reconciler.pytest_plugin']\n"


def test_programs(lab: Topology) -> None:
    """Exit codes, streams, environment and folder are those of the program; failures show what it said."""
    a = lab.sandbox("a")
    done = a.run(
        ["sh", "-c", 'cat; echo "$WORD" >&2; pwd; exit 3'],
        check=False,
        input="in",
        env={"WORD": "err"},
        cwd="/",
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, "in/\n", "err\n")
    with pytest.raises(AssertionError, match="in a, sh -c echo oops; exit 4 returned 4\noops"):
        a.run(["sh", "-c", "echo oops; exit 4"])
    assert a.run(["/nowhere"], check=False).returncode == 127
    assert "eth0" in a.run(["ip", "-br", "link"]).stdout
    assert "lab-lan" in lab.host.run(["ip", "-br", "link"]).stdout


def test_a_program_beside_the_test(lab: Topology) -> None:
    """It can be waited for, and sent signals; its group goes with it."""
    below = "sh -c 'echo up; exec sleep 1000'"  # speaks when it is surely there, with no trap of its parent's
    program = lab.sandbox("b").start(["sh", "-c", f"trap 'echo bye; exit 5' TERM; {below} & wait"])
    assert program.stdout.readline() == "up\n"
    program.send_signal(signal.SIGTERM)
    assert program.stdout.read() == "bye\n"  # the end: the sleep in its background is gone too
    assert program.wait(60) == program.wait() == program.returncode == 5
    program.kill()  # harmless


def test_addresses(lab: Topology) -> None:
    """Declared ones and those that were chosen, in both families; what is not there is told with what is."""
    assert str(lab.sandbox("a").address("eth0")) == "10.1.0.2"
    assert str(lab.sandbox("b").address(version=6)) == "fd00:1::3"
    with pytest.raises(KeyError, match="endpoints: eth0"):
        lab.sandbox("a").address("eth1")
    with pytest.raises(KeyError, match="did you mean 'a'"):
        lab.sandbox("aa")


@pytest.mark.parametrize("version", [4, 6])
def test_sockets(lab: Topology, version: int) -> None:
    """They are born in the sandbox: what listens in one is reached from the other, and not from here."""
    a, b = lab.sandbox("a"), lab.sandbox("b")
    with b.listen(version=version) as listener:
        port = listener.getsockname()[1]
        with a.connect(b.address(version=version), port) as ours, listener.accept()[0] as theirs:
            ours.sendall(b"there")
            assert theirs.recv(16) == b"there"
            assert theirs.getpeername()[0] == str(a.address(version=version))
        family = socket.AF_INET6 if version == 6 else socket.AF_INET
        with socket.socket(family) as outside:
            outside.settimeout(0.3)
            assert outside.connect_ex((str(b.address(version=version)), port))


def test_threads_take_turns(lab: Topology) -> None:
    """Many at once: each gets its own program's output."""
    results: dict[int, str] = {}

    def one(number: int) -> None:
        results[number] = lab.sandbox("ab"[number % 2]).run(["echo", str(number)]).stdout

    threads = [threading.Thread(target=one, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {number: f"{number}\n" for number in range(16)}


def test_verify(lab: Topology) -> None:
    """What holds is silent; what does not raises the table."""
    lab.verify()
    with stand({**LAB, "checks": ["a -/> b"]}) as other, pytest.raises(AssertionError, match="FAIL  a"):
        other.verify(timeout=0.5)


def test_what_cannot_stand() -> None:
    """Mistakes of the topology with their places, and a file that is missing."""
    with pytest.raises(ReconcilerError, match="'nets' is not a known key"), stand({"name": "x", "nets": {}}):
        pass
    with pytest.raises(ReconcilerError, match="no such file"), stand("/nowhere/lab.yaml"):
        pass
    assert issubclass(Unsupported, ReconcilerError)


def test_its_processes_are_gone_with_the_block_and_said_to_be() -> None:
    """After the end a program counts as killed, and nothing more can be asked for; if the run itself is killed, so too."""
    with stand(LAB) as lab:
        program = lab.sandbox("a").start(["sleep", "1000"])
    assert program.wait(60) == -signal.SIGKILL
    with stand(LAB) as lab:
        program = lab.sandbox("a").start(["sleep", "1000"])
        lab._process.kill()
        assert program.wait(60) == -signal.SIGKILL
        with pytest.raises(ReconcilerError, match="no longer stands"):
            lab.sandbox("a")
