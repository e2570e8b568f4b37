"""For tests: a topology that stands in a private view of the kernel, with programs and sockets inside of its sandboxes.

    with stand("shop.yaml") as shop:
        shop.verify()
        web, db = shop.sandbox("web-1"), shop.sandbox("db")
        server = db.listen(5432)
        client = web.connect(db.address(), 5432)

It needs no root where ordinary users may make user namespaces, and nothing is left of it: not when the block ends, and
not when this process is killed. The process itself never enters anything: whatever runs in a sandbox is started there by
an agent, and sockets are handed over. So views do not know of each other, and tests run beside each other.
"""

from __future__ import annotations

import difflib
import io
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any, TextIO

from .errors import Exit, ReconcilerError, Unsupported

__all__ = ["Process", "Sandbox", "Stand", "Topology", "stand"]

_Socket = socket.socket  # in classes that have a method of that name
_LARGEST = 1 << 18
_PATIENCE = 120.0
_GIVEN = Path("/run/topology.yaml")  # in the view


@contextmanager
def stand(source: str | Path | Mapping[str, Any], *, timeout: float = 60.0) -> Iterator[Topology]:
    """A topology from a file, or from the same as data, that stands while the block runs.

    `timeout` is how many seconds it may take to be ready. Raises Unsupported where this machine cannot, with the reason
    and what would help, and ReconcilerError with the mistakes of the topology.
    """
    topology = _started(source, timeout)
    try:
        yield topology
    finally:
        topology.close()


def _started(source: str | Path | Mapping[str, Any], timeout: float) -> Topology:
    """The topology as soon as it stands. Data goes through memory: a file of ours would survive a kill."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    said = _memory("stderr")
    handed = [theirs.fileno()]
    path = _GIVEN if isinstance(source, Mapping) else Path(source).absolute()
    words = ["run", "-q", str(path), "--timeout", str(timeout), "--agent", str(handed[0])]
    if isinstance(source, Mapping):
        handed.append(_memory("topology", json.dumps(source, default=str)))
        words += ["--given", str(handed[1])]
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "reconciler", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            pass_fds=handed,
            env={**os.environ, "RECONCILER_COLOR": "never"},
        )
    finally:
        theirs.close()
        for fd in handed[1:]:
            os.close(fd)
    try:
        if ours.recv(_LARGEST):
            return Topology(process, ours)
    except BaseException:
        process.kill()
        process.wait()
        ours.close()
        raise
    finally:
        text = _content(said)
    ours.close()
    raise _failure(process.wait(), text, path)


def _failure(code: int, text: str, path: Path) -> ReconcilerError:
    message = text.strip().removeprefix("error: ") or f"it ended with {code}"
    if code == Exit.UNSUPPORTED:
        return Unsupported(message)
    return ReconcilerError(f"{path} does not stand:\n{message}")


Stand = Callable[[str | Path | Mapping[str, Any]], "Topology"]  # what the fixture of the pytest plugin is


class Topology:
    """A topology that stands. Made by `stand`."""

    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket) -> None:
        self._process = process
        self._control = control
        self._turn = threading.Lock()
        self.host = Sandbox(self, None, {})

    def sandbox(self, name: str) -> Sandbox:
        """One of its sandboxes. Raises KeyError, with what was probably meant, when there is none of that name."""
        found = self.ask({"do": "find", "sandbox": name})[0]
        if "known" in found:
            close = difflib.get_close_matches(name, found["known"], 1)
            hint = f"did you mean '{close[0]}'?" if close else f"there are: {', '.join(found['known'][:10])}"
            raise KeyError(f"no sandbox '{name}'; {hint}")
        return Sandbox(self, name, found["endpoints"])

    def verify(self, timeout: float = 30.0) -> None:
        """Try the checks of the topology. An AssertionError shows the table when one does not hold after `timeout` seconds."""
        done = self.reconciler("verify", "--timeout", f"{timeout:.3f}", timeout=timeout + _PATIENCE)
        if done.returncode:
            raise AssertionError(f"\n{done.stdout}{done.stderr}")

    def reconciler(self, *words: str | Path, timeout: float = _PATIENCE) -> subprocess.CompletedProcess[str]:
        """Run a command of the reconciler beside the topology; its files are known where none are named."""
        return self.host.run([sys.executable, "-m", "reconciler", *words], check=False, timeout=timeout)

    def close(self) -> None:
        """Take everything down and wait until it is gone. Harmless when it is."""
        self._control.close()
        self._process.wait()

    def ask(self, request: Mapping[str, Any], fds: Sequence[int] = ()) -> tuple[dict[str, Any], list[int]]:
        """What the agent says to a request, and what it hands over. Raises ReconcilerError when it cannot, or is gone."""
        with self._turn:
            try:
                socket.send_fds(self._control, [json.dumps(request).encode()], fds)
                data, handed, _, _ = socket.recv_fds(self._control, _LARGEST, 4)
            except OSError as error:
                raise ReconcilerError(f"the topology no longer stands: {error.strerror}") from error
        if not data:
            raise ReconcilerError("the topology no longer stands: its processes were ended")
        reply: dict[str, Any] = json.loads(data)
        if "error" in reply:
            raise ReconcilerError(reply["error"], hint=reply.get("hint"))
        return reply, handed


class Sandbox:
    """One sandbox of a topology that stands, or its host."""

    def __init__(self, topology: Topology, name: str | None, endpoints: Mapping[str, Sequence[str]]) -> None:
        self._topology = topology
        self.name = name
        self._endpoints = endpoints

    def address(self, interface: str | None = None, version: int = 4) -> IPv4Address | IPv6Address:
        """The first address of an endpoint in one family; without an interface, of the first endpoint that has one.

        Raises KeyError when there is none.
        """
        for name, addresses in self._endpoints.items():
            for address in map(ip_address, addresses):
                if interface in (None, name) and address.version == version:
                    return address
        where = f"'{self.name}'" + (f" on '{interface}'" if interface is not None else "")
        raise KeyError(
            f"no IPv{version} address of {where}; endpoints: {', '.join(self._endpoints) or 'none'}"
        )

    def run(
        self,
        argv: Sequence[str | Path],
        *,
        check: bool = True,
        input: str = "",  # noqa: A002  # the name that subprocess gives it
        timeout: float = _PATIENCE,
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program inside to its end.

        With `check`, a failure is an AssertionError that shows what it printed. After `timeout` seconds it is killed, with
        all that it started, and subprocess.TimeoutExpired is raised.
        """
        fds = [_memory("stdin", input), _memory("stdout"), _memory("stderr")]
        try:
            process = self._start(argv, fds, env, cwd)
            code = process.wait(timeout)
        finally:
            texts = [_content(fd) for fd in fds]
        words = [str(word) for word in argv]
        if check and code:
            where = self.name or "the host"
            raise AssertionError(f"in {where}, {' '.join(words)} returned {code}\n{texts[1]}{texts[2]}")
        return subprocess.CompletedProcess(words, code, texts[1], texts[2])

    def start(
        self,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
    ) -> Process:
        """Start a program inside that runs beside the test; it ends with the topology at the latest.

        Its standard output is a stream to read from, its standard error goes where this process's goes.
        """
        nothing = os.open(os.devnull, os.O_RDONLY)
        reader, writer = os.pipe()
        try:
            process = self._start(argv, [nothing, writer, 2], env, cwd)
        except BaseException:
            os.close(reader)
            raise
        finally:
            os.close(nothing)
            os.close(writer)
        process.stdout = open(reader, encoding="utf-8", errors="replace")  # noqa: SIM115  # the caller's to read
        return process

    def _start(
        self,
        argv: Sequence[str | Path],
        fds: Sequence[int],
        env: Mapping[str, str] | None,
        cwd: str | Path | None,
    ) -> Process:
        ended, channel = os.pipe()
        words = [str(word) for word in argv]
        request = {
            "do": "start",
            "sandbox": self.name,
            "argv": words,
            "env": dict(env or {}),
            "cwd": str(Path(cwd or ".").absolute()),
        }
        try:
            reply, _ = self._topology.ask(request, [*fds, channel])
        except BaseException:
            os.close(ended)
            raise
        finally:
            os.close(channel)
        return Process(self._topology, reply["pid"], ended, words)

    def socket(
        self,
        family: int = socket.AF_INET,
        type: int = socket.SOCK_STREAM,  # noqa: A002  # the name that socket gives it
    ) -> _Socket:
        """A socket that belongs to the sandbox, for use in this process."""
        request = {"do": "socket", "sandbox": self.name, "family": int(family), "type": int(type)}
        _, handed = self._topology.ask(request)
        made = socket.socket(fileno=handed[0])
        made.settimeout(None)
        return made

    def listen(self, port: int = 0, version: int = 4) -> _Socket:
        """A socket that accepts TCP connections on all addresses of the sandbox; port 0 takes any."""
        made = self.socket(_family(version))
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(("::" if version == 6 else "0.0.0.0", port))
        made.listen()
        return made

    def connect(self, address: IPv4Address | IPv6Address | str, port: int, timeout: float = 30.0) -> _Socket:
        """A TCP connection from the sandbox. Raises OSError as socket.connect does."""
        target = ip_address(str(address))
        made = self.socket(_family(target.version))
        made.settimeout(timeout)
        try:
            made.connect((str(target), port))
        except OSError:
            made.close()
            raise
        return made


