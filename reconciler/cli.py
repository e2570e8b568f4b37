"""The command line: pick the command, run it, turn whatever it raises into words and an exit code.

This is the one place where errors become text and exit codes; commands just raise. It imports nothing heavy, so that
`--help` costs little more than Python itself: each command's module, and with it the core, is imported when chosen.
"""

from __future__ import annotations

import gc
import os
import signal
import sys

from .commands import arguments

TYPE_CHECKING = False  # see arguments
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence
    from types import FrameType
    from typing import NoReturn, TextIO

    from .commands.console import Console
    from .errors import ReconcilerError

# Of errors.Exit, which is imported only after the arguments are fine.
_FAILED, _INTERRUPTED, _TERMINATED = 1, 130, 143


def entry() -> NoReturn:
    """The installed command: `main`, then the end of the process at once.

    Python would take down every object first, which after a look at a large host are a hundred thousand: 30 ms that
    nobody needs. Nothing is lost: files are closed by those who opened them, the progress line is wiped by `apply`,
    and no module registers work for the exit.
    """
    # One run makes a few hundred thousand objects, next to none of them in cycles; looking for those costs a tenth.
    gc.disable()
    code = 0
    try:
        code = main()
    except SystemExit as stop:  # --help, or SIGTERM
        code = stop.code if isinstance(stop.code, int) else 0
    failure = _flush(sys.stdout)
    if failure is not None and code == 0:
        code = _FAILED
        if not isinstance(failure, BrokenPipeError):
            sys.stderr.write(f"error: cannot write to standard output: {failure.strerror}\n")
    _flush(sys.stderr)
    os._exit(code)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; what comes back is the process's exit code."""
    _open_closed_streams()
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        try:
            return _run(arguments.parse(words))
        except arguments.Mistyped as mistake:
            return _misused(mistake, words)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader went away (`| head`). Python would complain once more when it flushes at exit.
        _silence(sys.stdout)
        return _FAILED


def _run(args: Namespace) -> int:
    from .commands.console import open_console

    console = open_console(args)
    signal.signal(signal.SIGTERM, _terminate)  # apply holds it back while it writes
    wanted = getattr(args, "report", ())
    if not wanted:
        return _carried_out(args, console)
    from .commands import reports
    from .errors import ReconcilerError

    try:
        recorder = reports.open_recorder(args, console)
    except ReconcilerError as error:
        _report(error, console)
        return int(error.exit_code)
    code = _carried_out(args, console)
    failed = recorder.write(code)
    for failure in failed:
        _report(failure, console)
    return reports.code(code, failed)


def _carried_out(args: Namespace, console: Console) -> int:
    from .errors import ReconcilerError

    try:
        return int(arguments.load(args.command)(args, console))
    except ReconcilerError as error:
        console.record(error=error)
        _report(error, console)
        return int(error.exit_code)
    except BrokenPipeError:
        raise
    except OSError as error:
        console.record(error=_system_error(error))
        _report(_system_error(error), console)
        return _FAILED
    except Exception as error:  # noqa: BLE001  # the last resort: a bug must not look like a result
        console.record(error=ReconcilerError(f"internal error: {type(error).__name__}: {error}"))
        _report_bug(error, console)
        return _FAILED


def _misused(mistake: arguments.Mistyped, words: Sequence[str]) -> int:
    """Report a command line that made no sense; what it said about JSON is heard all the same."""
    from argparse import Namespace

    from .commands.console import open_console
    from .errors import UsageError

    output = "json" if arguments.wants_json(words) else "text"
    console = open_console(Namespace(verbose=0, color="auto", output=output, quiet=False))
    error = UsageError(mistake.message, hint=mistake.hint)
    _report(error, console)
    return int(error.exit_code)


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(_TERMINATED)


# ----------------------------------------------------------------------------------------------------------- streams


def _open_closed_streams() -> None:
    """A stream that the caller closed (`>&-`) is None: what is written to it goes nowhere, as it was asked to."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115  # for the whole run


def _flush(stream: TextIO) -> OSError | None:
    try:
        stream.flush()
    except OSError as error:
        return error
    return None


def _silence(stream: TextIO) -> None:
    """Let what a stream still holds go nowhere: it cannot be written, and trying again would only fail again."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        return
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    os.close(null)


# ------------------------------------------------------------------------------------------------------------ errors


def _report(error: ReconcilerError, console: Console) -> None:
    from contextlib import suppress

    from .commands.excerpts import lines_of
    from .errors import ReconcilerError, TopologyError
    from .render import diagnostics, documents, failure

    if console.json:
        with suppress(OSError, ReconcilerError):  # it may be standard output that failed us
            console.document(documents.error(error))
    if isinstance(error, TopologyError):
        console.problem(diagnostics.text(error.diagnostics, lines_of, console.err))
    else:
        console.problem(failure.text(error, console.err))


def _system_error(error: OSError) -> ReconcilerError:
    """A file, a disk or a limit that failed us: the system's word for it, and what it was about."""
    from .errors import ReconcilerError

    if not _directory_exists():
        return ReconcilerError(
            "the directory in which this runs was deleted", hint="change to one that exists, as in `cd /`"
        )
    about = f"{error.filename}: " if error.filename else ""
    return ReconcilerError(f"{about}{error.strerror or error}")


def _directory_exists() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True


def _report_bug(error: Exception, console: Console) -> None:
    if console.err.verbose:
        import traceback

        traceback.print_exception(error)
    from .render.style import safe

    what = safe(f"{type(error).__name__}: {error}")
    hint = "this is a bug; please report it" + (
        "" if console.err.verbose else ", with the output of `-v` added"
    )
    console.problem(f"error: internal error: {what}\n  {hint}\n")
