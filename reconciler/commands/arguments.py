"""From a command line to what was asked for: the argparse tree, with suggestions for what was mistyped.

Which commands and flags there are is in `flags`; both import argparse only. Global flags are accepted before and after
the command; a flag also has an environment variable where a whole session may want it. A mistake is raised as
`Mistyped` and says what was probably meant; what it looks like is decided by those who print it, since even a broken
command line may ask for JSON.
"""

from __future__ import annotations

import argparse
import importlib
import os
import re
import sys

from .flags import COMMANDS, PROGRAM

TYPE_CHECKING = False  # what typing calls so; importing typing would be a fifth of the time that --help takes
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn

    from .console import Console

_USAGE = 2
_WITH_PROGRAM = ("exec", "run")
_CHOICE = re.compile(r"invalid choice: '(.*?)'")

_EPILOG = """\
PATH is a topology file, a directory of them, a pattern, or '-'; without one, $RECONCILER_TOPOLOGY, ./topologies or
./*.topo.yaml is read.
Several PATHs are merged side by side. With -f the first is the base and every further one overrides what came before.

exit codes: 0 done or nothing to do, 1 a step failed, 2 wrong command line, 3 topology invalid, 4 changes pending,
5 refused, 6 locked by another reconciler, 7 time-out, 8 this host cannot, 130/143 stopped by a signal
"""


class _Parser(argparse.ArgumentParser):
    """argparse with our wording of errors: what is wrong, what was probably meant."""

    def error(self, message: str) -> NoReturn:
        hint = f"run `{self.prog} --help` to see what is possible"
        if (choice := _CHOICE.search(message)) is not None:
            message = f"there is no command '{choice[1]}'" if "COMMAND" in message else message
            hint = _meant(choice[1], list(COMMANDS)) or hint
        fail(message, hint)


class Mistyped(Exception):
    """A command line that makes no sense: what is wrong and what to do. Here because errors.py is not imported yet."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def fail(message: str, hint: str) -> NoReturn:
    """Raise a usage error."""
    raise Mistyped(message, hint)


def wants_json(argv: Sequence[str]) -> bool:
    """Whether a command line that could not be understood asked for JSON."""
    head = _split(list(argv))[0]
    pairs = zip(head, [*head[1:], ""], strict=False)
    return any(
        word in ("-ojson", "--output=json") or (word in ("-o", "--output") and value == "json")
        for word, value in pairs
    )


def parse(argv: list[str]) -> argparse.Namespace:
    """The parsed command line. Exits when asked for help, raises Mistyped for mistakes."""
    head, tail = _split(argv)
    parser = _build()
    # A bare --exit-code must not swallow the path behind it; only --exit-code=N carries a value.
    args, unknown = parser.parse_known_args(
        ["--exit-code=4" if word == "--exit-code" else word for word in head]
    )
    if args.command is None and args.version:
        args.command = "version"
    if args.command is None:
        if wants_json(argv):
            fail("no command was given", f"run `{PROGRAM} --help` to see what is possible")
        parser.print_help(sys.stderr)
        sys.exit(_USAGE)
    if unknown:
        _refuse(unknown[0], args.command, parser)
    if args.command == "help":
        _help(args.topic, parser)
    if args.command in _WITH_PROGRAM:
        args.program = tail
    if args.command == "run" and hasattr(args, "state_dir"):
        fail("'run' keeps its state in memory, for as long as it lasts", "leave --state-dir out")
    return _with_defaults(args)


def load(command: str) -> Callable[[argparse.Namespace, Console], int]:
    """The `run` of a command, whose module is imported only now."""
    run: Callable[[argparse.Namespace, Console], int] = importlib.import_module(
        f".{command}", __package__
    ).run
    return run


def _split(argv: list[str]) -> tuple[list[str], list[str]]:
    """Everything behind `--` of a command that starts a program belongs to that."""
    if "--" not in argv or not set(_WITH_PROGRAM) & set(argv[: argv.index("--")]):
        return argv, []
    return argv[: argv.index("--")], argv[argv.index("--") + 1 :]


def _refuse(word: str, command: str, parser: argparse.ArgumentParser) -> NoReturn:
    if not word.startswith("-"):
        fail(f"'{word}' is one argument too many for '{command}'", f"run `{PROGRAM} {command} --help`")
    name = word.partition("=")[0]
    hint = _meant(name, _options(parser, command)) or f"run `{PROGRAM} {command} --help`"
    fail(f"'{command}' knows no flag '{name}'", hint)


def _meant(word: str, known: Sequence[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(word, known, 1)
    return f"did you mean '{close[0]}'?" if close else ""


def _help(topic: str | None, parser: argparse.ArgumentParser) -> NoReturn:
    """`help COMMAND` is `COMMAND --help`."""
    if topic is not None and topic not in COMMANDS:
        fail(f"there is no command '{topic}'", _meant(topic, list(COMMANDS)) or f"run `{PROGRAM} help`")
    (parser if topic is None else _of(parser, topic)).print_help()
    sys.exit(0)


def _options(parser: argparse.ArgumentParser, command: str) -> list[str]:
    return [option for action in _of(parser, command)._actions for option in action.option_strings]  # noqa: SLF001


def _of(parser: argparse.ArgumentParser, command: str) -> argparse.ArgumentParser:
    commands = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))  # noqa: SLF001  # argparse offers no other way to ask
    found: argparse.ArgumentParser = commands.choices[command]
    return found


def _with_defaults(args: argparse.Namespace) -> argparse.Namespace:
    """What was not on the command line: the environment's word, else ours."""
    color = os.environ.get("RECONCILER_COLOR", "auto")
    if color not in ("auto", "always", "never"):
        fail(f"RECONCILER_COLOR is '{color}'", "set it to auto, always or never")
    defaults = {
        "quiet": False,
        "verbose": 0,
        "color": color,
        "output": "text",
        "state_dir": os.environ.get("RECONCILER_STATE_DIR") or "/var/lib/reconciler",
    }
    for name, value in defaults.items():
        if not hasattr(args, name):
            setattr(args, name, value)
    if not args.state_dir:
        fail("--state-dir is empty", "name a directory, or leave the flag out")
    return args


# --------------------------------------------------------------------------------------------------------- the tree


def _build() -> argparse.ArgumentParser:
    common = _common()
    parser = _Parser(
        prog=PROGRAM,
        description="Make the networks of this host what topology files declare.",
        epilog=_EPILOG,
        parents=[common],
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-V", "--version", action="store_true", help="print the version")
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", title="commands", parser_class=_Parser
    )
    for name, (text, add) in COMMANDS.items():
        sub = commands.add_parser(
            name, help=text, description=f"{text[0].upper()}{text[1:]}.", parents=[common], allow_abbrev=False
        )
        add(sub)
    return parser


def _common() -> _Parser:
    parser = _Parser(add_help=False, argument_default=argparse.SUPPRESS)
    group = parser.add_argument_group("everywhere")
    group.add_argument("-q", "--quiet", action="store_true", help="say nothing on success")
    group.add_argument(
        "-v", "--verbose", action="count", help="show kernel operations, and tracebacks of bugs"
    )
    group.add_argument("--color", choices=("auto", "always", "never"), help="default: auto")
    group.add_argument(
        "-o", "--output", choices=("text", "json"), help="format of the result on standard output"
    )
    group.add_argument(
        "--state-dir", metavar="DIR", help="default: /var/lib/reconciler ($RECONCILER_STATE_DIR)"
    )
    return parser
