"""Every command with its flags, one function each, and the flags that several share. Imports argparse only."""

from __future__ import annotations

import argparse

from .values import count as _count
from .values import exit_code as _code
from .values import seconds as _seconds
from .values import span as _span

TYPE_CHECKING = False  # see arguments
if TYPE_CHECKING:
    from collections.abc import Callable

PROGRAM = "reconciler"


def _paths(parser: argparse.ArgumentParser, *, metavar: str = "PATH") -> None:
    parser.add_argument("paths", nargs="*", metavar=metavar, help="topology file, directory, pattern or '-'")
    _files(parser)


def _files(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-f", "--file", action="append", default=[], metavar="PATH", dest="files", help="base, then overrides"
    )


def _name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", metavar="TOPOLOGY", help="by name, without any file")


def _host(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--host",
        metavar="NAME",
        help="which of the topology's hosts this is ($RECONCILER_HOST, /etc/reconciler/host)",
    )


def _policy(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--policy",
        action="append",
        default=[],
        metavar="FILE",
        help="what the topology may do ($RECONCILER_POLICY); /etc/reconciler/policy.yaml counts as well",
    )


def _reports(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--report",
        action="append",
        default=[],
        metavar="FORMAT=PATH",
        help="also write json, junit, sarif, markdown, github, gitlab or prom to a file, or to '-'",
    )


def _exit_code(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--exit-code", nargs="?", type=_code, metavar="=N", help="exit with N (4) when changes are pending"
    )


