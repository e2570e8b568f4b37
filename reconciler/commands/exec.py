"""`exec`: run a program in a sandbox's namespace. The process becomes the program, so the exit code is the program's."""

from __future__ import annotations

import difflib
import os
import signal
from argparse import Namespace
from collections.abc import Sequence

from .. import identity, names, pipeline
from ..compile import namespace
from ..errors import ReconcilerError, UsageError
from ..kernel import netns
from .console import Console
from .inputs import inputs, refuse_both, refuse_host, state_dir, topology_name


def run(args: Namespace, _: Console) -> int:
    """Does not return when the program starts. Raises UsageError for an unknown sandbox or program."""
    refuse_both(args)
    where = _by_name(args) if args.name else _by_files(args)
    fd = netns.open_fd(where)
    if fd is None:
        raise ReconcilerError(
            f"sandbox '{args.sandbox}' has no namespace '{where or 'host'}' on this host",
            hint="`reconciler apply` makes it",
        )
    program = list(args.program) or [os.environ.get("SHELL") or "/bin/sh"]
    with netns.home() as back, netns.inside(fd, back):
        _become(program)
    raise AssertionError("exec returned")


def _become(program: list[str]) -> None:
    for number in (
        signal.SIGPIPE,
        signal.SIGXFSZ,
    ):  # Python ignores them, and what is ignored stays so over exec
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(program[0], program)  # noqa: S606  # starting what the user typed is the whole point
    except OSError as error:
        raise UsageError(
            f"cannot run '{program[0]}': {error.strerror}", hint="name a program that is in $PATH"
        ) from error


def _by_name(args: Namespace) -> str:
    refuse_host(args)
    topology = topology_name(args.name)
    prefix = names.netns(topology, "")
    known = [entry.removeprefix(prefix) for entry in netns.entries(prefix)]
    if args.sandbox not in known:
        raise _unknown(args.sandbox, topology, known)
    return names.netns(topology, args.sandbox)


def _by_files(args: Namespace) -> str:
    named = inputs(args)
    loaded = pipeline.load(named.paths, named.overrides, state_dir(args), args.host)
    topology, here = loaded.topology, loaded.desired.here
    sandbox = topology.sandboxes.get(args.sandbox)
    if sandbox is None:
        raise _unknown(args.sandbox, topology.name, list(topology.sandboxes))
    if here is not None and sandbox.host != here.host:
        raise UsageError(
            f"sandbox '{sandbox.name}' is on host '{sandbox.host}', and this is '{here.host}'",
            hint="run it there",
        )
    if here is not None:
        from ..kernel import observe

        identity.confirm(here, observe.host_addresses())
    return namespace(topology.name, sandbox)


def _unknown(name: str, topology: str, known: Sequence[str]) -> UsageError:
    close = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean '{close[0]}'?" if close else f"it has: {', '.join(known[:10]) or 'none'}"
    return UsageError(f"topology '{topology}' has no sandbox '{name}'", hint=hint)
