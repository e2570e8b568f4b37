"""`watch`: the loop as a command. Each event is a line, for people or with `-o json` for programs; also to systemd."""

from __future__ import annotations

import json
import sys
import time
from argparse import Namespace

from .. import service, watch, watched
from ..errors import UsageError
from ..guard import Allowed
from ..happened import Event
from ..render import events as render
from ..source import STDIN
from ..watch import Settings
from ..watched import Report
from .console import Console
from .inputs import inputs, state_dir


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
        elif not self._console.quiet or event.kind in render.COLORS:
            words = render.words(event._asdict(), self._console.out)
            sys.stdout.write(f"{time.strftime('%H:%M:%S')}  {words}\n")
        sys.stdout.flush()

    def reported(self, report: Report) -> None:
        """The first report says that everything was looked at once."""
        state = service.state(report)
        if not self._ready:
            self._ready = True
            service.notify(f"READY=1\n{state}")
        else:
            service.notify(f"{state}\nWATCHDOG=1")
