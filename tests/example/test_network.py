"""How a client and a server are tested on a network of their own: nothing in here needs root, or leaves anything."""

from __future__ import annotations

import subprocess
import sys

import pytest

from reconciler.testing import Stand

SERVER = """
import http.server, socketserver
class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello " + self.client_address[0].encode())
with socketserver.TCPServer(("", 8000), Hello) as server:
    print("listening", flush=True)
    server.serve_forever()
"""
CLIENT = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=60).read().decode())"


def test_the_network_is_what_its_checks_say(topology: Stand) -> None:
    """`verify` tries what the file declares."""
    topology("router.yaml").verify()


def test_a_client_and_a_server_across_a_router(topology: Stand) -> None:
    """Two programs, each in its sandbox; the server sees the client's own address."""
    lab = topology("router.yaml")
    client, server = lab.sandbox("client"), lab.sandbox("server")
    program = server.start([sys.executable, "-c", SERVER])
    assert program.stdout.readline() == "listening\n"
    done = client.run([sys.executable, "-c", CLIENT, f"http://{server.address()}:8000/"])
    assert done.stdout == f"hello {client.address()}\n"


def test_code_under_test_in_this_process(topology: Stand) -> None:
    """Sockets are handed over, so both sides can be this very process: no program, no fork, a debugger works."""
    lab = topology("router.yaml")
    client, server = lab.sandbox("client"), lab.sandbox("server")
    with server.listen() as listener:
        port = listener.getsockname()[1]
        with client.connect(server.address(), port) as ours, listener.accept()[0] as theirs:
            ours.sendall(b"over the router")
            assert theirs.recv(100) == b"over the router"
            assert theirs.getpeername()[0] == str(client.address())


def test_what_happens_when_the_router_fails(topology: Stand) -> None:
    """Faults are a command away, and repaired by an apply."""
    lab = topology("router.yaml")
    client, server, router = lab.sandbox("client"), lab.sandbox("server"), lab.sandbox("router")
    router.run(["ip", "link", "set", "east", "down"])
    with pytest.raises(OSError, match=r"unreachable|timed out"):
        client.connect(server.address(), 8000, timeout=0.5)
    assert lab.reconciler("apply", "--yes").returncode == 0
    lab.verify()


def test_a_lossy_path(topology: Stand) -> None:
    """The same as data: one packet in five is lost on the way, and TCP delivers all the same. Needs netem."""
    lab = topology(
        {
            "name": "lossy",
            "networks": {"wan": {"subnets": ["10.61.0.0/24"]}},
            "sandboxes": {
                "client": {
                    "endpoints": {"eth0": {"network": "wan", "impair": {"delay": "5ms", "loss": "20%"}}}
                },
                "server": {"endpoints": {"eth0": "wan"}},
            },
        }
    )
    client, server = lab.sandbox("client"), lab.sandbox("server")
    data = bytes(range(256)) * 200
    with (
        server.listen() as listener,
        client.connect(server.address(), listener.getsockname()[1], timeout=100) as ours,
        listener.accept()[0] as theirs,
    ):
        ours.sendall(data)
        received = b""
        while len(received) < len(data):
            received += theirs.recv(1 << 16)
    assert received == data


def test_a_program_that_hangs_is_told(topology: Stand) -> None:
    """A time-out kills the program and what it started, and is an error like that of `subprocess`."""
    lab = topology("router.yaml")
    with pytest.raises(subprocess.TimeoutExpired):
        lab.sandbox("client").run(["sh", "-c", "sleep 1000 & wait"], timeout=0.3)
