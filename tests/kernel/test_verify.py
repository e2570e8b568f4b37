"""`reconciler verify` on a real kernel: what it sees, what it waits for, and what it answers itself."""

from __future__ import annotations

import json
import signal
import socket
import sys
import threading
from pathlib import Path

import pytest

from tests.world import World

LAB = """
name: lab
networks:
  lan: {{subnets: [10.1.0.0/24]}}
  back: {{subnets: [10.2.0.0/24], internal: true, mtu: 1400}}
sandboxes:
  web: {{endpoints: {{eth0: {{network: lan, addresses: [10.1.0.2]}}, eth1: {{network: back, addresses: [10.2.0.2]}}}}}}
  db: {{endpoints: {{eth0: {{network: back, addresses: [10.2.0.9]}}}}}}
  guest: {{endpoints: {{eth0: {{network: lan, addresses: [10.1.0.3]}}}}}}
checks:
{checks}
"""


def lab(world: World, *checks: str) -> Path:
    return world.write("lab.yaml", LAB.format(checks="".join(f"  - {check}\n" for check in checks)))


def seen(world: World, path: Path, code: int, timeout: str = "30") -> list[str]:
    result = world.reconciler("verify", path, "-o", "json", "--timeout", timeout, exit=code)
    return [check["seen"] for check in json.loads(result.stdout)["checks"] if not check["holds"]]


def test_all_kinds_hold(world: World) -> None:
    """Ping, TCP and UDP with nobody listening, and the size of packets; a second later nobody listens there still."""
    path = lab(
        world,
        "web -> db",
        "web -> db tcp/80",
        "web -> db udp/53",
        "{from: db, to: web, size: 1400}",
        "guest -/> db tcp/80",
    )
    world.reconciler("apply", path)
    before = world.snapshot()
    assert seen(world, path, 0) == []
    world.assert_unchanged(before)
    assert not world.tcp("lab.web", "lab.web", "10.2.0.9", 80, timeout=0.2)


@pytest.mark.parametrize(
    ("check", "words"),
    [
        ("{from: db, to: web, size: 1401}", "larger than the MTU of the way out"),
        ("guest -> db", "no answer"),
        ("db -> guest", "no route"),
        ("guest -> lan tcp/4", "refused: nobody listens"),
        ("web -> http://db:8080/", "refused: nobody listens"),
        ("web -/> db", "answers"),
        ("web -/> db tcp/80", "accepts"),
        ("web -/> db udp/80", "answers"),
    ],
)
def test_what_does_not_hold(world: World, check: str, words: str) -> None:
    """Exit code 1, and in words what was seen instead."""
    path = lab(world, check)
    world.reconciler("apply", path)
    assert seen(world, path, 1, timeout="1") == [words]


def test_a_program_that_listens_is_what_is_tried(world: World) -> None:
    """One on all addresses accepts; one on loopback only does not, and nothing stands in for it."""
    path = lab(world, "web -> db tcp/81", "web -> db tcp/82")
    world.reconciler("apply", path)

    def listen(address: str, port: int) -> socket.socket:
        return socket.create_server((address, port))

    with (
        world.call(listen, "0.0.0.0", 81, netns="lab.db"),
        world.call(listen, "127.0.0.1", 82, netns="lab.db"),
    ):
        assert seen(world, path, 1, timeout="1") == ["refused: nobody listens"]


@pytest.mark.parametrize(
    ("status", "code", "words"), [("200 OK", 0, []), ("503 Busy", 1, ["answers 503 Busy"]), ("", 1, ["answers, but not in HTTP"])]
)  # fmt: skip
def test_http(world: World, status: str, code: int, words: list[str]) -> None:
    """A good status holds, another one is told; the request names its host and path."""
    path = lab(world, "web -> http://db:8080/health?deep=1")
    world.reconciler("apply", path)
    server = world.call(lambda: socket.create_server(("0.0.0.0", 8080)), netns="lab.db")
    requests: list[bytes] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                requests.append(connection.recv(4096))
                connection.sendall(f"HTTP/1.0 {status}\r\n\r\n".encode() if status else b"SSH-2.0-x\r\n")

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        assert seen(world, path, code, timeout="30" if code == 0 else "1") == words
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()
    assert requests[0].startswith(b"GET /health?deep=1 HTTP/1.0\r\nHost: db:8080\r\n")


def test_it_waits_until_checks_hold(world: World) -> None:
    """Started before there is anything, it holds as soon as the topology stands."""
    path = lab(world, "web -> db tcp/80", "guest -/> db")
    argv = (sys.executable, "-m", "reconciler", "verify", path, "--timeout", "60")
    process = world.start(*argv, env=world.environment())
    world.reconciler("apply", path)
    out, err = process.communicate(timeout=90)
    assert process.returncode == 0, out + err


def test_what_must_be_closed_is_tried_until_it_is(world: World) -> None:
    """An answer is no verdict while there is time: here the way is cut beside it."""
    path = lab(world, "web -/> db")
    world.reconciler("apply", path)
    argv = (sys.executable, "-m", "reconciler", "verify", path, "--timeout", "60")
    process = world.start(*argv, env=world.environment())
    world.run("ip", "link", "set", "eth0", "down", netns="lab.db")
    out, err = process.communicate(timeout=90)
    assert process.returncode == 0, out + err


def test_sandboxes_that_never_come(world: World) -> None:
    """Exit code 7: nothing was tried, so nothing is wrong but the time."""
    assert seen(world, lab(world, "web -> db"), 7, timeout="0.3") == ["there is no namespace 'lab.web'"]


def test_without_checks(world: World) -> None:
    """Nothing to try is said, and is no failure."""
    path = world.write("lab.yaml", "name: lab\nnetworks: {lan: {}}\n")
    assert "no checks" in world.reconciler("verify", path).stderr


def test_a_signal_ends_it(world: World) -> None:
    """SIGTERM while it waits: exit code 143."""
    path = lab(world, "web -> db")
    argv = (sys.executable, "-c", WITH_A_SIGNAL, str(path))
    process = world.start(*argv, env=world.environment())
    out, err = process.communicate(timeout=90)
    assert process.returncode == 128 + signal.SIGTERM, out + err


WITH_A_SIGNAL = """
import os, signal, sys
from reconciler import cli, verify
first = verify._Loop.begin
def begin(self, task, now):
    os.kill(os.getpid(), signal.SIGTERM)
    first(self, task, now)
verify._Loop.begin = begin
sys.exit(cli.main(["verify", "--timeout", "60", sys.argv[1]]))
"""


def test_reports_go_into_their_files(world: World) -> None:
    """Beside the table on standard output; they say the same."""
    path = lab(world, "web -> db", "guest -> db")
    world.reconciler("apply", path)
    junit, metrics = path.parent / "junit.xml", path.parent / "verify.prom"
    reports = ("--report", f"junit={junit}", "--report", f"prom={metrics}")
    table = world.reconciler("verify", path, "--timeout", "1", *reports, exit=1).stdout
    assert "2 checks: 1 does not hold" in table
    assert 'tests="2" failures="1"' in world.run("cat", junit).stdout
    assert 'checks_failed{command="verify",topology="lab"} 1\n' in world.run("cat", metrics).stdout
