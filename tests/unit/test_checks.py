"""Checks of a topology: what stands for what, whose addresses are tried, and how results are told."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from reconciler.errors import Exit
from reconciler.load import expand
from reconciler.model import Check, CheckKind, Leases
from reconciler.render import verified
from reconciler.render.style import Style
from reconciler.resolve import resolve
from reconciler.verdict import Verdict, exit_code

LAB = """
name: lab
networks:
  lan: {subnets: [10.1.0.0/24, "fd00:1::/64"]}
  back: {subnets: [10.2.0.0/24], internal: true}
  far: {subnets: [10.3.0.0/24]}
sandboxes:
  web: {replicas: 2, endpoints: {eth0: lan, eth1: {network: back, addresses: ["10.2.0.1{n}"]}}}
  db: {endpoints: {eth0: {network: far, addresses: [10.3.0.9]}, eth1: {network: back, addresses: [10.2.0.9]}}}
  old: {endpoints: {eth0: {network: far, addresses: [10.3.0.8]}}}
checks:
"""


def checks_of(tmp_path: Path, *items: str) -> tuple[Check, ...]:
    path = tmp_path / "lab.yaml"
    path.write_text(LAB + "".join(f"  - {item}\n" for item in items))
    one = expand.load([str(path)])
    return resolve(one.tree, name_mark=one.name_mark, files=one.files, leases=Leases())[0].checks


def told(check: Check) -> str:
    arrow = "->" if check.open else "-/>"
    return f"{check.source} {arrow} {check.target} {verified.tries(check)} at {' '.join(map(str, check.addresses))}"


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("web -> db", ["web-1 -> db ping at 10.2.0.9", "web-2 -> db ping at 10.2.0.9"]),
        ("db -/> web/eth1 tcp/80", ["db -/> web-1/eth1 tcp/80 at 10.2.0.11", "db -/> web-2/eth1 tcp/80 at 10.2.0.12"]),
        ("web-1 -> web-2", ["web-1 -> web-2 ping at 10.1.0.3 fd00:1::3"]),
        ("web -> web udp/53", ["web-2 -> web-1 udp/53 at 10.1.0.2 fd00:1::2", "web-1 -> web-2 udp/53 at 10.1.0.3 fd00:1::3"]),
        ("web-1 -> lan", ["web-1 -> lan ping at 10.1.0.1 fd00:1::1"]),
        ("old -> web-1/eth1", ["old -> web-1/eth1 ping at 10.2.0.11"]),
        ("old -> web-1", ["old -> web-1 ping at 10.1.0.2"]),
        ("old -> old", ["old -> old ping at 10.3.0.8"]),
        ("'old -> *'", ["old -> web-1 ping at 10.1.0.2", "old -> web-2 ping at 10.1.0.3", "old -> db ping at 10.3.0.9"]),
        ("{from: [old, db], to: 192.0.2.1, size: 1500}", ["old -> 192.0.2.1 ping, 1500 bytes at 192.0.2.1", "db -> 192.0.2.1 ping, 1500 bytes at 192.0.2.1"]),
        ("web-1 -> http://db:8080/x?y", ["web-1 -> http://db:8080/x?y http at 10.2.0.9"]),
        ('"old -> http://[fd00:1::3]/"', ["old -> http://[fd00:1::3]/ http at fd00:1::3"]),
    ],
)  # fmt: skip
def test_what_is_tried(tmp_path: Path, item: str, expected: list[str]) -> None:
    """Templates and * stand for their sandboxes; of a target it is the shared network's endpoint, in both families."""
    assert [told(check) for check in checks_of(tmp_path, item)] == expected


def test_an_address_of_a_sandbox_is_known_to_be_its_own(tmp_path: Path) -> None:
    """So that verify can answer there; a gateway on a bridge is nobody's sandbox."""
    owned, gateway, http = checks_of(
        tmp_path, "web-1 -> 10.2.0.9 tcp/1", "web-1 -> lan tcp/1", "web-1 -> http://db"
    )
    assert [owned.sandbox, gateway.sandbox, http.sandbox] == ["db", None, "db"]
    assert http.port == 80


def test_files_beside_each_other_add_up_and_overrides_replace(tmp_path: Path) -> None:
    """A list of checks may be spread over the files of a directory; one of an override is the whole list."""
    (tmp_path / "a.yaml").write_text(LAB + "  - old -> db\n")
    (tmp_path / "b.yaml").write_text("checks: [db -> old]\n")
    (tmp_path / "over").mkdir()
    (tmp_path / "over" / "c.yaml").write_text("checks: [web -> db]\n")
    names = [str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml")]

    def sources(*overrides: str) -> list[object]:
        tree = expand.load(names, overrides).tree
        return [check["from"] for check in tree["checks"]]  # type: ignore[attr-defined]

    assert sources() == [["old"], ["db"]]
    assert sources(str(tmp_path / "over" / "c.yaml")) == [["web-1", "web-2"]]


def test_the_canonical_form_means_the_same(tmp_path: Path) -> None:
    """What `config` prints resolves to the same checks."""
    items = ("web -> db tcp/80", "'* -/> old'", "{from: db, to: lan, size: 576}", "web -> http://db/")
    first = checks_of(tmp_path, *items)
    plain = expand.to_plain(expand.load([str(tmp_path / "lab.yaml")]).tree)["checks"]
    assert isinstance(plain, list)
    again = checks_of(tmp_path, *map(str, plain))
    assert list(map(told, first)) == list(map(told, again))


def verdicts(tmp_path: Path) -> list[Verdict]:
    good, bad = checks_of(tmp_path, "old -> db", "old -/> lan tcp/22")
    return [Verdict(good, holds=True, words="answers", seconds=0.01), Verdict(bad, holds=False, words='<"\x1b', seconds=2.0)]  # fmt: skip


def test_text(tmp_path: Path) -> None:
    """A line for each check, where it stands if it does not hold, and no control characters."""
    text = verified.text(verdicts(tmp_path), 2.0, Style(color=False, width=100, verbose=False))
    expected = f"""\
          FROM  TO   TRIES   EXPECT  SEEN
    ok    old   db   ping    open    answers
    FAIL  old   lan  tcp/22  closed  <"\\x1b   {tmp_path}/lab.yaml:13:5

    2 checks: 1 does not hold, after 2.00 s.
    """
    assert text == dedent(expected)


@pytest.mark.parametrize(
    ("states", "code"),
    [
        ([(True, False)], Exit.OK),
        ([], Exit.OK),
        ([(True, False), (False, False)], Exit.FAILED),
        ([(True, False), (False, True)], Exit.TIMEOUT),
        ([(False, False), (False, True)], Exit.FAILED),
    ],
)
def test_exit_codes(tmp_path: Path, states: list[tuple[bool, bool]], code: Exit) -> None:
    """7 only if nothing else is wrong than that sandboxes are missing."""
    (check,) = checks_of(tmp_path, "old -> db")
    assert check.kind is CheckKind.PING
    found = [Verdict(check, holds, "", 0.0, absent) for holds, absent in states]
    assert exit_code(found) is code
