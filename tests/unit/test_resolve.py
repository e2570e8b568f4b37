"""From a topology file to the complete topology: what is derived, allocated and chosen.

Error texts are data, in tests/errors/resolve; here are only those properties of diagnostics that the data do not show.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_network
from pathlib import Path
from textwrap import dedent

import pytest

from reconciler.errors import Diagnostic, TopologyError
from reconciler.load import expand
from reconciler.load.source import parse
from reconciler.load.tree import Map
from reconciler.model import Endpoint, Leases, Sandbox, SandboxKind, Topology
from reconciler.options import BridgeOptions
from reconciler.resolve import needs_pool, resolve
from reconciler.resolve.gateways import natural

NETWORKS = """
    front: {subnets: [10.1.0.0/24, "fd00:1::/64"]}
    back: {subnets: [10.2.0.0/24], internal: true}
    side: {subnets: [10.3.0.0/24]}
"""


@pytest.fixture
def read(tmp_path: Path) -> Reader:
    return Reader(tmp_path)


class Reader:
    """Runs the front end over text."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "lab.yaml"

    def __call__(self, text: str, leases: Leases | None = None, taken: str = "") -> tuple[Topology, Leases]:
        self._file.write_text(dedent(text))
        one = expand.load([str(self._file)])
        networks = [ip_network(each) for each in taken.split()]
        return resolve(
            one.tree, name_mark=one.name_mark, files=one.files, leases=leases or Leases(), taken=networks
        )

    def sandbox(self, body: str, networks: str = NETWORKS) -> Sandbox:
        """The sandbox `a` that a few lines declare."""
        indented = [f"    {line}" for line in dedent(body).splitlines()]
        text = "\n".join(["name: lab", "networks:", *networks.splitlines(), "sandboxes:", "  a:", *indented])
        return self(text)[0].sandboxes["a"]

    def mistakes(self, text: str) -> tuple[Diagnostic, ...]:
        """The diagnostics of a broken topology."""
        with pytest.raises(TopologyError) as caught:
            self(text)
        return caught.value.diagnostics


def addresses(endpoint: Endpoint) -> list[str]:
    return [str(one) for one in endpoint.addresses]


def gateways(sandbox: Sandbox) -> list[str]:
    return [f"{one.via} {one.endpoint}" for one in sandbox.gateways]


# ------------------------------------------------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ("{network: front}", ["10.1.0.2/24", "fd00:1::2/64"]),
        ("{network: front, addresses: []}", []),
        ("{network: front, addresses: [10.1.0.9]}", ["10.1.0.9/24", "fd00:1::2/64"]),
        ("{network: front, addresses: [10.1.0.9/24]}", ["10.1.0.9/24", "fd00:1::2/64"]),
        ("{network: front, addresses: [9]}", ["10.1.0.9/24", "fd00:1::2/64"]),
        ("{network: front, addresses: ['fd00:1::9', 9]}", ["10.1.0.9/24", "fd00:1::9/64"]),
        ("{network: front, addresses: [10.9.0.1/32]}", ["10.1.0.2/24", "fd00:1::2/64", "10.9.0.1/32"]),
        ("{network: front, addresses: [10.1.0.9/32]}", ["10.1.0.2/24", "fd00:1::2/64", "10.1.0.9/32"]),
        (
            "{network: front, addresses: [10.9.0.1/16, 10.1.0.7]}",
            ["10.1.0.7/24", "fd00:1::2/64", "10.9.0.1/16"],
        ),
        ("{network: front, addresses: ['fe80::1/64']}", ["10.1.0.2/24", "fd00:1::2/64", "fe80::1/64"]),
    ],
)
def test_addresses(read: Reader, declared: str, expected: list[str]) -> None:
    """Each family without a listed address of the network gets one, and extra addresses come last."""
    assert addresses(read.sandbox(f"endpoints: {{eth0: {declared}}}").endpoints[0]) == expected


def test_explicit_addresses_come_before_all_automatic_ones(read: Reader) -> None:
    """An address declared at the end of the file is not given to an endpoint at its beginning."""
    topology, leases = read("""
        name: lab
        networks: {front: {subnets: [10.1.0.0/29]}}
        sandboxes:
          a: {endpoints: {eth0: front}}
          b: {endpoints: {eth0: front}}
          c: {endpoints: {eth0: {network: front, addresses: [10.1.0.2]}}}
        """)
    found = [addresses(each.endpoints[0]) for each in topology.sandboxes.values()]
    assert found == [["10.1.0.3/29"], ["10.1.0.4/29"], ["10.1.0.2/29"]]
    assert leases == Leases(endpoints={"a/eth0": ("10.1.0.3",), "b/eth0": ("10.1.0.4",)})


