"""What a command line names: topology files, a topology's name, the state directory."""

from __future__ import annotations

import difflib
import os
import re
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..errors import UsageError

if TYPE_CHECKING:
    from ..model import Sandbox, Topology

_FILES, _OVERRIDES = "RECONCILER_TOPOLOGY", "RECONCILER_OVERRIDES"
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
    """The files that were named, else those of the environment, else the usual places.

    Raises UsageError when there is nothing.
    """
    paths, files = tuple(args.paths), tuple(args.files)
    if paths:
        return Inputs(paths, files)
    if files:
        return Inputs(files[:1], files[1:])
    if usual := _listed(_FILES):
        return Inputs(usual, _listed(_OVERRIDES))
    from ..load.source import default_paths

    return Inputs(default_paths(), ())


def _listed(variable: str) -> tuple[str, ...]:
    return tuple(path for path in os.environ.get(variable, "").split(os.pathsep) if path)


def to_environment(named: Inputs) -> Mapping[str, str]:
    """Variables with which a command that names no files reads these. Raises UsageError where that cannot be said."""
    from ..load.source import STDIN

    paths = (*named.paths, *named.overrides)
    if STDIN in paths:
        raise UsageError("standard input is the command's own", hint="name a file for the topology")
    if found := next((path for path in paths if os.pathsep in path), None):
        raise UsageError(f"'{found}' has a '{os.pathsep}' in its name", hint="rename it")
    return {
        variable: os.pathsep.join(map(os.path.abspath, group))
        for variable, group in ((_FILES, named.paths), (_OVERRIDES, named.overrides))
    }


def one_sandbox(topology: Topology, name: str) -> Sandbox:
    """The sandbox of that name. Raises UsageError when there is none."""
    sandbox = topology.sandboxes.get(name)
    if sandbox is None:
        raise unknown_sandbox(name, topology.name, list(topology.sandboxes))
    return sandbox


def unknown_sandbox(name: str, topology: str, known: Sequence[str]) -> UsageError:
    """The error for a sandbox that does not exist, with what was probably meant."""
    close = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean '{close[0]}'?" if close else f"it has: {', '.join(known[:10]) or 'none'}"
    return UsageError(f"topology '{topology}' has no sandbox '{name}'", hint=hint)


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
