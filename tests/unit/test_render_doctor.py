"""What `doctor` prints, as text and as JSON."""

from __future__ import annotations

from dataclasses import replace

from syrupy.assertion import SnapshotAssertion

from reconciler.features import Fact, Setting, Verdict
from reconciler.render import doctor
from reconciler.render.doctor import DoctorView
from reconciler.render.style import PLAIN, Style

BRIDGE = Fact(
    "bridge",
    Verdict.MISSING,
    "EOPNOTSUPP, Unknown device type",
    "networks on bridges",
    "load it with `modprobe bridge`",
    vital=True,
)
FACTS = (
    Fact("CAP_NET_ADMIN", Verdict.PRESENT, "this process has it", "making links", vital=True),
    BRIDGE,
    Fact("veth", Verdict.UNKNOWN, "asking needs CAP_NET_ADMIN", "endpoints on bridges", vital=True),
    Fact(
        "vrf",
        Verdict.MISSING,
        "EOPNOTSUPP, Unknown device type",
        "routing tables",
        "boot a kernel that has it",
    ),
)
SETTINGS = (
    Setting("kernel", "6.18.44", ""),
    Setting("net.ipv4.ip_forward", "1", "1: this host forwards"),
)
HOST = DoctorView("6.18.44", None, FACTS, SETTINGS)
ABLE = replace(HOST, facts=(FACTS[0], FACTS[3]))


def test_text(snapshot: SnapshotAssertion) -> None:
    """Every verdict, with what to do; what is missing and vital is named at the end."""
    assert doctor.text(HOST, PLAIN) == snapshot


def test_verbose_text(snapshot: SnapshotAssertion) -> None:
    """With -v also how we know; a missing thing that is not vital is no obstacle."""
    assert doctor.text(ABLE, Style(verbose=True)) == snapshot


def test_text_for_a_topology(snapshot: SnapshotAssertion) -> None:
    """What nobody knows is said to be so, and settings are not shown."""
    needed = replace(FACTS[2], needed_by="lab.yaml:3:3: sandbox/web/endpoint/eth0")
    assert doctor.text(DoctorView("6.18.44", "lab", (FACTS[0], needed), ()), PLAIN) == snapshot


def test_document(snapshot: SnapshotAssertion) -> None:
    """The same for programs."""
    assert doctor.document(HOST) == snapshot


def test_colours_repeat_the_words() -> None:
    """Only what is missing and vital is red."""
    lines = doctor.text(HOST, Style(color=True)).splitlines()
    red = [line for line in lines if "\x1b[31m" in line]
    assert len(red) == 1
    assert "bridge" in red[0]
