"""The figures of a watch as Prometheus' own parser reads them, and how they get out."""

from __future__ import annotations

import http.client
import os
import socket
import stat
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from reconciler.errors import UsageError
from reconciler.happened import Event
from reconciler.health import Condition, Reason
from reconciler.render import metrics as render
from reconciler.render.metrics import Figures
from reconciler.watch import metrics
from reconciler.watch.audience import Pulse, Tally
from reconciler.watch.watched import Report

FIGURES = Figures("shop", "1.0", "abc", 1e9 + 0.25, passes=3, repaired={"network": 2}, heard=10, foreign=4)


def parsed(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(text: str, name: str, **labels: str) -> float:
    return parsed(text)[name, frozenset({"topology": "shop", **labels}.items())]


def test_another_parser_reads_it() -> None:
    """Every metric arrives with its type, its help, its labels and its value; no sample is there twice."""
    text = render.text(FIGURES)
    families = {family.name: family for family in text_string_to_metric_families(text)}
    for metric in render.METRICS:
        family = families[metric.name.removesuffix("_total") if metric.type == "counter" else metric.name]
        assert (family.type, family.documentation) == (metric.type, metric.help)
        for sample in family.samples:
            assert set(sample.labels) == {"topology", *metric.labels}
    assert len(parsed(text)) == sum(not line.startswith("#") for line in text.splitlines())
    assert value(text, "reconciler_start_time_seconds") == 1e9 + 0.25
    assert value(text, "reconciler_repairs_total", kind="network") == 2
    assert value(text, "reconciler_repairs_total", kind="sandbox") == 0
    assert value(text, "reconciler_kernel_events_total", about="own") == 6


def test_names_follow_the_conventions() -> None:
    """Counters end in _total, gauges do not; what is a time says its unit; what is information says so."""
    for metric in render.METRICS:
        assert metric.name.startswith("reconciler_")
        assert metric.name.endswith("_total") == (metric.type == "counter")
        assert ("timestamp" in metric.name or "duration" in metric.name) <= metric.name.endswith("_seconds")
        assert metric.help.endswith(".")


def test_what_a_label_may_hold() -> None:
    """Quotes, backslashes and line breaks come through."""
    text = render.text(Figures("shop", 'a"b\\c\nd', "", 0))
    assert value(text, "reconciler_build_info", version='a"b\\c\nd') == 1


def test_counting_what_was_heard() -> None:
    """Repairs and failures are counted by kind, conditions by reason; a file that is wrong keeps its last reading."""
    tally, pulse = Tally(), Pulse("shop", "abc", addresses=5)
    tally.happened(Event("changed", "", "network/front", "drift", "1"))
    tally.happened(Event("created", "", "sandbox/a/endpoint/eth0", "declared", "1"))
    tally.happened(Event("created", "", "sandbox/a/endpoint/eth0", "drift", "1"))
    tally.happened(Event("drift", "", "sandbox/a", "drift"))  # only seen, nothing was done
    tally.happened(Event("failed", "", "topology"))
    now = "2026-01-01T00:00:00+00:00"
    trouble = {"sandbox/a": Condition("sandbox/a", Reason.DRIFTED)}
    tally.reported(Report(1, now, now, "abc", passes=7, trouble=trouble))
    later = "2026-01-01T01:00:00+00:00"
    tally.reported(Report(1, now, later, "abc", passes=8, trouble=trouble, mistakes=("broken",)))
    figures = tally.figures(pulse)
    assert figures.repaired == {"network": 1, "endpoint": 1}
    assert figures.failed == {"topology": 1}
    assert figures.conditions == {Reason.DRIFTED: 1, Reason.IN_SYNC: 4}
    assert (figures.passes, figures.sound, figures.loaded) == (8, False, 1767225600.0)


def test_the_file(tmp_path: Path) -> None:
    """It is whole whenever somebody reads it, for everybody to read, not written more than once a second, and goes."""
    path = tmp_path / "lab.prom"
    before = os.umask(0o077)
    try:
        with metrics.text_file(str(path)) as export:
            export.publish(FIGURES, 100.0)
            assert value(path.read_text(), "reconciler_passes_total") == 3
            assert stat.S_IMODE(path.stat().st_mode) == 0o644
            first = path.stat().st_ino
            export.publish(FIGURES, 100.5)
            assert path.stat().st_ino == first
            export.publish(FIGURES, 101.5)
            assert path.stat().st_ino != first
            assert [entry.name for entry in tmp_path.iterdir()] == ["lab.prom"]
    finally:
        os.umask(before)
    assert not path.exists()


def test_what_cannot_be_a_file(tmp_path: Path) -> None:
    """A directory, a link and a place that is not there are refused at the start."""
    link = tmp_path / "link"
    link.symlink_to("/dev/null")
    for path in (tmp_path, link, tmp_path / "none" / "x.prom"):
        with pytest.raises(UsageError), metrics.text_file(str(path)):
            pass


def test_a_full_disk_does_not_stop_the_watch(tmp_path: Path) -> None:
    """When the directory is gone, nothing is raised."""
    directory = tmp_path / "there"
    directory.mkdir()
    with metrics.text_file(str(directory / "x.prom")) as export:
        directory.rmdir()
        export.publish(FIGURES, 1.0)


@pytest.mark.parametrize("where", ["0", "127.0.0.1:0", "[::1]:0"])
def test_over_http(where: str) -> None:
    """It answers at /metrics with the figures as they are, and with 404 elsewhere."""
    with metrics.http(where) as (export, url):
        host = url.split("//")[1].removesuffix("/metrics")
        connection = http.client.HTTPConnection(host, timeout=5)
        connection.request("GET", "/metrics")
        assert connection.getresponse().status == 503  # before the first pass there is nothing to say
        export.publish(FIGURES, 1.0)
        connection = http.client.HTTPConnection(host, timeout=5)
        connection.request("GET", "/metrics")
        response = connection.getresponse()
        assert response.getheader("Content-Type") == "text/plain; version=0.0.4; charset=utf-8"
        assert value(response.read().decode(), "reconciler_passes_total") == 3
        connection = http.client.HTTPConnection(host, timeout=5)
        connection.request("GET", "/etc/passwd")
        assert connection.getresponse().status == 404


def test_readers_that_never_finish_hold_up_nobody() -> None:
    """Clients that connect and say nothing take no more than a handful of threads; the loop does not notice."""
    with metrics.http("0") as (export, url):
        port = int(url.rpartition(":")[2].partition("/")[0])
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
        began = time.monotonic()
        export.publish(FIGURES, 1.0)
        assert time.monotonic() - began < 0.5
        for one in idle:
            one.close()
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("where", ["", "x", "-1", "65536", "localhost:1", "1.2.3:4", ":::"])
def test_what_is_no_place(where: str) -> None:
    """It must be a port, or an address and a port."""
    with pytest.raises(UsageError), metrics.http(where):
        pass
