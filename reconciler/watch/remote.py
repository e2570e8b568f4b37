"""What somebody names as a Git repository: a URL or a path, held against what git would make of it.

git takes options, commands (`ext::`) and programs of its own (`NAME::…`) where an address is expected, so an address is
let through only if it is plainly one of four kinds. What is shown of it has no password, token or query in it.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import urlsplit

from ..errors import UsageError

_SCHEMES = ("https", "ssh", "git", "file")
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_SCP = re.compile(r"(?:[A-Za-z0-9._-]+@)?[A-Za-z0-9][A-Za-z0-9.-]*:[^:].*")
_BAD_IN_BRANCH = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|^[-/]|[/.]$|\.lock$")
_BAD_IN_PATH = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Remote:
    """Where commits come from. `url` is for git and may hold a secret, `shown` is for everybody else.

    `branch` is None for the repository's own default, `path` what is read in it, None for the usual places.
    """

    url: str
    shown: str
    scheme: str
    branch: str | None = None
    path: str | None = None

    @property
    def key(self) -> str:
        """A name for it: the same after a change of password, another one for another branch or path."""
        text = "\0".join((self.shown, self.branch or "", self.path or ""))
        return sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]

    @property
    def secrets(self) -> tuple[str, ...]:
        """Parts of `url` that nobody is to read; git repeats them in what it says."""
        if self.scheme != "https":  # of ssh, git says no password
            return ()
        login = urlsplit(self.url).netloc.rpartition("@")[0]
        return tuple(part for part in (login, *login.split(":")) if part)

    @property
    def words(self) -> str:
        """For people."""
        return f"{self.shown} ({f'branch {self.branch}' if self.branch else 'its default branch'})"


def remote(address: str, branch: str | None = None, path: str | None = None) -> Remote:
    """What is meant. Raises UsageError for what is no address, branch or path."""
    if branch is not None and (not branch or _BAD_IN_BRANCH.search(branch)):
        raise UsageError(f"{branch!r} cannot be the name of a branch")
    if path is not None:
        path = _inside(path)
    if not address or address.startswith("-") or _BAD_IN_PATH.search(address):
        raise UsageError(f"{address!r} is no address of a Git repository")
    if found := _URL.fullmatch(address):
        scheme = found[1].lower()
        if scheme not in _SCHEMES:
            raise _unknown(f"'{scheme}://' is not followed")
        return Remote(address, _without_secrets(address, scheme), scheme, branch, path)
    if "::" in address:
        raise _unknown("an address with '::' starts a program")
    if os.path.lexists(address) or not _SCP.fullmatch(address):
        if not os.path.isdir(address):
            raise UsageError(
                f"no such repository: '{address}'", hint="a directory, or a URL such as https://…"
            )
        absolute = os.path.abspath(address)
        return Remote(absolute, absolute, "file", branch, path)
    return Remote(address, address, "ssh", branch, path)


def _inside(path: str) -> str:
    """A path in the repository as git writes it."""
    found = os.path.normpath(path)
    if not path or os.path.isabs(path) or found.split("/")[0] == ".." or _BAD_IN_PATH.search(path):
        raise UsageError(f"--path {path!r} does not lead into the repository", hint="relative to its root")
    return found


def _without_secrets(address: str, scheme: str) -> str:
    try:
        parts = urlsplit(address)
        host, path = parts.hostname or "", parts.path
        port = "" if parts.port is None else f":{parts.port}"
    except ValueError as error:
        raise UsageError(f"this is no URL: {error}") from error
    if scheme == "file":
        if host or not path.startswith("/"):
            raise UsageError("a file: URL has three slashes and a path")
        return f"file://{path}"
    if not host or host.startswith("-"):
        raise UsageError("the URL has no host")
    user = f"{parts.username}@" if scheme == "ssh" and parts.username else ""
    host = f"[{host}]" if ":" in host else host
    return f"{scheme}://{user}{host}{port}{path}"


def _unknown(message: str) -> UsageError:
    return UsageError(message, hint="https://, ssh:// (or USER@HOST:PATH), git://, file://, or a path")
