"""The command line: pick the command, run it, turn whatever it raises into words and an exit code.

This is the one place where errors become text and exit codes; commands just raise. It imports nothing heavy, so that
`--help` costs little more than Python itself: each command's module, and with it the core, is imported when chosen.
"""

from __future__ import annotations

import os
import signal
import sys

from .commands import arguments

TYPE_CHECKING = False  # see arguments
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence
    from types import FrameType
    from typing import NoReturn

    from .commands.console import Console
    from .errors import ReconcilerError

# Of errors.Exit, which is imported only after the arguments are fine.
_FAILED, _INTERRUPTED, _TERMINATED = 1, 130, 143


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; what comes back is the process's exit code."""
    try:
        args = arguments.parse(list(sys.argv[1:] if argv is None else argv))
        code = _run(args)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader went away (`| head`). Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _FAILED
    return code


def _run(args: Namespace) -> int:
    from .commands.console import open_console
    from .errors import ReconcilerError

    console = open_console(args)
    signal.signal(signal.SIGTERM, _terminate)  # apply holds it back while it writes
    try:
        return int(arguments.load(args.command)(args, console))
    except ReconcilerError as error:
        _report(error, console)
        return int(error.exit_code)
    except BrokenPipeError:
        raise
    except OSError as error:
        _report(_system_error(error), console)
        return _FAILED
    except Exception as error:  # noqa: BLE001  # the last resort: a bug must not look like a result
        _report_bug(error, console)
        return _FAILED


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(_TERMINATED)


def _report(error: ReconcilerError, console: Console) -> None:
    from .commands.excerpts import lines_of
    from .errors import TopologyError
    from .render import diagnostics, documents, failure

    if console.json:
        console.document(documents.error(error))
    if isinstance(error, TopologyError):
        console.problem(diagnostics.text(error.diagnostics, lines_of, console.err))
    else:
        console.problem(failure.text(error, console.err))


def _system_error(error: OSError) -> ReconcilerError:
    """A file, a disk or a limit that failed us: the system's word for it, and what it was about."""
    from .errors import ReconcilerError

    about = f"{error.filename}: " if error.filename else ""
    return ReconcilerError(f"{about}{error.strerror or error}")


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
