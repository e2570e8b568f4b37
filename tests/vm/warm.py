"""Runs the reconciler without starting Python anew: a server that has everything imported forks for each run.

For the second kernel (TEST_WARM=1), where system calls are so dear that a start takes one to two seconds, ten times per
test, and a fork a tenth of that; and on the host for tests that are marked `many_runs`. The forked process goes into the
world's namespaces, takes over its streams, variables and directory, and from there on is what `python -m reconciler` is.
All other runs on the host are real starts. The server ends when its socket does.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NoReturn

from tests import inside

ROOT = Path(__file__).parents[2]
ON = bool(os.environ.get("TEST_WARM"))
LARGEST = 1 << 17
DESCRIPTORS = 5


def run(
    net: int,
    mnt: int,
    args: Sequence[str],
    *,
    input: str | None,
    env: Mapping[str, str],
    cwd: Path,
    timeout: float,
) -> subprocess.CompletedProcess[str]:
    """What `subprocess.run` of the reconciler gives, in the network and mount namespace behind the descriptors."""
    server, pid = _server()
    with (
        tempfile.TemporaryFile() as given,
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as errors,
    ):
        given.write((input or "").encode())
        given.seek(0)
        request = json.dumps({"args": args, "env": dict(env), "cwd": str(cwd)}).encode()
        socket.send_fds(server, [request], [net, mnt, given.fileno(), out.fileno(), errors.fileno()])
        server.settimeout(timeout)
        try:
            code = int(server.recv(LARGEST))
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            _server.cache_clear()
            raise subprocess.TimeoutExpired(["reconciler", *args], timeout) from None
        out.seek(0)
        errors.seek(0)
        return subprocess.CompletedProcess(
            ["reconciler", *args], code, out.read().decode(), errors.read().decode()
        )


@cache
def _server() -> tuple[socket.socket, int]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        theirs.set_inheritable(True)
        argv = [sys.executable, "-m", "tests.vm.warm", str(theirs.fileno())]
        return ours, os.posix_spawn(argv[0], argv, {**os.environ, "PYTHONPATH": str(ROOT)})


# ------------------------------------------------------------------------------------------------------------ the server


def _serve(channel: socket.socket) -> None:
    import reconciler  # here, because the tests' own process never has it

    for module in pkgutil.walk_packages(reconciler.__path__, "reconciler."):
        if module.name != "reconciler.__main__":
            importlib.import_module(module.name)
    importlib.import_module("pyroute2")
    importlib.import_module("jsonschema")
    while True:
        request, descriptors, _, _ = socket.recv_fds(channel, LARGEST, DESCRIPTORS)
        if not request:
            return
        pid = os.fork()
        if pid == 0:
            channel.close()
            _become(descriptors, **json.loads(request))
        for descriptor in descriptors:
            os.close(descriptor)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        channel.send(str(code).encode())


def _become(descriptors: list[int], args: list[str], env: dict[str, str], cwd: str) -> NoReturn:
    net, mnt, *streams = descriptors
    inside.enter(net, inside.CLONE_NEWNET)
    inside.enter(mnt, inside.CLONE_NEWNS)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    for descriptor in descriptors:
        os.close(descriptor)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.argv[1:] = args
    from reconciler import cli

    cli.entry()


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
