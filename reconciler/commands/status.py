"""`status`: what the last run did, and one look at whether everything is in sync and works now."""

from __future__ import annotations

from argparse import Namespace
from datetime import UTC, datetime

from .. import pipeline
from ..conditions import conditions
from ..errors import Exit
from ..kernel.linux import Linux
from ..pipeline import Loaded, Look
from ..render import status as render
from ..render.status import StatusView
from ..state import Run
from .console import Console
from .inputs import inputs, state_dir


def run(args: Namespace, console: Console) -> int:
    """The state of every address; exit code 4 (or N) when asked and something is not ready."""
    named = inputs(args)
    loaded = pipeline.load(named.paths, named.overrides, state_dir(args), args.host)
    look = pipeline.look(loaded.desired, loaded.store, Linux(loaded.store))
    view = _view(loaded, look)
    if console.json:
        console.document(render.document(view))
    else:
        console.result(render.text(view, console.out))
    if view.bad and args.exit_code is not None:
        code: int = args.exit_code
        return code
    return Exit.OK


def _view(loaded: Loaded, look: Look) -> StatusView:
    history = loaded.store.history()
    last = history[-1] if history else None
    interrupted = loaded.store.interrupted()
    return StatusView(
        loaded.topology.name,
        tuple(conditions(loaded.local, loaded.desired, look)),
        last,
        0.0 if last is None else _age(last),
        last is not None and last.digest != loaded.expanded.digest,
        None if interrupted is None else f"{interrupted.command} of {interrupted.started}",
    )


def _age(last: Run) -> float:
    try:
        return max(0.0, (datetime.now(UTC) - datetime.fromisoformat(last.started)).total_seconds())
    except (ValueError, TypeError):  # a record from elsewhere
        return 0.0
