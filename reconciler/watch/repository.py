"""The commits of a remote repository: fetched into one of our own, held against rules, and written out as plain files.

Nothing is ever checked out. What a commit holds is listed and read by number, and written by us: topology files only,
never a link, never more than a bound. So neither filters nor attributes, hooks, submodules or names that a repository
brings along have anybody who would follow them.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ..errors import Refused, Unsupported
from ..load.files import MAX_FILE_BYTES
from ..load.layers import MAX_FILES, MAX_TOTAL_BYTES
from .git import SOURCE, Git, GitFailed
from .remote import Remote

COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_TIP, _APPLIED = "refs/watch/tip", "refs/watch/applied"
_TOPOLOGIES = (".yaml", ".yml")
_LISTING = 32 << 20
_FETCH_SECONDS = 600.0
_STALE = re.compile(r".*\.lock|gc\.pid|tmp_.*")
_SIGNER = re.compile(r'Good "git" signature for (\S+) with ')


class _Entry(NamedTuple):
    """One line of a tree. `kind` is git's mode: 100… a file, 120000 a link, 160000 a submodule."""

    kind: str
    object: str
    size: int
    path: str


@dataclass(frozen=True, slots=True)
class Rules:
    """What makes a commit one to be followed.

    `signers` is a file that says whose signatures count, None when they do not matter. `rewrite` is a commit that may be
    taken although it does not descend from what was applied.
    """

    signers: str | None = None
    rewrite: str | None = None


