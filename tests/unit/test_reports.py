"""Reports in every format: what a run says, read by somebody else's readers, and texts that try to be more than text."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from junitparser import JUnitXml
from markdown_it import MarkdownIt
from prometheus_client.parser import text_string_to_metric_families
from syrupy.assertion import SnapshotAssertion

from reconciler.errors import Diagnostic, Exit, KernelError, Mark, Refused, TopologyError
from reconciler.health import Condition, Reason
from reconciler.model import Check, CheckKind
from reconciler.outcome import Outcome
from reconciler.plan import Objection, Pending
from reconciler.render import documents, github, gitlab, junit, markdown, prom, reported, sarif, verified
from reconciler.render.plan import PlanView
from reconciler.render.report import Level, Report, findings
from reconciler.render.status import StatusView
from reconciler.verdict import Verdict
from tests.unit.test_render_plan import LINE, desired, full_plan

RENDERERS = {
    "github": github.text,
    "gitlab": gitlab.text,
    "json": reported.text,
    "junit": junit.text,
    "markdown": markdown.text,
    "prom": prom.text,
    "sarif": sarif.text,
}
SCHEMA = Path(__file__).parent.parent / "vendor/sarif-schema-2.1.0.json"
# What the formats and the pages that show them take for more than text.
HOSTILE = "a`b``|<script>&amp;@team #1 www.x.org\n\r::error::%0A]]>\"'\\{}_*[x](y)\x00\x1b[2J\u2028\ud800é"


def planned() -> Report:
    """A plan with every kind of change, a conflict, something that is waited for, and something foreign."""
    waiting = Pending(
        ("link", "", "eth7"),
        "network/wire",
        "parent 'eth7' is down",
        "it comes later",
        LINE["db"],
        ("sandbox/x",),
    )
    plan = replace(full_plan(), pending=(waiting,))
    refusal = Objection(
        "this deletes 9 of 9 objects", "--max-deletes 9 would", ("--max-deletes 9",), ("a", "b")
    )
    view = PlanView(plan, "lab.yaml", 0.025, None, desired(), objections=(refusal,))
    return Report(
        "plan",
        "1.2.3",
        Exit.REFUSED,
        1700000000.5,
        0.25,
        "lab",
        ("lab.yaml",),
        f"sha256:{'5' * 64}",
        view=view,
        document=lambda: documents.plan(plan, ("lab.yaml",), "d", desired(), (refusal,)),
    )


def mistaken(text: str = HOSTILE) -> Report:
    """Mistakes in files whose names, messages and hints are hostile; one has no place."""
    file = text.replace("\ud800", "\udcff")  # the only halves that a file name can have
    mark = Mark(f"{file}.yaml", 3, 5, 9)
    found = [
        Diagnostic("bad-value", f"{text} is wrong", mark, f"write {text}", ((f"see {text}", mark),)),
        Diagnostic("missing-key", text),
    ]
    return Report(
        "validate", exit_code=3, topology=text, error=TopologyError(found), lines=lambda _: [text] * 9
    )


def hostile_plan() -> Report:
    """A plan of addresses and messages that are hostile."""
    plan = full_plan()
    changes = tuple(change._replace(origin=f"sandbox/{HOSTILE}") for change in plan.changes)
    conflicts = tuple(replace(one, message=HOSTILE, origin=HOSTILE, hint=HOSTILE) for one in plan.conflicts)
    plan = replace(plan, changes=changes, conflicts=conflicts)
    view = PlanView(plan, HOSTILE, 0.1, None, desired())
    document = documents.plan(plan, (HOSTILE,), "d", desired())
    return Report("plan", topology=HOSTILE, files=(HOSTILE,), view=view, document=lambda: document)


def status() -> Report:
    """Two addresses, one of which is not ready."""
    conditions = (
        Condition("network/lan", Reason.IN_SYNC),
        Condition("sandbox/web", Reason.DRIFTED, HOSTILE),
    )
    view = StatusView("lab", conditions, None, 0.0, edited=False)
    return Report("status", exit_code=4, topology="lab", files=("lab.yaml",), status=view)


def checked(text: str = HOSTILE) -> Report:
    """A check that holds, one that does not, twice, and one that could not be tried, as its sandbox was missing."""
    hostile = text.replace("\ud800", "\udcff")  # what a file name can have
    good = Check("web", "db", CheckKind.PING, (), Mark("lab.yaml", 9, 5, 9), size=1500)
    bad = Check("web", text, CheckKind.TCP, (), Mark(f"{hostile}.yaml", 10, 5, 9), port=22, open=False)
    verdicts = (
        Verdict(good, holds=True, words="answers", seconds=0.0123),
        Verdict(bad, holds=False, words=text, seconds=2.0),
        Verdict(bad, holds=False, words=text, seconds=2.0),
        Verdict(replace(good, source="new"), holds=False, words="no sandbox new", seconds=2.0, absent=True),
    )
    return Report(
        "verify",
        "1.2.3",
        Exit.FAILED,
        1700000000.5,
        2.25,
        "lab",
        ("lab.yaml",),
        verdicts=verdicts,
        document=lambda: verified.document(verdicts, "lab", 2.0),
    )


ALL = {
    "planned": planned,
    "mistaken": mistaken,
    "hostile plan": hostile_plan,
    "status": status,
    "checked": checked,
}


@pytest.mark.parametrize("name", RENDERERS)
def test_a_plan_in_every_format(name: str, snapshot: SnapshotAssertion) -> None:
    """Word for word, so that a change of an interface is seen."""
    assert RENDERERS[name](planned()) == snapshot


@pytest.mark.parametrize("name", RENDERERS)
def test_checks_in_every_format(name: str, snapshot: SnapshotAssertion) -> None:
    """The same for what `verify` found."""
    assert RENDERERS[name](checked("db:80")) == snapshot


@pytest.mark.parametrize("name", [name for name in RENDERERS if name != "json"])
def test_hostile_texts_in_every_format(name: str, snapshot: SnapshotAssertion) -> None:
    """Word for word as well."""
    assert RENDERERS[name](mistaken()) == snapshot


@pytest.mark.parametrize("report", ALL)
def test_sarif_is_what_its_schema_says(report: str) -> None:
    """The schema of the standard finds nothing."""
    validator = Draft7Validator(json.loads(SCHEMA.read_text()))
    document = json.loads(sarif.text(ALL[report]()))
    assert [error.message for error in validator.iter_errors(document)] == []
    run = document["runs"][0]
    assert [one["ruleId"] for one in run["results"]] == [
        run["tool"]["driver"]["rules"][one["ruleIndex"]]["id"] for one in run["results"]
    ]


@pytest.mark.parametrize("report", ALL)
def test_junit_is_read_by_others(report: str) -> None:
    """Both readers agree with the counts in its head, and no hostile text is lost or breaks out."""
    text = junit.text(ALL[report]())
    suite = JUnitXml.fromstring(text.encode())
    root = ET.fromstring(text.encode())
    assert int(root.attrib["tests"]) == suite.tests == len(root.findall(".//testcase"))
    assert int(root.attrib["failures"]) == suite.failures == len(root.findall(".//failure"))
    assert int(root.attrib["skipped"]) == len(root.findall(".//skipped"))
    assert not root.findall(".//script")


def test_junit_fails_what_the_exit_code_fails() -> None:
    """A conflict fails, what is waited for is skipped, drift that a plan only shows is no failure; in a status it is."""
    root = ET.fromstring(junit.text(planned()).encode())
    assert [case.attrib["name"] for case in root.iter("testcase") if case.find("failure") is not None] == [
        "network/nine"
    ]
    assert {case.attrib["name"] for case in root.iter("testcase") if case.find("skipped") is not None} == {
        "network/wire",
        "sandbox/x",
    }
    root = ET.fromstring(junit.text(status()).encode())
    assert [case.find("failure") is not None for case in root.iter("testcase")] == [False, True]


def test_junit_has_a_case_for_each_check() -> None:
    """With its time and its line; equal checks stay two, and one that could not be tried fails as well."""
    suite = next(iter(JUnitXml.fromstring(junit.text(checked("db")).encode())))
    bad = "web -/> db tcp/22"
    assert [(case.name, case.time, case.is_passed) for case in suite] == [
        ("web -> db ping, 1500 bytes", 0.012, True),
        (bad, 2.0, False),
        (bad, 2.0, False),
        ("new -> db ping, 1500 bytes", 2.0, False),
    ]
    root = ET.fromstring(junit.text(checked()).encode())
    assert [case.get("line") for case in root.iter("testcase")] == ["9", "10", "10", "9"]


@pytest.mark.parametrize("report", ALL)
def test_metrics_are_read_by_prometheus(report: str) -> None:
    """Its parser reads every sample, gauges all, and labels as they were."""
    run = ALL[report]()
    families = list(text_string_to_metric_families(prom.text(run)))
    assert all(family.type == "gauge" and family.samples and family.documentation for family in families)
    samples = {sample.name: sample for family in families for sample in family.samples}
    assert samples["reconciler_run_exit_code"].value == run.exit_code
    wanted = (run.topology or "").encode("utf-8", "backslashreplace").decode()
    assert samples["reconciler_run_exit_code"].labels == {"command": run.command, "topology": wanted}


@pytest.mark.parametrize("report", ALL)
def test_an_annotation_ends_with_its_line(report: str) -> None:
    """One command a finding, nothing that starts another, and the runner's decoding gives the texts back."""
    run = ALL[report]()
    lines = github.text(run).split("\n")
    assert lines.pop() == ""
    assert len(lines) == len(findings(run))
    for line in lines:
        command, _, rest = line.partition(" ")
        assert command in ("::error", "::warning")
        properties, _, message = rest.partition("::")
        assert all("=" in each for each in properties.split(","))
        assert "\r" not in message


