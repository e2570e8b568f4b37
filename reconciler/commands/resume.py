"""`resume`: take a `suspend` back. A watch that runs goes on at once."""

from __future__ import annotations

from argparse import Namespace

from ..errors import Exit
from ..happened import Event
from . import named
from .console import Console


def run(args: Namespace, console: Console) -> int:
    """Resume; it is no mistake when nothing was suspended."""
    desk = named.desk(args, console)
    was = desk.resume()
    occupied = desk.is_occupied()
    if was and not occupied:
        desk.note(Event("resumed", "Resumed"))
    if console.json:
        console.document({"topology": desk.topology, "was_suspended": was, "watched": occupied})
        return Exit.OK
    if not was:
        console.success(f"Topology '{desk.topology}' was not suspended.\n")
    else:
        tail = "the watch goes on" if occupied else "no watch runs"
        console.success(f"Resumed topology '{desk.topology}'; {tail}.\n")
    return Exit.OK
