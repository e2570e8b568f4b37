"""Expansion: one tree for every way to write a topology, who decided each value, layers, replicas, limits."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.commands.excerpts import lines_of
from reconciler.errors import Mark, TopologyError
from reconciler.load import layers, source
from reconciler.load.expand import Expanded, Origin, OriginKind, expand, load, to_plain
from reconciler.load.tree import Map
from tests import examples

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a file below an empty working directory."""
    monkeypatch.chdir(tmp_path)

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write


def plain(write: Write, text: str, *overrides: str) -> dict[str, object]:
    write("t.yaml", text)
    for index, override in enumerate(overrides):
        write(f"o{index}.yaml", override)
    return to_plain(load(["t.yaml"], [f"o{index}.yaml" for index in range(len(overrides))]).tree)


def section(tree: dict[str, object], *path: str) -> dict[str, object]:
    node: object = tree
    for part in path:
        assert isinstance(node, dict)
        node = node[part]
    assert isinstance(node, dict)
    return node


def codes(paths: list[str], overrides: list[str] | None = None) -> list[str]:
    with pytest.raises(TopologyError) as caught:
        load(paths, overrides or [])
    return [diagnostic.code for diagnostic in caught.value.diagnostics]


def places(node: object) -> list[object]:
    """Every place in a tree, in order."""
    if isinstance(node, Map):
        return [node.mark, node.marks, *(places(value) for value in node.values())]
    return [node.mark, node.marks, *map(places, node)] if isinstance(node, source.Seq) else []


def test_the_smallest_topology_has_every_built_in(write: Write) -> None:
    """A name without anything becomes a complete object."""
    assert plain(
        write, "name: shop\nnetworks: {front: null}\nsandboxes: {web: {endpoints: {eth0: front}}, db: null}\n"
    ) == {
        "name": "shop",
        "pools": [{"base": "10.201.0.0/16", "size": 24}],
        "networks": {
            "front": {
                "driver": "bridge",
                "subnets": [{"subnet": "ipv4"}],
                "internal": False,
                "labels": {},
                "options": {},
            }
        },
        "sandboxes": {
            "web": {
                "endpoints": {"eth0": {"network": "front", "gateway_priority": 0, "sysctls": {}}},
                "routes": [],
                "sysctls": {},
                "labels": {},
            },
            "db": {"endpoints": {}, "routes": [], "sysctls": {}, "labels": {}},
        },
    }


def test_short_and_long_forms_mean_the_same(write: Write) -> None:
    """Short forms and any order of keys give the same tree, with the keys in one order."""
    short = plain(
        write,
        "name: s\nnetworks: {a: {subnets: [10.0.0.0/24, ipv6]}}\n"
        "sandboxes: {w: {sysctls: {net.a: true}, endpoints: {e: a}, routes: [{to: default, via: 10.0.0.1}], host: false}}\n",
    )
    long = plain(
        write,
        "sandboxes:\n  w:\n    labels: {}\n    routes: [{via: 10.0.0.1, onlink: false, type: unicast, table: 254, to: default}]\n"
        "    endpoints: {e: {sysctls: {}, gateway_priority: 0, network: a}}\n    sysctls: {net.a: 1}\n"
        "networks:\n  a: {options: {}, internal: false, driver: bridge, subnets: [{subnet: 10.0.0.0/24}, {subnet: ipv6}], labels: {}}\n"
        "pools: [{base: 10.201.0.0/16}]\nname: s\n",
    )
    assert short == long
    assert source.dump(short) == source.dump(long), "the order of keys differs"


def test_drawn_subnets_are_marked_as_such(write: Write) -> None:
    """The words ipv4 and ipv6 become a key of their own, with their details, in both forms."""
    write(
        "t.yaml",
        "name: s\nnetworks: {a: {subnets: [ipv4, {subnet: ipv6, gateway: false}, 10.0.0.0/24]}, b: {subnets: []}}\n",
    )
    networks = load(["t.yaml"]).tree["networks"]
    assert isinstance(networks, Map)
    assert [network["subnets"] for network in networks.values() if isinstance(network, Map)] == [
        [{"draw": "ipv4"}, {"draw": "ipv6", "gateway": False}, {"subnet": "10.0.0.0/24"}],
        [],
    ]


