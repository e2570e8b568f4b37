"""Plans as text and as JSON, against golden texts."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from syrupy.assertion import SnapshotAssertion

from reconciler.errors import Mark
from reconciler.objects import (
    HOST,
    Address,
    Bridge,
    BridgePort,
    Link,
    LinkRef,
    Netns,
    Route,
    Sysctl,
    Veth,
)
from reconciler.plan import Action, AttributeChange, Cause, Change, Conflict, Plan
from reconciler.render import documents
from reconciler.render import plan as render
from reconciler.render.entries import Verb, entries, rows
from reconciler.render.plan import PlanView
from reconciler.render.style import PLAIN, Style
from reconciler.sides import Declared, Desired, Requirement

LINE = {name: Mark("lab.yaml", line, 3, 6) for line, name in enumerate(("lan", "dmz", "web", "db", "fw"), 3)}
DECLARED, DRIFT, REMOVED, DEPENDENCY = Cause


def bridge(name: str) -> Link:
    """A bridge device in the host."""
    return Link(netns=HOST, name=name, kind=Bridge(stp=False), up=True, mtu=1450)


def pair(sandbox: str, master: str | None) -> tuple[Link, Link]:
    """Host end and sandbox end of an endpoint eth0."""
    outer, inner = LinkRef(HOST, f"lab-{sandbox}-eth0"), LinkRef(f"lab.{sandbox}", "eth0")
    host = Link(
        netns=HOST, name=outer.name, kind=Veth(peer=inner), master=master, port=BridgePort(isolated=False)
    )
    return host, Link(
        netns=inner.netns, name="eth0", kind=Veth(peer=outer, made_by_peer=True), mac="02:00:00:00:00:01"
    )


def create(obj: object, origin: str, line: str, cause: Cause = DECLARED, **more: object) -> Change:
    """A creation."""
    return Change(Action.CREATE, None, obj, cause, origin, LINE[line], **more)  # type: ignore[arg-type]


def delete(obj: object, origin: str, cause: Cause = REMOVED, **more: object) -> Change:
    """A deletion."""
    return Change(Action.DELETE, obj, None, cause, origin, **more)  # type: ignore[arg-type]


def address(sandbox: str, text: str) -> Address:
    """An address on eth0 of a sandbox."""
    return Address(netns=f"lab.{sandbox}", link="eth0", address=text, permanent=True)


def update(obj: Link | Sysctl, origin: str, line: str, *attributes: AttributeChange) -> Change:
    """A change in place."""
    return Change(Action.UPDATE, obj, obj, DECLARED, origin, LINE[line], attributes)


def full_plan() -> Plan:
    """One of everything."""
    web_host, web_inner = pair("web", "lan0")
    db_host, db_inner = pair("db", "lan0")
    old_host, _ = pair("old", "lan0")
    kind = AttributeChange("kind", "bond", "bridge", DECLARED, forces=True)
    forwarding = Sysctl(netns="lab.web", path="net/ipv4/ip_forward", value="0")
    fw = ("sandbox/fw/endpoint/eth0", "sandbox/fw/endpoint/eth1")
    changes = (
        delete(address("web", "10.1.0.2/24"), "sandbox/web/endpoint/eth0"),
        delete(old_host, "sandbox/old/endpoint/eth0"),
        delete(
            bridge("dmz0"), "network/dmz", DECLARED, attributes=(kind,), replaces=("kind",), interrupts=fw
        ),
        delete(Netns(netns="lab.old"), "sandbox/old"),
        create(Netns(netns="lab.db"), "sandbox/db", "db"),
        create(bridge("dmz0"), "network/dmz", "dmz", attributes=(kind,), replaces=("kind",)),
        create(bridge("lan0"), "network/lan", "lan", DRIFT),
        create(Address(netns=HOST, link="lan0", address="10.1.0.1/24"), "network/lan", "lan", DRIFT),
        create(db_host, "sandbox/db/endpoint/eth0", "db"),
        create(db_inner, "sandbox/db/endpoint/eth0", "db"),
        create(address("db", "10.1.0.3/24"), "sandbox/db/endpoint/eth0", "db"),
        update(
            web_host,
            "sandbox/web/endpoint/eth0",
            "web",
            AttributeChange("master", None, "lan0", DEPENDENCY),
            AttributeChange("isolated", None, False, DEPENDENCY),
            AttributeChange("mtu", 1500, 1450, DRIFT),
        ),
        update(web_inner, "sandbox/web/endpoint/eth0", "web", AttributeChange("mtu", 1500, 1450, DRIFT)),
        create(address("web", "10.1.0.7/24"), "sandbox/web/endpoint/eth0", "web"),
        update(forwarding, "sandbox/web", "web", AttributeChange("value", "0", "1", DECLARED))._replace(
            after=replace(forwarding, value="1")
        ),
        create(
            Route(netns="lab.web", to="10.9.0.0/16", via="10.1.0.1", dev="eth0", type="unicast"),
            "sandbox/web",
            "web",
        ),
        create(Route(netns="lab.db", to="0.0.0.0/0", via="10.1.0.1", dev="eth0"), "sandbox/db", "db"),
    )
    conflict = Conflict(
        ("link", HOST, "br9"),
        "network/nine",
        "a bridge named 'br9' exists that this topology did not make",
        "remove or rename it, or choose another name in the file",
        LINE["fw"],
    )
    return Plan("lab", changes, (conflict,), (address("web", "10.1.0.99/24"),), 30)


def desired() -> Desired:
    """Enough of the declared side to name networks and count what is left alone."""
    objects = [Declared(bridge("lan0"), "network/lan"), Declared(bridge("same0"), "network/same")]
    return Desired("lab", {declared.object.key: declared for declared in objects})


def view(plan: Plan, **more: object) -> PlanView:
    """A plan as the command hands it over."""
    return PlanView(plan, "topologies/", 0.038, desired=desired(), **more)  # type: ignore[arg-type]


def test_a_plan_with_one_of_everything(snapshot: SnapshotAssertion) -> None:
    """Symbols, places, causes, rows, conflicts, foreign things and the sums at the end."""
    assert render.text(view(full_plan()), PLAIN) == snapshot


def test_verbose_lists_the_operations_by_their_number(snapshot: SnapshotAssertion) -> None:
    """With -v each entry shows its kernel operations, numbered in the order of apply."""
    assert render.text(view(full_plan()), Style(verbose=True)) == snapshot


def test_every_operation_is_listed_once_with_verbose() -> None:
    """Nothing that apply does is hidden."""
    text = render.text(view(full_plan()), Style(verbose=True))
    numbers = [int(line.split(".")[0]) for line in text.splitlines() if line.strip()[:1].isdigit()]
    assert sorted(numbers) == list(range(1, len(full_plan().changes) + 1))


def test_colour_only_adds_colour() -> None:
    """Without its escape sequences a coloured plan is the plain one."""
    import re

    colored = render.text(view(full_plan()), Style(color=True))
    assert colored != render.text(view(full_plan()), PLAIN)
    bare = re.sub(r"\x1b\[[0-9]*m", "", colored)
    assert [line.rstrip() for line in bare.splitlines()] == render.text(view(full_plan()), PLAIN).splitlines()


def test_a_plan_as_json(snapshot: SnapshotAssertion) -> None:
    """The changes stand operation by operation, in the plan's order."""
    document = json.loads(documents.text(documents.plan(full_plan(), ["lab.yaml"], "abc", desired())))
    assert [c["key"] for c in document["changes"]] == [list(c.key) for c in full_plan().changes]
    assert document["changes"][2]["forces_replacement"] == ["kind"]
    assert {key: value for key, value in document.items() if key != "changes"} == snapshot
    assert document["changes"][5] == snapshot


