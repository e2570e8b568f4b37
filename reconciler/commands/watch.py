"""`watch`: the loop as a command. Each event is a line, for people or with `-o json` for programs; also to systemd."""

from __future__ import annotations

import json
import sys
import time
from argparse import Namespace

from .. import service, watch, watched
from ..errors import UsageError
from ..guard import Allowed
from ..render.style import Style, safe
from ..source import STDIN
from ..watch import Event, Settings
from ..watched import Report
from .console import Console
from .inputs import inputs, state_dir

_COLORS = {"failed": "red", "mistake": "red", "flapping": "red", "waiting": "yellow", "suspended": "yellow"}


def run(args: Namespace, console: Console) -> int:
    """Until a signal ends it."""
    named = inputs(args)
    if STDIN in (*named.paths, *named.overrides):
        raise UsageError("standard input cannot be watched", hint="name files or directories")
    settings = Settings(
        paths=named.paths,
        overrides=named.overrides,
        state_dir=state_dir(args),
        host=args.host,
        resync=args.resync,
        detect_only=args.detect_only,
        allowed=Allowed(everything=args.allow_empty, deletions=args.max_deletes),
    )
    return watch.run(settings, _Lines(console))


class _Lines:
    """Events as lines, at once; the state to the service manager."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._ready = False

    def happened(self, event: Event) -> None:
        """One line."""
        if self._console.json:
            sys.stdout.write(json.dumps({"time": watched.now(), **event._asdict()}) + "\n")
        elif not self._console.quiet or event.kind in _COLORS:
            sys.stdout.write(_line(event, self._console.out))
        sys.stdout.flush()

    def reported(self, report: Report) -> None:
        """The first report says that everything was looked at once."""
        state = service.state(report)
        if not self._ready:
            self._ready = True
            service.notify(f"READY=1\n{state}")
        else:
            service.notify(f"{state}\nWATCHDOG=1")


def _line(event: Event, style: Style) -> str:
    subject = f"{safe(event.address)}: " if event.address is not None else ""
    cause = f" ({event.cause})" if event.cause in ("drift", "removed") else ""
    message = (
        style.paint(safe(event.message), _COLORS[event.kind])
        if event.kind in _COLORS
        else safe(event.message)
    )
    return f"{time.strftime('%H:%M:%S')}  {subject}{message}{cause}\n"
