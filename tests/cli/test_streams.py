"""Colour, encodings, closed pipes, and what start-up may import."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, Run

HEAVY = ("pyroute2", "asyncio", "ssl", "reconciler.kernel")


def test_a_pipe_gets_no_colour_unless_told(run: Run, tmp_path: Path) -> None:
    """By itself a pipe stays plain, `always` paints, and the flag outweighs the environment."""
    (tmp_path / "bad.yaml").write_text("name: [")
    assert "\x1b[" not in run("validate", "bad.yaml").stderr
    assert "\x1b[31m" in run("validate", "bad.yaml", "--color", "always").stderr
    assert "\x1b[31m" in run("validate", "bad.yaml", env={"RECONCILER_COLOR": "always"}).stderr
    never = run("validate", "bad.yaml", "--color", "never", env={"RECONCILER_COLOR": "always"})
    assert "\x1b[" not in never.stderr


@pytest.mark.parametrize(
    ("env", "colored"),
    [
        ({}, True),
        ({"NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
        ({"RECONCILER_COLOR": "never"}, False),
    ],
)
def test_a_terminal_gets_colour_unless_told(tmp_path: Path, env: dict[str, str], *, colored: bool) -> None:
    """NO_COLOR, TERM=dumb and RECONCILER_COLOR=never are heard."""
    (tmp_path / "bad.yaml").write_text("name: [")
    base = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TERM": "xterm"}
    ours, theirs = pty.openpty()
    try:
        subprocess.run(
            [sys.executable, "-m", "reconciler", "validate", "bad.yaml"],
            stderr=theirs,
            stdout=subprocess.DEVNULL,
            check=False,
            cwd=tmp_path,
            env={**base, **env},
        )
        os.close(theirs)
        assert ("\x1b[31m" in os.read(ours, 65536).decode()) is colored
    finally:
        os.close(ours)


def test_an_unknown_colour_of_the_environment_is_refused(run: Run) -> None:
    """A variable that nobody understands is not ignored."""
    result = run("version", env={"RECONCILER_COLOR": "blue"})
    assert result.returncode == 2
    assert "RECONCILER_COLOR" in result.stderr


def test_an_encoding_without_our_letters_is_no_crash(run: Run, tmp_path: Path) -> None:
    """In an ASCII locale other letters become escapes."""
    (tmp_path / "ü.yaml").write_text("name: [")
    result = run("validate", "ü.yaml", env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "1"})
    assert result.returncode == 3
    assert r"\xfc.yaml" in result.stderr


def test_a_reader_that_went_away_is_no_crash(tmp_path: Path) -> None:
    """`reconciler schema | head` ends without a traceback."""
    command = f"{sys.executable} -m reconciler schema | true"
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
    )
    assert done.stderr == ""


def shell(command: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """What a shell line comes to in which `$R` is the reconciler."""
    return subprocess.run(
        ["/bin/sh", "-c", command],
        capture_output=True,
        text=True,
        check=False,
        cwd=directory,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "R": f"{sys.executable} -m reconciler",
        },
    )


@pytest.mark.parametrize(
    "words",
    ["schema", "--help", "-o json validate lab.yaml", "config lab.yaml", "-o json validate none.yaml"],
)
def test_a_full_disk_is_one_clear_error(topology: Path, words: str) -> None:
    """No traceback, and never exit code 0 for a result that was lost."""
    done = shell(f"$R {words} > /dev/full", topology.parent)
    known = (
        "no such file" if "none.yaml" in words else "cannot write to standard output: No space left on device"
    )
    assert (done.returncode, done.stderr.count("error: "), known in done.stderr) == (
        2 if "none.yaml" in words else 1,
        1,
        True,
    )
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-", "2>&-"])
def test_a_closed_stream_is_no_crash(topology: Path, closed: str) -> None:
    """What is written to it goes nowhere, and the exit code is that of the command."""
    assert shell(f"$R validate lab.yaml {closed}", topology.parent).returncode == 0
    broken = shell(f"$R -q validate none.yaml {closed}", topology.parent)
    assert broken.returncode == 2
    assert "AttributeError" not in broken.stderr


@pytest.mark.parametrize(
    "words", [("--help",), ("version",), ("validate", "lab.yaml"), ("config", "lab.yaml")]
)
def test_nothing_heavy_is_imported(run: Run, topology: Path, words: tuple[str, ...]) -> None:
    """Commands that do not touch the kernel start without what only the kernel needs."""
    assert topology.exists()
    result = run(*words, python=("-X", "importtime"))
    assert result.returncode == 0
    imported = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines() if "|" in line}
    assert "reconciler.cli" in imported
    heavy = {name for name in imported for prefix in HEAVY if name == prefix or name.startswith(f"{prefix}.")}
    assert heavy == set()


def test_help_imports_no_part_of_the_core(run: Run) -> None:
    """--help costs argparse and little else."""
    result = run("--help", python=("-X", "importtime"))
    imported = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines() if "|" in line}
    ours = {name for name in imported if name.startswith("reconciler")}
    line = {
        f"reconciler.{name}" for name in ("cli", "commands.arguments", "commands.flags", "commands.values")
    }
    assert ours == {"reconciler", "reconciler.commands", *line}
    assert not imported & {"dataclasses", "inspect", "typing", "yaml", "json"}


def test_a_bug_is_called_one(run: Run, topology: Path, tmp_path: Path) -> None:
    """An exception that nobody foresaw gives exit code 1 and a traceback only with -v."""
    (tmp_path / "sitecustomize.py").write_text(
        "import reconciler.load.expand\n"
        "def broken(*_):\n    raise LookupError('spanner')\n"
        "reconciler.load.expand.read = broken\n"
    )
    env = {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    short, long = (run("validate", topology.name, *more, env=env) for more in ((), ("-v",)))
    assert (short.returncode, short.stdout) == (1, "")
    assert short.stderr.startswith("error: internal error: LookupError: spanner\n  this is a bug")
    assert "Traceback" not in short.stderr
    assert "Traceback" in long.stderr
