"""How git is run: what it is given, what it is kept from, and that its time, its words and its helpers are bounded.

In its place is a program of the test's; the real one is in tests/kernel/test_watch_git.py.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from threading import Thread

import pytest

from reconciler.errors import Unsupported, UsageError
from reconciler.watch import git
from reconciler.watch.fetching import pause
from reconciler.watch.git import Git, GitFailed
from reconciler.watch.remote import remote

Fake = Callable[[str], Git]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Makes a script what is called git."""

    def make(script: str) -> Git:
        program = tmp_path / "bin/git"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        address = remote("https://user:pa55word@git.example.org/net.git", "live")
        return Git(tmp_path / "repository", address, None)

    return make


def ended(pid: int) -> bool:
    """Whether a process comes to its end, but for its exit code that somebody may still ask for."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.01)
    return False


def test_what_it_is_given(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of what the caller's environment says to git, but for the few that reach a server; no terminal, one protocol."""
    for name in (
        "GIT_DIR",
        "GIT_EXEC_PATH",
        "GIT_PROXY_COMMAND",
        "GIT_EXTERNAL_DIFF",
        "GIT_CONFIG_COUNT",
        "LD_PRELOAD",
    ):
        monkeypatch.setenv(name, "/evil")
    monkeypatch.setenv("GIT_SSH_COMMAND", "ssh -i key")
    output = (
        fake('env; echo "args $*"; cat "$GIT_CONFIG_GLOBAL"; ls /proc/self/fd')
        .must("fetch", "source")
        .decode()
    )
    assert "/evil" not in output
    assert "args fetch source\n" in output
    for line in (
        "GIT_SSH_COMMAND=ssh -i key",
        "GIT_ALLOW_PROTOCOL=https",
        "GIT_TERMINAL_PROMPT=0",
        "GIT_CONFIG_NOSYSTEM=1",
        "    hooksPath = /dev/null",
        '    url = "https://user:pa55word@git.example.org/net.git"',
    ):
        assert f"{line}\n" in output


def test_what_it_says_is_shown_without_secrets(fake: Fake) -> None:
    """Not the address as it was given, and not its parts either."""
    script = (
        "echo 'fatal: https://user:pa55word@git.example.org/net.git: pa55word of user refused' >&2; exit 128"
    )
    with pytest.raises(GitFailed) as failed:
        fake(script).must("fetch")
    assert str(failed.value) == "fatal: https://git.example.org/net.git: … of … refused"


STUBBORN = 'trap "" TERM;'
HELPER = "sleep 1000 & echo $! > {0}/new; mv {0}/new {0}/pid;"


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (f"{STUBBORN} {HELPER} while :; do sleep 1; done", "took too long"),
        (f"{HELPER} exec >&-; exec sleep 1000", "took too long"),
        (f"{HELPER} exec yes", "says more than"),
    ],
)
def test_its_time_and_its_words_are_bounded(fake: Fake, tmp_path: Path, script: str, why: str) -> None:
    """It is ended together with what it started, even if it does not want to."""
    with pytest.raises(GitFailed) as failed:
        fake(script.format(tmp_path)).must("fetch", seconds=0.5)
    assert why in str(failed.value)
    assert ended(int((tmp_path / "pid").read_text()))


def test_what_outlives_it_is_ended(fake: Fake) -> None:
    """A helper that holds its output open does not hold us up."""
    output = fake("sleep 1000 & echo $!").must("fetch", seconds=100)
    assert ended(int(output))


def test_a_stop_ends_it_from_another_thread(fake: Fake, tmp_path: Path) -> None:
    """And whatever is called after that does not begin."""
    program = fake(f"{STUBBORN} {HELPER} wait".format(tmp_path))
    failures: list[int] = []
    thread = Thread(target=lambda: failures.append(program.run("fetch", seconds=1000).code))
    thread.start()
    while not (tmp_path / "pid").exists():
        time.sleep(0.01)
    program.stop()
    thread.join(20)
    assert failures == [-9]
    assert ended(int((tmp_path / "pid").read_text()))
    with pytest.raises(GitFailed, match="was stopped"):
        program.run("fetch")


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the packages that have it."""
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(Unsupported) as missing:
        git.require("ssh-keygen", "ssh")
    assert missing.value.hint == "apt-get install git openssh-client util-linux"


def test_only_root_chooses_a_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody else is who he is."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert git.user(None) is None
    with pytest.raises(UsageError):
        git.user("nobody")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert git.user(None) == git.user("nobody")
    with pytest.raises(UsageError, match="there is no user 'nobody-at-all'"):
        git.user("nobody-at-all")


def test_failures_are_asked_again_less_and_less() -> None:
    """Twice as late each time, up to a quarter of an hour or the interval if that is longer, and never at the same time."""
    random = Random(1)
    for interval, failures, expected in (
        (60, 0, 60),
        (60, 1, 120),
        (60, 3, 480),
        (60, 4, 900),
        (60, 10**9, 900),
        (3600, 5, 3600),
    ):
        found = [pause(interval, failures, random) for _ in range(100)]
        assert 0.8 * expected <= min(found) < max(found) <= 1.2 * expected
        assert len(set(found)) == 100
