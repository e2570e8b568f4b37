"""Takes back an apply that nobody confirmed in time: a process of its own, that outlives whoever started it.

It is a session of its own, so neither a closed terminal nor Ctrl-C reaches it. It asks for nothing but the state
directory; everything that it has to make again is there. SIGTERM ends the waiting: what is not decided is taken back at
once, also when the machine is being shut down.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from . import confirmation
from .confirmation import Pending
from .errors import Exit, LockHeld, ReconcilerError
from .happened import Event
from .state import Store
from .watch.watched import Desk

CONFIRMED, REVERTED, FAILED = int(Exit.OK), int(Exit.REFUSED), int(Exit.FAILED)
_OVER, _CONFIRMED = signal.SIGTERM, signal.SIGUSR1
_SIGNALS = frozenset({_OVER, _CONFIRMED, signal.SIGINT, signal.SIGHUP})
_LONGEST = 5.0  # a machine that slept is noticed after that
_AGAIN = 0.2
_TRIES = 5
_READY = b"ready\n"

Process = subprocess.Popen[bytes]


def start(store: Store, pending: Pending) -> Process:
    """A sentry that is on guard. Raises ReconcilerError when there is none after all."""
    package = str(Path(__file__).resolve().parent.parent)
    path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH", ""))))
    command = (sys.executable, "-P", "-m", f"{__package__}.sentry")
    process = subprocess.Popen(
        [*command, str(store.root.absolute()), store.topology, pending.token],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",  # holds no directory of the user's
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,
    )
    assert process.stdout is not None
    with process.stdout as stdout:
        if stdout.readline() != _READY:
            process.kill()
            process.wait()
            raise ReconcilerError("nobody could be started who takes the apply back; nothing was done")
    return process


def tell(pid: int | None, *, confirmed: bool) -> None:
    """Let a sentry know what was decided, after it was. `pid` is the `confirmation.guardian` of before."""
    if pid is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, _CONFIRMED if confirmed else _OVER)


def main(argv: list[str]) -> int:
    """On guard until it is decided; the exit code says how."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    root, topology, token = argv
    store = Store(Path(root), topology)
    with confirmation.guarded(store):
        sys.stdout.buffer.write(_READY)
        sys.stdout.buffer.flush()
        _leave_the_pipe()
        return _guard(store, token)


def _leave_the_pipe() -> None:
    null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


def _guard(store: Store, token: str) -> int:
    heard: set[int] = set()
    failures = 0
    while (pending := _mine(store, token)) is not None:
        over = _OVER in heard
        if pending.left > 0 and not over:
            heard |= _wait(min(pending.left, _LONGEST))
            continue
        try:
            with store.lock():
                pending = _mine(store, token)
                if pending is not None and (over or pending.left <= 0):
                    return _take_back(store)
        except LockHeld:  # the apply itself goes on still, or somebody decides
            heard |= _wait(_AGAIN)
        except (ReconcilerError, OSError) as error:
            failures += 1
            _note(store, Event("failed", f"the apply was not confirmed and could not be taken back: {error}"))
            if failures == _TRIES:
                return FAILED
            heard |= _wait(2.0**failures)
    if not heard:  # whoever decided is about to say what
        heard = _wait(_AGAIN)
    return REVERTED if _OVER in heard and _CONFIRMED not in heard else CONFIRMED


def _take_back(store: Store) -> int:
    from .kernel.linux import Linux

    result = confirmation.revert(store, Linux(store))
    if confirmation.pending(store) is not None:
        left = sorted({outcome.change.origin for outcome in result.outcomes if not outcome.done})
        raise ReconcilerError(
            f"left as they are: {', '.join(left[:5]) or 'what something else is in the way of'}"
        )
    _note(store, Event("reverted", "not confirmed: what was before is back", None, None, result.run))
    return REVERTED


def _note(store: Store, event: Event) -> None:
    if store.directory.is_dir():
        with suppress(OSError):
            Desk(store).note(event)


def _mine(store: Store, token: str) -> Pending | None:
    found = confirmation.pending(store)
    return found if found is not None and found.token == token else None


def _wait(seconds: float) -> set[int]:
    """The signal that came meanwhile, if any. A terminal that went away says nothing."""
    found: Any = signal.sigtimedwait(_SIGNALS, seconds)
    return set() if found is None else {found.si_signo}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
