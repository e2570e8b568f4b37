"""The small renderers: diagnostics, refusals, status, show, fields, and the ground they stand on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from reconciler.errors import Diagnostic, KernelError, Mark, Refused
from reconciler.health import Condition, Flapping, Reason, Suspension
from reconciler.history import Run
from reconciler.objects import (
    HOST,
    Address,
    Bridge,
    Link,
    OtherKind,
    Qdisc,
    Route,
    Sysctl,
)
from reconciler.render import diagnostics, events, failure, history, show, status, style, suspended, words
from reconciler.render.show import Shown, Space
from reconciler.render.status import Pulse, StatusView, WatchView
from reconciler.render.style import PLAIN, Style
from reconciler.watch.watched import Report


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The reader's clock is that of Greenwich."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def shown(line: str, mark: Mark, *, hint: str | None = None, width: int = 100) -> list[str]:
    """The lines of one diagnostic about a file that has one line."""
    found = Diagnostic("bad-value", "it is wrong", mark, hint)
    return diagnostics.text([found], lambda _: (line,), Style(width=width)).splitlines()


@pytest.mark.parametrize(
    ("line", "mark", "source", "pointer"),
    [
        ("mtu: jumbo", Mark("f", 1, 6, 11), " 1 | mtu: jumbo", "   |      ^^^^^ fix"),
        ("\tmtu: x", Mark("f", 1, 7, 8), " 1 |  mtu: x", "   |       ^ fix"),
        ("中文: x", Mark("f", 1, 5, 6), " 1 | 中文: x", "   |       ^ fix"),
        ("中文: x", Mark("f", 1, 1, 3), " 1 | 中文: x", "   | ^^^^ fix"),
        ("a:", Mark("f", 1, 3, 4), " 1 | a:", "   |   ^ fix"),
        ("a: 'b", Mark("f", 1, 4, 90), " 1 | a: 'b", "   |    ^^ fix"),
        ("a\x1b[2J: b", Mark("f", 1, 1, 2), " 1 | a\ufffd[2J: b", "   | ^ fix"),
    ],
    ids=["plain", "tab", "after wide", "on wide", "line end", "past the end", "control"],
)
def test_the_caret_stands_below_its_text(line: str, mark: Mark, source: str, pointer: str) -> None:
    """Tabs, wide letters, ends of lines and control characters do not move it."""
    lines = shown(line, mark, hint="fix")
    assert lines[:4] == [f"f:1:{mark.col}: error[bad-value]: it is wrong", "   |", source, pointer]


@pytest.mark.parametrize("col", [1, 50, 500, 995])
def test_a_long_line_is_cut_around_the_column(col: int) -> None:
    """The marked text stays in sight, whatever the width."""
    line = "x" * (col - 1) + "BAD" + "y" * (1000 - col)
    _, _, source, pointer, *_ = shown(line, Mark("f", 1, col, col + 3), width=60)
    start, end = pointer.index("^"), pointer.rindex("^") + 1
    assert source[start:end] == "BAD"
    assert len(source) <= 62


@pytest.mark.parametrize("lines", [None, (), ("short",)])
def test_a_file_that_is_gone_or_shorter_has_no_excerpt(lines: tuple[str, ...] | None) -> None:
    """The hint then stands on a line of its own."""
    found = Diagnostic("bad-value", "it is wrong", Mark("f", 1, 99, 100), "fix it")
    text = diagnostics.text([found], lambda _: lines, PLAIN)
    assert text == "f:1:99: error[bad-value]: it is wrong\n  fix it\n\nFound 1 error in 1 file.\n"


def test_a_diagnostic_names_related_places() -> None:
    """Both places of a contradiction are shown."""
    found = Diagnostic("twice", "'a' stands twice", None, related=(("first used here", Mark("g", 2, 3, 4)),))
    text = diagnostics.text([found], lambda _: None, PLAIN)
    assert text.splitlines()[:2] == ["error[twice]: 'a' stands twice", "  g:2:3: first used here"]


def test_a_refusal_lists_its_reasons() -> None:
    """Message, one reason a line, then what to do."""
    error = Refused("the plan is stale", reasons=["a moved", "b moved"], hint="plan again")
    assert failure.text(error, PLAIN) == "error: the plan is stale\n  a moved\n  b moved\n  plan again\n"


def test_the_kernels_own_text_is_quoted_once() -> None:
    """An extended acknowledgement is added unless the message has it already."""
    error = KernelError("reading links: busy", errno=16, detail="dump torn")
    assert failure.text(error, PLAIN) == "error: reading links: busy\n  the kernel says: dump torn\n"
    assert "says" not in failure.text(KernelError("dump torn", errno=16, detail="dump torn"), PLAIN)


RUN = Run("2026-11-24T10:00:00+00:00", "apply", "abc", 12, 1, 0, 0, "ok", 0.21)


def test_status_is_a_table_and_two_sentences() -> None:
    """Each address with its reason, the last run, how many are not ready."""
    view = StatusView(
        "lab",
        (
            Condition("network/lan", Reason.IN_SYNC),
            Condition("sandbox/a", Reason.DRIFTED, "missing (drift)"),
        ),
        RUN,
        125.0,
        edited=True,
    )
    assert status.text(view, PLAIN) == (
        "ADDRESS      STATE        REASON   MESSAGE\n"
        "network/lan  Ready        InSync\n"
        "sandbox/a    Reconciling  Drifted  missing (drift)\n"
        "\n"
        "Last run: apply 2 min ago, ok: 12 created, 1 changed kernel objects in 0.21 s.\n"
        "The files have changed since.\n"
        "No watch runs.\n"
        "1 of 2 not ready.\n"
    )
    assert status.document(view)["ready"] is False


def test_status_without_a_run() -> None:
    """A topology that was never applied says so, and a cut-short run is mentioned."""
    text = status.text(StatusView("lab", (), None, 0, edited=False, interrupted="apply of noon"), PLAIN)
    assert "Topology 'lab' was never applied here." in text
    assert "A run was cut short: apply of noon." in text


REPORT = Report(4711, "2026-11-24T10:00:00+00:00", "2026-11-24T10:01:00+00:00", "abc", passes=3, repaired=2)


@pytest.mark.parametrize(
    ("watch", "sentence"),
    [
        (status.NO_WATCH, "No watch runs."),
        (
            WatchView(Pulse.RUNNING, REPORT, 3.0, 2.0),
            "Watched since 2026-11-24 10:00:00 (pid 4711): 3 passes, the last 2 s ago; 2 repaired.",
        ),
        (
            WatchView(Pulse.RUNNING, replace(REPORT, passes=1, detect_only=True, overruns=1), 3.0, 2.0),
            "(pid 4711): 1 pass, the last 2 s ago; only looks, 1 overrun.",
        ),
        (WatchView(Pulse.SILENT, REPORT, 300.0), "The watch gave no sign of life for 5 min: it may hang."),
        (WatchView(Pulse.STOPPED, REPORT, 300.0), "No watch runs. The last one stopped 5 min ago."),
        (
            WatchView(Pulse.KILLED, replace(REPORT, mistakes=("lab.yaml:1:1: broken",)), 300.0),
            "No watch runs. The last one (pid 4711) ended without a word; it was last heard of 5 min ago.",
        ),
        (
            WatchView(
                Pulse.RUNNING, replace(REPORT, mistakes=("lab.yaml:1:1: broken",), mistaken=REPORT.written)
            ),
            "The files are wrong since 2026-11-24 10:01:00; what was read before is kept:\n  lab.yaml:1:1: broken",
        ),
        (
            WatchView(Pulse.RUNNING, replace(REPORT, flapping={"network/lan": Flapping(7, "mtu")})),
            "Flapping: network/lan was undone 7 times by somebody else (mtu).",
        ),
    ],
    ids=["none", "running", "looking", "silent", "stopped", "killed", "mistakes", "flapping"],
)
def test_status_says_how_the_watch_is(watch: WatchView, sentence: str, utc: None) -> None:
    """Of one that does not run nothing is repeated but when it was there."""
    view = StatusView("lab", (), RUN, 0, edited=False, watch=watch)
    text = status.text(view, PLAIN)
    assert sentence in text
    assert ("broken" in text) == ("broken" in sentence)
    assert status.document(view)["watch"]["state"] == str(watch.pulse)


def test_status_by_hearsay_says_so() -> None:
    """What a watch says is not counted as seen, and without a watch nothing is called ready."""
    trouble = (Condition("network/lan", Reason.CONFLICT, "br0 is there already"),)
    running = WatchView(Pulse.RUNNING, REPORT)
    told = StatusView("lab", trouble, RUN, 0, edited=False, watch=running, hearsay=True)
    assert "network/lan  Stalled  Conflict  br0 is there already\n" in status.text(told, PLAIN)
    assert status.text(told, PLAIN).endswith("\n1 not ready.\n")
    assert status.text(replace(told, conditions=()), PLAIN).endswith("All ready, says the watch.\n")
    alone = replace(told, conditions=(), watch=status.NO_WATCH)
    assert status.text(alone, PLAIN).endswith("No watch runs.\n")
    assert status.document(alone)["ready"] is False


def test_a_suspension_is_one_sentence(utc: None) -> None:
    """Since when, by whom, until when, why; what is unknown is left out."""
    full = Suspension("db\x1b upgrade", "2026-11-24T10:00:00+00:00", "2026-11-24T12:00:00+00:00", "anna")
    assert suspended.sentence(full) == (
        "Suspended since 2026-11-24 10:00:00 by anna, until 2026-11-24 12:00:00: db\\x1b upgrade"
    )
    assert suspended.sentence(Suspension("why", "")) == "Suspended: why"


def test_an_event_is_a_line(utc: None) -> None:
    """Time, address, what, why, and the run that it was part of; what somebody else wrote cannot move the cursor."""
    event = {"time": "2026-11-24T10:00:00.500+00:00", "kind": "changed", "message": "changed mtu"}
    more = {"address": "network/lan", "cause": "drift", "run": "1a2b3c4d"}
    assert (
        events.line({**event, **more}, PLAIN)
        == "2026-11-24 10:00:00  network/lan: changed mtu (drift)  [1a2b3c4d]\n"
    )
    assert events.line({**event, "cause": None, "message": "a\x1b"}, PLAIN) == "2026-11-24 10:00:00  a\\x1b\n"
    assert (
        events.words({"kind": "drift", "message": "missing (drift)", "cause": "drift"}, PLAIN)
        == "missing (drift)"
    )


def test_the_history_is_a_table(utc: None) -> None:
    """One line a run; records from before runs had an id have none."""
    runs = (RUN, replace(RUN, id="1a2b3c4d", cause="drift", created=0, changed=0, result="failed"))
    assert history.text(runs, PLAIN) == (
        "TIME                 RUN       COMMAND  CAUSE     FILES  RESULT  TOOK    KERNEL OBJECTS\n"
        "2026-11-24 10:00:00  -         apply    declared  abc    ok      0.21 s  12 created, 1 changed\n"
        "2026-11-24 10:00:00  1a2b3c4d  apply    drift     abc    failed  0.21 s  nothing\n"
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "just now"), (59, "59 s ago"), (61, "1 min ago"), (7200, "2 h ago"), (200000, "2 d ago")],
)
def test_ages(seconds: float, text: str) -> None:
    """The largest unit that fits."""
    assert status.ago(seconds) == text


def test_show_groups_by_namespace() -> None:
    """Host first, links before addresses, owner in the last column."""
    host = Space(HOST, (Shown(Link(netns=HOST, name="br0", kind=Bridge(), mtu=1500), "lab", "network/lan"),))
    inner = Space(
        "lab.a",
        (
            Shown(
                Address(netns="lab.a", link="eth0", address="10.0.0.2/24"), "lab", "sandbox/a/endpoint/eth0"
            ),
            Shown(Link(netns="lab.a", name="tun0", kind=OtherKind(kind="tun"), up=False), None),
        ),
        "lab",
        "sandbox/a",
    )
    assert show.text([host, inner], 3, PLAIN) == (
        "the host\n"
        "  link br0  bridge, mtu 1500  ours: lab network/lan\n"
        "\n"
        "namespace lab.a   ours: lab sandbox/a\n"
        "  link tun0            tun, down  foreign\n"
        "  address 10.0.0.2/24  on eth0    ours: lab sandbox/a/endpoint/eth0\n"
        "\n"
        "3 foreign objects not shown; --foreign lists them.\n"
    )
    listed = show.document([host, inner])["namespaces"][1]["objects"]
    assert [(item["kind"], item["ours"]) for item in listed] == [("link", False), ("address", True)]


def test_show_of_an_empty_host() -> None:
    """Nothing is said, not printed as nothing."""
    assert show.text([], 0, PLAIN) == "Nothing of any topology is on this host.\n"


@pytest.mark.parametrize(
    ("route", "text"),
    [
        (Route(netns="", to="0.0.0.0/0", via="10.0.0.1"), "default"),
        (Route(netns="", to="::/0", metric=1024), "default (v6)"),
        (Route(netns="", to="10.0.0.0/8", metric=50, table=7), "10.0.0.0/8 table 7 metric 50"),
        (Route(netns="", to="fd00::/8", metric=0), "fd00::/8 metric 0"),
    ],
)
def test_destinations_hide_what_is_usual(route: Route, text: str) -> None:
    """Table 254 and the family's own metric go without saying."""
    assert words.destination(route) == text


