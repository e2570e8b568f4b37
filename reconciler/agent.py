"""What `reconciler.testing` talks to: a process inside of a private view that starts programs and opens sockets there.

Requests come over a socket as JSON with file descriptors beside it, and are answered in order. A program's end is told
on a channel of its own, so whoever waits for one holds up nobody. When the other side is gone, so is this process; the
kernel then ends everything else in the view.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn

from . import processes
from .compile import namespace
from .errors import ReconcilerError
from .kernel import netns, probes
from .model import Topology

LARGEST = 1 << 18
_FDS = 4


def serve(control: socket.socket, topology: Topology) -> None:
    """Answer requests until the other side closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests, which then let go of us
    wake, woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken)
    agent = _Agent(topology)
    _send(control, {"ready": True})
    poll = select.poll()
    for fd in (control.fileno(), wake):
        poll.register(fd, select.POLLIN)
    while True:
        ready = [fd for fd, _ in poll.poll()]
        if wake in ready:
            with suppress(BlockingIOError):
                os.read(wake, 4096)
            agent.reap()
        if control.fileno() in ready and not _answer(control, agent):
            return


def _answer(control: socket.socket, agent: _Agent) -> bool:
    """Take one request and answer it. False when there will be no more."""
    data, fds, _, _ = socket.recv_fds(control, LARGEST, _FDS)
    if not data:
        return False
    opened: list[socket.socket] = []
    try:
        reply = agent.handle(json.loads(data), fds, opened)
    except ReconcilerError as error:
        reply = {"error": error.message, "hint": error.hint}
    except OSError as error:
        reply = {"error": error.strerror or str(error)}
    finally:
        for fd in fds:
            os.close(fd)
    try:
        _send(control, reply, [sock.fileno() for sock in opened])
    except BrokenPipeError:
        return False
    finally:
        for sock in opened:
            sock.close()
    return True


def _send(control: socket.socket, message: dict[str, Any], fds: Sequence[int] = ()) -> None:
    socket.send_fds(control, [json.dumps(message).encode()], fds)


class _Agent:
    """The programs that run, by process number, each with the channel on which its end is told."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._running: dict[int, int] = {}

    def handle(self, request: dict[str, Any], fds: list[int], opened: list[socket.socket]) -> dict[str, Any]:
        match request["do"]:
            case "find":
                return self._found(request["sandbox"])
            case "start":
                return {"pid": self._start(request, fds)}
            case "signal":
                with suppress(ProcessLookupError):
                    os.killpg(request["pid"], request["signal"])
                return {}
            case "socket":
                opened.append(
                    probes.opened(self._where(request["sandbox"]), request["family"], request["type"])
                )
                return {}
            case unknown:
                raise ReconcilerError(f"there is no request '{unknown}'")

    def _found(self, name: str) -> dict[str, Any]:
        sandbox = self._topology.sandboxes.get(name)
        if sandbox is None:
            return {"known": list(self._topology.sandboxes)[:1000]}
        return {
            "endpoints": {
                endpoint.name: [str(address.ip) for address in endpoint.addresses]
                for endpoint in sandbox.endpoints
            }
        }

    def _where(self, sandbox: str | None) -> str:
        return "" if sandbox is None else namespace(self._topology.name, self._topology.sandboxes[sandbox])

    def _start(self, request: dict[str, Any], fds: list[int]) -> int:
        home = netns.open_fd(self._where(request["sandbox"]))
        if home is None:
            raise ReconcilerError(f"sandbox '{request['sandbox']}' has no namespace any more")
        try:
            pid = os.fork()
            if not pid:
                _become(request, fds, home)
        finally:
            os.close(home)
        self._running[pid] = os.dup(fds[3])
        return pid

    def reap(self) -> None:
        """Tell the end of every program that has ended."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            channel = self._running.pop(pid)
            with suppress(BrokenPipeError):
                os.write(channel, str(os.waitstatus_to_exitcode(status)).encode())
            os.close(channel)


def _become(request: dict[str, Any], fds: list[int], home: int) -> NoReturn:
    """Turn the calling child into the program; says why not on its standard error, as shells do."""
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        for target, fd in enumerate(fds[:3]):
            os.dup2(fd, target)
        netns.move(home)
        os.chdir(request["cwd"])
        processes.become(request["argv"], {**os.environ, **request["env"]})
    except (OSError, ReconcilerError) as error:
        os.write(2, f"{error}\n".encode())
    finally:
        os._exit(127)
