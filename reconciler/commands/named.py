"""The topology that a command is about, where its name is enough: by `--name`, or read from its files."""

from __future__ import annotations

from argparse import Namespace

from ..errors import TopologyError
from ..load import expand
from ..state import Store
from ..watch.watched import Desk
from .console import Console
from .inputs import inputs, refuse_both, state_dir, topology_name


def desk(args: Namespace, console: Console) -> Desk:
    """The place of the topology's watch. Raises TopologyError for broken files, and says what does without them."""
    refuse_both(args)
    return Desk(Store(state_dir(args), _name(args, console)))


def _name(args: Namespace, console: Console) -> str:
    if args.name:
        return topology_name(args.name)
    named = inputs(args)
    try:
        return expand.load(named.paths, named.overrides).name
    except TopologyError:
        console.notice(
            f"note: the files are broken; `reconciler {args.command} --name TOPOLOGY` does without them\n"
        )
        raise