@pytest.mark.parametrize(
    ("name", "held", "text"),
    [
        ("mtu", None, "none"),
        ("up", True, "yes"),
        ("ageing_time", 30050, "300.5 s"),
        ("group", 1390033085, "0x52da38bd"),
        ("altnames", ("a", "b"), "a, b"),
        ("alias", "x\ny", r"x\ny"),
        ("rate", 1_250_000, "10 Mbit/s"),
        ("rate", 1, "8 bit/s"),
        ("burst", 1514, "1.479 KiB"),
        ("queue", 65536, "64 KiB"),
        ("delay", 20_000_000, "20 ms"),
        ("jitter", 0, "0 ns"),
        ("loss", 1_000_000, "0.1%"),
        ("loss", 10**9, "100%"),
        ("reorder", 1, "0.0000001%"),
    ],
)
def test_values_are_what_people_write(
    name: str, held: str | int | bool | tuple[str, ...] | None, text: str
) -> None:
    """Seconds instead of hundredths, words for flags, escapes for control characters."""
    assert words.value(name, held) == text


def test_a_parameter_of_a_dotted_link_is_written_as_sysctl_does() -> None:
    """Dots and slashes change places, so that the name can be used."""
    assert words.object_name(Sysctl(netns="a", path="net/ipv4/conf/eth0.5/x")) == (
        "parameter net.ipv4.conf.eth0/5.x in a"
    )


