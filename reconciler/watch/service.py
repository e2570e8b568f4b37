"""Under a service manager: readiness, state and signs of life by the protocol of sd_notify(3). Nothing without one.

The signs of life come from the loop itself, so a loop that hangs is a loop that is restarted. They are due whether or
not anything happens, so the loop has to wake for them: `rhythm` says how often.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress

from .watched import Report

_READY, _STOPPING, _ALIVE = "READY=1", "STOPPING=1", "WATCHDOG=1"


class Manager:
    """The service manager that started this process, if one did. Messages that it cannot take are dropped."""

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        self.rhythm = _rhythm()
        self._beat = 0.0
        self._state = ""

    def ready(self) -> None:
        """The first pass is over, or what a reload asked for is done."""
        self._notify(_READY)

    def reloading(self) -> None:
        """Everything is read and looked at again, as somebody asked; `ready` ends that."""
        self._notify(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """Nothing more will be done."""
        self._notify(_STOPPING)

    def report(self, report: Report) -> None:
        """The line for `systemctl status`, if it is another one."""
        if (state := _state(report)) != self._state:
            self._state = state
            self._notify(state)

    def alive(self, now: float) -> None:
        """A sign of life, when one is due at the monotonic time `now`."""
        if self.rhythm is not None and now - self._beat >= self.rhythm / 2:
            self._beat = now
            self._notify(_ALIVE)

    def _notify(self, text: str) -> None:
        address = self._address
        if not address.startswith(("/", "@")):
            return
        with (
            suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock,
        ):
            sock.sendto(text.encode(), "\0" + address[1:] if address[0] == "@" else address)


def _rhythm() -> float | None:
    """Seconds after which the loop has to wake for a sign of life: half of what is allowed, None when none is wanted."""
    try:
        allowed = int(os.environ.get("WATCHDOG_USEC", ""))
        if int(os.environ.get("WATCHDOG_PID", os.getpid())) != os.getpid():  # meant for another process
            return None
    except ValueError:
        return None
    return allowed / 2e6 if allowed > 0 else None


def _state(report: Report) -> str:
    if report.mistakes:
        words = f"the files are wrong: {report.mistakes[0]}"
    elif report.suspended is not None:
        words = f"suspended: {report.suspended.reason}"
    elif report.trouble:
        words = f"{len(report.trouble)} not ready, {report.repaired} repaired"
    else:
        words = f"in sync, {report.repaired} repaired"
    return "STATUS=" + " ".join(words.split())
