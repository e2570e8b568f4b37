"""`version`: ours, and what it depends on at run time when asked for JSON."""

from __future__ import annotations

import platform
from argparse import Namespace

from .. import __version__
from ..errors import Exit
from .console import Console


def run(_: Namespace, console: Console) -> int:
    """The version of this program."""
    if console.json:
        facts = {"version": __version__, "python": platform.python_version(), "kernel": platform.release()}
        console.document(facts)
    else:
        console.result(f"reconciler {__version__}\n")
    return Exit.OK
