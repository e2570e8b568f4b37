"""What Docker and the reconciler make of the same specification: every recorded difference has its reason."""

from __future__ import annotations

from typing import Any

import pytest

from tests.differential import explained, record
from tests.differential.facts import Look, Names, facts
from tests.differential.hosts import Spec, specs
from tests.world import ROOT

SPECS = specs()


def ids(spec: Spec) -> str:
    return spec.name


@pytest.mark.parametrize("spec", SPECS, ids=ids)
def test_every_difference_has_its_reason(spec: Spec) -> None:
    """What is not the same and not explained is a mistake: ours, or one of the reasons."""
    unexplained = [str(each) for each in explained.differences(spec) if explained.reason(each) is None]
    assert unexplained == []


def test_every_reason_has_its_difference() -> None:
    """A reason for what does not differ any longer is out of date."""
    used = {explained.reason(each) for spec in SPECS for each in explained.differences(spec)}
    assert [each.about for each in explained.reasons() if each not in used] == []


@pytest.mark.parametrize("driver", explained.drivers())
def test_the_page_of_a_driver_explains_what_was_recorded(driver: str) -> None:
    """All of it, and as it was recorded last."""
    assert explained.page(driver) in (ROOT / "docs" / "drivers" / f"{driver}.md").read_text(encoding="utf-8")


def test_what_was_compared() -> None:
    """Of what Docker can make of networks, no driver is left out."""
    assert set(explained.drivers()) == {"bridge", "host", "ipvlan", "macvlan", "null", "overlay"}


def test_every_recording_has_its_specification() -> None:
    """Nothing recorded is left of a specification that is gone."""
    recorded = {path.stem for path in (explained.FOLDER / "recorded").glob("*.yaml")}
    assert recorded == {spec.name for spec in SPECS}


@pytest.mark.parametrize("spec", SPECS, ids=ids)
def test_something_was_compared(spec: Spec) -> None:
    """A recording without facts that are the same would prove nothing; on the host's own stack there are none."""
    both = explained.recording(spec.name)["both"]
    assert bool(both) == (spec.driver != "host")


def test_a_fact_is_on_the_side_that_has_it() -> None:
    """Equal facts are recorded once, others with both values or on one side."""
    theirs = {"eth0": {"mtu": "1500", "qdisc": "noqueue", "up": "yes"}}
    ours = {"eth0": {"mtu": "1400", "up": "yes", "alias": "shop"}, "eth1": {"up": "yes"}}
    assert record.compared(theirs, ours) == {
        "both": {"eth0": {"up": "yes"}},
        "only_docker": {"eth0": {"qdisc": "noqueue"}},
        "only_ours": {"eth0": {"alias": "shop"}, "eth1": {"up": "yes"}},
        "differ": {"eth0": {"mtu": ["1500", "1400"]}},
    }


def test_facts_are_about_roles_and_only_about_what_is_new() -> None:
    """Whatever a tool calls its bridge and its host end, they are the network's and the endpoint's; eth9 was there."""
    before = Look({"": namespace(eth9=link())}, {})
    after = Look(
        {
            "": namespace(
                eth9=link(),
                br7=link("bridge"),
                veth3=link("veth", master="br7", peer="shop.web/eth0"),
            ),
            "shop.web": namespace(eth0=link("veth", peer="/veth3", mtu=1400)),
        },
        {"": ("IPv4 filter: -A FORWARD -o br7 -j ACCEPT",)},
    )
    found = facts(before, after, Names({"br7": "front"}, {"shop.web": "web"}))
    assert found["port of web eth0"]["port of"] == "bridge of front"
    assert found["web eth0"]["other end or parent"] == "port of web eth0"
    assert found["web eth0"]["mtu"] == "1400"
    assert found["firewall"] == {"IPv4 filter: -A FORWARD -o (bridge of front) -j ACCEPT": "present"}
    assert set(found) == {"bridge of front", "port of web eth0", "web eth0", "firewall"}


def test_a_setting_is_a_fact_where_it_is_not_the_usual_one() -> None:
    """Of a new link what differs from the namespace's default, of an old one what differs from before."""
    usual = {f"net/ipv4/conf/{name}/rp_filter": "2" for name in ("all", "default", "lo", "eth9")}
    before = Look({"": namespace({**usual, "net/ipv4/ip_forward": "0"}, lo=link(), eth9=link())}, {})
    changed = {**usual, "net/ipv4/ip_forward": "1", "net/ipv4/conf/eth9/rp_filter": "0"}
    new = {"net/ipv4/conf/br7/rp_filter": "2", "net/ipv4/conf/br7/arp_ignore": "1"}
    after = Look({"": namespace({**changed, **new}, lo=link(), eth9=link(), br7=link("bridge"))}, {})
    found = facts(before, after, Names({"br7": "front"}))
    assert found["settings"] == {"net.ipv4.ip_forward": "1"}
    assert found["eth9"] == {"net.ipv4.conf.IFNAME.rp_filter": "0"}
    assert "net.ipv4.conf.IFNAME.rp_filter" not in found["bridge of front"]
    assert found["bridge of front"]["net.ipv4.conf.IFNAME.arp_ignore"] == "1"


def namespace(sysctls: dict[str, str] | None = None, **links: dict[str, Any]) -> dict[str, Any]:
    """A namespace as tests/snapshot.py describes it."""
    tables: dict[str, Any] = {kind: [] for kind in ("routes", "rules", "neighbours", "fdb")}
    return {"links": links, "addresses": {}, "sysctls": sysctls or {}, **tables}


def link(kind: str | None = None, **fields: Any) -> dict[str, Any]:
    """A link in it."""
    info = {"linkinfo": {"info_kind": kind}} if kind else {}
    return {"address": "02:00:00:00:00:01", "flags": ["UP"], "mtu": 1500, **info, **fields}
