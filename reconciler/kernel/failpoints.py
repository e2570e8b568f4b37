"""Failpoints: make a step of an apply fail, or the process die, at an exact place. For tests; off by default.

RECONCILER_FAILPOINT holds one rule, `before|after:ACTION.KIND[:GLOB][#N]=kill|stop|ERRNO`: for example
`after:create.link:*web*#3=kill` kills the process after the third link whose key matches was created, and
`before:*.*#7=EBUSY` makes the seventh change of any kind fail with EBUSY without sending it. `stop` holds the process
still (SIGSTOP) until somebody sends SIGCONT: what others do to it meanwhile does not depend on their speed. A rule that
does not parse is an error: a test that thinks it injects a fault must not pass because of a typo.
"""

from __future__ import annotations

import errno
import os
import re
import signal
from dataclasses import dataclass
from fnmatch import fnmatchcase

from ..errors import UsageError
from ..plan import Change

VARIABLE = "RECONCILER_FAILPOINT"
_RULE = re.compile(r"(before|after):([a-z*]+)\.([a-z*]+)(?::([^#=]*))?(?:#([0-9]+))?=(kill|stop|E[A-Z0-9]+)")
_SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


@dataclass(slots=True)
class Failpoint:
    """An armed rule; counts the changes that match it."""

    when: str
    action: str
    kind: str
    glob: str
    nth: int
    effect: str
    seen: int = 0

    def fires(self, when: str, change: Change) -> bool:
        """Whether this is the place. Counts, so ask once for each change and moment."""
        if when != self.when or not fnmatchcase(change.action.value, self.action):
            return False
        if not fnmatchcase(change.object.kind_name, self.kind) or not fnmatchcase(
            "/".join(change.key), self.glob
        ):
            return False
        self.seen += 1
        return self.seen == self.nth

    def trigger(self) -> int:
        """Kill or stop the process, else the errno to fail with; 0 after it was stopped and goes on."""
        if self.effect in _SIGNALS:
            os.kill(os.getpid(), _SIGNALS[self.effect])
            return 0
        number: int = getattr(errno, self.effect)
        return number


def armed() -> Failpoint | None:
    """The rule in force, None in production."""
    text = os.environ.get(VARIABLE)
    if text is None:
        return None
    match = _RULE.fullmatch(text)
    if match is None or not (match[6] in _SIGNALS or hasattr(errno, match[6])):
        raise UsageError(
            f"{VARIABLE}: '{text}' is not a failpoint",
            hint="before|after:ACTION.KIND[:GLOB][#N]=kill|stop|ERRNO",
        )
    return Failpoint(match[1], match[2], match[3], match[4] or "*", int(match[5] or 1), match[6])
