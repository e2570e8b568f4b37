"""What topologies of strangers may do: cases as data in tests/strangers.yaml, and policies that are themselves broken.

A case is a directory with `topology.yaml` and its `links` (name: target), beside which lies a file that must never be
quoted; `validate` and `plan` are run on it with a policy from outside. The answer is the exit code (one of a list) and what
standard error `says`, each in some line.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from reconciler import cli, policy

TESTS = Path(__file__).resolve().parent.parent
CASES: dict[str, Any] = yaml.safe_load((TESTS / "strangers.yaml").read_text(encoding="utf-8"))
SCHEMA = json.loads((TESTS.parent / "schemas/policy.schema.json").read_text(encoding="utf-8"))
SECRET = "root:$6$hash"  # stands for one
FORBIDDEN = "name: shop\nsandboxes: {spy: {pid: 1}}\n"


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty repository to stand in, a secret and a policy beside it, and no policy of the machine."""
    work = tmp_path / "work"
    work.mkdir()
    (tmp_path / "secret").write_text(SECRET)
    monkeypatch.setattr(policy, "DEFAULT", str(tmp_path / "etc/policy.yaml"))
    monkeypatch.delenv(policy.VARIABLE, raising=False)
    monkeypatch.chdir(work)
    return tmp_path


@pytest.mark.parametrize("command", ["validate", "plan"])
@pytest.mark.parametrize("name", CASES)
def test_what_a_stranger_tries(
    machine: Path, capsys: pytest.CaptureFixture[str], name: str, command: str
) -> None:
    """Each attempt gets its refusal, with the line that tried it and the rule; what is allowed goes through."""
    case = CASES[name]
    Path("topology.yaml").write_text(case["topology"])
    for link, target in case.get("links", {}).items():
        Path(link).symlink_to(target)
    (machine / "policy.yaml").write_text(case.get("policy", "{}\n"))
    words = [command, "--policy", "../policy.yaml", "."]
    if command == "plan":
        words += ["--empty-kernel", "--state-dir", "../state"]
        if "hosts:" in case["topology"]:
            words += ["--host", "a"]
    code = cli.main(words)
    shown = capsys.readouterr()
    wanted = case["exit"]
    assert code in (wanted if isinstance(wanted, list) else [wanted]), shown.err
    assert [text for text in case["says"] if text not in shown.err] == []
    assert SECRET not in shown.out + shown.err


@pytest.mark.parametrize("case", [case for case in CASES.values() if "policy" in case])
def test_the_schema_accepts_the_policies(case: dict[str, Any]) -> None:
    """The same file serves editors: JSON Schema itself agrees."""
    assert list(Draft202012Validator(SCHEMA).iter_errors(yaml.safe_load(case["policy"]))) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("parent: [eth0]\n", "policy.yaml:1:1: error[unknown-key]: 'parent' is not a known key"),
        ("host_stack: yes\n", "policy.yaml:1:13: error[bad-type]: 'host_stack' must be true or false"),
        ("subnets: [10.0.0.1/8]\n", "policy.yaml:1:11: error[bad-value]: '10.0.0.1/8' is no prefix"),
        ("max_bandwidth: fast\n", "policy.yaml:1:16: error[bad-value]: 'fast' is no rate"),
        ("max_networks: -1\n", "policy.yaml:1:15: error[bad-value]: 'max_networks' must be"),
        ("pids: true\npids: false\n", "error[duplicate-key]"),
        ("- parents\n", "policy.yaml:1:1: error["),
        ("names: [\n", "error[yaml]"),
        (None, "cannot read '../policy.yaml': No such file or directory"),
    ],
)
def test_a_broken_policy_allows_nothing(
    machine: Path, capsys: pytest.CaptureFixture[str], text: str | None, message: str
) -> None:
    """Not even what every policy would allow, and the mistake is shown with its line in the policy."""
    Path("topology.yaml").write_text("name: shop\n")
    if text is not None:
        (machine / "policy.yaml").write_text(text)
    assert cli.main(["validate", "--policy", "../policy.yaml", "topology.yaml"]) == 5
    shown = capsys.readouterr()
    assert message in shown.err
    assert shown.out == ""


def test_the_policy_of_the_machine_always_counts(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is named, on the command line or in the environment, narrows it and does not widen it."""
    monkeypatch.setattr(policy, "_distrust", lambda: None)
    Path("topology.yaml").write_text(FORBIDDEN)
    assert cli.main(["validate", "topology.yaml"]) == 0
    (machine / "etc").mkdir()
    (machine / "etc/policy.yaml").write_text("{}\n")
    (machine / "wide.yaml").write_text("pids: true\n")
    (machine / "narrow.yaml").write_text("names: [mall]\n")
    assert cli.main(["validate", "topology.yaml"]) == 5
    assert cli.main(["validate", "--policy", "../wide.yaml", "topology.yaml"]) == 5
    monkeypatch.setenv(policy.VARIABLE, "../wide.yaml")
    assert cli.main(["validate", "topology.yaml"]) == 5
    capsys.readouterr()
    monkeypatch.setenv(policy.VARIABLE, "../narrow.yaml")
    assert cli.main(["validate", "topology.yaml"]) == 5
    assert "Found 3 errors" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() != 0, reason="makes files of root's")
@pytest.mark.parametrize(("mode", "owner"), [(0o664, 0), (0o646, 0), (0o644, 1)])
def test_a_policy_of_the_machine_that_others_can_write(
    machine: Path, capsys: pytest.CaptureFixture[str], mode: int, owner: int
) -> None:
    """It allows nothing, whatever is in it."""
    (machine / "etc").mkdir(mode=0o755)
    file = machine / "etc/policy.yaml"
    file.write_text("{}\n")
    file.chmod(mode)
    os.chown(file, owner, 0)
    Path("topology.yaml").write_text("name: shop\n")
    assert cli.main(["validate", "topology.yaml"]) == 5
    assert "policy.yaml can be written by others than root" in capsys.readouterr().err


def test_a_policy_of_the_machine_that_is_a_link(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever owns what it leads to would own the policy."""
    (machine / "etc").mkdir(mode=0o755)
    (machine / "own.yaml").write_text("{}\n")
    (machine / "etc/policy.yaml").symlink_to("../own.yaml")
    Path("topology.yaml").write_text("name: shop\n")
    assert cli.main(["validate", "topology.yaml"]) == 5
    assert "policy.yaml is not a plain file" in capsys.readouterr().err


def _saved(machine: Path, policies: list[str]) -> tuple[str, str]:
    """A saved plan that destroys nothing, and its digest."""
    from reconciler import saved
    from reconciler.model import Leases
    from reconciler.plan import Plan
    from reconciler.sides import Desired

    path = str(machine / "p.plan")
    return path, saved.write(
        path, Desired("shop"), Leases(), "d", Plan("shop", ()), destroying=True, policies=policies
    )


def test_a_saved_plan_needs_the_word_of_who_saw_it_saved(
    machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file alone proves nothing: without the digest, or under another policy, it is refused."""
    (machine / "policy.yaml").write_text("{}\n")
    digest = policy.in_force(["../policy.yaml"])[0].digest
    path, identity = _saved(machine, [digest])
    words = ["apply", "--policy", "../policy.yaml", "--state-dir", "../state", path]
    assert cli.main(words) == 5
    assert "nothing says that" in capsys.readouterr().err
    (machine / "policy.yaml").write_text("pids: true\n")
    assert cli.main([*words, "--digest", identity]) == 5
    assert "was not planned under ../policy.yaml as it is now" in capsys.readouterr().err
