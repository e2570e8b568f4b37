"""A private "host" for one test: own mount and network namespaces, own /run, own state directory.

The world lives in one thread of the test process that has unshared both namespaces. A program started from that
thread is born inside, so nothing needs nsenter, and everything vanishes with the thread: whatever a test forgets,
or if the test process is killed, no link, namespace or file stays behind. Worlds do not see each other or the real
host's links, so tests run in parallel.

This is the independent eye: it reads the kernel with `ip`, `bridge` and /proc and never imports the reconciler.
"""

from __future__ import annotations

import difflib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from tests import icmp, inside, rtnl, snapshot
from tests.decoys import Decoys
from tests.vm import warm

T = TypeVar("T")
ROOT = Path(__file__).resolve().parent.parent
SLOWNESS = float(os.environ.get("TEST_SLOWNESS", "1"))  # as long as usual is waited, times this


@dataclass(frozen=True, slots=True)
class Result:
    """What one run of the reconciler printed and returned."""

    stdout: str
    stderr: str
    code: int

    def json(self) -> Any:
        """Parses stdout."""
        return json.loads(self.stdout)


class World:
    """A host of its own, with loopback up and nothing else. Use it as a context manager, from one thread.

    With `many_runs`, the reconciler is forked from a process that has it imported, which costs a tenth of a start.
    """

    def __init__(self, *, many_runs: bool = False) -> None:
        self._many_runs = many_runs or warm.ON
        self.root = Path(tempfile.mkdtemp(prefix="reconciler-world-"))
        self.state_dir = self.root / "state"
        self._processes: list[subprocess.Popen[str]] = []
        self._inside = ThreadPoolExecutor(max_workers=1, thread_name_prefix="world")
        self._host = -1
        try:
            self._host = self._inside.submit(inside.become_host, self.root).result()
        except OSError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends what still runs inside and lets the kernel take the rest down."""
        for process in self._processes:
            process.kill()
            process.communicate()
        self._inside.shutdown()
        if self._host >= 0:
            os.close(self._host)
            self._host = -1
        with suppress(FileNotFoundError):
            self.root.rmdir()

    @property
    def namespace(self) -> str:
        """Where other worlds' tools find this world's host namespace; for as long as the world lasts."""
        return f"/proc/{os.getpid()}/fd/{self._host}"

    # ------------------------------------------------------------------------------------------------- going inside

    def call(self, function: Callable[..., T], *args: Any, netns: str | None = None) -> T:
        """What `function(*args)` returns when called inside, in the namespace `netns` (None: the world's host)."""
        return self._inside.submit(self._at, netns, function, *args).result()

    def _at(self, netns: str | None, function: Callable[..., T], *args: Any) -> T:
        if netns is None:
            return function(*args)
        with inside.namespace(netns, self._host):
            return function(*args)

    def run(
        self,
        *argv: str | Path,
        check: bool = True,
        input: str | None = None,  # the name that subprocess gives it
        env: Mapping[str, str] | None = None,
        netns: str | None = None,
        cwd: Path | None = None,
        timeout: float = 60,
    ) -> subprocess.CompletedProcess[str]:
        """Runs a program inside to its end. With `check`, a failure is an AssertionError that shows what it printed."""

        def start() -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [str(part) for part in argv],
                input=input,
                stdin=subprocess.DEVNULL if input is None else None,
                capture_output=True,
                text=True,
                env=_environment(env),
                cwd=cwd or ROOT,
                timeout=timeout * SLOWNESS,
                check=False,
            )

        done = self.call(start, netns=netns)
        if check and done.returncode:
            command = " ".join(map(str, argv))
            raise AssertionError(f"{command} returned {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def start(
        self, *argv: str | Path, env: Mapping[str, str] | None = None, netns: str | None = None
    ) -> subprocess.Popen[str]:
        """Starts a program inside that runs beside the test. It dies with the world at the latest."""

        def start() -> subprocess.Popen[str]:
            return subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *map(str, argv)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=_environment(env),
                cwd=ROOT,
            )

        process = self.call(start, netns=netns)
        self._processes.append(process)
        return process

    # ---------------------------------------------------------------------------------------------------- the tools

    def ip(self, *args: str) -> Any:
        """The parsed output of `ip -j ARGS` on the host, None for commands that print nothing."""
        return _parsed(self.run("ip", "-j", *args).stdout)

    def netns_ip(self, netns: str, *args: str) -> Any:
        """The same inside a namespace of the world."""
        return _parsed(self.run("ip", "-j", *args, netns=netns).stdout)

    def bridge(self, *args: str) -> Any:
        """The parsed output of `bridge -j ARGS` on the host."""
        return _parsed(self.run("bridge", "-j", *args).stdout)

    def netns(self) -> list[str]:
        """The sorted entries of /run/netns that are namespaces."""
        return self.call(snapshot.netns_names)

    def sysctl(self, key: str, netns: str | None = None) -> str:
        """The value of `net.…`; a slash separates where a link's name has dots."""
        return self.call(snapshot.read_sysctl, key, netns=netns)

    def write(self, name: str, text: str) -> Path:
        """Puts a file into the world's private directory and returns its path, which is good inside only."""
        path = self.root / "files" / name

        def put() -> Path:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            return path

        return self.call(put)

    def reconciler(
        self,
        *args: str | Path,
        exit: int | None = 0,
        input: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        timeout: float = 60,
    ) -> Result:
        """Runs the reconciler inside and checks its exit code; `exit=None` accepts any."""
        if self._many_runs:
            done = self.call(self._forked, list(map(str, args)), input, env, cwd, timeout * SLOWNESS)
        else:
            argv = (sys.executable, "-m", "reconciler", *args)
            done = self.run(
                *argv, check=False, input=input, env=self.environment(env), cwd=cwd, timeout=timeout
            )
        if exit is not None and done.returncode != exit:
            command = " ".join(map(str, args))
            raise AssertionError(
                f"reconciler {command} returned {done.returncode}, not {exit}\n{done.stdout}{done.stderr}"
            )
        return Result(done.stdout, done.stderr, done.returncode)

    def _forked(
        self,
        args: list[str],
        input: str | None,
        env: Mapping[str, str] | None,
        cwd: Path | None,
        timeout: float,
    ) -> subprocess.CompletedProcess[str]:
        environment = _environment(self.environment(env))
        with inside.open_own() as (net, mnt):
            return warm.run(net, mnt, args, input=input, env=environment, cwd=cwd or ROOT, timeout=timeout)

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """The variables with which the reconciler runs here; for `run` and `start`."""
        return {"RECONCILER_STATE_DIR": str(self.state_dir), "PYTHONPATH": str(ROOT), **(extra or {})}

    # -------------------------------------------------------------------------------------------------- the traffic

    def ping(
        self, netns: str | None, address: str, size: int | None = None, count: int = 1, timeout: float = 10
    ) -> bool:
        """Whether `count` echo requests in a row are answered. `size` is the ICMP payload; such packets never fragment."""
        deadline = time.monotonic() + timeout * SLOWNESS
        for number in range(count):
            while not self.call(icmp.echo, address, number, size, netns=netns):
                if time.monotonic() > deadline:
                    return False
        return True

    def tcp(
        self,
        source: str | None,
        target: str | None,
        address: str,
        port: int,
        *,
        listen: int | None = None,
        timeout: float = 10,
    ) -> bool:
        """Whether a TCP connection from `source` to address:port ends at a listener in `target` and carries bytes both ways.

        `listen` is the listener's port where it differs from `port`, as behind a published port.
        """
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with (
            self.call(_listener, family, listen or port, netns=target) as server,
            self.call(socket.socket, family, netns=source) as client,
        ):
            server.settimeout(timeout * SLOWNESS)
            client.settimeout(timeout * SLOWNESS)
            try:
                client.connect((address, port))
                accepted, _ = server.accept()
            except OSError:
                return False
            with accepted:
                accepted.settimeout(timeout * SLOWNESS)
                client.sendall(b"there")
                accepted.sendall(accepted.recv(16) + b" and back")
                return client.recv(32) == b"there and back"

    # ------------------------------------------------------------------------------------------------ the whole truth

    def observe(self) -> dict[str, Any]:
        """Everything that can be seen, as data: namespaces (`""` is the host), files, mounts. See `snapshot.py`."""
        return snapshot.observe(self)

    def snapshot(self, *, masked: bool = False) -> str:
        """Everything that can be seen, as canonical text; equal texts mean equal machines.

        `masked` replaces the MAC addresses that the kernel drew by chance and what derives from them, so that
        two worlds can be compared. Waits for link state first.
        """
        self.settle(dad=False)
        text = snapshot.canonical(self.observe())
        return snapshot.mask(self, text) if masked else text

    def assert_unchanged(self, before: str, *, masked: bool = False, timeout: float = 20) -> None:
        """Asserts that the machine is, or within `timeout` becomes, as in the earlier snapshot.

        The kernel takes namespaces down asynchronously, hence the patience.
        """
        with self.monitor() as monitor:
            deadline = time.monotonic() + timeout * SLOWNESS
            while (after := self.snapshot(masked=masked)) != before:
                if time.monotonic() > deadline:
                    lines = difflib.unified_diff(
                        before.splitlines(), after.splitlines(), "before", "after", lineterm=""
                    )
                    raise AssertionError("the machine is not as it was:\n" + "\n".join(list(lines)[:200]))
                monitor.wait(0.05)
                monitor.events()

    def settle(self, timeout: float = 10, *, dad: bool = True) -> None:
        """Returns when the kernel has nothing pending: carrier up to date, no port that learns, no tentative address.

        The last costs a second or two; `dad=False` does not wait for it.
        """
        with self.monitor() as monitor:
            deadline = time.monotonic() + timeout * SLOWNESS
            while pending := snapshot.pending(self, dad=dad):
                if time.monotonic() > deadline:
                    raise AssertionError(f"did not settle within {timeout} s: {', '.join(pending)}")
                monitor.wait(0.1)
                monitor.events()

    @contextmanager
    def without_dad(self) -> Iterator[None]:
        """Links that are made meanwhile on the host ask for no duplicates of their IPv6 addresses, which takes a second or two."""
        path = Path("/proc/sys/net/ipv6/conf/default/accept_dad")
        if not self.call(path.exists):
            yield
            return
        before = self.call(path.read_text)
        self.call(path.write_text, "0")
        try:
            yield
        finally:
            self.call(path.write_text, before)

    @contextmanager
    def monitor(self) -> Iterator[rtnl.Monitor]:
        """Counts rtnetlink notifications of all namespaces while the block runs: `monitor.events()`, `.count()`.

        Call `settle()` first when the count matters: the kernel reports what it does by itself too.
        """
        monitor = self.call(self._listen)
        try:
            yield monitor
        finally:
            monitor.close()

    def _listen(self) -> rtnl.Monitor:
        for name in snapshot.netns_names():
            with inside.open_namespace(name) as fd:
                rtnl.assign_nsid(fd)
        return rtnl.Monitor()

    def nsid(self, netns: str, other: str) -> int | None:
        """The number under which `netns` knows `other` (both `""` for the host), None if it does not."""
        return self.call(self._nsid, other, netns=netns or None)

    def _nsid(self, other: str) -> int | None:
        if not other:
            return rtnl.nsid(self._host)
        with inside.open_namespace(other) as fd:
            return rtnl.nsid(fd)

    def decoys(self, topology: str, *, bridge: str | None = None) -> Decoys:
        """Makes foreign objects that look like those of `topology`; `.check()` asserts that they are as they were.

        `bridge` names an existing bridge to which a foreign port is added.
        """
        return Decoys(self, topology, bridge)


def refusal() -> str | None:
    """Why this machine cannot give a world, None if it can. Tried, not guessed."""
    if os.geteuid() != 0:
        return "needs root: a private mount and network namespace"
    try:
        World().close()
    except OSError as error:
        return f"this kernel refuses a private namespace: {error}"
    return None


def _listener(family: socket.AddressFamily, port: int) -> socket.socket:
    server = socket.socket(family)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("", port))
    server.listen(1)
    return server


def _environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    keep = {key: os.environ[key] for key in ("HOME", "TMPDIR") if key in os.environ}
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {**keep, "PATH": path, "LC_ALL": "C.UTF-8", **(extra or {})}


def _parsed(text: str) -> Any:
    return json.loads(text) if text.strip() else None
