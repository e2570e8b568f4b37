"""Where output goes: results to standard output, progress and diagnostics to standard error.

Imports little, because every command line pays for it. A terminal gets colour unless told otherwise; a pipe never does.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from argparse import Namespace

    from ..render.style import Style
    from .reports import Recorder


class Console:
    """The two streams of one run, with the style that each can show. `json`: the result is one JSON document.

    `recorder` hears what reports need to know, if any are wanted. Where one of them is standard output, `aside` is set,
    and what people read goes to standard error.
    """

    __slots__ = ("aside", "err", "json", "out", "quiet", "recorder")

    def __init__(self, out: Style, err: Style, *, json: bool, quiet: bool) -> None:
        self.out = out
        self.err = err
        self.json = json
        self.quiet = quiet
        self.aside = False
        self.recorder: Recorder | None = None

    def record(self, **parts: Any) -> None:
        """Tell fields of `render.report.Report`."""
        if self.recorder is not None:
            self.recorder.record(**parts)

    def result(self, text: str) -> None:
        """Print what was asked for, at once: a plan is read while it is applied."""
        _print(text, sys.stderr if self.aside else sys.stdout)

    def success(self, text: str) -> None:
        """Print what only says that all is well: `--quiet` leaves it out."""
        if not self.quiet:
            self.result(text)

    def document(self, document: dict[str, Any]) -> None:
        """Print a JSON document, which is then the whole of standard output."""
        from ..render import documents

        _print(documents.text(document), sys.stdout)

    def notice(self, text: str) -> None:
        """Mention something beside the result."""
        if not self.quiet:
            sys.stderr.write(text)

    def problem(self, text: str) -> None:
        """Say what is wrong, whatever became of the other stream; the exit code says it as well."""
        with suppress(OSError):
            sys.stdout.flush()
        with suppress(OSError):
            sys.stderr.write(text)
            sys.stderr.flush()

    @property
    def terminal(self) -> bool:
        """Whether results are read on a screen, which can be drawn anew."""
        return sys.stdout.isatty()

    def can_ask(self) -> bool:
        """Whether a person sits at the other end."""
        return sys.stdin.isatty() and sys.stderr.isatty() and not self.json

    def ask(self, question: str) -> bool:
        """A yes or no from the person; anything but yes is no."""
        sys.stdout.flush()
        try:
            sys.stderr.write(f"{question} [y/N] ")
            sys.stderr.flush()
            answer = sys.stdin.readline()
        except KeyboardInterrupt:
            sys.stderr.write("\nNothing was done.\n")
            raise
        if not answer.endswith("\n"):  # Ctrl-D leaves the cursor behind the question
            sys.stderr.write("\n")
        return answer.strip().lower() in ("y", "yes")


def _print(text: str, stream: IO[str]) -> None:
    """Write a result out. Raises ReconcilerError when it is lost, but for a reader that went away."""
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        from ..errors import ReconcilerError

        raise ReconcilerError(f"cannot write to standard output: {error.strerror or error}") from error


def open_console(args: Namespace) -> Console:
    """The console that a command line asks for."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # what the encoding lacks becomes an escape, never a crash
            stream.reconfigure(errors="backslashreplace")
    verbose = args.verbose > 0
    return Console(
        _style(sys.stdout, args.color, verbose=verbose),
        _style(sys.stderr, args.color, verbose=verbose),
        json=args.output == "json",
        quiet=args.quiet,
    )


def _style(stream: IO[str], color: str, *, verbose: bool) -> Style:
    from ..render.style import Style

    terminal = stream.isatty()
    plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    wanted = color == "always" or (color == "auto" and terminal and not plain)
    return Style(wanted, _width(stream) if terminal else 100, verbose)


def _width(stream: IO[str]) -> int:
    try:
        return max(40, os.get_terminal_size(stream.fileno()).columns)
    except OSError:
        return 100