@pytest.mark.parametrize("report", ALL)
def test_gitlab_issues_have_what_gitlab_needs(report: str) -> None:
    """A place, a severity that it knows, and a fingerprint for each that is unlike all others."""
    issues = json.loads(gitlab.text(ALL[report]()))
    assert len({one["fingerprint"] for one in issues}) == len(issues) > 0
    for one in issues:
        assert one["severity"] in ("info", "minor", "major", "critical", "blocker")
        assert one["location"]["path"]
        assert one["location"]["lines"]["begin"] >= 1
        assert one["description"]


def test_a_mistake_that_moves_is_the_same_to_gitlab() -> None:
    """Lines above it do not make it new."""

    def issues(line: int) -> Any:
        error = TopologyError([Diagnostic("bad-value", "wrong", Mark("a.yaml", line, 1, 2))])
        return json.loads(gitlab.text(Report("validate", error=error)))

    assert issues(1)[0]["fingerprint"] == issues(9)[0]["fingerprint"]


@pytest.mark.parametrize("report", ALL)
def test_markdown_holds_hostile_texts_as_code(report: str) -> None:
    """A CommonMark reader finds no link, no HTML but our own, and no hostile word outside of code."""
    tokens = MarkdownIt("commonmark", {"html": True}).parse(markdown.text(ALL[report]()))
    html = [token.content.strip() for token in tokens if token.type == "html_block"]
    assert [
        line
        for line in html
        if line.replace(" open", "") not in ("<details><summary>Listing</summary>", "</details>")
    ] == []
    inline = [child for token in tokens for child in token.children or ()]
    assert {child.type for child in inline} <= {
        "text",
        "code_inline",
        "strong_open",
        "strong_close",
        "softbreak",
    }
    plain = "".join(child.content for child in inline if child.type == "text")
    assert not set("@<[|#") & set(plain)