def test_destroying_does_not_say_no_longer_declared() -> None:
    """The files still declare it; it goes because that was asked for."""
    plan = Plan("lab", (delete(bridge("lan0"), "network/lan"), delete(Netns(netns="lab.a"), "sandbox/a")))
    assert "no longer declared" in render.text(view(plan), PLAIN)
    assert "no longer declared" not in render.text(view(plan, destroying=True), PLAIN)


def test_nothing_to_do_is_one_line() -> None:
    """In sync says so, and destroy of nothing says that."""
    assert render.text(view(Plan("lab", ())), PLAIN) == "In sync. (38 ms).\n"
    assert "holds nothing of topology 'lab'" in render.text(view(Plan("lab", ()), destroying=True), PLAIN)


def test_five_hundred_endpoints_are_five_hundred_lines() -> None:
    """A large creation stays one line for each address, in counting order."""
    changes = tuple(
        create(end, f"sandbox/w-{n}/endpoint/eth0", "web")
        for n in range(500)
        for end in pair(f"w-{n}", "lan0")
    )
    lines = render.text(view(Plan("lab", changes)), PLAIN).splitlines()
    shown = [line.split()[1] for line in lines if line.startswith("  + ")]
    assert shown == [f"sandbox/w-{n}/endpoint/eth0" for n in range(500)]
    assert lines[-1] == "Plan: 500 to create.  2 unchanged."


