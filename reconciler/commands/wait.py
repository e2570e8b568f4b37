"""`wait`: until a topology is ready, for scripts. Says what is missing and why when that takes too long."""

from __future__ import annotations

import time
from argparse import Namespace

from .. import pipeline, waiting
from ..errors import DeadlineExceeded, Exit
from ..waiting import Files, Goal
from ..watch.watched import Desk
from . import named
from .console import Console
from .inputs import inputs, refuse_host, state_dir

_SHOWN = 20


def run(args: Namespace, console: Console) -> int:
    """Exit code 0 when the goal is reached, 7 when the time ran out first."""
    goal, began = Goal(args.goal), time.monotonic()
    if args.name:
        refuse_host(args)
        files, desk = None, named.desk(args, console)
    else:
        given = inputs(args)
        files = Files(
            lambda: pipeline.load(given.paths, given.overrides, state_dir(args), args.host),
            (*given.paths, *given.overrides),
        )
        desk = Desk(files.loaded.store)
    answer = waiting.wait(desk, files, goal, args.timeout)
    if answer.stop is not None:
        return 128 + answer.stop
    if answer.missing:
        more = len(answer.missing) - _SHOWN
        raise DeadlineExceeded(
            f"topology '{desk.topology}' is not {goal} after {args.timeout:g} s",
            reasons=[*answer.missing[:_SHOWN], *([f"and {more:,} more"] if more > 0 else [])],
            hint="see `reconciler status`",
        )
    seconds = time.monotonic() - began
    if console.json:
        console.document({"topology": desk.topology, "reached": str(goal), "seconds": round(seconds, 3)})
    else:
        console.success(f"Topology '{desk.topology}' is {goal}.\n")
    return Exit.OK
