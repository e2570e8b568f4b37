"""`--report FORMAT=PATH`: reports beside what people read. Where they may be written, and writing them whole or not at all.

A target is checked before the run, so that most mistakes are told while nothing was done. What fails afterwards is told,
and takes nothing back: a run that was fine then exits with 1, any other with what it would have had. No link is followed:
neither in the place of the file nor, below the working directory, on the way there, since a checked-out repository may
hold any link.
"""

from __future__ import annotations

import importlib
import os
import stat
import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import whole
from ..errors import Exit, ReconcilerError, UsageError

if TYPE_CHECKING:
    from ..render.report import Report
    from .console import Console

FORMATS = ("github", "gitlab", "json", "junit", "markdown", "prom", "sarif")
STDOUT = "-"


class Target(NamedTuple):
    """One report that is wanted."""

    format: str
    path: str


class Recorder:
    """Gathers what a run tells, and writes the reports at its end."""

    def __init__(self, wanted: Sequence[Target], report: Report) -> None:
        self._wanted = wanted
        self._report = report
        self._began = time.monotonic()

    def record(self, **parts: Any) -> None:
        """Fields of `render.report.Report` that are known now."""
        self._report = replace(self._report, **parts)

    def write(self, code: int) -> list[ReconcilerError]:
        """Write every report of a run that ends with `code`; what could not be written."""
        seconds = round(time.monotonic() - self._began, 3)
        self.record(exit_code=code, seconds=seconds, time=round(time.time(), 3))
        return [failure for target in self._wanted if (failure := _write(target, self._report)) is not None]


def open_recorder(args: Namespace, console: Console) -> Recorder:
    """The recorder of a command line that asks for reports. Raises UsageError for what cannot be written."""
    from .. import __version__
    from ..render.report import Report
    from .excerpts import lines_of

    wanted = _targets(args.report)
    aside = any(target.path == STDOUT for target in wanted)
    if aside and console.json:
        raise UsageError("-o json has standard output for itself", hint="give the report a file")
    report = Report(args.command, __version__, lines=lines_of)
    console.recorder, console.aside = Recorder(wanted, report), aside
    return console.recorder


def _targets(words: Sequence[str]) -> tuple[Target, ...]:
    """What the command line asks for. Raises UsageError for what cannot be written."""
    found = tuple(map(_target, words))
    paths = [target.path for target in found]
    for path in paths:
        if paths.count(path) > 1:
            raise UsageError(f"two reports would be written to '{path}'", hint="give each its own file")
    for target in found:
        if target.path != STDOUT:
            _check(target.path)
    return found


def _target(word: str) -> Target:
    name, sign, path = word.partition("=")
    if name not in FORMATS:
        hint = f"write FORMAT=PATH, with one of {', '.join(FORMATS)}"
        raise UsageError(f"'{name}' is no format of a report", hint=hint)
    if not sign or not path or "\0" in path:
        raise UsageError(
            f"--report {name} names no file", hint=f"write {name}=PATH, or {name}=- for standard output"
        )
    return Target(name, path)


def _check(path: str) -> None:
    if path.endswith((".yaml", ".yml")):
        raise UsageError(f"'{path}' looks like a topology, not like a report", hint="choose another name")
    try:
        folder = _folder(path)
        try:
            _check_place(os.path.basename(path), folder)
            if not os.access(".", os.W_OK | os.X_OK, dir_fd=folder):
                raise PermissionError(0, "the directory cannot be written")
        finally:
            os.close(folder)
    except OSError as error:
        raise UsageError(_words(path, error), hint="name another file") from error


def _check_place(name: str, folder: int) -> None:
    with suppress(FileNotFoundError):
        if not stat.S_ISREG(os.lstat(name, dir_fd=folder).st_mode):
            raise OSError(0, "there is something that is no regular file")


def _folder(path: str) -> int:
    """The directory of a file, opened: as it is when named from the root, without any link on the way otherwise."""
    if not os.path.basename(path) or os.path.basename(path) in (".", ".."):
        raise IsADirectoryError(0, "that is a directory")
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    if os.path.isabs(path):
        return os.open(os.path.dirname(path), flags)
    opened = os.open(".", flags)
    for part in os.path.dirname(path).split("/"):
        if part in ("", "."):
            continue
        try:
            below = os.open(part, flags | os.O_NOFOLLOW, dir_fd=opened)
        finally:
            os.close(opened)
        opened = below
    return opened


def _write(target: Target, report: Report) -> ReconcilerError | None:
    text = importlib.import_module(f"..render.{_module(target.format)}", __package__).text(report)
    try:
        if target.path == STDOUT:
            sys.stdout.write(text)
            sys.stdout.flush()
        else:
            _replace(target.path, text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        return ReconcilerError(_words(target.path, error))
    return None


def _module(name: str) -> str:
    return "reported" if name == "json" else name


def _words(path: str, error: OSError) -> str:
    return f"cannot write the report '{path}': {error.strerror or error}"


def _replace(path: str, content: bytes) -> None:
    folder = _folder(path)
    name = os.path.basename(path)
    try:
        _check_place(name, folder)
        whole.replace(name, content, 0o644, folder=folder)
    finally:
        os.close(folder)


def code(found: int, failed: Sequence[ReconcilerError]) -> int:
    """The exit code of a run whose own is `found`."""
    return int(Exit.FAILED) if failed and found == Exit.OK else found