def test_pools_have_a_size(write: Write) -> None:
    """A pool without a size is cut by the custom of its family."""
    tree = plain(
        write, "name: s\npools: [{base: 10.0.0.0/8}, {base: 'fd00::/48'}, {size: 28, base: 10.1.0.0/16}]\n"
    )
    assert tree["pools"] == [
        {"base": "10.0.0.0/8", "size": 24},
        {"base": "fd00::/48", "size": 64},
        {"base": "10.1.0.0/16", "size": 28},
    ]


@pytest.mark.parametrize("path", examples.PATHS, ids=lambda path: path.name)
def test_the_canonical_tree_is_a_topology_that_means_itself(path: Path, write: Write) -> None:
    """What `config` prints can be loaded, and gives the same tree again."""
    once = to_plain(load([str(path)]).tree)
    write("again.yaml", source.dump(once))
    assert to_plain(load(["again.yaml"]).tree) == once


def test_defaults_lie_below_what_objects_say(write: Write) -> None:
    """Maps are merged key by key, lists and scalars of the object win, and objects without a map get all."""
    tree = plain(
        write,
        "name: s\n"
        "defaults:\n"
        "  network: {mtu: 1450, labels: {a: 1st, b: 1st}, subnets: [10.9.0.0/24], options: {stp: true}}\n"
        "  sandbox: {sysctls: {net.a: 1}, routes: [{to: default}], endpoints: {mgmt: a}}\n"
        "  endpoint: {mtu: 1400, sysctls: {net.ipv4.conf.IFNAME.b: 1}}\n"
        "networks: {a: {labels: {b: own}, subnets: []}, b: null}\n"
        "sandboxes: {w: {sysctls: {net.c: 2}, endpoints: {e: {network: a, mtu: 1300}}}, v: null}\n",
    )
    assert section(tree, "networks", "a") == {
        "driver": "bridge",
        "subnets": [],
        "internal": False,
        "mtu": 1450,
        "labels": {"a": "1st", "b": "own"},
        "options": {"stp": True},
    }
    assert section(tree, "networks", "b")["subnets"] == [{"subnet": "10.9.0.0/24"}]
    assert section(tree, "sandboxes", "w")["sysctls"] == {"net.a": 1, "net.c": 2}
    assert section(tree, "sandboxes", "w", "endpoints", "e")["mtu"] == 1300
    assert section(tree, "sandboxes", "v", "endpoints", "mgmt") == {
        "network": "a",
        "mtu": 1400,
        "gateway_priority": 0,
        "sysctls": {"net.ipv4.conf.IFNAME.b": 1},
    }


def test_one_rate_is_one_for_both_directions_in_every_layer(write: Write) -> None:
    """The short form is written out before layers are merged, so each rate and the burst have an origin of their own."""
    tree = plain(
        write,
        """
name: s
defaults: {endpoint: {bandwidth: {burst: 32kb, latency: 10ms}, impair: {limit: 5000}}}
networks: {n: {}}
sandboxes: {a: {endpoints: {e0: {network: n, bandwidth: 1mbit}, e1: {network: n, bandwidth: {egress: 2mbit}}, e2: n}}}
""",
        "sandboxes: {a: {endpoints: {e0: {bandwidth: {ingress: 3mbit}, impair: {loss: 1%}}, e1: {bandwidth: 4mbit}}}}",
    )
    endpoints = section(tree, "sandboxes", "a", "endpoints")
    shared = {"burst": "32kb", "latency": "10ms"}
    assert section(endpoints, "e0", "bandwidth") == {"egress": "1mbit", "ingress": "3mbit", **shared}
    assert section(endpoints, "e0", "impair") == {"loss": "1%", "limit": 5000}
    assert section(endpoints, "e1", "bandwidth") == {"egress": "4mbit", "ingress": "4mbit", **shared}
    assert "bandwidth" not in section(endpoints, "e2")