def test_gateway_of_a_router_elsewhere_is_not_handed_out(read: Reader) -> None:
    """A gateway that no bridge holds is reserved all the same."""
    networks = "    front: {subnets: [{subnet: 10.1.0.0/24, gateway: 10.1.0.1}], options: {address: false}}"
    sandbox = read.sandbox("endpoints: {eth0: front}", networks)
    assert (addresses(sandbox.endpoints[0]), gateways(sandbox)) == (["10.1.0.2/24"], ["10.1.0.1 eth0"])


def test_leases_of_what_is_gone_are_released(read: Reader) -> None:
    """The new leases hold what is allocated now and nothing else."""
    old = Leases(
        networks={"front": ("10.201.7.0/24",), "gone": ("10.201.0.0/24",)},
        endpoints={"a/eth0": ("10.201.7.9",), "gone/eth0": ("10.201.7.2",), "a/gone": ("10.201.7.3",)},
    )
    topology, leases = read(
        "{name: lab, networks: {front: {}}, sandboxes: {a: {endpoints: {eth0: front}}}}", old
    )
    assert addresses(topology.sandboxes["a"].endpoints[0]) == ["10.201.7.9/24"]
    assert leases == Leases(networks={"front": ("10.201.7.0/24",)}, endpoints={"a/eth0": ("10.201.7.9",)})


def test_order_in_the_file_means_nothing_to_declared_addresses(read: Reader) -> None:
    """The same endpoints in another order get the same declared, and with leases the same automatic, addresses."""
    lines = [
        "  a: {endpoints: {eth0: {network: front, addresses: [10.1.0.7]}}}",
        "  b: {endpoints: {eth0: front}}",
        "  c: {endpoints: {eth0: {network: front, addresses: [3]}}}",
        "  d: {endpoints: {eth0: front}}",
    ]
    head = ["name: lab", "networks: {front: {subnets: [10.1.0.0/24]}}", "sandboxes:"]
    first, leases = read("\n".join([*head, *lines]))
    second, again = read("\n".join([*head, *reversed(lines)]), leases)
    assert {name: addresses(each.endpoints[0]) for name, each in first.sandboxes.items()} == {
        name: addresses(each.endpoints[0]) for name, each in second.sandboxes.items()
    }
    assert again == leases


def test_drawn_subnets_avoid_host_and_files(read: Reader) -> None:
    """Networks without subnets draw from the pools, around declared subnets and what the host uses."""
    topology, leases = read(
        """
        name: shop
        networks:
          a: {}
          b: {subnets: [10.201.1.0/24]}
          c: {subnets: [ipv4, ipv6]}
        """,
        taken="0.0.0.0/0 10.201.0.128/25 fd8d:9001:d32c::/64",
    )
    subnets = {name: [str(one.subnet) for one in each.subnets] for name, each in topology.networks.items()}
    assert subnets == {
        "a": ["10.201.2.0/24"],
        "b": ["10.201.1.0/24"],
        "c": ["10.201.3.0/24", "fd8d:9001:d32c:1::/64"],
    }
    assert leases.networks == {"a": ("10.201.2.0/24",), "c": ("10.201.3.0/24", "fd8d:9001:d32c:1::/64")}


@pytest.mark.parametrize(
    ("networks", "expected"),
    [
        ("{a: {}}", True),
        ("{a: {subnets: [ipv6]}}", True),
        ("{a: {subnets: [10.1.0.0/24]}, b: {subnets: []}}", False),
    ],
)
def test_needs_pool(tmp_path: Path, networks: str, expected: bool) -> None:
    """Only a topology that draws subnets has to ask which prefixes the host uses."""
    file = tmp_path / "lab.yaml"
    file.write_text(f"name: lab\nnetworks: {networks}\n")
    assert needs_pool(expand.load([str(file)]).tree) is expected


