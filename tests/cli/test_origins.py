"""`config --explain` of what no file says literally: the value that drivers get, and what decided it."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler import pipeline
from reconciler.commands.config import explain

HOSTS = """
name: lab
hosts:
  node-1: 192.0.2.1
  node-2: {vtep: 192.0.2.2, underlay_mtu: 9000}
networks:
  blue: {driver: overlay, subnets: [10.20.0.0/24]}
  red: {driver: overlay, mtu: 1400, subnets: [10.21.0.0/24]}
sandboxes:
  web: {host: node-1, replicas: 2, endpoints: {eth0: {network: blue, addresses: ['10.20.0.7{n}']}, eth1: red}}
  db: {host: node-2, endpoints: {eth0: {network: blue, addresses: [9], mtu: 1300}, eth1: {network: red, addresses: [9]}}}
"""
LOCK = "version: 1\ntopology: lab\nvnis: {blue: 4097, red: 4099}\nendpoints: {web-1/eth1: [10.21.0.1], web-2/eth1: [10.21.0.2]}\n"
SMALL = """
name: lab
networks: {blue: {driver: overlay, subnets: [10.20.0.0/24]}}
hosts: {a: {vtep: "2001:db8::1", underlay_mtu: 1500}, b: {vtep: "2001:db8::2", underlay_mtu: 1400}}
sandboxes: {web: {host: a, endpoints: {eth0: {network: blue, addresses: [1]}}}}
"""
ONE = """
name: lab
networks:
  lan: {subnets: [{subnet: 10.1.0.0/24, ip_range: 10.1.0.128/25}, 10.2.0.0/24]}
  drawn: {}
  mix: {subnets: ["fd00:1::/64", ipv4]}
  off: {subnets: [10.3.0.0/24], options: {address: false}}
  mac: {driver: macvlan, subnets: [10.4.0.0/24], options: {parent: eth9}}
  ipv: {driver: ipvlan, subnets: [10.5.0.0/24], options: {parent: eth9.7}}
  none: {driver: "null"}
  old: {subnets: [10.6.0.0/24], options: {adopt: true, name: br0}}
sandboxes:
  web: {endpoints: {eth0: lan, eth1: drawn, eth2: {network: mix, addresses: ["fd00:1::7", "10.9.9.9/32"]}}}
  app: {endpoints: {eth0: mac, eth1: ipv, eth2: {network: mix, addresses: []}, eth3: {network: mix, addresses: ["fd00:1::9"]}}}
  six: {endpoints: {eth0: {network: v6, addresses: ["fd00:2::9"]}, eth1: old}}
  lone: {endpoints: {eth0: none}}