def test_overrides_win_in_their_order(write: Write) -> None:
    """Later layers win, maps are merged, lists replaced, short forms understood, and defaults stay below."""
    tree = plain(
        write,
        "name: s\nnetworks: {a: {mtu: 1400, subnets: [10.0.0.0/24], labels: {x: base, y: base}}, b: null}\n"
        "sandboxes: {w: {endpoints: {e: a, f: {network: a, mtu: 1300}}}}\n",
        "defaults: {network: {mtu: 9000, internal: true}}\n"
        "networks: {a: {labels: {y: first}}, b: {mtu: 1450}, c: {labels: {q: null}}}\n"
        "sandboxes: {w: {endpoints: {e: {mtu: 1200}, f: b, g: c}}}\n",
        "name: t\nnetworks: {a: {labels: {y: second}, subnets: []}}\n",
    )
    assert tree["name"] == "t"
    assert section(tree, "networks", "a") == {
        "driver": "bridge",
        "subnets": [],
        "internal": True,
        "mtu": 1400,
        "labels": {"x": "base", "y": "second"},
        "options": {},
    }
    assert section(tree, "networks", "b")["mtu"] == 1450
    assert section(tree, "networks", "c")["labels"] == {}
    endpoints = section(tree, "sandboxes", "w", "endpoints")
    assert [
        (name, section(endpoints, name)["network"], section(endpoints, name).get("mtu")) for name in endpoints
    ] == [
        ("e", "a", 1200),
        ("f", "b", 1300),
        ("g", "c", None),
    ]


def test_null_takes_away(write: Write) -> None:
    """Null in an override removes a key at any depth, so that defaults and built-ins count again."""
    tree = plain(
        write,
        "name: s\ndefaults: {network: {mtu: 9000}}\nnetworks: {a: {mtu: 1400, labels: {x: y}}, b: null}\n"
        "sandboxes: {w: {endpoints: {e: a, f: a}}, v: null}\n",
        "networks: {a: {mtu: null, labels: {x: null}, options: {stp: null}}, b: null}\nsandboxes: {w: {endpoints: {f: null}}, v: null}\n",
    )
    assert section(tree, "networks") == {
        "a": {
            "driver": "bridge",
            "subnets": [{"subnet": "ipv4"}],
            "internal": False,
            "mtu": 9000,
            "labels": {},
            "options": {},
        }
    }
    assert list(section(tree, "sandboxes")) == ["w"]
    assert list(section(tree, "sandboxes", "w", "endpoints")) == ["e"]


def test_a_directory_is_one_topology(write: Write) -> None:
    """Files of a directory complete each other, whatever order their names give them."""
    write("t/b.yaml", "networks: {a: null}\ndefaults: {network: {mtu: 1400}}\nx-note: 1\n")
    write("t/a.yml", "name: s\nnetworks: {b: null}\ndefaults: {network: {internal: true}}\nx-note: 2\n")
    write("t/c.yaml", "name: s\n")
    one = load(["t"])
    assert one.files == ("t/a.yml", "t/b.yaml", "t/c.yaml")
    networks = section(to_plain(one.tree), "networks")
    assert list(networks) == ["b", "a"]
    assert section(networks, "a")["mtu"] == 1400
    assert section(networks, "a")["internal"] is True
    assert to_plain(load(["t/c.yaml", "t/b.yaml", "t/a.yml"]).tree)["name"] == "s"