@pytest.mark.parametrize(
    ("network", "gateway"),
    [
        ("{subnets: [10.1.0.0/24]}", "10.1.0.1"),
        ("{subnets: [{subnet: 10.1.0.0/24, ip_range: 10.1.0.64/26}]}", "10.1.0.64"),
        ("{subnets: [{subnet: 10.1.0.0/24, gateway: false}]}", "None"),
        ("{subnets: [{subnet: 10.1.0.0/24, gateway: 10.1.0.254}]}", "10.1.0.254"),
        ("{subnets: [10.1.0.0/24], options: {address: false}}", "None"),
        ("{subnets: [{subnet: 10.1.0.0/24, gateway: 10.1.0.9}], options: {address: false}}", "10.1.0.9"),
        ("{subnets: [10.1.0.0/24], internal: true}", "10.1.0.1"),
        ("{subnets: ['fd00:1::/64']}", "fd00:1::1"),
        ("{subnets: [10.1.0.1/32]}", "None"),
    ],
)
def test_gateway_of_a_network(read: Reader, network: str, gateway: str) -> None:
    """A gateway is derived where the bridge can hold it, unless one is declared or refused."""
    topology, _ = read(f"{{name: lab, networks: {{front: {network}}}}}")
    assert str(topology.networks["front"].subnets[0].gateway) == gateway


# ---------------------------------------------------------------------------------------------------- MAC, MTU, options


def test_mac_and_mtu(read: Reader) -> None:
    """Declared values win; otherwise the MAC comes from the address and the MTU from the network."""
    networks = '    front: {subnets: [10.1.0.0/24], mtu: 1450}\n    six: {subnets: ["fd00:1::/64"]}\n    flat: {subnets: []}'
    sandbox = read.sandbox(
        """
        endpoints:
          eth0: front
          eth1: {network: front, mac: "0A:00:00:00:00:01", mtu: 1400}
          eth2: six
          eth3: flat
        """,
        networks,
    )
    found = [(each.mac, each.mtu) for each in sandbox.endpoints]
    assert found[:2] == [("02:42:0a:01:00:02", 1450), ("0a:00:00:00:00:01", 1400)]
    assert len({mac for mac, _ in found}) == 4
    assert all((mac or "").startswith("02:") and mtu is None for mac, mtu in found[2:])


def test_bridge_options(read: Reader) -> None:
    """Times become hundredths of a second, and what is not asked for stays None."""
    topology, _ = read("""
        name: lab
        networks:
          a: {options: {ageing_time: 300.07, forward_delay: 2, stp: false, mac: "02:00:00:00:00:0A", ports: [eth7]}}
          b: {options: {name: br0, adopt: true, hairpin: true, address: false}}
        """)
    assert topology.networks["a"].options == BridgeOptions(
        mac="02:00:00:00:00:0a", stp=False, ageing_time=30007, forward_delay=200, ports=("eth7",)
    )
    assert topology.networks["b"].options == BridgeOptions(
        name="br0", adopt=True, hairpin=True, address=False
    )


def test_sysctls_become_paths(read: Reader) -> None:
    """IFNAME becomes the interface, dots become slashes except those of the interface's name, true becomes 1."""
    sandbox = read.sandbox("""
        sysctls:
          net.ipv4.ip_forward: true
          net.ipv4.conf.eth0.7.rp_filter: 2
          net.ipv6.conf.eth0/7.accept_ra: 0
          net.ipv4.tcp_rmem: "4096 87380 6291456"
        endpoints:
          eth0.7: {network: side, sysctls: {net.ipv4.conf.IFNAME.log_martians: false}}
        """)
    assert sandbox.sysctls == {
        "net/ipv4/ip_forward": "1",
        "net/ipv4/conf/eth0.7/rp_filter": "2",
        "net/ipv6/conf/eth0.7/accept_ra": "0",
        "net/ipv4/tcp_rmem": "4096 87380 6291456",
    }
    assert sandbox.endpoints[0].sysctls == {"net/ipv4/conf/eth0.7/log_martians": "0"}


# ----------------------------------------------------------------------------------------------------- default routes


