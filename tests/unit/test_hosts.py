"""What is compiled for one host of several, and what a driver gets to know of the others."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.compile import compile_topology
from reconciler.drivers.contract import Item, Member, Site, declare, network_origin
from reconciler.load import expand, layers, source
from reconciler.model import Leases, Network, Topology
from reconciler.objects import (
    HOST,
    Sysctl,
)
from reconciler.resolve import resolve
from reconciler.sides import Here

FILES = """\
name: shop
hosts: {node-1: 192.0.2.1, node-2: 192.0.2.2, node-3: 192.0.2.3}
networks:
  lan: {driver: macvlan, options: {parent: eth1}, subnets: [10.30.0.0/24]}
  front: {}
  spare: {}
sandboxes:
  db: {host: node-2, endpoints: {eth0: lan, eth1: front}}
  web: {replicas: 3, host: "node-{n}", endpoints: {eth0: {network: lan, addresses: [20]}}}
  vm: {host: node-1, netns: vm7, endpoints: {eth1: lan}}
"""


class Recorder:
    """A driver that writes down what it is asked for."""

    name = "recorder"

    def __init__(self) -> None:
        self.networks: list[str] = []
        self.endpoints: list[str] = []
        self.elsewhere: list[tuple[str, str]] = []

    def network(self, site: Site, network: Network) -> Iterable[Item]:
        """Remembers the network, and whom it would have to reach on other hosts."""
        self.networks.append(network.name)
        self.elsewhere += [(member.origin, str(host.vtep)) for member, host in site.elsewhere(network)]
        return declare(
            network_origin(network), network.mark, Sysctl(netns=HOST, path=network.name, value="1")
        )

    def endpoint(self, _: Site, __: Network, member: Member) -> Iterable[Item]:
        """Remembers the endpoint."""
        self.endpoints.append(member.origin.removeprefix("sandbox/"))
        return ()


def _topology(text: str = FILES) -> Topology:
    sources = layers.Sources(((source.parse(text.encode(), "shop.yaml"),),), ("shop.yaml",), "", ())
    expanded = expand.expand(sources)
    return resolve(expanded.tree, name_mark=expanded.name_mark, files=expanded.files, leases=Leases())[0]


def test_a_host_makes_its_own_part() -> None:
    """Its sandboxes, the networks that they join, and nothing else; the others are known with their hosts."""
    recorder = Recorder()
    desired = compile_topology(_topology(), {"macvlan": recorder, "bridge": recorder}, "node-1")
    assert desired.here == Here("node-1", "192.0.2.1")
    assert recorder.networks == ["lan"]
    assert recorder.endpoints == ["web-1/endpoint/eth0", "vm/endpoint/eth1"]
    assert recorder.elsewhere == [
        ("sandbox/db/endpoint/eth0", "192.0.2.2"),
        ("sandbox/web-2/endpoint/eth0", "192.0.2.2"),
        ("sandbox/web-3/endpoint/eth0", "192.0.2.3"),
    ]
    assert [each.what for each in desired.requirements] == ["namespace /run/netns/vm7"]
    assert {d.origin for d in desired.objects.values()} == {"network/lan", "sandbox/web-1"}


def test_the_parts_of_all_hosts_are_the_whole() -> None:
    """Each endpoint is made on exactly one host, with the same addresses as seen from any of them."""
    whole = Recorder()
    topology = _topology()
    compile_topology(topology, {"macvlan": whole, "bridge": whole})
    parts = Recorder()
    for host in topology.hosts:
        compile_topology(topology, {"macvlan": parts, "bridge": parts}, host)
    assert sorted(parts.endpoints) == sorted(whole.endpoints)
    assert sorted(parts.networks) == ["front", "lan", "lan", "lan"]


def test_one_machine_has_nobody_elsewhere() -> None:
    """Without hosts everything is here, networks without endpoints included."""
    recorder = Recorder()
    text = "name: shop\nnetworks: {a: {}, b: {}}\nsandboxes: {web: {endpoints: {eth0: a}}}\n"
    desired = compile_topology(_topology(text), {"bridge": recorder})
    assert desired.here is None
    assert (recorder.networks, recorder.elsewhere) == (["a", "b"], [])


def test_a_host_with_nothing_on_it_makes_nothing() -> None:
    """The way to empty a host before it leaves."""
    text = FILES.replace('"node-{n}"', "node-2").replace("node-1, netns", "node-2, netns")
    assert compile_topology(_topology(text), host="node-3").objects == {}
