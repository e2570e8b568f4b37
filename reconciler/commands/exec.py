"""`exec`: run a program in a sandbox's namespace. The process becomes the program, so the exit code is the program's."""

from __future__ import annotations

import os
from argparse import Namespace

from .. import identity, names, pipeline, processes
from ..compile import namespace
from ..errors import ReconcilerError, UsageError
from ..kernel import netns
from .console import Console
from .inputs import inputs, one_sandbox, refuse_both, refuse_host, state_dir, topology_name, unknown_sandbox


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
        processes.become(program, os.environ)
    raise AssertionError("exec returned")


def _by_name(args: Namespace) -> str:
    refuse_host(args)
    topology = topology_name(args.name)
    prefix = names.netns(topology, "")
    known = [entry.removeprefix(prefix) for entry in netns.entries(prefix)]
    if args.sandbox not in known:
        raise unknown_sandbox(args.sandbox, topology, known)
    return names.netns(topology, args.sandbox)


def _by_files(args: Namespace) -> str:
    named = inputs(args)
    loaded = pipeline.load(named.paths, named.overrides, state_dir(args), args.host)
    topology, here = loaded.topology, loaded.desired.here
    sandbox = one_sandbox(topology, args.sandbox)
    if here is not None and sandbox.host != here.host:
        raise UsageError(
            f"sandbox '{sandbox.name}' is on host '{sandbox.host}', and this is '{here.host}'",
            hint="run it there",
        )
    if here is not None:
        from ..kernel import observe

        identity.confirm(here, observe.host_addresses())
    return namespace(topology.name, sandbox)
