"""Processes that we start and outlast: bound to our life, sent what we are sent, and their exit codes told.

Only for a program that has one thread: signals are waited for, not handled, and every child is reaped.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
from collections.abc import Mapping
from contextlib import suppress

from .errors import UsageError

_PR_SET_PDEATHSIG = 1
_PASSED_ON = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
_AWAITED = frozenset((*_PASSED_ON, signal.SIGCHLD))


def hold_signals() -> set[signal.Signals]:
    """Keep signals until `outlast` waits for them; what was held before, for children to go back to.

    Called before the child is started, so that none is lost.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # who inherits SIG_IGN never learns how a child ended
    held = signal.pthread_sigmask(signal.SIG_BLOCK, _AWAITED)
    return {signal.Signals(number) for number in held}


def fork(held: set[signal.Signals], *, bound: bool) -> int:
    """As os.fork, with `held` (see `hold_signals`) in the child. A bound child is killed when its parent ends."""
    watch, alive = os.pipe()
    pid = os.fork()
    if pid:
        os.close(watch)  # `alive` stays open for as long as this process lives
        return pid
    os.close(alive)
    if bound:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if _is_closed(watch):  # the parent died before it was said
            os._exit(128 + signal.SIGKILL)
    os.close(watch)
    signal.pthread_sigmask(signal.SIG_SETMASK, held)
    return 0


def outlast(pid: int) -> int:
    """Wait for the end of a child and reap all that end before it; its exit code, 128+N when signal N ended it.

    Signals that somebody sends us go to the child. Those that a terminal makes (Ctrl-C) reached it with us.
    """
    while True:
        received = signal.sigwaitinfo(_AWAITED)
        if received.si_signo == signal.SIGCHLD:
            if (code := _reaped(pid)) is not None:
                return code
        elif received.si_code <= 0:  # SI_USER and its like; the kernel's own are positive
            with suppress(ProcessLookupError):
                os.kill(pid, received.si_signo)


def become(program: list[str], environment: Mapping[str, str]) -> None:
    """Replace this process by a program. Raises UsageError when it cannot be run."""
    for number in (
        signal.SIGPIPE,
        signal.SIGXFSZ,
    ):  # Python ignores them, and what is ignored stays so over exec
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvpe(program[0], program, environment)  # noqa: S606  # starting what the user typed is the whole point
    except OSError as error:
        raise UsageError(
            f"cannot run '{program[0]}': {error.strerror}", hint="name a program that is in $PATH"
        ) from error


def _is_closed(pipe: int) -> bool:
    poll = select.poll()
    poll.register(pipe, 0)
    return bool(poll.poll(0))


def _reaped(pid: int) -> int | None:
    """The exit code of `pid` if it has ended. Everybody else who has is reaped as well."""
    while True:
        try:
            ended, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return None
        if ended == 0:
            return None
        if ended == pid:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
