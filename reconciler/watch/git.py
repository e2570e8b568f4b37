"""Runs the git program, on a leash: as a user without privileges, with nothing of anybody's settings, for a bounded time.

What a repository brings along decides nothing here: the only settings are those below, handed over in memory; of the
environment little is left; every other way than the one of the given address is closed. git starts helpers (ssh, an
unpacker), so it runs in a group of its own that is ended as a whole: nothing outlives a call, and of a call that dies
with its caller (SIGKILL) the first process goes at once.
"""

from __future__ import annotations

import os
import pwd
import select
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from ..errors import ReconcilerError, Unsupported, UsageError
from .remote import Remote

SOURCE = "source"  # what git knows the remote repository by
LARGEST_FILE = 1 << 30
_MEMORY = 4 << 30
_GRACE = 2.0
_PACKAGES = {
    "git": "git",
    "setpriv": "util-linux",
    "prlimit": "util-linux",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
}
_KEPT = ("PATH", "GIT_SSH_COMMAND", "SSH_AUTH_SOCK", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY")
_SSH = "ssh -oBatchMode=yes -oConnectTimeout=20 -oServerAliveInterval=15 -oControlMaster=no"
_SETTINGS = """\
[core]
    hooksPath = /dev/null
    attributesFile = /dev/null
    fsmonitor = false
    symlinks = false
    logAllRefUpdates = false
    bigFileThreshold = 16m
[safe]
    directory = *
[transfer]
    fsckObjects = true
    unpackLimit = 1
[fetch]
    recurseSubmodules = false
[submodule]
    recurse = false
[gc]
    autoPackLimit = 20
    autoDetach = false
    pruneExpire = now
[pack]
    threads = 1
[http]
    lowSpeedLimit = 1000
    lowSpeedTime = 30
[credential]
    helper =
[gpg]
    format = ssh
    minTrustLevel = fully
    program = false
[gpg "x509"]
    program = false
"""


class GitFailed(ReconcilerError):
    """git said no, or nothing in time."""


class Done(NamedTuple):
    """What became of a call. `error` is the last that it said of what went wrong, without secrets."""

    code: int
    output: bytes
    error: str


class User(NamedTuple):
    """As whom git runs."""

    name: str
    uid: int
    gid: int
    home: str


def user(name: str | None) -> User | None:
    """As whom to run git: None for who we are, which is so without root. Raises UsageError for nobody that exists."""
    if os.geteuid() != 0:
        if name is not None:
            raise UsageError("only root can run git as another user", hint="leave --git-user out")
        return None
    try:
        found = pwd.getpwnam(name or "nobody")
    except KeyError:
        raise UsageError(f"there is no user '{name or 'nobody'}'", hint="name one with --git-user") from None
    return User(found.pw_name, found.pw_uid, found.pw_gid, found.pw_dir)


def require(*programs: str) -> None:
    """Raise Unsupported when one of them or of what every call needs is not installed."""
    missing = {_PACKAGES[p] for p in ("git", "setpriv", "prlimit", *programs) if shutil.which(p) is None}
    if missing:
        packages = " ".join(sorted(missing))
        raise Unsupported(f"to follow a repository needs: {packages}", hint=f"apt-get install {packages}")


class Git:
    """The program for one repository at `directory`, whose commits come from `remote`. One call at a time."""

    def __init__(self, directory: Path, remote: Remote, user: User | None) -> None:
        self.directory, self.user = directory, user
        self._remote = remote
        self._guard = threading.Lock()
        self._running: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def run(
        self,
        *args: str,
        stdin: bytes = b"",
        limit: int = 1 << 20,
        seconds: float = 60.0,
        signers: bytes | None = None,
    ) -> Done:
        """Run to the end. Raises GitFailed when that takes too long, says more than `limit` bytes, or was stopped.

        `signers` is whose signatures count, in the format of ssh-keygen(1).
        """
        with ExitStack() as stack:
            files = [stack.enter_context(_memory("signers", signers))] if signers is not None else []
            config = stack.enter_context(_memory("config", self._settings(files)))
            given = stack.enter_context(_memory("input", stdin))
            said = stack.enter_context(_memory("errors", b""))
            process = self._start(args, given, said, (config, *files))
            try:
                output = _read(process, args[0], limit, time.monotonic() + seconds)
            finally:
                code = self._finish(process)
            return Done(code, output, self._shown(os.pread(said, 1 << 16, 0)))

    def must(self, *args: str, limit: int = 1 << 20, seconds: float = 60.0, stdin: bytes = b"") -> bytes:
        """The same for a call that may not fail: what it printed. Raises GitFailed with what it said."""
        done = self.run(*args, limit=limit, seconds=seconds, stdin=stdin)
        if done.code != 0:
            raise GitFailed(done.error or f"git {args[0]} failed ({done.code})")
        return done.output

    def stop(self) -> None:
        """End what runs, at once and with all its helpers, and let nothing more begin. From any thread."""
        with self._guard:
            self._stopped = True
            if self._running is not None:
                _end(self._running)

    def _start(
        self, args: Sequence[str], stdin: int, stderr: int, given: Sequence[int]
    ) -> subprocess.Popen[bytes]:
        limits = ["prlimit", f"--fsize={LARGEST_FILE}", f"--as={_MEMORY}", "--core=0"]
        confined = ["setpriv", "--pdeathsig", "KILL", "--no-new-privs", "--", *limits, "--", "git", *args]
        owner = self.user
        with self._guard:
            if self._stopped:
                raise GitFailed("it was stopped")
            try:
                self._running = subprocess.Popen(
                    confined,
                    stdin=stdin,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    cwd="/",
                    env=self._environment(given[0]),
                    pass_fds=given,
                    start_new_session=True,
                    umask=0o077,
                    user=None if owner is None else owner.uid,
                    group=None if owner is None else owner.gid,
                    extra_groups=None if owner is None else os.getgrouplist(owner.name, owner.gid),
                )
            except OSError as error:
                who = "" if owner is None else f" as user '{owner.name}'"
                raise GitFailed(f"git cannot be started{who}: {error.strerror}") from error
            return self._running

    def _finish(self, process: subprocess.Popen[bytes]) -> int:
        """The exit code; what is still there of the group is ended before its number can become another's."""
        assert process.stdout is not None
        process.stdout.close()
        with self._guard:
            if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
                _end(process)
            _kill(process, signal.SIGKILL)
            self._running = None
            return process.wait()

    def _environment(self, config: int) -> Mapping[str, str]:
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        home = os.environ.get("HOME", "/") if self.user is None else self.user.home
        return {
            "GIT_SSH_COMMAND": _SSH,
            **kept,
            "HOME": home,
            "LC_ALL": "C.UTF-8",
            "GIT_DIR": str(self.directory),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": f"/proc/self/fd/{config}",
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_ALLOW_PROTOCOL": self._remote.scheme,
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_NO_LAZY_FETCH": "1",
        }

    def _settings(self, signers: Sequence[int]) -> bytes:
        url = self._remote.url.replace("\\", "\\\\").replace('"', '\\"')
        more = f'[remote "{SOURCE}"]\n    url = "{url}"\n    tagOpt = --no-tags\n'
        for number in signers:
            more += (
                f'[gpg "ssh"]\n    program = ssh-keygen\n    allowedSignersFile = /proc/self/fd/{number}\n'
            )
        return (_SETTINGS + more).encode("utf-8", "surrogateescape")

    def _shown(self, said: bytes) -> str:
        """The lines that matter, on one; git repeats addresses in some of them."""
        text = said.decode(errors="replace").replace(self._remote.url, self._remote.shown)
        for secret in self._remote.secrets:
            text = text.replace(secret, "…")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return "; ".join(lines[:4])[:500]


def _read(process: subprocess.Popen[bytes], what: str, limit: int, deadline: float) -> bytes:
    """Everything that it prints until it ends. A helper that holds the pipe open longer is not waited for."""
    assert process.stdout is not None
    pipe, ended = process.stdout.fileno(), os.pidfd_open(process.pid)
    os.set_blocking(pipe, False)
    parts: list[bytes] = []
    size = 0
    try:
        while True:
            left = deadline - time.monotonic()
            ready = select.select([pipe, ended], [], [], max(0.0, left))[0]
            if not ready or left <= 0:
                raise GitFailed(f"git {what} took too long")
            with suppress(BlockingIOError):
                while data := os.read(pipe, 1 << 16):
                    parts.append(data)
                    if (size := size + len(data)) > limit:
                        raise GitFailed(f"git {what} says more than {limit:,} bytes")
                select.select([ended], [], [], max(0.0, deadline - time.monotonic()))  # it closed its output
            if ended in ready:
                return b"".join(parts)
    finally:
        os.close(ended)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the group to end, which lets git remove what is half done, and see to it."""
    ended = os.pidfd_open(process.pid)
    try:
        _kill(process, signal.SIGTERM)
        select.select([ended], [], [], _GRACE)
    finally:
        os.close(ended)
    _kill(process, signal.SIGKILL)


def _kill(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


@contextmanager
def _memory(name: str, content: bytes) -> Iterator[int]:
    """A file without a name, which only who was given its number can open."""
    number = os.memfd_create(name, os.MFD_CLOEXEC)
    try:
        os.write(number, content) if content else None
        os.lseek(number, 0, os.SEEK_SET)
        yield number
    finally:
        os.close(number)
