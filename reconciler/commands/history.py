"""`history`: the last runs of a topology on this host. Needs no kernel, and with `--name` no files."""

from __future__ import annotations

from argparse import Namespace

from ..errors import Exit
from ..render import history as render
from . import named
from .console import Console


def run(args: Namespace, console: Console) -> int:
    """The last fifty runs that took over edits, and the last fifty that only made drift good."""
    desk = named.desk(args, console)
    runs = desk.store.history()
    runs = runs[len(runs) - min(args.number, len(runs)) :] if args.number is not None else runs
    if console.json:
        console.document(render.document(desk.topology, runs))
    elif runs:
        console.result(render.text(runs, console.out))
    else:
        console.notice(f"topology '{desk.topology}' was never applied here\n")
    return Exit.OK
