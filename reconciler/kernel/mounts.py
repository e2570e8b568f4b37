"""The table of mounts, which says when it changes: a namespace gets and loses its name by a mount. Reads nothing of it.

rtnetlink tells that a namespace ended, not that its name was taken away while something lives on in it, nor that one
was given a name. poll(2) on mountinfo tells both (proc(5)), once for each descriptor: so one wakes, another is asked.
"""

from __future__ import annotations

import os
import select

_TABLE = "/proc/thread-self/mountinfo"


class Mounts:
    """`fileno` gets an exceptional condition when mounts change, which a selector takes away by telling of it."""

    def __init__(self) -> None:
        self._waking, self._asked = (os.open(_TABLE, os.O_RDONLY | os.O_CLOEXEC) for _ in range(2))
        self._poll = select.poll()
        self._poll.register(self._asked, select.POLLPRI)

    def fileno(self) -> int:
        """For a selector."""
        return self._waking

    def changed(self) -> bool:
        """Whether they have changed since this was asked before."""
        return bool(self._poll.poll(0))

    def close(self) -> None:
        """Stop listening."""
        os.close(self._waking)
        os.close(self._asked)
