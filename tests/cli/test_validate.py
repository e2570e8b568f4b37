"""`validate` and the other commands that only read files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reconciler import cli
from tests.cli.conftest import Run

OF_OTHERS = """\
name: lab
networks:
  drawn: {}
  wire: {driver: macvlan, options: {parent: eth7.9}, subnets: [10.1.0.0/24]}
  old: {options: {name: br9, adopt: true, ports: [eth8]}, subnets: [10.2.0.0/24]}
sandboxes:
  web: {endpoints: {eth0: wire, eth1: drawn}}
  vm: {netns: /run/netns/none-such, endpoints: {eth0: old}, sysctls: {net.ipv4.ip_forward: 1}}
  own: {host: true, sysctls: {net.ipv4.ip_forward: 1}}
"""

BROKEN = """\
name: lab
networks:
  lan: {driver: brigde}
sandboxes:
  web:
    endpoints:
      eth0: {network: lan, adresses: [10.0.0.2]}
"""


def test_success_is_one_line(run: Run, topology: Path) -> None:
    """How much was checked, on standard output, and nothing else."""
    result = run("validate", topology.name)
    assert result.stdout == "lab.yaml: 1 network, 3 sandboxes, 3 endpoints are valid.\n"
    assert (result.returncode, result.stderr) == (0, "")


def test_quiet_success_is_silent(run: Run, topology: Path) -> None:
    """-q leaves only the exit code."""
    result = run("-q", "validate", topology.name)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_mistakes_are_shown_with_their_line(run: Run, tmp_path: Path) -> None:
    """Every mistake at once with a caret, on standard error, exit code 3."""
    (tmp_path / "bad.yaml").write_text(BROKEN)
    result = run("validate", "bad.yaml")
    assert (result.returncode, result.stdout) == (3, "")
    assert result.stderr.startswith(
        "bad.yaml:3:17: error[bad-value]: 'brigde' is not a known driver\n"
        "   |\n"
        " 3 |   lan: {driver: brigde}\n"
        "   |                 ^^^^^^ did you mean 'bridge'?"
    )
    assert "did you mean 'addresses'?" in result.stderr
    assert result.stderr.endswith("Found 2 errors in 1 file.\n")


def test_mistakes_as_json(run: Run, tmp_path: Path) -> None:
    """Standard output is one document with the same mistakes."""
    (tmp_path / "bad.yaml").write_text(BROKEN)
    result = run("validate", "-o", "json", "bad.yaml")
    document = json.loads(result.stdout)
    assert (result.returncode, document["valid"]) == (3, False)
    assert [(d["code"], d["line"], d["col"]) for d in document["diagnostics"]] == [
        ("bad-value", 3, 17),
        ("unknown-key", 7, 28),
    ]


def test_standard_input_has_no_excerpt(run: Run) -> None:
    """What cannot be read again is still reported by place."""
    result = run("validate", "-", stdin=BROKEN)
    assert result.returncode == 3
    assert (
        "-:3:17: error[bad-value]: 'brigde' is not a known driver\n  did you mean 'bridge'?" in result.stderr
    )


def test_a_file_of_control_characters_prints_none(run: Run, tmp_path: Path) -> None:
    """Escapes in values and in file names reach the reader as text."""
    (tmp_path / "e\x1b[2J.yaml").write_text('name: lab\nnetworks: {lan: {driver: "\\e[2J"}}\n')
    result = run("validate", "e\x1b[2J.yaml")
    assert result.returncode == 3
    assert "\x1b" not in result.stdout + result.stderr


def test_overrides_are_layers_and_paths_are_siblings(run: Run, topology: Path, tmp_path: Path) -> None:
    """With -f the second file may change the first; side by side the same is a contradiction."""
    (tmp_path / "over.yaml").write_text("networks: {lan: {mtu: 1300}}\n")
    over = run("config", "-f", topology.name, "-f", "over.yaml", "--explain", "lan.mtu")
    assert over.stdout == "networks.lan.mtu = 1300\n  declared by an override at over.yaml:1:23\n"
    assert run("validate", topology.name, "over.yaml").returncode == 3


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("db.eth0.addresses", "10.10.0.9/24", "declared at lab.yaml:14:39"),
        ("web-1.eth0.addresses", "10.10.0.2/24", "allocated from subnet 10.10.0.0/24 of network 'lan'"),
        ("web-2.eth0.network", "lan", "replica 2 of 'web', declared at lab.yaml:11:13"),
        ("db.eth0.mtu", "1400", "the mtu of network 'lan', from defaults at lab.yaml:3:18"),
        ("lan.mtu", "1400", "from defaults at lab.yaml:3:18"),
        ("lan.driver", "bridge", "built-in default"),
        ("bare.mtu", "1500", "the network sets none: what a new link has"),
        ("one.eth0.mtu", "1500", "neither the endpoint nor its network sets one"),
        ("networks.bare.options.stp", "not set", "true: run the spanning tree protocol."),
        ("one.netns", "not set", "Use this existing network namespace"),
        ("networks.bare.options.hairpin", "not set", "default: false"),
    ],
)
def test_config_explains_where_a_value_comes_from(
    run: Run, topology: Path, field: str, value: str, why: str
) -> None:
    """Value and origin, also for what is decided after the files are read, or by nobody."""
    bare = "name: lab\nnetworks: {bare: {subnets: [10.11.0.0/24]}}\nsandboxes: {one: {endpoints: {eth0: bare}}}\n"
    if field.startswith(("bare", "one", "networks.bare")):
        topology.write_text(bare)
    result = run("config", topology.name, "--explain", field)
    assert result.returncode == 0, result.stderr
    assert f"= {value}\n" in result.stdout
    assert why in result.stdout


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("web1.eth0.mtu", "web-1.eth0.mtu"),
        ("db.eth0.mtuu", "db.eth0.mtu"),
        ("networks.lan.option", "networks.lan.options"),
        ("db.netn", "db.netns"),
    ],
)
def test_config_of_an_unknown_value(run: Run, topology: Path, wrong: str, right: str) -> None:
    """A near miss is corrected, in names and in fields."""
    result = run("config", topology.name, "--explain", wrong)
    assert result.returncode == 2
    assert f"did you mean '{right}'?" in result.stderr


def test_the_canonical_form_is_a_topology_that_means_the_same(
    run: Run, topology: Path, tmp_path: Path
) -> None:
    """What config prints, config prints again."""
    first = run("config", topology.name)
    (tmp_path / "again.yaml").write_text(first.stdout)
    assert first.returncode == 0
    assert run("config", "again.yaml").stdout == first.stdout


def test_schema_is_the_schema(run: Run) -> None:
    """The document can be read and calls itself one."""
    assert json.loads(run("schema").stdout)["$schema"].endswith("2020-12/schema")


def test_explain_describes_a_field(run: Run) -> None:
    """Type and description of a nested field."""
    result = run("explain", "networks.*.mtu")
    assert result.returncode == 0
    assert "networks.*.mtu" in result.stdout
    assert "a whole number" in result.stdout
    assert "a list of maps" in run("explain", "pools").stdout


def test_destroy_of_broken_files_points_to_the_name(run: Run, tmp_path: Path) -> None:
    """Files that are broken do not keep a topology alive."""
    (tmp_path / "bad.yaml").write_text(BROKEN)
    result = run("destroy", "bad.yaml")
    assert result.returncode == 3
    assert "destroy --name" in result.stderr


def test_a_plan_against_an_empty_kernel_needs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Links and namespaces of others count as there; neither the kernel nor this host's state is asked."""
    (tmp_path / "lab.yaml").write_text(OF_OTHERS)
    (tmp_path / "state").write_text("not a directory")
    monkeypatch.setattr("socket.socket", None)
    monkeypatch.chdir(tmp_path)
    code = cli.main(["--state-dir", "state", "plan", "--empty-kernel", "--exit-code", "lab.yaml"])
    shown = capsys.readouterr()
    assert (code, shown.err) == (4, "")
    assert "Plan: 6 to create, 3 to change" in shown.out
    assert "conflict" not in shown.out
    assert "waiting" not in shown.out


@pytest.mark.parametrize("flag", [["--destroy"], ["--out", "p.json"]])
def test_what_an_empty_kernel_has_no_plan_for(run: Run, topology: Path, flag: list[str]) -> None:
    """Nothing is there to destroy, and no host would be right for the saved plan."""
    result = run("plan", "--empty-kernel", *flag, topology.name)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"error: {flag[0]} does not go with --empty-kernel")