def _consent(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask before deleting or replacing")


def _validate(parser: argparse.ArgumentParser) -> None:
    _paths(parser)
    _reports(parser)
    _policy(parser)


def _lock(parser: argparse.ArgumentParser) -> None:
    _paths(parser)
    parser.add_argument("--check", action="store_true", help="write nothing, exit with 4 when out of date")


def _config(parser: argparse.ArgumentParser) -> None:
    _paths(parser)
    parser.add_argument("--explain", metavar="FIELD", help="where one value comes from, as in web.eth0.mtu")


def _plan(parser: argparse.ArgumentParser) -> None:
    _paths(parser)
    _host(parser)
    _policy(parser)
    _exit_code(parser)
    _reports(parser)
    parser.add_argument("--out", metavar="FILE", help="save the plan, for `apply FILE`")
    parser.add_argument("--destroy", action="store_true", help="what `destroy` would do")
    parser.add_argument(
        "--empty-kernel",
        action="store_true",
        help="look at nothing: everything is to be made; needs no privilege, for reviews",
    )


def _apply(parser: argparse.ArgumentParser) -> None:
    _paths(parser, metavar="PATH|PLANFILE")
    _host(parser)
    _policy(parser)
    _consent(parser)
    _allow_delete(parser)
    _reports(parser)
    parser.add_argument(
        "--allow-empty", action="store_true", help="may delete everything that the topology has"
    )
    parser.add_argument(
        "--max-deletes",
        type=_count,
        metavar="N",
        help="delete at most N objects; needed where more than 3 and more than half of all would go",
    )
    parser.add_argument(
        "--digest", metavar="sha256:…", help="apply a saved plan only if it is this one, as it was approved"
    )
    parser.add_argument("--no-wait", action="store_true", help="do not wait until everything is ready")
    parser.add_argument(
        "--timeout", type=_seconds, default=60.0, metavar="S", help="seconds to wait for readiness (60)"
    )
    parser.add_argument(
        "--confirm",
        type=_span,
        metavar="TIME",
        help="take everything back unless `reconciler confirm` comes within TIME, as 60s or 5m",
    )


def _allow_delete(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--allow-delete",
        action="append",
        default=[],
        metavar="ADDRESS",
        help="may delete or replace this although it is protected, as network/lan or 'sandbox/web-*'",
    )


def _git(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--git", metavar="URL|PATH", help="follow a Git repository instead of files")
    parser.add_argument("--branch", metavar="NAME", help="which branch (the repository's default)")
    parser.add_argument(
        "--path", metavar="PATH", help="topology file or directory in it (topologies, or *.topo.yaml)"
    )
    parser.add_argument("--interval", type=_seconds, metavar="S", help="fetch every S seconds (60)")
    parser.add_argument(
        "--allowed-signers",
        metavar="FILE",
        help="follow only commits signed by one of these keys (ssh-keygen(1), ALLOWED SIGNERS)",
    )
    parser.add_argument(
        "--accept-rewrite",
        metavar="COMMIT",
        help="take this commit, or what descends from it, although it does not descend from what is applied",
    )
    parser.add_argument("--git-user", metavar="USER", help="as whom git runs when we are root (nobody)")


def _watch(parser: argparse.ArgumentParser) -> None:
    _paths(parser)
    _git(parser)
    _host(parser)
    _policy(parser)
    _allow_delete(parser)
    parser.add_argument(
        "--resync",
        type=_seconds,
        default=60.0,
        metavar="S",
        help="look at everything at least every S seconds (60)",
    )
    parser.add_argument("--detect-only", action="store_true", help="say what differs and change nothing")
    parser.add_argument(
        "--allow-empty", action="store_true", help="an edit may delete everything that the topology has"
    )
    parser.add_argument(
        "--max-deletes", type=_count, metavar="N", help="an edit may delete at most N objects"
    )
    parser.add_argument("--metrics-file", metavar="FILE", help="keep figures there for Prometheus (*.prom)")
    parser.add_argument(
        "--metrics-port",
        metavar="[ADDR:]PORT",
        help="serve figures for Prometheus over HTTP; without ADDR for this host only",
    )


def _confirm(parser: argparse.ArgumentParser) -> None:
    _paths(parser)
    _name(parser)
    parser.add_argument("--revert", action="store_true", help="take it back, now")


def _destroy(parser: argparse.ArgumentParser) -> None:
    _paths(parser)
    _host(parser)
    _name(parser)
    _consent(parser)
    _allow_delete(parser)
    _reports(parser)


def _status(parser: argparse.ArgumentParser) -> None:
    _paths(parser)
    _host(parser)
    _name(parser)
    _exit_code(parser)
    _reports(parser)
    parser.add_argument("--watch", action="store_true", help="say it again whenever something changed")


def _drift(parser: argparse.ArgumentParser) -> None:
    _paths(parser)
    _host(parser)
    _reports(parser)


def _wait(parser: argparse.ArgumentParser) -> None:
    _paths(parser)
    _host(parser)
    _name(parser)
    parser.add_argument(
        "--for",
        dest="goal",
        choices=("ready", "synced"),
        default="ready",
        help="ready: as declared and working (default); synced: as declared",
    )
    parser.add_argument(
        "--timeout", type=_seconds, default=60.0, metavar="S", help="at most S seconds (60); 0 asks once"
    )


def _suspend(parser: argparse.ArgumentParser) -> None:
    _paths(parser)
    _name(parser)
    parser.add_argument("--reason", required=True, metavar="TEXT", help="why, for whoever finds it suspended")
    parser.add_argument(
        "--until", metavar="TIME", help="it ends by itself then, as 18:00 or 2026-11-24T18:00"
    )
    parser.add_argument("--for", dest="span", metavar="TIME", help="it ends by itself after that, as 2h")


def _resume(parser: argparse.ArgumentParser) -> None:
    _paths(parser)
    _name(parser)


def _events(parser: argparse.ArgumentParser) -> None:
    _paths(parser)
    _name(parser)
    parser.add_argument("--follow", action="store_true", help="go on until a signal")
    parser.add_argument("--since", metavar="TIME", help="as 10m (so long ago), 18:00 or 2026-11-24T18:00")
    parser.add_argument("-n", "--number", type=_count, metavar="N", help="the last N (50; all with --since)")
    parser.add_argument("--address", metavar="ADDRESS", help="only of this address, as 'sandbox/web-*'")


def _history(parser: argparse.ArgumentParser) -> None:
    _paths(parser)
    _name(parser)
    parser.add_argument("-n", "--number", type=_count, metavar="N", help="the last N")


def _doctor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="*", metavar="PATH", help="only what this topology needs")
    _files(parser)
    _host(parser)


def _show(parser: argparse.ArgumentParser) -> None:
    _paths(parser)
    _host(parser)
    _name(parser)
    parser.add_argument("--netns", metavar="NAME", help="only this namespace; 'host' is the host's own")
    parser.add_argument("--sandbox", metavar="NAME", help="only this sandbox")
    parser.add_argument("--foreign", action="store_true", help="also what no topology made, everywhere")


def _exec(parser: argparse.ArgumentParser) -> None:
    parser.usage = f"{PROGRAM} exec [-f PATH] [--name TOPOLOGY] SANDBOX [-- PROGRAM [ARGUMENT ...]]"
    parser.add_argument("sandbox", metavar="SANDBOX", help="whose namespace to enter")
    _files(parser)
    _name(parser)
    _host(parser)
    parser.set_defaults(paths=[], program=[])


def _verify(parser: argparse.ArgumentParser) -> None:
    _paths(parser)
    _host(parser)
    _reports(parser)
    parser.add_argument(
        "--timeout", type=_seconds, default=10.0, metavar="S", help="seconds until every check must hold (10)"
    )


def _run(parser: argparse.ArgumentParser) -> None:
    parser.usage = f"{PROGRAM} run [PATH ...] [--in SANDBOX] [-- COMMAND [ARGUMENT ...]]"
    _paths(parser)
    _host(parser)
    _policy(parser)
    parser.add_argument("--in", dest="inside", metavar="SANDBOX", help="in which sandbox the command runs")
    parser.add_argument(
        "--keep-user", action="store_true", help="the command runs as who you are, not as root inside"
    )
    parser.add_argument(
        "--timeout", type=_seconds, default=60.0, metavar="S", help="seconds to wait for readiness (60)"
    )
    parser.add_argument("--agent", type=_count, metavar="FD", help=argparse.SUPPRESS)  # reconciler.testing
    parser.add_argument("--given", type=_count, metavar="FD", help=argparse.SUPPRESS)  # the same
    parser.set_defaults(program=[])


def _explain(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("field", nargs="?", default="", metavar="FIELD", help="such as networks.*.subnets")


def _topic(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("topic", nargs="?", metavar="COMMAND", help="of which command")


def _nothing(_: argparse.ArgumentParser) -> None:
    """A command without arguments of its own."""


COMMANDS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {
    "validate": ("check topology files; needs no privilege and no kernel", _validate),
    "config": ("print the topology in its one canonical form", _config),
    "lock": ("write the addresses that the files leave open into a file to commit", _lock),
    "plan": ("show what apply would do", _plan),
    "apply": ("make the kernel hold what the files declare", _apply),
    "watch": ("apply, and keep it so: follow the files and mend what others change", _watch),
    "confirm": ("keep what `apply --confirm` made, before its time is over", _confirm),
    "destroy": ("remove everything that a topology made", _destroy),
    "status": ("say what the last run did and whether all is in sync and ready", _status),
    "drift": ("show only what others changed; exit code 4 when there is any", _drift),
    "wait": ("wait until a topology is ready", _wait),
    "history": ("list the last runs: what they took over, and what they made good", _history),
    "events": ("list what happened, or follow what happens", _events),
    "suspend": ("change nothing for a while, and say why; a watch goes on looking", _suspend),
    "resume": ("take a suspend back", _resume),
    "verify": ("try the checks of a topology inside of its sandboxes", _verify),
    "show": ("list what the kernel holds, ours and foreign", _show),
    "doctor": ("say what this host has of what topologies need, and how to get the rest", _doctor),
    "exec": ("run a program in a sandbox", _exec),
    "run": ("run a command beside a topology in a private view of the kernel; nothing is left of it", _run),
    "explain": ("describe a field of the topology file", _explain),
    "schema": ("print the JSON Schema of the topology file", _nothing),
    "version": ("print the version", _nothing),
    "help": ("explain a command, as its --help does", _topic),
}
