"""`status`: what the last run did, whether a watch runs, and one look at whether everything is in sync and works now.

With `--watch` it is said again whenever something changed. By name alone nothing is looked at: what the watch says is
shown as such.
"""

from __future__ import annotations

import json
import time
from argparse import Namespace

from .. import pipeline, standing, waiting
from ..errors import Exit, TopologyError, UsageError
from ..kernel.follow import Follower
from ..kernel.linux import Linux
from ..load.files import STDIN
from ..pipeline import Loaded
from ..render import status as render
from ..render.status import StatusView
from ..waiting import Files
from ..watch.triggers import Triggers
from ..watch.watched import Desk
from . import named
from .console import Console
from .inputs import Inputs, inputs, refuse_host, state_dir
from .plan import mention_forgotten

_CLEAR = "\x1b[H\x1b[2J\x1b[3J"
_QUIET, _LONG = 0.05, 60.0


def run(args: Namespace, console: Console) -> int:
    """The state of every address; exit code 4 (or N) when asked and something is not ready."""
    if args.name:
        return _by_name(args, console)
    given = inputs(args)
    if args.watch:
        return _follow(args, given, console)
    loaded = _load(args, given, console)
    view = standing.seen(loaded, pipeline.look(loaded.desired, loaded.store, Linux(loaded.store)))
    mention_forgotten(loaded.store, console)
    _show(view, console, loaded.expanded.files)
    return _code(args, view)


def _by_name(args: Namespace, console: Console) -> int:
    desk = named.desk(args, console)
    refuse_host(args)
    if args.watch:
        raise UsageError(
            "--watch looks at the kernel, and needs the files", hint="name them instead of --name"
        )
    view = standing.told(desk)
    mention_forgotten(desk.store, console)
    _show(view, console)
    return _code(args, view)


def _code(args: Namespace, view: StatusView) -> int:
    if view.bad and args.exit_code is not None:
        code: int = args.exit_code
        return code
    return Exit.OK


def _load(args: Namespace, given: Inputs, console: Console) -> Loaded:
    try:
        return pipeline.load(given.paths, given.overrides, state_dir(args), args.host)
    except TopologyError:
        console.notice(
            "note: `reconciler status --name TOPOLOGY` says what the watch knows without the files\n"
        )
        raise


def _show(view: StatusView, console: Console, files: tuple[str, ...] = ()) -> None:
    console.record(topology=view.topology, files=files, status=view, document=lambda: render.document(view))
    if console.json:
        console.document(render.document(view))
    else:
        console.result(render.text(view, console.out))


# ------------------------------------------------------------------------------------------------------ again and again


def _follow(args: Namespace, given: Inputs, console: Console) -> int:
    """Until a signal. Files that are wrong meanwhile leave what was read before; the watch, if any, says so."""
    if STDIN in (*given.paths, *given.overrides):
        raise UsageError("standard input cannot be watched", hint="name files or directories")
    paths = (*given.paths, *given.overrides)
    files = Files(lambda: _load(args, given, console), paths)
    store, topology = files.loaded.store, files.loaded.topology.name
    if console.json:
        console.result(json.dumps({"format_version": "1.0", "topology": topology}) + "\n")
    shown = ""
    with Follower(store) as kernel, Triggers(kernel) as triggers:
        kernel.declare(files.loaded.desired)
        while True:
            triggers.watch([*files.paths, *waiting.places(Desk(store))])
            kernel.listen()
            look = pipeline.look(files.loaded.desired, store, kernel)
            shown = _redraw(standing.seen(files.loaded, look), shown, console)
            woken = triggers.wait(time.monotonic() + _LONG)
            more = triggers.wait(time.monotonic() + _QUIET)  # a burst is one look
            if (stop := woken.stop or more.stop) is not None:
                return 128 + stop
            if woken.files or more.files:
                kernel.distrust()  # somebody ended an apply: some of what it did makes no event
            if files.edited():
                kernel.declare(files.loaded.desired)


def _redraw(view: StatusView, shown: str, console: Console) -> str:
    """Say how things are, if that is news; what is compared leaves out how long ago things were."""
    document = render.document(view)
    news = json.dumps({**document, "watch": {**document["watch"], "written": None, "passed": None}})
    if news == shown:
        return shown
    if console.json:
        console.result(json.dumps(document) + "\n")
    else:
        clear = _CLEAR if console.terminal else "\n" if shown else ""
        console.result(clear + render.text(view, console.out))
    return news