@pytest.mark.parametrize(
    ("endpoints", "expected"),
    [
        ("{eth0: front}", ["10.1.0.1 eth0", "fd00:1::1 eth0"]),
        ("{eth10: side, eth2: front}", ["10.1.0.1 eth2", "fd00:1::1 eth2"]),
        ("{eth0: side, eth1: front}", ["10.3.0.1 eth0", "fd00:1::1 eth1"]),
        ("{eth0: side, eth1: {network: front, gateway_priority: 1}}", ["10.1.0.1 eth1", "fd00:1::1 eth1"]),
        ("{eth0: {network: front, gateway_priority: -1}, eth1: side}", ["10.3.0.1 eth1", "fd00:1::1 eth0"]),
        ("{eth0: back}", []),
        ("{eth0: back, eth1: front}", ["10.1.0.1 eth1", "fd00:1::1 eth1"]),
        ("{eth0: {network: front, addresses: []}}", []),
        ("{eth0: {network: front, addresses: [], gateway_priority: 9}, eth1: side}", ["10.3.0.1 eth1"]),
    ],
)
def test_default_gateways(read: Reader, endpoints: str, expected: list[str]) -> None:
    """Priority decides, then the natural order of names, for each family on its own and never through internal networks."""
    assert gateways(read.sandbox(f"endpoints: {endpoints}")) == expected


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        ("{to: default, via: 10.1.0.9}", ["fd00:1::1 eth0"]),
        ("{to: default, via: 10.1.0.9, metric: 0}", ["fd00:1::1 eth0"]),
        ("{to: default, via: 10.1.0.9, metric: 5}", ["10.1.0.1 eth0", "fd00:1::1 eth0"]),
        ("{to: default, via: 10.1.0.9, table: 7}", ["10.1.0.1 eth0", "fd00:1::1 eth0"]),
        ("{to: '::/0', type: unreachable}", ["10.1.0.1 eth0"]),
        ("{to: default, via: 'fd00:1::9', metric: 1024}", ["10.1.0.1 eth0"]),
    ],
)
def test_declared_default_route_replaces_the_gateway(read: Reader, route: str, expected: list[str]) -> None:
    """A default route of the sandbox's own takes the gateway's place only where the kernel could not hold both."""
    assert gateways(read.sandbox(f"endpoints: {{eth0: front}}\nroutes: [{route}]")) == expected


def test_router_has_no_route_to_itself(read: Reader) -> None:
    """A sandbox that owns the gateway's address is not sent to it, and the others are."""
    topology, _ = read("""
        name: lab
        networks:
          a: {subnets: [{subnet: 10.1.0.0/24, gateway: 10.1.0.1}], options: {address: false}}
          b: {subnets: [{subnet: 10.2.0.0/24, gateway: 10.2.0.1}], options: {address: false}}
        sandboxes:
          router:
            endpoints:
              eth0: {network: a, addresses: [10.1.0.1]}
              eth1: {network: b, addresses: [10.2.0.1]}
              eth2: {network: b}
          host: {endpoints: {eth0: a}}
        """)
    assert gateways(topology.sandboxes["router"]) == []
    assert gateways(topology.sandboxes["host"]) == ["10.1.0.1 eth0"]


@pytest.mark.parametrize(
    ("head", "kind", "where"),
    [
        ("netns: vm7", SandboxKind.PATH, "/run/netns/vm7"),
        ("netns: /var/run/netns//vm7", SandboxKind.PATH, "/run/netns/vm7"),
        ("netns: /proc/self/ns/net", SandboxKind.PATH, "/proc/self/ns/net"),
        ("pid: 4711", SandboxKind.PID, "4711"),
        ("host: true", SandboxKind.HOST, ""),
    ],
)
def test_given_sandboxes_keep_their_default_route(
    read: Reader, head: str, kind: SandboxKind, where: str
) -> None:
    """A given namespace gets a default route only through an endpoint that declares its priority."""
    quiet = read.sandbox(f"{head}\nendpoints: {{eth7: front}}")
    assert (quiet.kind, quiet.where, gateways(quiet)) == (kind, where, [])
    networks = "    front: {subnets: [{subnet: 10.1.0.0/24, gateway: 10.1.0.9}], options: {address: false}}"
    asked = read.sandbox(f"{head}\nendpoints: {{eth7: {{network: front, gateway_priority: 0}}}}", networks)
    assert gateways(asked) == ["10.1.0.9 eth7"]


def test_host_is_not_sent_to_its_own_bridge(read: Reader) -> None:
    """A gateway on a bridge is the host's own address, so it never becomes the host's default route."""
    assert (
        gateways(read.sandbox("host: true\nendpoints: {eth7: {network: front, gateway_priority: 5}}")) == []
    )