def test_a_discipline_is_told_by_what_it_does() -> None:
    """Zeros are not mentioned; what nobody can declare is."""
    netem = Qdisc(
        netns="",
        link="eth0",
        place="root",
        discipline="netem",
        delay=10**7,
        loss=0,
        limit=1000,
        further=("ecn",),
    )
    assert words.effect(netem) == "delay 10 ms"
    assert words.qdisc(netem) == "on eth0, delay 10 ms, limit 1000, ecn"
    assert words.qdisc(Qdisc(netns="", link="eth0", place="root", discipline="fq")) == "on eth0"


@pytest.mark.parametrize(
    "character", ["\x00", "\x1b", "\x7f", "\x9b", "\u202e", "\u2028", "\ud800", "\r", "\n"]
)
def test_no_unsafe_character_survives(character: str) -> None:
    """Escapes, line breaks and letters that reorder others are made visible."""
    assert character not in style.safe(f"a{character}b")
    assert style.safe("ä中 é") == "ä中 é"


def test_natural_order() -> None:
    """Numbers within names count as numbers."""
    assert sorted(["web-10", "web-2", "web", "10", "a1b2", "a1b10"], key=style.natural) == [
        "10", "a1b2", "a1b10", "web", "web-2", "web-10",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0001, "1 ms"), (0.038, "38 ms"), (0.1, "0.10 s"), (9.999, "10.00 s"), (72.04, "72.0 s")],
)
def test_durations(seconds: float, text: str) -> None:
    """Milliseconds below a tenth of a second, seconds above."""
    assert style.duration(seconds) == text
