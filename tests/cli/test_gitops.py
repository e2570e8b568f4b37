"""What docs/gitops.md says to paste, carried out: the steps of the workflows in a fresh clone, the hook by pre-commit.

Steps run with bash as the services run them, without any privilege. Left out is what needs the service itself: actions,
comments, and the installation, for which the command of this checkout stands in.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.conftest import VALID

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"```yaml\n# ([^\n]+)\n(.*?)```", re.DOTALL)
PAGE = dict(_FENCE.findall((ROOT / "docs/gitops.md").read_text(encoding="utf-8")))
STRANGER = VALID + "  spy: {pid: 1}\n"
HOSTILE = "name: [\n"


def git(*words: str, cwd: Path) -> str:
    """Git without anybody's settings."""
    env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    done = subprocess.run(
        ["git", *identity, *words], cwd=cwd, env=env, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


class Proposal:
    """A repository with a topology and its policy, a change to it, and a fresh clone in which a service works."""

    def __init__(self, tmp_path: Path, changed: Mapping[str, str]) -> None:
        origin = tmp_path / "origin"
        (origin / "topologies").mkdir(parents=True)
        git("init", "-q", "-b", "main", cwd=origin)
        (origin / "topologies/lab.yaml").write_text(VALID)
        (origin / "policy.yaml").write_text("subnets: [10.10.0.0/16]\n")
        git("add", ".", cwd=origin)
        git("commit", "-qm", "base", cwd=origin)
        self.base = git("rev-parse", "HEAD", cwd=origin)
        (origin / "policy.yaml").write_text("pids: true\n")  # every stranger's first idea
        for name, text in changed.items():
            (origin / name).write_text(text)
        git("add", ".", cwd=origin)
        git("commit", "-qm", "change", cwd=origin)
        self.work, self.temp = tmp_path / "work", tmp_path / "temp"
        git("clone", "-q", str(origin), str(self.work), cwd=tmp_path)
        git("clone", "-q", str(origin), "base", cwd=self.work)
        git("checkout", "-q", self.base, cwd=self.work / "base")
        self.temp.mkdir()
        self._command(tmp_path / "bin")
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("RECONCILER_")},
            "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "RUNNER_TEMP": str(self.temp),
            "GITHUB_STEP_SUMMARY": str(self.temp / "summary.md"),
            "CI_MERGE_REQUEST_DIFF_BASE_SHA": self.base,
            "RECONCILER_STATE_DIR": str(tmp_path / "nowhere/state"),
        }

    @staticmethod
    def _command(folder: Path) -> None:
        folder.mkdir()
        program = folder / "reconciler"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m reconciler "$@"\n')
        program.chmod(0o755)

    def step(self, script: str) -> subprocess.CompletedProcess[str]:
        """One step, as GitHub runs it: bash -e, without privileges."""
        drop = (
            ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]
            if os.geteuid() == 0
            else []
        )
        words = [*drop, "bash", "-e", "-o", "pipefail", "-c", script]
        return subprocess.run(words, cwd=self.work, env=self.env, check=False, capture_output=True, text=True)


def github_job(proposal: Proposal) -> dict[str, subprocess.CompletedProcess[str]]:
    """Every step that is no action and no installation; after a failure only those that always run."""
    workflow = yaml.safe_load(PAGE[".github/workflows/topology.yaml"])
    done: dict[str, subprocess.CompletedProcess[str]] = {}
    failed = False
    for step in workflow["jobs"]["plan"]["steps"]:
        if "run" not in step or "pip install" in step["run"] or (failed and step.get("if") != "always()"):
            continue
        done[step["name"]] = proposal.step(step["run"])
        failed = failed or done[step["name"]].returncode != 0
    return done


def test_a_good_change_on_github(tmp_path: Path) -> None:
    """Valid, allowed, and its plan is in the summary."""
    done = github_job(
        Proposal(tmp_path, {"topologies/more.yaml": "networks: {back: {subnets: [10.10.9.0/24]}}\n"})
    )
    assert {name: step.returncode for name, step in done.items()} == {"validate": 0, "plan": 0, "say": 0}
    assert done["validate"].stdout == ""
    summary = (tmp_path / "temp/summary.md").read_text()
    assert summary.startswith("### `reconciler plan`: `lab` - fine\n\nPlan: 8 to create.\n")
    assert "+   network/back" in summary


@pytest.mark.parametrize(
    ("text", "code", "annotation"),
    [
        (STRANGER, 5, r"::error file=topologies/lab\.yaml,line=15,col=\d+,endColumn=\d+,title=policy::"),
        (HOSTILE, 3, r"::error file=topologies/lab\.yaml,line=\d+,col=\d+,endColumn=\d+,title=yaml::"),
    ],
)
def test_a_bad_change_on_github(tmp_path: Path, text: str, code: int, annotation: str) -> None:
    """The line is annotated under the policy of the base, nothing is planned, the summary has the mistakes."""
    done = github_job(Proposal(tmp_path, {"topologies/lab.yaml": text}))
    assert list(done) == ["validate", "say"]
    assert done["validate"].returncode == code
    assert re.match(annotation, done["validate"].stdout)
    assert "### `reconciler validate`" in (tmp_path / "temp/summary.md").read_text()
    assert json.loads((tmp_path / "work/reconciler.sarif").read_text())["runs"][0]["results"]


