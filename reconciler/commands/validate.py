"""`validate`: files only. Needs no privilege, no kernel and no state, so that an editor or a hook can run it."""

from __future__ import annotations

from argparse import Namespace

from .. import expand, resolve
from ..errors import Exit
from ..model import Leases
from ..render import validated
from .console import Console
from .inputs import inputs


def run(args: Namespace, console: Console) -> int:
    """One line when the files are valid; every mistake at once, as TopologyError, when they are not."""
    named = inputs(args)
    expanded = expand.load(named.paths, named.overrides)
    topology, _ = resolve.resolve(
        expanded.tree, name_mark=expanded.name_mark, files=expanded.files, leases=Leases(), taken=()
    )
    if console.json:
        console.document(validated.document(topology, expanded.digest))
    else:
        console.success(validated.text(named.title, topology))
    return Exit.OK
