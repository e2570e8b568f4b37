"""Where reports are written, and what becomes of a run whose report cannot be."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from reconciler import cli
from reconciler.commands import reports
from tests.cli.conftest import Run


def test_reports_are_written_beside_the_result(run: Run, topology: Path, tmp_path: Path) -> None:
    """Each into its file, for others to read, and standard output is as it was; an old report is replaced."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.xml").write_text("old")
    result = run(
        "validate", "--report", "junit=out/a.xml", "--report", f"sarif={tmp_path}/s.sarif", topology.name
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "lab.yaml: 1 network, 3 sandboxes, 3 endpoints are valid.\n"
    assert ET.parse(tmp_path / "out/a.xml").getroot().attrib["failures"] == "0"
    assert (tmp_path / "s.sarif").stat().st_mode & 0o777 == 0o644
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.xml"]


def test_a_report_on_standard_output_has_it_for_itself(run: Run, topology: Path) -> None:
    """What people read goes to standard error."""
    result = run("plan", "--empty-kernel", "--report", "json=-", topology.name)
    assert json.loads(result.stdout)["command"] == "plan"
    assert "Plan: 7 to create." in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["xml=a"], "'xml' is no format of a report"),
        (["json"], "--report json names no file"),
        (["json=nowhere/a"], "cannot write the report 'nowhere/a': No such file or directory"),
        (["json=link"], "cannot write the report 'link': there is something that is no regular file"),
        (["json=folder/a"], "cannot write the report 'folder/a': Not a directory"),
        (
            ["json=/dev/null"],
            "cannot write the report '/dev/null': there is something that is no regular file",
        ),
        (["json=lab.yaml"], "'lab.yaml' looks like a topology, not like a report"),
        (["json=a", "junit=a"], "two reports would be written to 'a'"),
        (["json=.."], "cannot write the report '..': that is a directory"),
    ],
)
def test_a_report_that_cannot_be_written_is_told_first(
    run: Run, topology: Path, tmp_path: Path, words: list[str], message: str
) -> None:
    """Nothing else is done, and nothing is written through a link."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "link").symlink_to("outside/a")
    (tmp_path / "folder").symlink_to("outside")
    result = run("validate", *(part for word in words for part in ("--report", word)), topology.name)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"error: {message}\n")
    assert list((tmp_path / "outside").iterdir()) == []


@pytest.mark.parametrize(("text", "code"), [("name: lab\n", 1), ("name: [\n", 3)])
def test_a_report_that_fails_takes_nothing_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str, code: int
) -> None:
    """The result stands, the failure is told, and only a run without another exit code gets 1."""

    def full(path: str, _: bytes) -> None:
        raise OSError(28, "No space left on device", path)

    monkeypatch.setattr(reports, "_replace", full)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lab.yaml").write_text(text)
    assert cli.main(["validate", "--report", "json=a", "--report", "junit=b", "lab.yaml"]) == code
    shown = capsys.readouterr()
    assert ("are valid" in shown.out) == (code == 1)
    assert shown.err.endswith("error: cannot write the report 'b': No space left on device\n")


def test_the_report_of_a_broken_run(run: Run, tmp_path: Path) -> None:
    """Mistakes are in it, with their places."""
    (tmp_path / "bad.yaml").write_text("name: lab\nnetworks: {lan: {driver: brigde}}\n")
    result = run("plan", "--empty-kernel", "--report", "github=-", "bad.yaml")
    assert result.returncode == 3
    assert result.stdout.startswith(
        "::error file=bad.yaml,line=2,col=26,endColumn=32,title=bad-value::'brigde'"
    )


def test_a_saved_plan_is_known_by_its_digest(run: Run, topology: Path, tmp_path: Path) -> None:
    """Another plan than the one that was approved is refused before anything is looked at."""
    (tmp_path / "p.json").write_text(
        '{"format":"reconciler-plan","format_version":"1.1","topology":"lab",'
        '"host":null,"digest":"d","destroy":true,"leases":{"networks":{},"endpoints":{}},"objects":[],'
        '"requirements":[],"steps":[]}\n'
    )
    result = run("apply", "--digest", f"sha256:{'0' * 64}", "p.json")
    assert result.returncode == 5
    assert "p.json is another plan than the one that is to be applied\n  it is sha256:" in result.stderr