class Repository:
    """Our own bare repository of one remote one."""

    def __init__(self, git: Git, remote: Remote, rules: Rules) -> None:
        self._git, self._remote, self._rules = git, remote, rules
        self._kept: str | None = None
        self._tip: str | None = None

    def fetch(self, applied: str | None) -> str:
        """The newest commit of the branch. Raises GitFailed when the source cannot be reached.

        The commit that is applied stays in the copy even if nothing leads to it any more: what comes is compared with it.
        """
        wanted = "HEAD" if self._remote.branch is None else f"refs/heads/{self._remote.branch}"
        self._prepare(wanted)
        if applied is not None and applied != self._kept:
            kept = (
                self._git.run("update-ref", _APPLIED, applied).code == 0
            )  # it is not there yet in a new copy
            self._kept = applied if kept else None
        options = ("--quiet", "--no-tags", "--no-auto-gc", "--no-write-fetch-head", "--no-recurse-submodules")
        self._git.must("fetch", *options, SOURCE, f"+{wanted}:{_TIP}", seconds=_FETCH_SECONDS)
        found = self._git.must("rev-parse", "--verify", f"{_TIP}^{{commit}}").decode().strip()
        if found != self._tip:
            self._git.run("gc", "--auto", "--quiet", seconds=_FETCH_SECONDS)  # if it fails, later will do
            self._tip = found
        return found

    def check(self, commit: str, applied: str | None) -> str | None:
        """Who signed a commit, None where that is not asked. Raises Refused for one that is not to be followed.

        The tip alone is asked for a signature. By its hash it covers every file and the whole history, and only what
        stands in it is ever applied; commits on the way may be those of people who have no say here.
        """
        if applied is not None and not self._continues(commit, applied):
            raise Refused(
                f"it does not descend from {applied[:12]}, which is applied",
                hint=f"if that is meant, name it: --accept-rewrite {commit}",
            )
        return None if self._rules.signers is None else self._signer(commit, self._rules.signers)

    def write(self, commit: str, target: Path) -> None:
        """Make `target` a directory with the topology files of a commit. Raises Refused for what cannot be one."""
        if target.is_dir():
            return
        wanted = list(self._wanted(commit))
        new = target.with_name(f".{target.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        for entry, content in zip(wanted, self._contents(wanted), strict=True):
            file = new / entry.path
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(file, flags, 0o600), "wb") as opened:
                opened.write(content)
                opened.flush()
                os.fsync(opened.fileno())
        new.rename(target)

    # -- the repository --------------------------------------------------------------------------------------------

    def _prepare(self, wanted: str) -> None:
        """See to it that it is there, and free of what a git that was killed left behind."""
        directory, owner = self._git.directory, self._git.user
        directory.mkdir(mode=0o700, exist_ok=True)
        if owner is not None:
            os.chown(directory, owner.uid, owner.gid)
            for parent in directory.parents:
                info = parent.stat()
                if not info.st_mode & 0o001 and not (info.st_uid == owner.uid and info.st_mode & 0o100):
                    message = f"user '{owner.name}', as whom git runs, may not pass {parent}"
                    raise Unsupported(
                        message, hint=f"chmod o+x {parent}, or choose --state-dir or --git-user"
                    )
        if not (directory / "HEAD").exists():
            kind = f"--object-format={self._format(wanted)}"
            self._git.must("init", "--quiet", "--bare", "--template=", "--initial-branch=none", kind)
        for folder, _, names in os.walk(directory):
            for name in filter(_STALE.fullmatch, names):
                with suppress(OSError):
                    os.unlink(os.path.join(folder, name))

    def _format(self, wanted: str) -> str:
        """By which hash the remote repository names its objects: git copies only into one that does the same."""
        said = self._git.must("ls-remote", SOURCE, wanted, seconds=_FETCH_SECONDS)
        return "sha256" if len(said.split(b"\t")[0]) == 64 else "sha1"

    def _continues(self, commit: str, applied: str) -> bool:
        if self._descends(commit, applied):
            return True
        rewrite = self._rules.rewrite
        # Once it was taken it has had its effect: else whoever can push could go back to it at any time.
        return (
            rewrite is not None and not self._descends(applied, rewrite) and self._descends(commit, rewrite)
        )

    def _descends(self, commit: str, ancestor: str) -> bool:
        return self._git.run("merge-base", "--is-ancestor", ancestor, commit).code == 0

    def _signer(self, commit: str, file: str) -> str:
        done = self._git.run("verify-commit", "--raw", commit, signers=signers(file))
        if done.code == 0:
            found = _SIGNER.match(done.error)
            return "unknown" if found is None else found[1]
        if not done.error:
            raise Refused("it is not signed with an SSH key", hint=f"sign it with a key of {file}")
        if "No principal matched" in done.error:
            raise Refused(
                f"it is signed by a key that is not in {file}", hint="add the key, if it is a good one"
            )
        raise Refused(f"its signature does not hold: {done.error}", hint=f"sign it with a key of {file}")

    # -- what is in a commit -----------------------------------------------------------------------------------------

    def _wanted(self, commit: str) -> Iterator[_Entry]:
        """The files that make topologies. Raises Refused where something else has the place of one, or for too much."""
        asked = self._remote.path or "topologies"
        files = total = 0
        there = self._remote.path in (None, ".")
        for entry in self._listed(commit):
            leads = asked == entry.path or asked.startswith(f"{entry.path}/")
            there = there or leads or entry.path.startswith(f"{asked}/")
            if not leads and not entry.path.endswith(_TOPOLOGIES):
                continue
            if not entry.kind.startswith("100"):
                what = {"120000": "a symbolic link", "160000": "a submodule"}.get(entry.kind, "no file")
                message = f"'{entry.path}' is {what}, which is not followed"
                raise Refused(message, hint="put the file itself in its place")
            files, total = files + 1, total + entry.size
            if files > MAX_FILES or total > MAX_TOTAL_BYTES or entry.size > MAX_FILE_BYTES:
                raise Refused(
                    f"its topology files are too large or too many, at '{entry.path}'",
                    hint=f"at most {MAX_FILES:,} files, {MAX_FILE_BYTES >> 20} MiB each, {MAX_TOTAL_BYTES >> 20} MiB together",
                )
            yield entry
        if not there:
            raise Refused(f"it has no '{asked}'", hint="name another place with --path")

    def _listed(self, commit: str) -> Iterator[_Entry]:
        try:
            listing = self._git.must("ls-tree", "-r", "-z", "-l", "--full-tree", commit, limit=_LISTING)
        except GitFailed as error:
            raise Refused(f"it cannot be listed: {error}") from error
        for line in listing.split(b"\0")[:-1]:
            about, _, name = line.partition(b"\t")
            kind, _, number, size = about.decode().split()
            path = os.fsdecode(name)
            if any(part in ("", ".", "..") for part in path.split("/")):
                raise Refused(f"it has a file named {path!r}")
            yield _Entry(kind, number, 0 if size == "-" else int(size), path)

    def _contents(self, wanted: Sequence[_Entry]) -> Iterator[bytes]:
        """The bytes of files, in order."""
        if not wanted:
            return
        numbers = "".join(f"{entry.object}\n" for entry in wanted).encode()
        limit = sum(entry.size + 200 for entry in wanted)
        found, at = self._git.must("cat-file", "--batch", stdin=numbers, limit=limit), 0
        for entry in wanted:
            head = f"{entry.object} blob {entry.size}\n".encode()
            begin = at + len(head)
            at = begin + entry.size + 1
            if found[begin - len(head) : begin] != head or found[at - 1 : at] != b"\n":
                raise GitFailed(f"git cat-file says something else than was asked for, at '{entry.path}'")
            yield found[begin : at - 1]


def signers(file: str) -> bytes:
    """The file that says whose signatures count. Raises Refused for one that others than root and we could have written."""
    try:
        number = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise Refused(f"the allowed signers in {file} cannot be read: {error.strerror}") from error
    with os.fdopen(number, "rb") as opened:
        info = os.fstat(number)
        if not stat.S_ISREG(info.st_mode):
            raise Refused(f"the allowed signers in {file} cannot be read: it is not a regular file")
        if info.st_uid not in (0, os.geteuid()) or info.st_mode & 0o022:
            raise Refused(
                f"the allowed signers in {file} can be written by others",
                hint="make it root's alone to write",
            )
        return opened.read(1 << 20)