def test_a_file_that_is_called_like_a_command(tmp_path: Path) -> None:
    """Between the two commands that stop and resume commands, and nowhere else, its name starts a line."""
    evil = "topologies/::error::x.yaml"
    done = github_job(Proposal(tmp_path, {evil: "networks: {back: {driver: brigde}}\n"}))
    lines = done["validate"].stdout.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("::error file=topologies/%3A%3Aerror%3A%3Ax.yaml,line=1,")
    said = done["say"].stdout.splitlines()
    assert said[0].startswith("::stop-commands::")
    assert said[-1] == f"::{said[0].removeprefix('::stop-commands::')}::"


@pytest.mark.parametrize(("text", "ok"), [(VALID, True), (STRANGER, False)])
def test_the_job_on_gitlab(tmp_path: Path, text: str, ok: bool) -> None:
    """Its script, line by line until one fails; the reports that it declares are there and can be read."""
    job: dict[str, Any] = yaml.safe_load(PAGE[".gitlab-ci.yml"])["topology"]
    proposal = Proposal(tmp_path, {"topologies/lab.yaml": text})
    (tmp_path / "work/policy.out").touch()
    codes = []
    for line in job["script"]:
        codes.append(
            proposal.step(line.replace("/tmp/policy.yaml", str(tmp_path / "policy.yaml"))).returncode
        )
        if codes[-1]:
            break
    assert codes == ([0, 0, 0] if ok else [0, 5])
    reports = job["artifacts"]["reports"]
    assert bool(json.loads((tmp_path / "work" / reports["codequality"]).read_text())) is not ok
    failures = ET.parse(tmp_path / "work" / reports["junit"]).getroot().attrib["failures"]
    assert (failures == "0") is ok
    assert (tmp_path / "work/plan.md").exists() is ok
    assert proposal.step("\n".join(job["after_script"])).returncode == 0  # without a token it posts nothing


def test_the_workflows_give_strangers_nothing() -> None:
    """They only read, and the one that may write runs nothing of the change."""
    workflow = yaml.safe_load(PAGE[".github/workflows/topology.yaml"])
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow[True] == "pull_request"  # YAML 1.1 takes the word `on` for true
    comment = PAGE[".github/workflows/topology-comment.yaml"]
    assert "checkout" not in comment
    scripts = [step["run"] for step in yaml.safe_load(comment)["jobs"]["comment"]["steps"]]
    assert all("${{" not in script for script in scripts)  # a branch's name would be a piece of the script


def test_the_hook_is_one_to_pre_commit() -> None:
    """Its own reader of manifests accepts it."""
    from pre_commit.clientlib import load_manifest  # type: ignore[import-untyped]

    (hook,) = load_manifest(str(ROOT / ".pre-commit-hooks.yaml"))
    assert (hook["id"], hook["language"], hook["pass_filenames"]) == ("reconciler-validate", "python", False)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_hook_run_by_pre_commit(tmp_path: Path) -> None:
    """pre-commit installs a clone of this repository, lets a good topology through and stops a bad one."""
    pytest.importorskip("pre_commit")
    project, user = tmp_path / "project", tmp_path / "user"
    shutil.copytree(
        ROOT, project, symlinks=True, ignore=shutil.ignore_patterns(".git", ".venv", "build", "*cache*")
    )
    git("init", "-q", cwd=project)
    git("add", "-A", cwd=project)
    git("commit", "-qm", "all", cwd=project)
    (user / "topologies").mkdir(parents=True)
    git("init", "-q", cwd=user)
    (user / "topologies/lab.yaml").write_text(VALID)
    (example,) = re.findall(
        r"```yaml\n(repos:.*?)```", (ROOT / "docs/gitops.md").read_text(encoding="utf-8"), re.DOTALL
    )
    config = yaml.safe_load(example)
    config["repos"][0] |= {"repo": str(project), "rev": git("rev-parse", "HEAD", cwd=project)}
    (user / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config))
    git("add", ".", cwd=user)
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    env |= {"PRE_COMMIT_HOME": str(tmp_path / "cache")}

    def hook() -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "pre_commit", "run", "--all-files"]
        return subprocess.run(words, cwd=user, env=env, check=False, capture_output=True, text=True)

    good = hook()
    assert (good.returncode, "Passed" in good.stdout) == (0, True), good.stdout + good.stderr
    (user / "topologies/lab.yaml").write_text(VALID.replace("subnets", "subnetz"))
    git("add", ".", cwd=user)
    bad = hook()
    assert bad.returncode == 1
    assert "did you mean 'subnets'?" in bad.stdout
