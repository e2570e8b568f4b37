"""`run`: a topology in a private view of the kernel, a command in it, and nothing left of either.

Three processes: this one waits outside, its child is process 1 of the view and applies the topology, whose child becomes
the command. Whichever of them is killed, the kernel ends the ones below it and takes the view down.
"""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from .. import policy, processes
from ..errors import Exit, UsageError
from ..kernel import private
from .console import Console
from .inputs import Inputs, inputs, one_sandbox, to_environment

if TYPE_CHECKING:
    from ..model import Sandbox
    from ..pipeline import Loaded
    from ..policy import Policy

STATE = "/run/reconciler"


def run(args: Namespace, console: Console) -> int:
    """The command's exit code, 128+N when signal N ended it; ours when the topology does not stand."""
    named = inputs(args)
    policies = policy.in_force(
        args.policy
    )  # in the view nobody else is root, the owner of the machine's included
    environment = {**os.environ, **to_environment(named), "RECONCILER_STATE_DIR": STATE}
    user = os.getuid(), os.getgid()
    private.separate()
    held = processes.hold_signals()
    first = processes.fork(held, bound=True)
    if first:
        return processes.outlast(first)
    private.furnish()
    if args.given is not None:
        _put(args.given, named.paths[0])
    loaded = _loaded(named, args, policies)
    where = one_sandbox(loaded.topology, args.inside) if args.inside else None
    code = _stand(loaded, named, console, args.timeout)
    if code is not Exit.OK:
        return code
    processes.hold_signals()
    command = processes.fork(held, bound=False)
    if not command and args.agent is not None:
        return _serve(args.agent, loaded, environment)
    if not command:
        _start(loaded, where, _program(args), environment, user if args.keep_user else (0, 0))
    return processes.outlast(command)


def _put(descriptor: int, path: str) -> None:
    """Write a topology that was handed over as an open file into the /run of the view, where it goes with the rest."""
    with open(descriptor, "rb") as source, open(path, "xb") as target:
        target.write(source.read())


def _loaded(named: Inputs, args: Namespace, policies: Sequence[Policy]) -> Loaded:
    from .. import pipeline

    return pipeline.load(named.paths, named.overrides, Path(STATE), args.host, policies=policies)


def _program(args: Namespace) -> Sequence[str]:
    return list(args.program) or [os.environ.get("SHELL") or "/bin/sh"]


def _stand(loaded: Loaded, named: Inputs, console: Console, timeout: float) -> Exit:
    """Apply; how it went goes to standard error, since standard output is the command's."""
    from .. import pipeline
    from ..apply import Options, apply
    from ..kernel.linux import Linux
    from ..render import result as render
    from .plan import refuse_conflicts
    from .progress import Progress

    kernel = Linux(loaded.store)
    with loaded.store.lock():
        look = pipeline.look(loaded.desired, loaded.store, kernel)
        pipeline.check_host(look, kernel)
        refuse_conflicts(look, named)
        progress = Progress(quiet=console.quiet)
        try:
            result = apply(
                look.plan,
                loaded.desired,
                loaded.leases,
                kernel,
                loaded.store,
                reporter=progress,
                options=Options(timeout=timeout, digest=loaded.expanded.digest),
            )
        finally:
            progress.finish()
    again = f"reconciler run {named.as_arguments}"
    text = render.text(result, loaded.desired, console.err, command="apply", again=again)
    if result.exit_code is Exit.OK:
        console.notice(text)
    else:
        console.problem(text)
    return result.exit_code


def _serve(descriptor: int, loaded: Loaded, environment: dict[str, str]) -> Exit:
    """Instead of a command: the agent of `reconciler.testing`, which holds the other end of `descriptor`."""
    import socket

    from .. import agent

    os.environ.update(environment)
    control = socket.socket(fileno=descriptor)
    control.set_inheritable(False)
    agent.serve(control, loaded.topology)
    return Exit.OK


def _start(
    loaded: Loaded,
    where: Sandbox | None,
    program: Sequence[str],
    environment: dict[str, str],
    user: tuple[int, int],
) -> NoReturn:
    from ..compile import namespace
    from ..kernel import netns

    if where is not None:
        fd = netns.open_fd(namespace(loaded.topology.name, where))
        if fd is None:
            raise UsageError(
                f"sandbox '{where.name}' has no namespace in here",
                hint="leave --in out, or name another sandbox",
            )
        netns.move(fd)
    private.be(*user)
    processes.become(list(program), environment)
    raise AssertionError("exec returned")
