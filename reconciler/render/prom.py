"""A run as metrics in Prometheus' text format, for the textfile collector of node_exporter. Pure.

Few labels and never one for an endpoint: what a single run found is in the other reports. There are no timestamps beside
the samples, since the collector refuses them; when the run ended is a metric of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from . import entries
from .entries import Verb
from .report import Level, Report, findings

_Sample = tuple[dict[str, str], float]
_PREFIX = "reconciler_run"


def text(report: Report) -> str:
    """Every metric with its help."""
    common = {"command": report.command, "topology": report.topology or ""}
    lines = []
    for name, about, samples in _metrics(report):
        lines += [f"# HELP {_PREFIX}_{name} {about}", f"# TYPE {_PREFIX}_{name} gauge"]
        lines += [
            f"{_PREFIX}_{name}{{{_labels({**common, **more})}}} {value:.15g}" for more, value in samples
        ]
    return "\n".join(lines) + "\n"


def _metrics(report: Report) -> Iterator[tuple[str, str, list[_Sample]]]:
    found = Counter(one.level for one in findings(report))
    yield "end_timestamp_seconds", "When the run ended.", [({}, report.time)]
    yield "duration_seconds", "How long the run took.", [({}, report.seconds)]
    yield "exit_code", "The exit code of the run.", [({}, report.exit_code)]
    levels: list[_Sample] = [({"level": level.value}, found[level]) for level in Level]
    yield "findings", "What deserves attention.", levels
    if (plan := report.plan) is not None:
        listed = entries.entries(plan.changes)
        verbs = Counter(entry.verb for entry in listed)
        counted: list[_Sample] = [({"action": verb.value}, verbs[verb]) for verb in Verb]
        yield "changes", "Addresses of the topology that the plan changes.", counted
        yield "drift", "Those of them that somebody else changed.", [({}, sum(one.drift for one in listed))]
        yield "conflicts", "What is in the way.", [({}, len(plan.conflicts))]
        yield "pending", "What is waited for.", [({}, len(plan.pending))]
    if (status := report.status) is not None:
        yield "addresses", "Addresses of the topology.", [({}, len(status.conditions))]
        yield "not_ready", "Those that are not as declared, or do not work.", [({}, status.bad)]
    if report.verdicts:
        failed = sum(not each.holds for each in report.verdicts)
        yield "checks", "Checks of the topology.", [({}, len(report.verdicts))]
        yield "checks_failed", "Those that do not hold.", [({}, failed)]


def _labels(labels: dict[str, str]) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())


def _escaped(value: str) -> str:
    value = value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
    return value.encode("utf-8", "backslashreplace").decode()
