"""`watch`: the loop as a command. Each event is a line, for people or with `-o json` for programs; also to systemd."""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from contextlib import ExitStack

from ..errors import UsageError
from ..guard import Allowed
from ..happened import Event
from ..load.source import STDIN
from ..render import events as render
from ..watch import loop, metrics, watched
from ..watch.audience import Pulse, Tally
from ..watch.reading import Settings
from ..watch.remote import remote
from ..watch.repository import COMMIT, Rules
from ..watch.service import Manager
from ..watch.upstream import Upstream
from ..watch.watched import Report
from .console import Console
from .inputs import Inputs, has_files, inputs, state_dir


def run(args: Namespace, console: Console) -> int:
    """Until a signal ends it."""
    upstream = _upstream(args)
    named = inputs(args) if upstream is None else Inputs((), ())
    if STDIN in (*named.paths, *named.overrides):
        raise UsageError("standard input cannot be watched", hint="name files or directories")
    manager = Manager()
    gc.enable()  # what a short command need not care for would grow here for weeks
    with ExitStack() as stack:
        exports = _exports(args, console, stack)
        rhythms = [
            r for r in (manager.rhythm, metrics.PERIOD if args.metrics_file else None) if r is not None
        ]
        settings = Settings(
            paths=named.paths,
            overrides=named.overrides,
            state_dir=state_dir(args),
            host=args.host,
            policies=tuple(args.policy),
            resync=args.resync,
            detect_only=args.detect_only,
            allowed=Allowed(args.allow_empty, args.max_deletes, tuple(args.allow_delete)),
            rhythm=min(rhythms, default=None),
            upstream=upstream,
        )
        return loop.run(settings, _Lines(console, manager, exports))


def _upstream(args: Namespace) -> Upstream | None:
    """The repository that is named. Raises UsageError for what does not go together."""
    if args.git is None:
        for flag in ("branch", "path", "interval", "allowed_signers", "accept_rewrite", "git_user"):
            if getattr(args, flag) is not None:
                raise UsageError(f"--{flag.replace('_', '-')} goes with --git", hint="name the repository")
        return None
    if has_files(args):
        hint = "leave one of them out; what is read in the repository, --path says"
        raise UsageError("--git and topology files exclude each other", hint=hint)
    if args.interval is not None and args.interval < 1:
        raise UsageError("--interval must be at least a second")
    if args.accept_rewrite is not None and not COMMIT.fullmatch(args.accept_rewrite):
        raise UsageError(
            f"--accept-rewrite '{args.accept_rewrite}' is no commit", hint="its whole number, 40 digits"
        )
    found = remote(args.git, args.branch, args.path)
    if found.scheme == "git" and args.allowed_signers is None:
        hint = "name --allowed-signers, or use https:// or ssh://"
        raise UsageError("whoever is on the way can change what git:// brings", hint=hint)
    rules = Rules(args.allowed_signers, args.accept_rewrite)
    return Upstream(found, rules, 60.0 if args.interval is None else args.interval, args.git_user)


def _exports(args: Namespace, console: Console, stack: ExitStack) -> list[metrics.Export]:
    exports = []
    if args.metrics_file:
        exports.append(stack.enter_context(metrics.text_file(args.metrics_file)))
    if args.metrics_port:
        export, url = stack.enter_context(metrics.http(args.metrics_port))
        exports.append(export)
        console.notice(f"metrics: {url}\n")
    return exports


class _Lines:
    """Events as lines, at once; the state to the service manager, the figures to whoever collects them."""

    def __init__(self, console: Console, manager: Manager, exports: Sequence[metrics.Export]) -> None:
        self._console, self._manager, self._exports = console, manager, exports
        self._tally = Tally()
        self._pulse = Pulse("", "")
        self._journal = _is_journal()

    def happened(self, event: Event) -> None:
        """One line. What the service manager has to know goes there first."""
        match event.kind:
            case "reload":
                self._manager.reloading()
            case "ready" | "reloaded":
                self._manager.ready()
            case "stopped":
                self._manager.stopping()
        self._tally.happened(event)
        if self._console.json or not self._console.quiet or event.kind in render.COLORS:
            prefix = f"<{render.level(event.kind)}>" if self._journal else ""
            sys.stdout.write(
                f"{prefix}{self._document(event) if self._console.json else self._line(event)}\n"
            )
            sys.stdout.flush()

    def _document(self, event: Event) -> str:
        level = render.NAMES[render.level(event.kind)]
        about = {"topology": self._pulse.topology, "digest": self._pulse.digest}
        return json.dumps({"time": watched.now(), "level": level, **about, **event._asdict()})

    def _line(self, event: Event) -> str:
        """For people; the journal knows the time itself."""
        words = render.words(event._asdict(), self._console.out)
        return words if self._journal else f"{time.strftime('%H:%M:%S')}  {words}"

    def reported(self, report: Report) -> None:
        """The line of the service manager."""
        self._manager.report(report)
        self._tally.reported(report)
        self._publish()

    def alive(self, pulse: Pulse) -> None:
        """Whatever else it does, the loop turns."""
        self._pulse = pulse
        self._manager.alive(time.monotonic())
        self._publish()

    def _publish(self) -> None:
        if self._exports:
            figures = self._tally.figures(self._pulse)
            for export in self._exports:
                export.publish(figures, time.monotonic())


def _is_journal() -> bool:
    """Whether standard output leads to the journal of systemd, which says so in these words (systemd.exec(5))."""
    info = os.fstat(sys.stdout.fileno())
    return os.environ.get("JOURNAL_STREAM") == f"{info.st_dev}:{info.st_ino}"