def test_includes_are_files_like_others(write: Write) -> None:
    """Included files are read once, relative to the file that names them; cycles and folders are fine."""
    write("t/main.yaml", "name: s\ninclude: [more/a.yaml, folder, 'p*.yaml']\n")
    write("t/more/a.yaml", "include: [../main.yaml, b.yaml]\nnetworks: {a: null}\n")
    write("t/more/b.yaml", "include: [a.yaml]\nnetworks: {b: null}\n")
    write("t/folder/c.yaml", "networks: {c: null}\n")
    write("t/p1.yaml", "networks: {p: null}\n")
    expanded = load(["t/main.yaml"])
    assert sorted(section(to_plain(expanded.tree), "networks")) == ["a", "b", "c", "p"]
    assert expanded.files == ("t/main.yaml", "t/more/a.yaml", "t/folder/c.yaml", "t/p1.yaml", "t/more/b.yaml")


def test_includes_do_not_leave(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither '..' nor a symbolic link leads out, and nothing of the file outside is shown."""
    write("outside/secret.yaml", "password: hunter2\n")
    write(
        "t/main.yaml", "name: s\ninclude: [../outside/secret.yaml, link.yaml, linked/secret.yaml, linked]\n"
    )
    (tmp_path / "t" / "link.yaml").symlink_to("../outside/secret.yaml")
    (tmp_path / "t" / "linked").symlink_to("../outside")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(TopologyError) as caught:
        load(["../t/main.yaml"])
    assert [diagnostic.code for diagnostic in caught.value.diagnostics] == ["include"] * 4
    assert "password" not in str(caught.value.diagnostics)
    monkeypatch.chdir(tmp_path)
    assert codes(["t/main.yaml"]) == ["unknown-key"], "below the working directory it may be read"


def test_an_include_does_not_tell_what_exists_outside(write: Write) -> None:
    """A file that is there and one that is not are refused alike, and patterns do not search the disk."""
    write(
        "t/main.yaml",
        "name: s\ninclude: [../../../../../etc/passwd, ../../../../../etc/nothing, '../../../../../*/*']\n",
    )
    with pytest.raises(TopologyError) as caught:
        load(["t/main.yaml"])
    assert len({diagnostic.message.split("'")[2] for diagnostic in caught.value.diagnostics}) == 1
    assert len(caught.value.diagnostics) == 3


def test_without_paths_the_usual_places_are_read(write: Write) -> None:
    """`load` finds the topologies of the working directory itself."""
    write("topologies/a.yaml", "name: s\n")
    assert load([]).files == ("topologies/a.yaml",)


def test_a_dash_is_no_way_to_include_standard_input(write: Write) -> None:
    """'-' in an include is a file of that name."""
    write("t.yaml", "name: s\ninclude: ['-']\n")
    write("-", "networks: {a: null}\n")
    assert load(["t.yaml"]).files == ("t.yaml", "./-")


def test_the_total_size_is_limited(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many files together have a limit too, in bytes and in number."""
    write("a.yaml", "name: s\n" + "#" * 100)
    write("b.yaml", "networks: {}\n" + "#" * 100)
    monkeypatch.setattr(layers, "MAX_TOTAL_BYTES", 200)
    assert codes(["a.yaml", "b.yaml"]) == ["too-large"]
    monkeypatch.undo()


def test_the_digest_sees_names_and_contents(write: Write) -> None:
    """The same files give the same digest, another byte or another name does not."""
    write("a.yaml", "name: s\n")
    write("b.yaml", "networks: {}\n")
    first = load(["a.yaml", "b.yaml"]).digest
    assert load(["a.yaml", "b.yaml"]).digest == first
    assert load(["b.yaml", "a.yaml"]).digest != first
    write("b.yaml", "networks: {}\n#")
    assert load(["a.yaml", "b.yaml"]).digest != first


def test_replicas_number_and_step(write: Write) -> None:
    """{n} is the number in any text, addresses and MACs without it step, labels and routes do not."""
    tree = plain(
        write,
        "name: s\nsandboxes:\n  w:\n    replicas: 3\n    netns: vm{n}\n    labels: {mac: '02:00:00:00:00:01', text: '{n} {n+10} {m}'}\n"
        "    routes: [{to: '10.{n}.0.0/16', via: 10.0.0.254}]\n    endpoints:\n"
        "      e: {network: a, addresses: [10.0.0.10, '10.1.{n+4}.1/32', 'fd00::ff', 10.2.0.255/32, 7], mac: '02:00:00:00:00:ff'}\n"
        "      f: {network: 'a', mac: '02:00:00:00:0{n}:00'}\n",
    )
    sandboxes = section(tree, "sandboxes")
    assert list(sandboxes) == ["w-1", "w-2", "w-3"]
    third = section(sandboxes, "w-3")
    assert third["netns"] == "vm3"
    assert third["labels"] == {"mac": "02:00:00:00:00:01", "text": "3 13 {m}"}
    assert third["routes"] == [
        {"to": "10.3.0.0/16", "via": "10.0.0.254", "table": 254, "type": "unicast", "onlink": False}
    ]
    addresses = [
        section(box, "endpoints", "e")["addresses"] for box in sandboxes.values() if isinstance(box, dict)
    ]
    assert addresses == [
        ["10.0.0.10", "10.1.5.1/32", "fd00::ff", "10.2.0.255/32", 7],
        ["10.0.0.11", "10.1.6.1/32", "fd00::100", "10.2.1.0/32", 8],
        ["10.0.0.12", "10.1.7.1/32", "fd00::101", "10.2.1.1/32", 9],
    ]
    assert section(third, "endpoints", "e")["mac"] == "02:00:00:00:01:01"
    assert section(third, "endpoints", "f")["mac"] == "02:00:00:00:03:00"


def test_replicas_share_what_does_not_differ(write: Write) -> None:
    """Copies cost memory only for what depends on their number."""
    write(
        "t.yaml",
        "name: s\nsandboxes:\n  w: {replicas: 4096, sysctls: {net.a: 1}, endpoints: {e: a}}\n"
        "  v: {replicas: 2, endpoints: {e: {network: a, addresses: [1]}, f: a}}\n",
    )
    sandboxes = load(["t.yaml"]).tree["sandboxes"]
    assert isinstance(sandboxes, Map)
    assert len(sandboxes) == 4098
    assert sandboxes["w-1"] is sandboxes["w-4096"]
    one, two = (node["endpoints"] for node in (sandboxes["v-1"], sandboxes["v-2"]) if isinstance(node, Map))
    assert isinstance(one, Map)
    assert isinstance(two, Map)
    assert one["e"] is not two["e"]
    assert one["f"] is two["f"]


def test_replicas_keep_the_template_s_places(write: Write) -> None:
    """An error in a replica can point at the line that a person wrote."""
    write(
        "t.yaml",
        "name: s\nsandboxes:\n  w: {replicas: 2, netns: 'v{n}', endpoints: {e: {network: a, addresses: [1]}}}\n",
    )
    sandboxes = load(["t.yaml"]).tree["sandboxes"]
    assert isinstance(sandboxes, Map)
    assert places(sandboxes["w-1"]) == places(sandboxes["w-2"])
    assert sandboxes.key_mark("w-2") == Mark("t.yaml", 3, 3, 4)


def test_an_override_reaches_all_replicas(write: Write) -> None:
    """Overrides speak of the template, and may change how many there are."""
    tree = plain(
        write,
        "name: s\nsandboxes: {w: {replicas: 3, endpoints: {e: a}}}\n",
        "sandboxes: {w: {replicas: 2, labels: {a: '{n}'}}}\n",
    )
    assert [section(tree, "sandboxes", name)["labels"] for name in section(tree, "sandboxes")] == [
        {"a": "1"},
        {"a": "2"},
    ]


_ORIGINS = (
    "name: shop\n"
    "defaults: {network: {mtu: 1450}, endpoint: {sysctls: {net.ipv4.conf.IFNAME.b: 1}}}\n"
    "networks: {front: {subnets: [10.0.0.0/24, ipv6]}}\n"
    "sandboxes:\n"
    "  web: {replicas: 2, endpoints: {eth0: front, eth1.5: {network: front, mtu: 1400}}, sysctls: {net.ipv4.ip_forward: 1}}\n"
    "  db: {endpoints: {eth0: front}}\n"
)


@pytest.fixture
def origins(write: Write) -> Expanded:
    """A topology with a value of every kind."""
    write("base.yaml", _ORIGINS)
    write(
        "over.yaml",
        "networks: {front: {internal: true}}\nsandboxes: {db: {endpoints: {eth0: {mtu: 1300}}}}\n",
    )
    return load(["base.yaml"], ["over.yaml"])


@pytest.mark.parametrize(
    ("path", "kind", "place", "value"),
    [
        ("name", OriginKind.DECLARED, "base.yaml:1:7", "shop"),
        ("networks.front.mtu", OriginKind.DEFAULTS, "base.yaml:2:27", 1450),
        ("front.mtu", OriginKind.DEFAULTS, "base.yaml:2:27", 1450),
        ("front.internal", OriginKind.OVERRIDE, "over.yaml:1:30", True),
        ("front.driver", OriginKind.BUILT_IN, None, "bridge"),
        ("front.subnets.0.subnet", OriginKind.DECLARED, "base.yaml:3:30", "10.0.0.0/24"),
        ("front.subnets[1].draw", OriginKind.DECLARED, "base.yaml:3:43", "ipv6"),
        ("pools.0.size", OriginKind.BUILT_IN, None, 24),
        ("db.eth0.mtu", OriginKind.OVERRIDE, "over.yaml:2:42", 1300),
        ("db.eth0.network", OriginKind.DECLARED, "base.yaml:6:26", "front"),
        ("db.eth0.gateway_priority", OriginKind.BUILT_IN, None, 0),
        ("web-2.eth1.5.mtu", OriginKind.DECLARED, "base.yaml:5:77", 1400),
        ("web.eth1.5.mtu", OriginKind.DECLARED, "base.yaml:5:77", 1400),
        ("web-2.sysctls.net.ipv4.ip_forward", OriginKind.DECLARED, "base.yaml:5:116", 1),
        (
            "sandboxes.web-1.endpoints.eth0.sysctls.net.ipv4.conf.IFNAME.b",
            OriginKind.DEFAULTS,
            "base.yaml:2:79",
            1,
        ),
    ],
)
def test_origin(origins: Expanded, path: str, kind: OriginKind, place: str | None, value: object) -> None:
    """Every value knows who decided it and where, by its full path or a short one."""
    origin = origins.origin(path)
    assert origin is not None
    assert (origin.kind, origin.value) == (kind, value)
    assert (str(origin.mark) if origin.mark else None) == place


def test_origin_tells_replicas_and_full_paths(origins: Expanded) -> None:
    """A value of a replica names the template and the number; a short path is completed."""
    assert origins.origin("web-2.eth0.network") == Origin(
        path="sandboxes.web-2.endpoints.eth0.network",
        value="front",
        kind=OriginKind.DECLARED,
        mark=Mark("base.yaml", 5, 40, 45),
        replica=("web", 2),
    )
    plain_sandbox = origins.origin("db.eth0.network")
    assert plain_sandbox is not None
    assert plain_sandbox.replica is None


@pytest.mark.parametrize(
    "path", ["", "nothing", "web-3.eth0.mtu", "front.subnets.7", "db.eth0.mac", "name.x", "front.mtu.x"]
)
def test_origin_of_nothing(origins: Expanded, path: str) -> None:
    """A path that leads nowhere, or to a value that nobody decided yet, has no origin."""
    assert origins.origin(path) is None


def test_name_and_its_place(origins: Expanded) -> None:
    """The name is at hand with its place."""
    assert (origins.name, origins.name_mark) == ("shop", Mark("base.yaml", 1, 7, 11))


def test_loading_changes_nothing_that_was_loaded(write: Write) -> None:
    """Shared parts of defaults stay what they are while objects are completed."""
    write(
        "t.yaml",
        "name: s\ndefaults: {endpoint: {sysctls: {net.a: true}}}\nx-x: &x {network: a}\n"
        "sandboxes: {v: {endpoints: {e: *x, f: *x}}, w: {endpoints: {e: *x}}}\n",
    )
    sources = layers.read(["t.yaml"])
    before = repr(sources.layers)
    load(["t.yaml"])
    expand(sources)
    assert repr(sources.layers) == before


def test_files_within_a_directory(write: Write, tmp_path: Path) -> None:
    """They may include each other and nothing else, not even what lies where this runs; their digest is the same elsewhere."""
    for place in ("one", "two"):
        write(f"{place}/sub/t.yaml", "name: s\ninclude: [../more.yaml]\n")
        write(f"{place}/more.yaml", "networks: {a: null}\n")
    found = [
        layers.read([str(tmp_path / place / "sub/t.yaml")], within=str(tmp_path / place))
        for place in ("one", "two")
    ]
    assert found[0].digest == found[1].digest
    assert [len(sources.files) for sources in found] == [2, 2]
    write("one/sub/t.yaml", "name: s\ninclude: [../../two/more.yaml]\n")
    assert layers.read(["one/sub/t.yaml"]).mistakes == ()
    (mistake,) = layers.read(["one/sub/t.yaml"], within="one").mistakes
    assert "leads out of the topology's directory" in mistake.message


def test_a_large_topology_loads_in_a_second_of_cpu(write: Write) -> None:
    """5,000 endpoints with every field cost well under a second; the bound leaves room for slow machines."""
    endpoint = "\n".join(
        f"      eth{j}:\n        network: net{j}\n        addresses: [10.{j}.{{a}}.{{b}}]\n        mtu: 1400\n        sysctls: {{{{net.ipv4.conf.IFNAME.rp_filter: 0}}}}"
        for j in range(5)
    )
    sandboxes = "\n".join(
        f"  sb-{i}:\n    endpoints:\n{endpoint.format(a=i // 250, b=i % 250 + 1)}" for i in range(1000)
    )
    networks = "\n".join(f"  net{j}: {{subnets: [10.{j}.0.0/16]}}" for j in range(5))
    write("t.yaml", f"name: big\nnetworks:\n{networks}\nsandboxes:\n{sandboxes}\n")
    start = time.process_time()
    assert len(section(to_plain(load(["t.yaml"]).tree), "sandboxes")) == 1000
    assert time.process_time() - start < 3


@pytest.mark.parametrize("named", [["t"], ["t/*.yaml"], ["t/own.yaml", "t/stolen.yaml"]])
def test_a_link_that_leaves_the_directory_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: list[str]
) -> None:
    """Neither through a directory nor through a pattern nor by its own name, and nothing of it is quoted."""
    (tmp_path / "secret").write_text("root: [hash\n")
    work = tmp_path / "work"
    (work / "t").mkdir(parents=True)
    (work / "t/own.yaml").write_text("name: s\n")
    (work / "t/stolen.yaml").symlink_to("../../secret")
    monkeypatch.chdir(work)
    with pytest.raises(TopologyError) as refused:
        load(named)
    (mistake,) = refused.value.diagnostics
    assert mistake.message == "'t/stolen.yaml' is a link that leads out of the topology's directory"
    assert lines_of("t/stolen.yaml") is None


def test_links_within_the_directory_and_patterns_elsewhere_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mounted volume of links into itself, and a pattern that starts at the root, are fine."""
    (tmp_path / "t/..data").mkdir(parents=True)
    (tmp_path / "t/..data/lab.yaml").write_text("name: s\n")
    (tmp_path / "t/lab.yaml").symlink_to("..data/lab.yaml")
    monkeypatch.chdir("/")
    assert load([str(tmp_path / "t")]).name == "s"
    assert load([f"{tmp_path}/t/*.yaml"]).name == "s"
    assert load([f"{tmp_path}/*/lab.yaml"]).name == "s"
