"""Wrong command lines, help, and the flags that every command has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, Run

COMMANDS = [
    "validate",
    "config",
    "plan",
    "apply",
    "destroy",
    "status",
    "history",
    "events",
    "suspend",
    "resume",
    "verify",
    "show",
    "exec",
    "run",
    "explain",
    "schema",
    "version",
    "help",
]


def test_help_names_every_command(run: Run) -> None:
    """The list of commands in --help is complete, and asking for it succeeds."""
    result = run("--help")
    assert result.returncode == 0
    assert [name for name in COMMANDS if f"\n    {name} " not in result.stdout] == []
    assert result.stderr == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(run: Run, command: str) -> None:
    """--help works behind each command and names the global flags."""
    result = run(command, "--help")
    assert result.returncode == 0
    assert "--state-dir" in result.stdout


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (("plam",), "there is no command 'plam'", "did you mean 'plan'?"),
        (("plan", "--exitcode"), "'plan' knows no flag '--exitcode'", "did you mean '--exit-code'?"),
        (("plan", "--exit-code=x"), "'x' is no exit code", "--help"),
        (("plan", "--exit-code=3"), "exit code 3 means something else already", "--help"),
        (("status", "--exit-code=143"), "exit code 143 means something else already", "--help"),
        (("apply", "--max-deletes", "-1"), "--max-deletes", "--help"),
        (("plan", "--state-dir", ""), "--state-dir is empty", "name a directory"),
        (("help", "plam"), "there is no command 'plam'", "did you mean 'plan'?"),
        (("apply", "--timeout", "soon"), "'soon' is no time", "--help"),
        (("suspend", "--name", "lab"), "--reason", "--help"),
        (("suspend", "--name", "lab", "--reason", " "), "--reason is empty", "at most 500"),
        (("suspend", "--name", "lab", "--reason", "x", "--for", "soon"), "'soon' is no length", "1h30m"),
        (("suspend", "--name", "lab", "--reason", "x", "--until", "2020-01-01"), "is in the past", ""),
        (("suspend", "--name", "lab", "--reason", "x"), "'lab' was never applied here", "show"),
        (("events", "--name", "lab", "--since", "then"), "'then' is no time", "10m"),
        (("status", "--name", "lab", "--watch"), "--watch looks at the kernel", "name them"),
        (("watch", "lab.yaml", "--git", "."), "--git and topology files exclude", "--path"),
        (("watch", "-f", "lab.yaml", "--git", "."), "--git and topology files exclude", "--path"),
        (("watch", "lab.yaml", "--branch", "main"), "--branch goes with --git", "name the repository"),
        (("watch", "--allowed-signers", "x"), "--allowed-signers goes with --git", "name the repository"),
        (("watch", "--git", "ext::sh"), "starts a program", "https://"),
        (("watch", "--git", "http://a/b"), "'http://' is not followed", "https://"),
        (("watch", "--git", "git://a/b"), "can change what git:// brings", "--allowed-signers"),
        (("watch", "--git", "nowhere"), "no such repository: 'nowhere'", "a URL"),
        (("watch", "--git", ".", "--path", "../x"), "does not lead into the repository", "its root"),
        (("watch", "--git", ".", "--branch", "a:b"), "cannot be the name of a branch", ""),
        (("watch", "--git", ".", "--interval", "0"), "at least a second", ""),
        (("watch", "--git", ".", "--accept-rewrite", "abc"), "'abc' is no commit", "40 digits"),
        (("--color", "purple", "plan"), "purple", "--help"),
        (("schema", "lab.yaml"), "'lab.yaml' is one argument too many for 'schema'", "--help"),
        (("destroy", "--name", "../etc"), "'../etc' cannot be the name of a topology", "lower-case"),
        (("destroy", "--name", "lab", "lab.yaml"), "exclude each other", "leave one of them out"),
        (("plan", "nowhere.yaml"), "no such file or directory: 'nowhere.yaml'", ""),
        (("plan",), "no topology", "name a file or a directory"),
        (("explain", "networks.*.subnet"), "no field 'networks.*.subnet'", "networks.*.subnets"),
    ],
)
def test_a_usage_error_says_what_and_what_instead(
    run: Run, words: tuple[str, ...], message: str, hint: str
) -> None:
    """Exit code 2, nothing on standard output, the message and a next step on standard error."""
    result = run(*words)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("error: ")
    assert message in result.stderr
    assert hint in result.stderr


@pytest.mark.parametrize(
    "words", [("-o", "json", "plam"), ("plan", "--output=json", "--frob"), ("destroy", "-ojson", "--timeout")]
)
def test_a_usage_error_as_json(run: Run, words: tuple[str, ...]) -> None:
    """Whoever asked for JSON gets the mistake as JSON, and on standard error in words."""
    result = run(*words)
    assert result.returncode == 2
    error = json.loads(result.stdout)["error"]
    assert error["exit_code"] == 2
    assert f"error: {error['message']}\n  {error['hint']}\n" == result.stderr


@pytest.mark.parametrize("words", [("--version",), ("-V",), ("version",)])
def test_every_way_to_ask_for_the_version(run: Run, words: tuple[str, ...]) -> None:
    """The flag of most programs works like the command."""
    result = run(*words)
    assert (result.returncode, result.stdout.split()[0], result.stderr) == (0, "reconciler", "")


def test_help_is_a_command_too(run: Run) -> None:
    """Alone it is --help, with a command that command's."""
    assert run("help").stdout == run("--help").stdout
    assert run("help", "apply").stdout == run("apply", "--help").stdout
    assert "--allow-empty" in run("help", "apply").stdout


