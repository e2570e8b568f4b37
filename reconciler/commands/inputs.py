"""What a command line names: topology files, a topology's name, the state directory."""

from __future__ import annotations

import os
import re
from argparse import Namespace
from pathlib import Path
from typing import NamedTuple

from ..errors import UsageError

_NAME = re.compile(r"[a-z0-9]([a-z0-9_-]{0,30}[a-z0-9])?")


class Inputs(NamedTuple):
    """The files of the topology and the overrides on top of them."""

    paths: tuple[str, ...]
    overrides: tuple[str, ...]

    @property
    def title(self) -> str:
        """How the files are called at the top of a plan."""
        names = [f"{path.rstrip('/')}/" if os.path.isdir(path) else path for path in self.paths]
        return " ".join([*names, *(f"+ {path}" for path in self.overrides)])

    @property
    def as_arguments(self) -> str:
        """The same files on a command line."""
        if not self.overrides:
            return " ".join(self.paths)
        return " ".join([*(f"-f {path}" for path in (*self.paths, *self.overrides))])


def inputs(args: Namespace) -> Inputs:
    """The files that were named, else the usual places. Raises UsageError when there is nothing."""
    paths, files = tuple(args.paths), tuple(args.files)
    if paths:
        return Inputs(paths, files)
    if files:
        return Inputs(files[:1], files[1:])
    from ..source import default_paths

    return Inputs(default_paths(), ())


def has_files(args: Namespace) -> bool:
    """Whether files were named at all."""
    return bool(args.paths or args.files)


def topology_name(name: str) -> str:
    """A topology's name that was given as such. Raises UsageError for what cannot be one."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"'{name}' cannot be the name of a topology",
            hint="lower-case letters, digits, '-' and '_', at most 32 of them",
        )
    return name


def refuse_both(args: Namespace) -> None:
    """Raise UsageError when files and a name are given: one of the two would be ignored."""
    if args.name and has_files(args):
        raise UsageError("--name and topology files exclude each other", hint="leave one of them out")


def refuse_host(args: Namespace) -> None:
    """Raise UsageError when a host is named where no files say what hosts there are."""
    if args.host is not None:
        raise UsageError("--host goes with topology files", hint="leave it out, or name the files")


def state_dir(args: Namespace) -> Path:
    """Where state is kept."""
    return Path(args.state_dir)