def test_natural_order() -> None:
    """Numbers in names are compared as numbers."""
    names = ["eth10", "eth2", "eth0", "eth", "wan1", "eth2a", "10", "9"]
    assert sorted(names, key=natural) == ["eth", "eth0", "eth2", "eth2a", "eth10", "wan1", "9", "10"]


def test_routes(read: Reader) -> None:
    """Routes come out complete: prefixes, addresses, and the kernel's own words for what is left out."""
    sandbox = read.sandbox("""
        endpoints: {eth0: {network: front, addresses: [5]}}
        routes:
          - {to: 10.9.0.5, via: 10.1.0.9, src: 10.1.0.5, metric: 50, table: 100}
          - {to: default, via: "fe80::1", dev: eth0, metric: 0}
          - {to: 10.8.0.0/16, via: 10.99.0.1, dev: eth0, onlink: true}
        """)
    found = [(str(r.to), str(r.via), r.dev, r.metric, r.table, str(r.src), r.onlink) for r in sandbox.routes]
    assert found == [
        ("10.9.0.5/32", "10.1.0.9", None, 50, 100, "10.1.0.5", False),
        ("::/0", "fe80::1", "eth0", None, 254, "None", False),
        ("10.8.0.0/16", "10.99.0.1", "eth0", None, 254, "None", True),
    ]


# --------------------------------------------------------------------------------------------------------- diagnostics


def related(found: Iterable[Diagnostic]) -> list[str]:
    return [f"{one.code} {label} {mark.line}:{mark.col}" for one in found for label, mark in one.related]


def test_clashes_name_both_places(read: Reader) -> None:
    """Where two places clash the diagnostic stands at the later one and points at the earlier one."""
    found = read.mistakes("""
        name: lab
        networks:
          a: {subnets: [10.1.0.0/24], options: {ports: [eth7]}}
          b: {subnets: [10.1.0.0/25], options: {ports: [eth7]}}
          c: {subnets: [10.3.0.0/24]}
        sandboxes:
          s:
            endpoints:
              eth0: {network: c, addresses: [5], mac: "02:00:00:00:00:05"}
              eth1: {network: c, addresses: [5], mac: "02:00:00:00:00:05"}
              eth2: {network: c, addresses: [10.3.0.1]}
            routes:
              - {to: 10.9.0.0/16, via: 10.3.0.9}
              - {to: 10.9.0.0/16, via: 10.3.0.8}
        """)
    assert related(found) == [
        "conflict the port of network 'a' is here 4:3",
        "overlap 10.1.0.0/24 first used here 4:17",
        "duplicate-address first used here 10:38",
        "duplicate-mac first used here 10:47",
        "duplicate-address first used here 6:17",
        "no-route first declared here 14:9",
    ]


def test_one_mistake_of_a_template_is_one_diagnostic(read: Reader) -> None:
    """What a template does wrong in each of a thousand replicas is said once, with their number."""
    found = read.mistakes(
        "{name: lab, sandboxes: {web: {replicas: 1000, endpoints: {eth0: front}, sysctls: {net.ipv4: 1}}}}"
    )
    assert [one.message.rpartition("(")[2] for one in found] == ["and 999 more like this)"] * 2


def test_topology_without_a_name() -> None:
    """A tree without name, which only programs can build, is refused like any other."""
    tree = parse(b"networks: {}", "lab.yaml")
    with pytest.raises(TopologyError) as caught:
        resolve(tree, name_mark=tree.mark, files=("lab.yaml",), leases=Leases())
    assert [one.code for one in caught.value.diagnostics] == ["missing-key"]


def test_driver_that_is_only_known_by_name() -> None:
    """A driver that this version does not realise is named with its line, whatever the schema said."""
    tree = parse(b"name: lab\nnetworks:\n  a: {driver: tunnel, subnets: []}\n", "lab.yaml")
    with pytest.raises(TopologyError) as caught:
        resolve(tree, name_mark=None, files=(), leases=Leases())
    assert [(one.code, str(one.mark)) for one in caught.value.diagnostics] == [("not-yet", "lab.yaml:3:15")]


def test_shape_that_the_schema_should_have_refused() -> None:
    """A value of the wrong type is a programming error, not a diagnostic."""
    tree: Map = parse(b"name: lab\nnetworks:\n  a: {mtu: large, subnets: []}\n", "lab.yaml")
    with pytest.raises(TypeError, match=r"lab.yaml:3:12: 'mtu' is str, not a whole number"):
        resolve(tree, name_mark=None, files=(), leases=Leases())