def test_markdown_fits_into_a_comment() -> None:
    """However large the plan, the summary stays and the listing says what was left out."""
    run = planned()
    assert run.view is not None
    change = run.view.plan.changes[4]
    many = tuple(change._replace(origin=f"sandbox/sandbox-number-{n}") for n in range(5_000))
    view = replace(run.view, plan=replace(run.view.plan, changes=many))
    text = markdown.text(replace(run, view=view))
    assert len(text) < 65_536
    assert "Plan: 5,000 to create." in text
    assert " more lines\n```\n\n</details>\n" in text


def test_what_became_of_an_apply() -> None:
    """A failed change is an error at the line that asked for it."""
    from reconciler.apply import Result

    run = planned()
    assert run.plan is not None
    outcome = Outcome(run.plan.changes[4], KernelError("no room", errno=28))
    found = findings(replace(run, result=Result(run.plan, (outcome,))))
    assert [(one.code, one.about, one.mark) for one in found if one.level is Level.ERROR] == [
        ("conflict", "network/nine", LINE["fw"]),
        ("failed", "sandbox/db", LINE["db"]),
    ]


def test_a_refusal_is_a_finding_without_a_place() -> None:
    """Its reasons are in the message."""
    refused = Report("apply", exit_code=5, error=Refused("no", reasons=["one", "two"], hint="ask"))
    assert [(one.code, one.whole) for one in findings(refused)] == [("refused", "no: one; two (ask)")]
