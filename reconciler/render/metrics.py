"""What a watch measures, in the text format that Prometheus reads. Pure.

Names, types and units follow Prometheus' conventions: base units, `_total` for what only grows, times instead of ages,
information as labels of a constant 1. There are few labels and none for an address, so a large topology costs no more
than a small one. `METRICS` is the one list; the page in docs/service.md is made from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ..health import Reason

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
KINDS = ("network", "sandbox", "endpoint")
Labels = tuple[tuple[str, str], ...]
Sample = tuple[Labels, float]


@dataclass(frozen=True, slots=True)
class Figures:
    """What a watch has counted since its start, and how things are now. Times are seconds since 1970, 0 for never.

    `repaired` and `failed` count by the kind of address, `conditions` says how many addresses have which reason.
    `loaded` is when the files were last read and sound, `sound` whether they are so now.
    """

    topology: str
    version: str
    digest: str
    started: float
    loaded: float = 0.0
    sound: bool = True
    passed: float = 0.0
    seconds: float = 0.0
    passes: int = 0
    repaired: Mapping[str, int] = field(default_factory=dict)
    failed: Mapping[str, int] = field(default_factory=dict)
    messages: int = 0
    heard: int = 0
    foreign: int = 0
    overruns: int = 0
    conditions: Mapping[Reason, int] = field(default_factory=dict)
    suspended: bool = False
    flapping: int = 0
    source: Source | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """The repository that is followed, and the commit that is applied. `fetched` is when it was last reached, 0 for never
    since the watch started.
    """

    url: str
    branch: str
    commit: str
    fetched: float
    reached: bool


class Metric(NamedTuple):
    """One metric: its samples from the figures."""

    name: str
    type: str
    help: str
    samples: Callable[[Figures], Iterable[Sample]]
    labels: tuple[str, ...] = ()


def _one(value: Callable[[Figures], float]) -> Callable[[Figures], Iterable[Sample]]:
    return lambda figures: [((), value(figures))]


def _by_kind(counts: Callable[[Figures], Mapping[str, int]]) -> Callable[[Figures], Iterable[Sample]]:
    """A sample for each kind, also before the first: a rate needs a zero to rise from."""
    return lambda figures: [((("kind", kind),), counts(figures).get(kind, 0)) for kind in KINDS]


def _of_source(sample: Callable[[Source], Sample]) -> Callable[[Figures], Iterable[Sample]]:
    """Nothing where no repository is followed."""
    return lambda figures: [] if figures.source is None else [sample(figures.source)]


METRICS = (
    Metric(
        "reconciler_build_info",
        "gauge",
        "Version of the reconciler that runs; always 1.",
        lambda f: [((("version", f.version),), 1)],
        ("version",),
    ),
    Metric(
        "reconciler_start_time_seconds",
        "gauge",
        "When the watch started, in seconds since 1970.",
        _one(lambda f: f.started),
    ),
    Metric(
        "reconciler_topology_info",
        "gauge",
        "Digest of the files that are kept applied; always 1.",
        lambda f: [((("digest", f.digest),), 1)],
        ("digest",),
    ),
    Metric(
        "reconciler_source_ok",
        "gauge",
        "Whether the files are sound; 0 while the last good topology stays because they are not.",
        _one(lambda f: f.sound),
    ),
    Metric(
        "reconciler_source_loaded_timestamp_seconds",
        "gauge",
        "When the files that are kept applied were last read, in seconds since 1970.",
        _one(lambda f: f.loaded),
    ),
    Metric(
        "reconciler_source_revision_info",
        "gauge",
        "Commit that is kept applied, of the Git repository that is followed; always 1.",
        _of_source(lambda s: ((("url", s.url), ("branch", s.branch), ("commit", s.commit)), 1)),
        ("url", "branch", "commit"),
    ),
    Metric(
        "reconciler_source_reached",
        "gauge",
        "Whether the Git repository that is followed could be fetched the last time.",
        _of_source(lambda s: ((), s.reached)),
    ),
    Metric(
        "reconciler_source_fetched_timestamp_seconds",
        "gauge",
        "When it was last fetched, in seconds since 1970; 0 for not since the watch started.",
        _of_source(lambda s: ((), s.fetched)),
    ),
    Metric(
        "reconciler_passes_total",
        "counter",
        "Passes: looks at the kernel, with what was done about what differed.",
        _one(lambda f: f.passes),
    ),
    Metric(
        "reconciler_last_pass_timestamp_seconds",
        "gauge",
        "When the last pass ended that came to an end, in seconds since 1970; 0 before the first.",
        _one(lambda f: f.passed),
    ),
    Metric(
        "reconciler_last_pass_duration_seconds",
        "gauge",
        "How long that pass took.",
        _one(lambda f: f.seconds),
    ),
    Metric(
        "reconciler_repairs_total",
        "counter",
        "Addresses that others had changed and that were put right.",
        _by_kind(lambda f: f.repaired),
        ("kind",),
    ),
    Metric(
        "reconciler_failures_total",
        "counter",
        "Changes of addresses that the kernel refused; kind topology is a pass that failed as a whole.",
        lambda f: [((("kind", kind),), f.failed.get(kind, 0)) for kind in (*KINDS, "topology")],
        ("kind",),
    ),
    Metric(
        "reconciler_kernel_messages_total",
        "counter",
        "Messages sent to the kernel that could change something.",
        _one(lambda f: f.messages),
    ),
    Metric(
        "reconciler_kernel_events_total",
        "counter",
        "Notices of the kernel that were heard, by whether they were about something of this topology.",
        lambda f: [((("about", "own"),), f.heard - f.foreign), ((("about", "foreign"),), f.foreign)],
        ("about",),
    ),
    Metric(
        "reconciler_kernel_overruns_total",
        "counter",
        "How often the kernel said more than could be heard, after which everything is looked at again.",
        _one(lambda f: f.overruns),
    ),
    Metric(
        "reconciler_addresses",
        "gauge",
        "Addresses of the topology by the reason of their condition; all but InSync are not ready.",
        lambda f: [((("reason", str(reason)),), f.conditions.get(reason, 0)) for reason in Reason],
        ("reason",),
    ),
    Metric(
        "reconciler_suspended",
        "gauge",
        "Whether somebody asked that nothing be changed.",
        _one(lambda f: f.suspended),
    ),
    Metric(
        "reconciler_flapping_addresses",
        "gauge",
        "Addresses that somebody else keeps undoing.",
        _one(lambda f: f.flapping),
    ),
)


def text(figures: Figures) -> str:
    """The whole exposition. Each sample carries the topology, so several watches may share a scraper."""
    lines = []
    for metric in METRICS:
        lines += [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} {metric.type}"]
        for labels, value in metric.samples(figures):
            inside = ",".join(
                f'{name}="{_escaped(text)}"' for name, text in (("topology", figures.topology), *labels)
            )
            lines.append(f"{metric.name}{{{inside}}} {_number(value)}")
    return "\n".join([*lines, ""])


def _number(value: float) -> str:
    """Counters stay whole; a float loses nothing."""
    return str(int(value)) if value == int(value) else repr(float(value))


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
