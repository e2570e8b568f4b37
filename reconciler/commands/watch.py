"""`watch`: the loop as a command. Each event is a line, for people or with `-o json` for programs; also to systemd."""

from __future__ import annotations

import gc
import json
import sys
import time
from argparse import Namespace

from .. import watch, watched
from ..errors import UsageError
from ..guard import Allowed
from ..happened import Event
from ..render import events as render
from ..service import Manager
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
    manager = Manager()
    settings = Settings(
        paths=named.paths,
        overrides=named.overrides,
        state_dir=state_dir(args),
        host=args.host,
        resync=args.resync,
        detect_only=args.detect_only,
        allowed=Allowed(everything=args.allow_empty, deletions=args.max_deletes),
        rhythm=manager.rhythm,
    )
    gc.enable()  # what a short command need not care for would grow here for weeks
    return watch.run(settings, _Lines(console, manager))


class _Lines:
    """Events as lines, at once; the state to the service manager."""

    def __init__(self, console: Console, manager: Manager) -> None:
        self._console, self._manager = console, manager

    def happened(self, event: Event) -> None:
        """One line. What the service manager has to know goes there first."""
        match event.kind:
            case "reload":
                self._manager.reloading()
            case "ready" | "reloaded":
                self._manager.ready()
            case "stopped":
                self._manager.stopping()
        if self._console.json:
            sys.stdout.write(json.dumps({"time": watched.now(), **event._asdict()}) + "\n")
        elif not self._console.quiet or event.kind in render.COLORS:
            words = render.words(event._asdict(), self._console.out)
            sys.stdout.write(f"{time.strftime('%H:%M:%S')}  {words}\n")
        sys.stdout.flush()

    def reported(self, report: Report) -> None:
        """The line of the service manager."""
        self._manager.report(report)

    def alive(self) -> None:
        """Whatever else it does, the loop turns."""
        self._manager.alive(time.monotonic())
