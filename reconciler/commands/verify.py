"""`verify`: try the checks of a topology inside of its sandboxes, until they hold or the time is over."""

from __future__ import annotations

import signal
import time
from argparse import Namespace
from collections.abc import Sequence
from functools import partial

from .. import identity, pipeline
from ..compile import namespace
from ..errors import Exit, ReconcilerError
from ..interrupts import deferred
from ..kernel import netns
from ..model import SandboxKind, Topology
from ..render import verified as render
from ..verdict import Verdict, exit_code
from ..verify import verify
from .console import Console
from .inputs import inputs, state_dir


def run(args: Namespace, console: Console) -> int:
    """0 when all checks hold, 1 when one does not, 7 when sandboxes were missing until the end."""
    named = inputs(args)
    loaded = pipeline.load(named.paths, named.overrides, state_dir(args), args.host)
    if loaded.desired.here is not None:
        from ..kernel import observe

        identity.confirm(loaded.desired.here, observe.host_addresses())
    topology = loaded.local
    console.record(topology=topology.name, files=loaded.expanded.files)
    netns.allow_many()
    began = time.monotonic()
    with deferred() as interrupts:
        verdicts = verify(
            topology.checks, _places(loaded.topology), _answering(topology), args.timeout, interrupts
        )
    if interrupts.received is not None:
        console.record(error=ReconcilerError(f"stopped by {interrupts.received.name} before the end"))
        return Exit.INTERRUPTED if interrupts.received is signal.SIGINT else Exit.TERMINATED
    _report(topology, verdicts, time.monotonic() - began, console)
    return exit_code(verdicts)


def _places(topology: Topology) -> dict[str, str]:
    return {name: namespace(topology.name, sandbox) for name, sandbox in topology.sandboxes.items()}


def _answering(topology: Topology) -> frozenset[str]:
    """Sandboxes in which a port may be opened for a moment: those that are here, and not the host itself."""
    return frozenset(
        name for name, sandbox in topology.sandboxes.items() if sandbox.kind is not SandboxKind.HOST
    )


def _report(topology: Topology, verdicts: Sequence[Verdict], seconds: float, console: Console) -> None:
    document = partial(render.document, verdicts, topology.name, seconds)
    console.record(verdicts=tuple(verdicts), document=document)
    if console.json:
        console.document(document())
    elif not verdicts:
        console.notice(
            "note: the topology has no checks here; `reconciler explain checks` says how to add some\n"
        )
    elif all(verdict.holds for verdict in verdicts):
        console.success(render.text(verdicts, seconds, console.out))
    else:
        console.result(render.text(verdicts, seconds, console.out))