def test_a_deleted_directory_is_called_that(run: Run, tmp_path: Path) -> None:
    """Not 'no such file', which names nothing that the reader could look for."""
    code = "import os; os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')"
    (tmp_path / "sitecustomize.py").write_text(code)
    result = run("validate", env={"PYTHONPATH": f"{tmp_path}:{ROOT}"})
    assert result.returncode == 1
    assert "the directory in which this runs was deleted" in result.stderr
    assert "cd /" in result.stderr


def test_no_command_prints_help_as_an_error(run: Run) -> None:
    """An empty command line explains itself on standard error."""
    result = run()
    assert (result.returncode, result.stdout) == (2, "")
    assert "commands:" in result.stderr


@pytest.mark.parametrize("words", [("-o", "json", "version"), ("version", "-o", "json")])
def test_global_flags_stand_on_either_side(run: Run, words: tuple[str, ...]) -> None:
    """-o before the command means the same as behind it."""
    assert '"format_version": "1.0"' in run(*words).stdout


def test_a_bare_exit_code_flag_leaves_the_path_alone(run: Run, tmp_path: Path) -> None:
    """`--exit-code PATH` must not take the path for the code."""
    (tmp_path / "bad.yaml").write_text("name: 7: 8")
    assert run("plan", "--exit-code", "bad.yaml").returncode == 3


def test_control_characters_of_an_argument_are_escaped(run: Run) -> None:
    """What was typed comes back visible, never as an escape sequence."""
    for words in (
        ("\x1b[31m",),
        ("validate", "\x1b[31m.yaml"),
        ("explain", "\x1b[31m"),
        ("plan", "--\x1b[31m"),
    ):
        result = run(*words)
        assert result.returncode == 2
        assert "\x1b" not in result.stderr
        assert r"\x1b[31m" in result.stderr


def test_a_state_directory_that_is_a_file_is_no_bug(run: Run, topology: Path, tmp_path: Path) -> None:
    """System errors name the file and are not called internal."""
    (tmp_path / "state").write_text("")
    result = run("config", topology.name, "--explain", "web-1.eth0.addresses", "--state-dir", "state/deeper")
    assert "internal error" not in result.stderr