def test_a_replacement_by_drift_reads_well() -> None:
    """The head line says drift, and the two ends of a pair are named with their places."""
    host, _ = pair("web", "lan0")
    peer = AttributeChange("peer", LinkRef(HOST, "foo0"), LinkRef("lab.web", "eth0"), DRIFT, forces=True)
    name = "sandbox/web/endpoint/eth0"
    changes = (
        delete(host, name, DECLARED, attributes=(peer,), replaces=("peer",)),
        create(host, name, "web", attributes=(peer,), replaces=("peer",)),
    )
    head, row = render.text(view(Plan("lab", changes)), PLAIN).splitlines()[2:4]
    assert head.split() == ["-/+", name, "lab.yaml:5", "drift"]
    assert row == "      peer (host end)  foo0 on the host → eth0 in lab.web  forces replacement"


def test_a_lost_subnet_is_named_as_the_route_that_it_is() -> None:
    """For whoever deleted it that is what he deleted; the address itself is what it was."""
    held = address("web", "10.0.0.2/24")
    lost = AttributeChange("connected", False, True, DRIFT)
    change = Change(Action.UPDATE, held, held, DRIFT, "sandbox/web/endpoint/eth0", LINE["web"], (lost,))
    (entry,) = entries((change,))
    (row,) = rows(entry)
    assert (row.name, row.before, row.after, row.note) == ("route 10.0.0.0/24", "none", "dev eth0", "drift")


def test_long_lists_of_names_are_cut_at_the_end() -> None:
    """The names after the sums stay few; the list above has them all."""
    gone = tuple(delete(Netns(netns=f"lab.s{n}"), f"sandbox/s{n}") for n in range(30))
    text = render.text(view(Plan("lab", (*gone, create(Netns(netns="lab.x"), "sandbox/x", "web")))), PLAIN)
    assert text.splitlines()[-1].endswith("sandbox/s9 and 20 more")


@pytest.mark.parametrize(
    ("changes", "verb"),
    [
        ((create(bridge("a"), "n", "lan"),), Verb.CREATE),
        ((create(bridge("a"), "n", "lan", DEPENDENCY),), Verb.REPLACE),
        ((delete(bridge("a"), "n"), create(bridge("b"), "n", "lan")), Verb.REPLACE),
        ((delete(Netns(netns="x"), "n"),), Verb.DELETE),
        ((delete(address("x", "10.0.0.1/8"), "n"),), Verb.CHANGE),
        ((create(address("x", "10.0.0.1/8"), "n", "lan", DRIFT),), Verb.CHANGE),
    ],
)
def test_what_an_entry_is_called(changes: tuple[Change, ...], verb: Verb) -> None:
    """Only what happens to links and namespaces makes a creation, replacement or deletion."""
    assert [entry.verb for entry in entries(changes)] == [verb]


def test_an_adopted_bridge_is_named_by_its_network() -> None:
    """An endpoint is said to be on the network also when the bridge is not ours."""
    wanted = Desired(
        "lab", {}, (Requirement(("link", HOST, "br-x"), "network/office", None, "bridge 'br-x'", "bridge"),)
    )
    plan = Plan("lab", tuple(create(end, "sandbox/a/endpoint/eth0", "web") for end in pair("a", "br-x")))
    text = render.text(replace(view(plan), desired=wanted), PLAIN)
    assert "on office" in text


def test_hostile_names_are_escaped() -> None:
    """No name of a link or file can move the cursor."""
    evil = Link(netns="lab.\x1b[2J", name="e\r\n0", kind=Veth())
    mark = Mark("\x1b]0;x\x07.yaml", 1, 1, 2)
    change = Change(Action.CREATE, None, evil, DECLARED, "sandbox/\x1b[31m/endpoint/e", mark)
    conflict = Conflict(evil.key, "network/\x1b", "\x1b", "\x1b", mark)
    text = render.text(view(Plan("lab", (change,), (conflict,), (evil,))), Style(verbose=True))
    assert not [c for c in text if ord(c) < 32 and c != "\n"]
    assert "\n0" not in text
