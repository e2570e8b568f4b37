"""Kernel objects to JSON and back."""

from __future__ import annotations

import json
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler import serial
from reconciler.errors import Mark
from reconciler.model import Leases
from reconciler.objects import (
    FLOOD,
    Address,
    Bridge,
    Dummy,
    FdbEntry,
    Ipvlan,
    KernelObject,
    Link,
    LinkRef,
    Macvlan,
    Neighbour,
    Netns,
    OtherKind,
    Port,
    Qdisc,
    Route,
    Rule,
    Sysctl,
    Veth,
    Vlan,
    Vxlan,
)

_U32 = st.integers(0, 2**32 - 1)
_INTERFACES = st.from_regex(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,14}", fullmatch=True)
_NETNS = st.sampled_from(["", "shop.web-1", "/run/netns/vm7", "/proc/1/ns/net", "pid:4711"])
_MACS = st.binary(min_size=6, max_size=6).map(lambda octets: octets.hex(":"))
_TEXTS = st.text(
    st.characters(codec="ascii", exclude_characters="/ ", categories=["L", "N", "P", "S"]),
    min_size=1,
    max_size=30,
)
_ADDRESSES = st.ip_addresses()


def _some(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


def _with_prefix(address: Any) -> st.SearchStrategy[str]:
    return st.integers(0, address.max_prefixlen).map(lambda length: f"{address}/{length}")


_INTERFACE_ADDRESSES = _ADDRESSES.flatmap(_with_prefix)
_LINKS = st.builds(
    Link,
    netns=_NETNS,
    name=_INTERFACES,
    kind=st.builds(Bridge, ageing_time=_some(_U32), forward_delay=_some(_U32))
    | st.builds(Veth, peer=_some(st.builds(LinkRef, _NETNS, _INTERFACES))),
    mtu=_some(st.integers(68, 65535)),
    mac=_some(_MACS),
    master=_some(_INTERFACES),
    group=_some(_U32),
    alias=_some(_TEXTS),
    altnames=_some(st.lists(_TEXTS).map(tuple)),
    addrgen=_some(st.sampled_from(["eui64", "none", "stable_secret", "random"])),
)


_NETWORKS = _INTERFACE_ADDRESSES.map(lambda text: str(ip_network(text, strict=False)))


def _routes(to: str) -> st.SearchStrategy[Route]:
    same = _some(st.ip_addresses(v=6 if ":" in to else 4).map(str))
    return st.builds(
        Route,
        netns=_NETNS,
        to=st.just(to),
        table=st.integers(1, 2**32 - 1),
        metric=_U32,
        type=_some(st.sampled_from(["unicast", "blackhole", "unreachable", "prohibit"])),
        via=same,
        dev=_some(_INTERFACES),
        src=same,
    )


_MADE = (
    st.builds(Netns, netns=st.just("shop.web-1"), alias=_some(_TEXTS))
    | _LINKS
    | st.builds(Port, netns=_NETNS, name=_INTERFACES, master=_some(_INTERFACES))
    | st.builds(Address, netns=_NETNS, link=_INTERFACES, address=_INTERFACE_ADDRESSES)
    | _NETWORKS.flatmap(_routes)
    | st.builds(
        Qdisc,
        netns=_NETNS,
        link=_INTERFACES,
        place=st.sampled_from(["root", "7c01:1"]),
        handle=st.sampled_from(["7c01:", "7c02:"]),
        discipline=st.sampled_from(["tbf", "netem"]),
        further=_some(st.just(())),
        rate=_some(st.integers(0, 2**40)),
        delay=_some(_U32),
        loss=_some(st.integers(0, 10**9)),
        limit=_some(_U32),
    )
    | st.builds(
        Sysctl,
        netns=_NETNS,
        path=_INTERFACES.map("net/ipv4/conf/{}/rp_filter".format),
        value=st.sampled_from([None, "0", "4096\t16384"]),
    )
)
_ONLY_OBSERVED = (
    st.builds(
        Rule,
        netns=_NETNS,
        family=st.just(2),
        priority=_U32,
        source=_some(_NETWORKS),
        to=_some(_NETWORKS),
        table=_some(st.integers(1, 2**32 - 1)),
        action=_some(_TEXTS),
    )
    | st.builds(Neighbour, netns=_NETNS, link=_INTERFACES, address=_ADDRESSES.map(str), mac=_some(_MACS))
    | st.builds(
        FdbEntry,
        netns=_NETNS,
        link=_INTERFACES,
        mac=_MACS,
        of_bridge=st.booleans(),
        learned=st.booleans(),
        dst=_some(_ADDRESSES.map(str)),
        sticky=_some(st.booleans()),
    )
    | st.builds(
        Link,
        netns=_NETNS,
        name=_INTERFACES,
        kind=st.builds(OtherKind, kind=st.sampled_from(["", "gre", "tun"])),
        mtu=_some(st.integers(65536, 2**31 - 1)),
    )
)


_REFS = st.builds(LinkRef, _NETNS, _INTERFACES)
_OF_OTHER_DRIVERS = st.builds(
    Link,
    netns=_NETNS,
    name=_INTERFACES,
    kind=st.builds(
        Macvlan,
        parent=_REFS,
        mode=st.sampled_from(["bridge", "private", "vepa", "passthru", "source"]),
        sources=_some(st.lists(_MACS, max_size=3).map(tuple)),
    )
    | st.builds(
        Ipvlan,
        parent=_REFS,
        mode=st.sampled_from(["l2", "l3", "l3s"]),
        flag=st.sampled_from(["bridge", "private", "vepa"]),
    )
    | st.builds(Vlan, parent=_REFS, id=st.integers(1, 4094), protocol=st.sampled_from(["802.1Q", "802.1ad"]))
    | st.builds(
        Vxlan,
        vni=st.integers(1, 2**24 - 1),
        local=_ADDRESSES.map(str),
        udp_port=_some(st.integers(1, 65535)),
        learning=_some(st.booleans()),
        proxy=_some(st.booleans()),
    )
    | st.builds(Dummy),
)


@given(_MADE | _OF_OTHER_DRIVERS | _ONLY_OBSERVED)
def test_every_object_comes_back_equal(obj: KernelObject) -> None:
    """Through real JSON text, whatever is set and whatever is not."""
    assert serial.from_data(json.loads(json.dumps(serial.to_data(obj)))) == obj


_TUNNELS = st.sampled_from(["vx", "vy"])
_OF_A_TUNNEL: st.SearchStrategy[KernelObject] = st.one_of(
    st.builds(Neighbour, netns=st.just(""), link=_TUNNELS, address=_ADDRESSES.map(str), mac=_MACS),
    st.builds(
        FdbEntry, netns=st.just(""), link=_TUNNELS, mac=_MACS | st.just(FLOOD), dst=_ADDRESSES.map(str)
    ),
)


@given(
    st.lists(_OF_A_TUNNEL | _OF_A_TUNNEL | _MADE | _ONLY_OBSERVED, unique_by=lambda obj: obj.key, max_size=30)
)
def test_many_objects_come_back_equal(objects: list[KernelObject]) -> None:
    """Those of which there are ten thousands, which are written down in columns, as well as all others."""
    known = {obj.key: obj for obj in objects}
    found = serial.many_from_data(json.loads(json.dumps(serial.many_to_data(known))))
    assert {obj.key: obj for obj in found} == known
    assert len(found) == len(known)


@pytest.mark.parametrize(
    "columns",
    [
        ["02:00:00:00:00:01"],
        ["02:00:00:00:00:01 02:00:00:00:00:02", "192.0.2.1"],
        ["02:00:00:00:00:01", "192.0.2.1 192.0.2.2"],
        ["02:00:00:00:00:01", "192.0.2.1", ""],
        ["02:00:00:00:00:01", "nowhere"],
        ["nobody", "192.0.2.1"],
        ["02:00:00:00:00:01", 7],
        {"02:00:00:00:00:01": "192.0.2.1"},
        None,
    ],
)
@pytest.mark.parametrize("name", ["hosts", "neighbours"])
def test_columns_that_do_not_belong_together(name: str, columns: object) -> None:
    """A row with half of what it says is none."""
    with pytest.raises(ValueError):
        serial.many_from_data({"objects": [], name: {"vx": columns}})


_BRIDGE = {"kind": "link", "netns": "", "name": "br0", "link_kind": {"kind": "bridge"}}
_VETH = {
    "kind": "link",
    "netns": "",
    "name": "a",
    "link_kind": {"kind": "veth", "peer": ["shop.web", "eth0"]},
}
_ROUTE = {"kind": "route", "netns": "shop.web", "to": "10.0.0.0/8", "type": "unicast"}
_ADDRESS = {"kind": "address", "netns": "shop.web", "link": "eth0", "address": "10.0.0.2/24"}
_SYSCTL = {"kind": "sysctl", "netns": "", "path": "net/ipv4/ip_forward", "value": "1"}
_NAMESPACE = {"kind": "netns", "netns": "shop.web"}
_FDB = {"kind": "fdb", "netns": "", "link": "vx", "mac": "02:00:00:00:00:01", "dst": "192.0.2.2"}
_NEIGHBOUR = {
    "kind": "neighbour",
    "netns": "",
    "link": "vx",
    "address": "10.0.0.2",
    "mac": "02:00:00:00:00:01",
}


@pytest.mark.parametrize("data", [_BRIDGE, _VETH, _ROUTE, _ADDRESS, _SYSCTL, _NAMESPACE, _FDB, _NEIGHBOUR])
def test_what_the_hostile_values_are_put_into_is_sound(data: dict[str, Any]) -> None:
    """And can be made."""
    serial.check_desired(serial.from_data(data))


@pytest.mark.parametrize(
    ("data", "name", "values"),
    [
        (_BRIDGE, "netns", ["../x", "-x", "/a\nb", "pid:", "pid:0", "pid:self", "a b", "/\ud800"]),
        (_BRIDGE, "name", ["", "sixteen-bytes-xx", "äääääääää", "a/b", "a:b", "a b", "a\0", ".", "..", "\ud800"]),
        (_BRIDGE, "mtu", [67, -1, 2**40]),
        (_BRIDGE, "mac", ["", "02:00:00:00:00", "02:00:00:00:00:0g", "02:00:00:00:00:01:02", "020000000001"]),
        (_BRIDGE, "group", [-1, 2**32]),
        (_BRIDGE, "master", ["", "a/b"]),
        (_BRIDGE, "alias", ["x" * 256, "ä" * 128, "a\0b", "a\nb", "\ud800"]),
        (_BRIDGE, "altnames", [[""], ["x" * 128], ["a\x1b"]]),
        (_BRIDGE, "addrgen", ["", "eui-64"]),
        (_BRIDGE, "link_kind", [{"kind": "bridge", "ageing_time": -1}, {"kind": "bridge", "forward_delay": 2**32}]),
        (_VETH, "link_kind", [{"kind": "veth", "peer": ["a b", "eth0"]}, {"kind": "veth", "peer": ["", "a/b"]}]),
        (_ROUTE, "to", ["", "default", "10.0.0.0", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/255.0.0.0", "fd00::%1/64"]),
        (_ROUTE, "via", ["fd00::1", "10.0.0.1/8", "gateway", ""]),
        (_ROUTE, "src", ["fd00::1", "10.0.0.999"]),
        (_ROUTE, "table", [0, -1, 2**32]),
        (_ROUTE, "metric", [-1, 2**32]),
        (_ROUTE, "type", ["local", "", "7"]),
        (_ROUTE, "dev", ["", "a/b"]),
        (_ADDRESS, "address", ["10.0.0.2", "10.0.0.2/33", "fe80::1%eth0/64", "10.0.0.2/255.255.255.0", "x/8"]),
        (_ADDRESS, "link", ["", "a/b"]),
        (_SYSCTL, "path", ["kernel/hostname", "net", "net/../kernel/x", "net//x", "net/", "/net/x", "net/a\0", "net/."]),
        (_SYSCTL, "value", ["1\n2", "\0", "é"]),
        (_NAMESPACE, "netns", ["a/b", "..", ".a", "x" * 256]),
        (_NAMESPACE, "alias", ["x" * 256]),
        (_FDB, "mac", ["", "02:00:00:00:00:0g"]),
        (_FDB, "dst", ["", "node-2", "192.0.2.2/24", "fe80::1%eth0"]),
        (_FDB, "of_bridge", [1, "yes"]),
        (_NEIGHBOUR, "address", ["10.0.0.2/24", "x"]),
        (_NEIGHBOUR, "link", ["", "a/b"]),
    ],
)  # fmt: skip
def test_a_value_that_would_stop_an_apply_in_the_middle_is_a_value_error(
    data: dict[str, Any], name: str, values: list[Any]
) -> None:
    """One wrong value at a time, in an object that is right otherwise."""
    for value in values:
        with pytest.raises(ValueError, match=r"."):
            serial.from_data({**data, name: value})


@pytest.mark.parametrize(
    "data",
    [
        {"kind": "link", "netns": "", "name": "tun0", "link_kind": {"kind": "tun"}},
        {"kind": "link", "netns": "", "name": "a", "link_kind": {"kind": "veth"}},
        {**_BRIDGE, "mtu": 65536},
        {"kind": "rule", "netns": "", "family": 2, "priority": 100},
        {"kind": "neighbour", "netns": "", "link": "a", "address": "10.0.0.2"},
        {"kind": "neighbour", "netns": "", "link": "a", "address": "10.0.0.2", "mac": "01:00:00:00:00:01"},
        {"kind": "neighbour", "netns": "", "link": "lo", "address": "10.0.0.2", "mac": "02:00:00:00:00:01"},
        {"kind": "fdb", "netns": "", "link": "a", "mac": "02:00:00:00:00:01"},
        {"kind": "fdb", "netns": "", "link": "a", "mac": "01:00:5e:00:00:01", "dst": "192.0.2.1"},
        {
            "kind": "fdb",
            "netns": "",
            "link": "a",
            "mac": "02:00:00:00:00:01",
            "dst": "192.0.2.1",
            "learned": True,
        },
        {
            "kind": "fdb",
            "netns": "",
            "link": "a",
            "mac": "02:00:00:00:00:01",
            "dst": "192.0.2.1",
            "of_bridge": True,
        },
        {"kind": "port", "netns": "", "name": "a"},
        {"kind": "sysctl", "netns": "", "path": "net/ipv4/ip_forward"},
        {"kind": "route", "netns": "", "to": "10.0.0.0/8"},
    ],
)
def test_what_can_only_be_observed_is_not_desired(data: dict[str, Any]) -> None:
    """It can be read, and cannot be asked for."""
    obj = serial.from_data(data)
    with pytest.raises(ValueError, match="nothing that can be made"):
        serial.check_desired(obj)


@pytest.mark.parametrize(
    "data",
    [None, "netns", [], ["planet", "x"], ["netns"], ["port", ""], ["port", "", 7], ["port", "", "a\0"], [["port"], "", "a"]],
)  # fmt: skip
def test_no_key(data: object) -> None:
    """Not of a known kind, not of its length, or not of plain texts."""
    with pytest.raises(ValueError, match=r"."):
        serial.key_from_data(data)


def test_leases_come_back_equal() -> None:
    """Through real JSON text."""
    leases = Leases({"front": ("10.0.0.0/24",)}, {"web/eth0": ("10.0.0.2", "fd00::2")})
    assert serial.leases_from_data(json.loads(json.dumps(serial.leases_to_data(leases)))) == leases


@pytest.mark.parametrize(
    "data",
    [None, {}, {"networks": {}}, {"networks": {}, "endpoints": []}, {"networks": {"a": "10.0.0.0/24"}, "endpoints": {}},
     {"networks": {"a": ["x"]}, "endpoints": {}}, {"networks": {}, "endpoints": {"a": ["10.0.0.2/24"]}},
     {"networks": {}, "endpoints": {"a": [7]}}],
)  # fmt: skip
def test_no_leases(data: object) -> None:
    """Every part is there, and every address is one."""
    with pytest.raises(ValueError, match=r"."):
        serial.leases_from_data(data)


@given(st.builds(Mark, st.text(), st.integers(1), st.integers(1), st.integers(1)) | st.none())
def test_every_place_comes_back_equal(mark: Mark | None) -> None:
    """A place in a file, or none."""
    assert serial.mark_from_data(json.loads(json.dumps(serial.mark_to_data(mark)))) == mark


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "netns",
        {},
        {"kind": "planet"},
        {"kind": "netns"},
        {"kind": "netns", "netns": "web", "colour": "red"},
        {"kind": "netns", "netns": 7},
        {"kind": "netns", "netns": "web", "up": "yes"},
        {"kind": "link", "netns": "", "name": "x"},
        {"kind": "link", "netns": "", "name": "x", "link_kind": "bridge"},
        {"kind": "link", "netns": "", "name": "x", "link_kind": {"kind": "bridge", "stp": 1}},
        {"kind": "link", "netns": "", "name": "x", "link_kind": {"kind": "veth", "peer": ["a"]}},
        {"kind": "link", "netns": "", "name": "x", "link_kind": {"kind": "bridge"}, "port": {"isolated": 0}},
        {"kind": "link", "netns": "", "name": "x", "link_kind": {"kind": "bridge"}, "port": {"other": True}},
        {"kind": "link", "netns": "", "name": "x", "link_kind": {"kind": "bridge"}, "mtu": True},
        {"kind": "link", "netns": "", "name": "x", "link_kind": {"kind": "bridge"}, "altnames": "one"},
        {"kind": "link", "netns": "", "name": "x", "link_kind": {"kind": "bridge"}, "altnames": [1]},
        {"kind": "link", "netns": "", "name": "x", "link_kind": {"kind": "bridge"}, "port": "yes"},
        {"kind": "link", "netns": "", "name": "x", "link_kind": {"kind": "veth", "peer": "web"}},
        {"kind": ["link"]},
    ],
)
def test_anything_else_is_a_value_error(data: object) -> None:
    """Nothing of a file from elsewhere is believed unread."""
    with pytest.raises(ValueError):  # the words are checked where people see them
        serial.from_data(data)


@pytest.mark.parametrize("data", ["a:1", ["a", 1, 1], ["a", "1", 1, 1], {}])
def test_no_place(data: object) -> None:
    """Not four parts of the right kinds."""
    with pytest.raises(ValueError, match="not a place"):
        serial.mark_from_data(data)
