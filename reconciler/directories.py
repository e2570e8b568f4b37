"""Directories that have to be made for the state, and go again when they are no longer needed.

What was made is written down in the state directory itself (`.made`), parents included: a directory that was there
before stays, empty or not. A directory in which somebody else put something stays too.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

_NOTE = ".made"


def make(root: Path) -> None:
    """Make `root` with its parents, where they are missing. Raises OSError."""
    path = os.path.realpath(root)
    missing = []
    while not os.path.lexists(path):
        missing.append(path)
        path = os.path.dirname(path)
    if not missing and not os.path.isdir(path):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(root))
    made = [directory for directory in reversed(missing) if _make(directory)]
    if missing and missing[0] in made:
        try:
            _write_note(root, made)
        except OSError:
            _remove(made)
            raise


def unmake(root: Path) -> None:
    """Remove what `make` made, deepest first, if `root` holds nothing else any more."""
    made = _made(root)
    try:
        if not made or os.listdir(root) != [_NOTE]:
            return
        (root / _NOTE).unlink()
    except OSError:
        return
    _remove(made)
    if root.is_dir():  # somebody was faster: it will be theirs to remove
        with suppress(OSError):
            _write_note(root, made)


def _make(path: str) -> bool:
    """Whether it was made here, and not by another process at the same time."""
    try:
        os.mkdir(path)
    except FileExistsError:
        return False
    return True


def _remove(made: Sequence[str]) -> None:
    with suppress(OSError):  # not empty: then its parents are not either
        for directory in reversed(made):
            os.rmdir(directory)


def _write_note(root: Path, made: Sequence[str]) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    with os.fdopen(os.open(root / _NOTE, flags, 0o600), "w") as file:
        json.dump(made, file)


def _made(root: Path) -> list[str]:
    """What the note says, as far as it can be true: `root` and directories above it."""
    real = os.path.realpath(root)
    try:
        made = json.loads((root / _NOTE).read_bytes())
    except (OSError, ValueError, RecursionError):
        return []
    parents = [real, *map(str, Path(real).parents)]
    if not isinstance(made, list) or not made or made != parents[: len(made)][::-1]:
        return []
    return made