class Process:
    """A program inside of a sandbox."""

    def __init__(self, topology: Topology, pid: int, ended: int, argv: Sequence[str]) -> None:
        self._topology = topology
        self._pid = pid
        self._ended: int | None = ended
        self.argv = argv
        self.returncode: int | None = None
        self.stdout: TextIO = io.StringIO()  # what `start` reads from

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, -N when signal N ended it.

        After `timeout` seconds the program is killed, with all that it started, and subprocess.TimeoutExpired raised.
        """
        if self._ended is None:
            assert self.returncode is not None
            return self.returncode
        poll = select.poll()
        poll.register(self._ended, select.POLLIN)
        if not poll.poll(None if timeout is None else max(0, round(timeout * 1000))):
            self.kill()
            self._end()
            raise subprocess.TimeoutExpired(list(self.argv), timeout or 0)
        return self._end()

    def send_signal(self, number: int) -> None:
        """Send a signal to the program and to what it started, unless it has ended."""
        if self._ended is not None:
            self._topology.ask({"do": "signal", "pid": self._pid, "signal": int(number)})

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _end(self) -> int:
        assert self._ended is not None
        text = os.read(self._ended, 16)
        os.close(self._ended)
        self._ended = None
        self.returncode = int(text) if text else -signal.SIGKILL  # its view was taken down
        return self.returncode

    def __del__(self) -> None:
        if self._ended is not None:
            os.close(self._ended)
        self.stdout.close()


def _family(version: int) -> int:
    return socket.AF_INET6 if version == 6 else socket.AF_INET


def _memory(name: str, content: str = "") -> int:
    """A file without a place, for a program to read from or write to: no pipe that fills, no thread that empties it."""
    fd = os.memfd_create(name)
    os.write(fd, content.encode())
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _content(fd: int) -> str:
    os.lseek(fd, 0, os.SEEK_SET)
    with open(fd, encoding="utf-8", errors="replace") as file:
        return file.read()