"""
OVER = """
networks: {v6: {subnets: ["fd00:2::/64"], mtu: 1400}}
sandboxes: {web: {endpoints: {eth3: {network: lan, addresses: [10.1.0.9]}}}}
"""


@pytest.mark.parametrize(
    ("text", "path", "told"),
    [
        (HOSTS, "blue.mtu", ["1450 derived: the network sets none: 1500, the underlay_mtu of host 'node-1', less 50 for the tunnel over IPv4"]),
        (SMALL, "blue.mtu", ["1330 derived: the network sets none: 1400, the underlay_mtu of host 'b', less 70 for the tunnel over IPv6 at lab.yaml:3:94"]),
        (HOSTS, "web-2.eth0.mtu", ["1450 derived: neither the endpoint nor its network sets one: 1500, the underlay_mtu of host 'node-1', less 50 for the tunnel over IPv4"]),
        (HOSTS, "web.eth1.mtu", ["1400 derived: the mtu of network 'red', declared at lab.yaml:7:31"]),
        (HOSTS, "db.eth0.mtu", ["1300 declared: declared at lab.yaml:10:77"]),
        (HOSTS, "networks.blue.options.vni", ["4097 locked: locked in lab.lock.yaml"]),
        (SMALL, "networks.blue.options.vni", ["15106443 derived: derived from the names of the topology and the network"]),
        (HOSTS, "web-2.eth1.addresses", ["10.21.0.2/24 allocated: allocated from subnet 10.21.0.0/24 of network 'red', locked in lab.lock.yaml"]),
        (HOSTS, "web-2.eth0.addresses", ["10.20.0.72/24 declared: replica 2 of 'web', declared at lab.yaml:9:81"]),
        (HOSTS, "networks.blue.subnets.0.gateway", ["None unset: none is declared, and the network itself has no address there to be one"]),
        (ONE, "networks.lan.subnets[0].gateway", ["10.1.0.128 derived: the first address of 10.1.0.128/25, the ip_range of subnet 10.1.0.0/24"]),
        (ONE, "networks.lan.subnets.1.gateway", ["10.2.0.1 derived: the first address of subnet 10.2.0.0/24"]),
        (ONE, "networks.lan.subnets.1.ip_range", ["10.2.0.0/24 derived: all of the subnet 10.2.0.0/24"]),
        (ONE, "networks.lan.subnets.0.ip_range", ["10.1.0.128/25 declared: declared at lab.yaml:3:51"]),
        (ONE, "networks.off.subnets.0.gateway", ["None unset: none is declared, and the network itself has no address there to be one"]),
        (ONE, "drawn.subnets", ["10.201.0.0/24 allocated: drawn from the pool 10.201.0.0/16"]),
        (ONE, "networks.drawn.subnets.0", ["10.201.0.0/24 allocated: drawn from the pool 10.201.0.0/16"]),
        (ONE, "mix.subnets", ["fd00:1::/64 declared: declared at lab.yaml:5:19", "10.201.1.0/24 allocated: drawn from the pool 10.201.0.0/16"]),
        (ONE, "web.eth2.addresses", [
            "10.201.1.2/24 allocated: allocated from subnet 10.201.1.0/24 of network 'mix', itself drawn from the pool 10.201.0.0/16",
            "fd00:1::7/64 declared: declared at lab.yaml:12:77",
            "10.9.9.9/32 declared: declared at lab.yaml:12:77",
        ]),
        (ONE, "web.eth3.addresses", ["10.1.0.9/24 override: declared by an override at over.yaml:2:63"]),
        (ONE, "web.eth2.mac", ["02:42:0a:c9:01:02 derived: derived from its address 10.201.1.2"]),
        (ONE, "app.eth2.mac", ["02:3e:5d:c2:23:0a derived: derived from the names of topology, sandbox and endpoint, since it has no address"]),
        (ONE, "six.eth0.mac", ["02:9c:cf:c2:92:de derived: derived from its address fd00:2::9 and the name of network 'v6'"]),
        (ONE, "app.eth1.mac", ["None unset: with network 'ipv' of driver ipvlan it is the parent's"]),
        (ONE, "app.eth0.mtu", ["None unset: neither the endpoint nor its network sets one: what a new link on 'eth9' has"]),
        (ONE, "ipv.mtu", ["None unset: the network sets none: what a new link on 'eth9.7' has"]),
        (ONE, "old.mtu", ["None unset: the network sets none: what a new link on the adopted bridge has"]),
        (ONE, "six.eth0.mtu", ["1400 derived: the mtu of network 'v6', declared by an override at over.yaml:1:48"]),
        (ONE, "web.eth0.mtu", ["1500 derived: neither the endpoint nor its network sets one: what a new link has"]),
        (ONE, "lone.eth0.mac", ["None unset: network 'none' of driver null gives its sandboxes no interface"]),
        (ONE, "lone.eth0.addresses", ["None unset: network 'none' of driver null gives its sandboxes no interface"]),
        (ONE, "lone.eth0.network", ["none declared: declared at lab.yaml:15:28"]),
    ],
)  # fmt: skip
def test_where_it_comes_from(
    text: str, path: str, told: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The value is that of the topology, and every line names what decided it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("reconciler.kernel.observe.host_prefixes", lambda _: ())
    Path("lab.yaml").write_text(text.strip() + "\n")
    if text is HOSTS:
        Path("lab.lock.yaml").write_text(LOCK)
    Path("over.yaml").write_text(OVER.lstrip("\n") if text is ONE else "{}\n")
    loaded = pipeline.load(
        ["lab.yaml"], ["over.yaml"] if text is ONE else [], tmp_path / "state", anywhere=True
    )
    found = explain(loaded, path)
    assert told == [
        f"{each.value} {each.kind}: {each.why}{f' at {each.mark}' if each.mark else ''}" for each in found
    ]
