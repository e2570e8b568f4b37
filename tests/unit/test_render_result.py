"""What became of an apply, as text and as JSON."""

from __future__ import annotations

import json
import signal

from syrupy.assertion import SnapshotAssertion

from reconciler.apply import Result
from reconciler.errors import KernelError, Mark
from reconciler.objects import (
    HOST,
    Address,
    Bridge,
    Link,
    Netns,
)
from reconciler.outcome import Outcome
from reconciler.plan import Action, AttributeChange, Cause, Change, Plan
from reconciler.render import documents
from reconciler.render import result as render
from reconciler.render.style import PLAIN
from reconciler.sides import Declared, Desired

LINE = Mark("lab.yaml", 22, 3, 6)


def create(obj: Link | Netns | Address, origin: str) -> Change:
    """A creation that the file asks for."""
    return Change(Action.CREATE, None, obj, Cause.DECLARED, origin, LINE)


DMZ = create(Link(netns=HOST, name="dmz0", kind=Bridge()), "network/dmz")
ON_DMZ = create(Address(netns=HOST, link="dmz0", address="10.0.0.1/24"), "network/dmz")
WEB = create(Netns(netns="lab.web"), "sandbox/web")
PORT = create(Link(netns="lab.web", name="eth0", kind=Bridge()), "sandbox/web/endpoint/eth0")
PLAN = Plan("lab", (WEB, DMZ, ON_DMZ, PORT))
DESIRED = Desired("lab", {c.key: Declared(c.object, c.origin, c.mark) for c in PLAN.changes})
BUSY = KernelError(
    "cannot create bridge 'dmz0': Device or resource busy (EBUSY)",
    errno=16,
    detail="Device is already a port",
    hint="the device is in use by something else, for example as a port or parent",
)


def text(result: Result, command: str = "apply") -> str:
    """As the command prints it."""
    return render.text(result, DESIRED, PLAIN, command=command, again="reconciler apply lab.yaml")


def test_success_is_counted_and_timed() -> None:
    """One sentence with what was done by address, and both times."""
    done = Result(PLAN, tuple(map(Outcome, PLAN.changes)), configured=0.14, ready=0.21)
    assert text(done) == "Applied: 3 created. Configured in 0.14 s, ready in 0.21 s.\n"
    unwaited = Result(PLAN, tuple(map(Outcome, PLAN.changes)), configured=0.14)
    assert text(unwaited) == "Applied: 3 created. Configured in 0.14 s.\n"


def test_a_destroy_has_one_time() -> None:
    """Nothing becomes ready by going away."""
    gone = Change(Action.DELETE, Netns(netns="lab.web"), None, Cause.REMOVED, "sandbox/web")
    done = Result(Plan("lab", (gone,)), (Outcome(gone),), configured=0.02)
    assert text(done, "destroy") == "Destroyed: 1 deleted in 20 ms.\n"


def test_a_failure_names_object_place_and_next_step(snapshot: SnapshotAssertion) -> None:
    """The block of a failure, what was not started because of it, and how far the rest went."""
    outcomes = (
        Outcome(WEB),
        Outcome(DMZ, error=BUSY),
        Outcome(ON_DMZ, blocked_by=DMZ.key),
        Outcome(PORT, blocked_by=DMZ.key),
    )
    assert text(Result(PLAN, outcomes, configured=0.09)) == snapshot


def test_an_interruption_says_what_is_left() -> None:
    """After Ctrl-C: how much the kernel was given, what is incomplete, and the command that goes on."""
    stopped = Result(PLAN, (Outcome(WEB), Outcome(DMZ)), interrupted=signal.SIGINT, configured=0.1)
    assert text(stopped) == (
        "Stopped by SIGINT: 2 of 4 kernel changes made; nothing is half done.\n"
        "Left: network/dmz, sandbox/web/endpoint/eth0.\n"
        "Run `reconciler apply lab.yaml` to go on.\n"
    )


def test_an_interruption_after_the_last_change_asks_for_nothing() -> None:
    """A signal that comes while waiting, when everything is made, leaves nothing to go on with."""
    stopped = Result(PLAN, tuple(map(Outcome, PLAN.changes)), interrupted=signal.SIGTERM)
    assert text(stopped) == (
        "Stopped by SIGTERM: 4 of 4 kernel changes made; nothing is half done.\nNothing remains to be done.\n"
    )
    failed = (*map(Outcome, PLAN.changes[:3]), Outcome(PORT, error=BUSY))
    assert "to go on" in text(Result(PLAN, failed, interrupted=signal.SIGTERM))


def test_a_difference_after_applying_shows_both_values() -> None:
    """What the verifying look finds is told object by object, wanted and observed."""
    mtu = AttributeChange("mtu", 1400, 1500, Cause.DRIFT)
    changed = Change(Action.UPDATE, DMZ.after, DMZ.after, Cause.DRIFT, "network/dmz", LINE, (mtu,))
    gone = Change(Action.DELETE, WEB.after, None, Cause.REMOVED, "sandbox/web")
    remaining = Plan("lab", (changed, ON_DMZ, gone))
    found = text(Result(PLAN, tuple(map(Outcome, PLAN.changes)), remaining))
    assert "network/dmz: bridge dmz0: mtu wanted 1500, observed 1400\n" in found
    assert "network/dmz: address 10.0.0.1/24 on dmz0 is missing\n" in found
    assert "sandbox/web: namespace lab.web is still there\n" in found


def test_what_is_not_ready_in_time_is_named() -> None:
    """The time-out says which object waits for what, and whose it is."""
    unready = {PORT.key: "bridge port is listening", ("link", "", "x"): "down"}
    found = text(Result(PLAN, tuple(map(Outcome, PLAN.changes)), unready=unready, configured=0.1))
    assert "Not ready in time: 2 objects." in found
    assert "  sandbox/web/endpoint/eth0: link lab.web eth0: bridge port is listening\n" in found
    assert "  link x: down\n" in found


def test_many_failures_are_cut() -> None:
    """A thousand equal errors do not scroll the first one away."""
    changes = tuple(create(Netns(netns=f"lab.s{n}"), f"sandbox/s{n}") for n in range(1000))
    failed = Result(Plan("lab", changes), tuple(Outcome(c, error=BUSY) for c in changes))
    assert text(failed).count("error[kernel]") == 20
    assert "and 980 more failures" in text(failed)


def test_the_kernels_text_is_escaped() -> None:
    """An extended acknowledgement is text from elsewhere."""
    error = KernelError("\x1b[2J", errno=16, detail="\x1b[31m", hint="\x07")
    found = text(Result(PLAN, (Outcome(WEB, error=error),)))
    assert not [c for c in found if ord(c) < 32 and c != "\n"]


def test_json_gives_each_operation_a_status() -> None:
    """Done, failed with the errno, blocked, and never tried."""
    outcomes = (Outcome(WEB), Outcome(DMZ, error=BUSY), Outcome(ON_DMZ, blocked_by=DMZ.key))
    result = Result(PLAN, outcomes, interrupted=signal.SIGTERM, configured=0.1)
    document = json.loads(documents.text(documents.applied(result, ["lab.yaml"], "abc", DESIRED)))
    changes = document["changes"]
    assert [c["status"] for c in changes] == ["done", "failed", "not started", "not started"]
    assert changes[1]["error"]["errno"] == 16
    assert changes[2]["blocked_by"] == ["link", "", "dmz0"]
    assert document["interrupted"] == "SIGTERM"
