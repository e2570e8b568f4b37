"""`reconciler run`: a topology and a command in a private view of the kernel, as root and as an ordinary user."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from tests import ordinary
from tests.world import ROOT, World

QUICKSTART = ROOT / "topologies" / "quickstart.yaml"
RECONCILER = (sys.executable, "-m", "reconciler")
BUSY = "{ :; sleep 1000 & } ; echo up; wait"


@pytest.fixture(params=["root", "ordinary"])
def who(request: pytest.FixtureRequest, world: World) -> tuple[str, ...]:
    """What stands before a command so that it runs as that user."""
    if request.param == "root":
        return ()
    if reason := ordinary.refusal(world):
        pytest.skip(reason)
    ordinary.admit(world)
    return ordinary.COMMAND


@pytest.fixture
def untouched(world: World, who: tuple[str, ...]) -> Iterator[World]:
    """A host that must be as before when the test is over."""
    before = world.snapshot()
    yield world
    world.assert_unchanged(before)


def run(
    world: World, who: tuple[str, ...], *words: str | Path, env: dict[str, str] | None = None, **how: str
) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **(env or {})}
    return world.run(*who, *RECONCILER, "run", *words, check=False, env=environment, input=how.get("input"))


def start(world: World, who: tuple[str, ...], script: str) -> tuple[subprocess.Popen[str], IO[str]]:
    """A run whose command has begun, and its output."""
    words = (*RECONCILER, "run", "-q", QUICKSTART, "--", "sh", "-c", script)
    process = world.start(*who, *words, env={"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"})
    output = process.stdout
    assert output is not None
    assert output.readline() == "up\n", process.communicate()
    return process, output


def test_the_command_has_the_topology_the_streams_and_the_last_word(
    untouched: World, who: tuple[str, ...]
) -> None:
    """Its output and exit code are the run's, our words go to standard error, and the network works in there."""
    script = "cat; ip netns exec quickstart.alice ping -q -c 1 10.10.0.3 >/dev/null && exit 7"
    done = run(untouched, who, QUICKSTART, "--", "sh", "-c", script, input="its input")
    assert (done.returncode, done.stdout) == (7, "its input"), done.stderr
    assert "7 created" in done.stderr


def test_commands_inside_know_the_topology(untouched: World, who: tuple[str, ...]) -> None:
    """Without naming files, `exec` enters its sandboxes and `status` finds everything in sync."""
    program = " ".join(RECONCILER)
    script = f"{program} exec alice -- ip -o -4 address show dev eth0 && {program} status --exit-code"
    done = run(untouched, who, "-q", QUICKSTART, "--", "sh", "-c", script)
    assert done.returncode == 0, done.stderr
    assert "10.10.0.2/24" in done.stdout
    assert "In sync" in done.stdout
    assert done.stderr == ""


def test_in_a_sandbox(untouched: World, who: tuple[str, ...]) -> None:
    """With --in the command sees the links of its sandbox and no others."""
    done = run(untouched, who, "-q", QUICKSTART, "--in", "bob", "--", "ip", "-o", "-4", "address")
    assert done.returncode == 0, done.stderr
    assert [line.split()[1] for line in done.stdout.splitlines()] == ["lo", "eth0"]
    assert "10.10.0.3/24" in done.stdout


def test_keep_user(untouched: World, who: tuple[str, ...]) -> None:
    """With --keep-user the command runs as who started it, without power over the network."""
    script = "id -u; ip link delete eth0"
    done = run(untouched, who, "-q", QUICKSTART, "--keep-user", "--in", "bob", "--", "sh", "-c", script)
    if who:
        assert (done.returncode, done.stdout) == (2, "65533\n"), done.stderr
    else:
        assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr


def test_a_signal_that_ends_the_command_is_in_the_exit_code(untouched: World, who: tuple[str, ...]) -> None:
    """128 and the number of the signal, as shells say it."""
    done = run(untouched, who, "-q", QUICKSTART, "--", "sh", "-c", "kill -USR1 $$")
    assert done.returncode == 128 + signal.SIGUSR1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_are_passed_on(untouched: World, who: tuple[str, ...], number: signal.Signals) -> None:
    """What is sent to the run reaches the command, which decides what becomes of it."""
    trap = f"trap 'echo heard; exit 9' {number.name.removeprefix('SIG')}; {BUSY}"
    process, output = start(untouched, who, trap)
    process.send_signal(number)
    assert output.read() == "heard\n"
    assert process.wait(60) == 9


@pytest.mark.parametrize("victim", ["outside", "first"])
def test_killed_it_leaves_nothing(untouched: World, who: tuple[str, ...], victim: str) -> None:
    """SIGKILL for the process outside, or the first one inside: every process in there dies, and the host is as before."""
    process, output = start(untouched, who, BUSY)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) == 1
    if victim == "first":
        untouched.run("kill", "-KILL", children[0])
    else:
        process.kill()
    assert output.read() == ""  # the end of the file: nobody in there is left who could write
    assert process.wait(60) == (-signal.SIGKILL if victim == "outside" else 128 + signal.SIGKILL)


def test_what_the_command_leaves_running_ends_with_it(untouched: World, who: tuple[str, ...]) -> None:
    """A process in the background does not keep the run, nor survive it."""
    done = run(untouched, who, "-q", QUICKSTART, "--", "setsid", "sh", "-c", "sleep 1000 & exit 4")
    assert done.returncode == 4


@pytest.mark.parametrize(
    ("text", "env", "code", "message"),
    [
        ("name: x\nnetworks: {lan: {mtu: 20}}\n", {}, 3, "bad-value"),
        ("name: x\nnetworks: {lan: {}}\n", {"RECONCILER_FAILPOINT": "before:create.link:*=EBUSY"}, 1, "busy"),
        ("name: x\nsandboxes: {web: {netns: nowhere}}\n", {}, 5, "nowhere"),
    ],
)
def test_no_topology_no_command(
    world: World, text: str, env: dict[str, str], code: int, message: str
) -> None:
    """Where the topology does not stand the command is not started, and the exit code is that of an apply."""
    path = world.write("broken.yaml", text)
    done = run(world, (), path, "--", "echo", "started", env=env)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert message in done.stderr.lower()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--in", "alicia"), "did you mean 'alice'?"),
        (("--state-dir", "/tmp"), "leave --state-dir out"),
        (("-f", "-"), "name a file for the topology"),
        (("--", "/nowhere"), "cannot run '/nowhere'"),
    ],
)
def test_wrong_command_lines(world: World, words: tuple[str, ...], message: str) -> None:
    """Exit code 2, and what to do."""
    where = () if "-f" in words else (QUICKSTART,)
    done = run(world, (), "-q", *where, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


def test_where_nobody_may_make_namespaces(world: World) -> None:
    """Exit code 8 and the setting to change."""
    limits = "echo 0 >/proc/sys/user/max_net_namespaces && echo 0 >/proc/sys/user/max_user_namespaces"
    script = f'{limits} && exec "$@"'
    words = (*RECONCILER, "run", QUICKSTART, "--", "echo", "started")
    done = world.run(
        *("unshare", "--user", "--map-root-user", "sh", "-c", script, "sh"),
        *words,
        check=False,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert (done.returncode, done.stdout) == (8, ""), done.stderr
    assert "sysctl -w user.max_user_namespaces=" in done.stderr
