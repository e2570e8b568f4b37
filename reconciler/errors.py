"""Every way the reconciler can say no: the exception tree, and `Diagnostic` for bad input.

    ReconcilerError            exit 1   a step failed
    ├── UsageError             exit 2   the command line makes no sense
    ├── TopologyError          exit 3   the files are invalid; carries every diagnostic
    │   └── Forbidden          exit 5   a policy does not allow what the files declare, or is itself broken
    ├── Refused                exit 5   stale plan, foreign object in the way, unconfirmed delete
    ├── LockHeld               exit 6   another reconciler works on this topology
    ├── DeadlineExceeded       exit 7   something did not become ready in time
    ├── Unsupported            exit 8   this host cannot: privilege or kernel feature missing
    └── KernelError            exit 1   the kernel said no; carries errno and what was asked

Bad input is data, not control flow: checks return diagnostics, and one `TopologyError` carries them all, so
that the user sees every mistake of a run at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, NamedTuple


class Exit(IntEnum):
    """The published exit codes; one table for every command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    INVALID = 3
    PENDING = 4
    REFUSED = 5
    LOCKED = 6
    TIMEOUT = 7
    UNSUPPORTED = 8
    INTERRUPTED = 130
    TERMINATED = 143


class Mark(NamedTuple):
    """A place in a file: 1-based line and column, `end` is the column after the last character of the token."""

    file: str
    line: int
    col: int
    end: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.col}"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One mistake in the input. `code` is stable and documented; `hint` says what to do.

    `awaits` is a path or pattern that names nothing, for who watches for it to be there.
    """

    code: str
    message: str
    mark: Mark | None = None
    hint: str | None = None
    related: tuple[tuple[str, Mark], ...] = ()
    awaits: str | None = None

    def sort_key(self) -> tuple[str, int, int, str]:
        """Diagnostics are shown by file and line; those without a place come first."""
        if self.mark is None:
            return ("", 0, 0, self.message)
        return (self.mark.file, self.mark.line, self.mark.col, self.message)


class ReconcilerError(Exception):
    """Base of everything raised on purpose. `exit_code` is what the process returns for it."""

    exit_code: ClassVar[Exit] = Exit.FAILED

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(ReconcilerError):
    """The command line itself is wrong."""

    exit_code = Exit.USAGE


class Damaged(ReconcilerError):
    """A file of the state directory cannot be read; `hint` says what is lost without it."""


class TopologyError(ReconcilerError):
    """The files are invalid. `diagnostics` is sorted by place and never empty."""

    exit_code = Exit.INVALID

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics: tuple[Diagnostic, ...] = tuple(sorted(set(diagnostics), key=Diagnostic.sort_key))
        super().__init__(f"{len(self.diagnostics)} mistakes in the topology files")


class Forbidden(TopologyError):
    """A policy does not allow what the files declare, or it cannot be read and so allows nothing."""

    exit_code = Exit.REFUSED


class Refused(ReconcilerError):
    """The request is understood and would be unsafe. `reasons` are shown one a line."""

    exit_code = Exit.REFUSED

    def __init__(self, message: str, *, reasons: Sequence[str] = (), hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.reasons = tuple(reasons)


class LockHeld(ReconcilerError):
    """Another process holds the lock of this topology."""

    exit_code = Exit.LOCKED


class DeadlineExceeded(ReconcilerError):
    """A bounded wait ran out. `reasons` name what is missing, one a line."""

    exit_code = Exit.TIMEOUT

    def __init__(self, message: str, *, reasons: Sequence[str] = (), hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.reasons = tuple(reasons)


class Unsupported(ReconcilerError):
    """This host lacks a privilege or a kernel feature that the request needs. `reasons` are shown one a line."""

    exit_code = Exit.UNSUPPORTED

    def __init__(self, message: str, *, reasons: Sequence[str] = (), hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.reasons = tuple(reasons)


class PluginError(ReconcilerError):
    """A driver from another distribution raised something, or asks for what it may not."""


class KernelError(ReconcilerError):
    """The kernel refused. `errno` is positive; `detail` is the kernel's own extended text, if it sent one."""

    def __init__(
        self, message: str, *, errno: int, detail: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.errno = errno
        self.detail = detail
