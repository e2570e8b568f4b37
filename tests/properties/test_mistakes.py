"""Mistakes of form and of meaning in one topology: none hides another one, and none makes others up."""

from __future__ import annotations

import copy
import json
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from reconciler.errors import Diagnostic, TopologyError
from reconciler.load import expand, layers, salvage
from reconciler.model import Leases
from reconciler.resolve import refuse, resolve
from tests.properties.topologies import Topology, topologies

MANY = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
Said = tuple[str, str]
AGAIN = "@@"


@pytest.fixture(scope="module")
def file() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory) / "shop.yaml"


def said(file: Path, topology: Topology) -> set[Said]:
    """Everything that is wrong with a topology, without the places: those move with what is added."""
    _write(file, topology)
    try:
        expanded = expand.read([str(file)])
        if expanded.mistakes:
            refuse(expanded)
        resolve(expanded.tree, name_mark=expanded.name_mark, files=expanded.files, leases=Leases())
    except TopologyError as error:
        return {_said(each) for each in error.diagnostics}
    return set()


def said_of_form(file: Path, topology: Topology) -> set[Said]:
    """What the schema alone has to say."""
    _write(file, topology)
    sources = layers.read([str(file)])
    return {_said(each) for each in salvage.check(sources.layers, sources.drafts).mistakes}


def _write(file: Path, topology: Topology) -> None:
    """A key that ends with AGAIN is written without it, and so a second time."""
    file.write_text(json.dumps(topology).replace(f'{AGAIN}":', '":'))


def _said(mistake: Diagnostic) -> Said:
    """One of several that are alike speaks for them, so neither their number nor the numbers in it are compared."""
    return mistake.code, re.sub("[0-9]+", "#", mistake.message.partition(" (and ")[0])


# ------------------------------------------------------------------------------------------------ mistakes of meaning


def _add(networks: Topology | None = None, **sandboxes: Any) -> Callable[[Topology, str], None]:
    def add(topology: Topology, network: str) -> None:
        text = json.dumps([networks or {}, sandboxes]).replace("NETWORK", network)
        more_networks, more_sandboxes = json.loads(text)
        topology["networks"].update(more_networks)
        topology["sandboxes"].update(more_sandboxes)

    return add


def _joined(**more: Any) -> Topology:
    return {"endpoints": {"eth0": {"network": "NETWORK", **more}}}


def _routed(**route: Any) -> Topology:
    return {"endpoints": {"eth0": "NETWORK"}, "routes": [{"to": "172.29.0.0/16", **route}]}


MEANING: dict[str, Callable[[Topology, str], None]] = {
    "unknown network": _add(a={"endpoints": {"eth0": "nowhere"}}),
    "no network": _add(a={"endpoints": {"eth0": {}}}),
    "address outside": _add(a=_joined(addresses=["172.31.0.9"])),
    "duplicate address": _add(a=_joined(addresses=["10.10.0.77"]), b=_joined(addresses=["10.10.0.77"])),
    "the gateway's address": _add(a=_joined(addresses=["10.10.0.1", "10.20.0.1", "10.30.0.1"])),
    "number outside": _add(a=_joined(addresses=[5000])),
    "overlap": _add({"wide": {"subnets": ["10.0.0.0/8"]}}),
    "host bits": _add({"bits": {"subnets": ["172.30.0.1/24"]}}, a={"endpoints": {"eth0": "bits"}}),
    "gateway outside": _add({"n": {"subnets": [{"subnet": "172.30.0.0/24", "gateway": "172.29.0.1"}]}}),
    "ip_range outside": _add({"n": {"subnets": [{"subnet": "172.30.0.0/24", "ip_range": "172.29.0.0/25"}]}}),
    "next hop outside": _add(a=_routed(via="172.28.0.1")),
    "next hop nowhere": _add(a=_routed()),
    "next hop behind a route": _add(
        a={
            "endpoints": {"eth0": "NETWORK"},
            "routes": [
                {"to": "172.28.0.0/24", "dev": "eth0"},
                {"to": "172.29.0.0/16", "via": "172.28.0.1"},
                {"to": "172.27.0.0/16", "via": "172.26.0.1"},
            ],
        }
    ),
    "source outside": _add(a=_routed(dev="eth0", src="172.28.0.1")),
    "unknown interface": _add(a=_routed(dev="eth7")),
    "group address": _add(a=_joined(mac="03:00:00:00:00:01")),
    "duplicate MAC": _add(a=_joined(mac="02:00:00:00:77:01"), b=_joined(mac="02:00:00:00:77:01")),
    "MAC of another address": _add(
        {"m": {"subnets": ["172.27.0.0/29"]}},
        a={"endpoints": {"eth0": {"network": "m", "mac": "02:42:ac:1b:00:02"}}},
        b={"endpoints": {"eth0": {"network": "m", "addresses": ["172.27.0.2"]}}},
    ),
    "no room": _add(
        {"full": {"subnets": ["172.27.0.0/30"]}},
        a={"endpoints": {"eth0": "full", "eth1": "full"}},
        b={"endpoints": {"eth0": "full"}},
    ),
    "pool used up": _add({f"drawn{n}": {"subnets": ["ipv4"] * 64} for n in range(5)}),
    "adopts nothing": _add({"adopted": {"subnets": [], "options": {"adopt": True}}}),
    "isolated and hairpin": _add({"n": {"subnets": [], "options": {"isolated": True, "hairpin": True}}}),
    "one device twice": _add({f"n{n}": {"subnets": [], "options": {"name": "br-twice"}} for n in range(2)}),
    "one namespace twice": _add(a={"netns": "vm9", **_joined()}, b={"netns": "vm9", **_joined()}),
    "two kinds": _add(a={"netns": "vm9", "pid": 7}),
    "setting of no interface": _add(a={**_joined(), "sysctls": {"net.ipv4.conf.eth7.rp_filter": 0}}),
    "IPv6 taken away": _add(
        {"six": {"subnets": ["fd00:77::/64"]}},
        a={"endpoints": {"eth0": {"network": "six", "sysctls": {"net.ipv6.conf.IFNAME.disable_ipv6": 1}}}},
        b={"endpoints": {"eth0": "six"}, "sysctls": {"net.ipv6.conf.all.disable_ipv6": 1}},
    ),
    "mtu too large": _add({"small": {"mtu": 1300, "subnets": []}}, a={"endpoints": {"e": {"network": "small", "mtu": 1400}}}),
    "mtu too small": _add(
        {"six": {"subnets": ["fd00:77::/64"], "mtu": 1000}, "open": {"subnets": ["fd00:78::/64"]}},
        a={"endpoints": {"eth0": "six", "eth1": {"network": "open", "mtu": 1000}}},
    ),
    "a number without replicas": _add(a={"netns": "vm{n}"}),
    "a name twice": _add(**{"a-1": {}, "a": {"replicas": 2}}),
    "a number that is none": _add(a={"replicas": 3, "netns": "vm{n-1}"}),
    "unknown host": _add(a={"host": "mars"}),
}  # fmt: skip


def wrong(topology: Topology, random: Random) -> Topology:
    """The topology with up to three mistakes of meaning."""
    topology = copy.deepcopy(topology)
    for name in random.sample(sorted(MEANING), random.randint(1, 3)):
        network = random.choice(sorted(topology["networks"]) or ["nowhere"])
        MEANING[name](topology, network)
    return topology


# --------------------------------------------------------------------------------------------------- mistakes of form


def _holders(node: Any) -> Iterator[Any]:
    if isinstance(node, dict | list) and node:
        yield node
    for part in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _holders(part)


def misspell(topology: Topology, random: Random) -> None:
    """A key with a letter too many, or a name with a forbidden one."""
    holder = random.choice([each for each in _holders(topology) if isinstance(each, dict)])
    key = random.choice(sorted(holder))
    new = random.choice([key + key[-1], key[:1].upper() + key[1:], f"{key}!"])
    items = [(new if each == key else each, value) for each, value in holder.items()]
    holder.clear()
    holder.update(items)


def garble(topology: Topology, random: Random) -> None:
    """A value of another type, or of the right type and no sense."""
    holder = random.choice(list(_holders(topology)))
    key = random.choice(sorted(holder)) if isinstance(holder, dict) else random.randrange(len(holder))
    junk: list[Any] = [None, [[]], -7, 0.5, "?!", True]
    holder[key] = random.choice(junk if isinstance(holder[key], dict) else [*junk, {"a": 1}])


def intrude(topology: Topology, random: Random) -> None:
    """A key that nobody knows."""
    random.choice([each for each in _holders(topology) if isinstance(each, dict)])["zzz"] = 1


def stray(topology: Topology, random: Random) -> None:
    """A key one or two levels too far out, as a wrong indentation leaves it."""
    above = [each for each in _holders(topology) if isinstance(each, dict)]
    outer = random.choice([each for each in above if not _is_endpoints(each, topology)])
    inner = random.choice([each for each in _holders(outer) if isinstance(each, dict)])
    key = random.choice(sorted(inner))
    if key not in outer:
        outer[key] = inner.pop(key)


def _is_endpoints(holder: Topology, topology: Topology) -> bool:
    """Whether every text with a fitting name is an endpoint there, and so no mistake of form."""
    sandboxes = topology.get("sandboxes")
    if not isinstance(sandboxes, dict):
        return False
    return any(holder is each.get("endpoints") for each in sandboxes.values() if isinstance(each, dict))


def repeat(topology: Topology, random: Random) -> None:
    """A key twice: with the same value, that of a neighbour, or another one in a second section."""
    holder = random.choice([each for each in _holders(topology) if isinstance(each, dict)])
    key = random.choice(sorted(holder))
    holder[key + AGAIN] = copy.deepcopy(random.choice([holder[key], *holder.values(), 7, {}]))


FORM = (misspell, garble, intrude, stray, repeat)


# ------------------------------------------------------------------------------------------------------ what holds


@MANY
@given(topology=topologies(), mistake=st.sampled_from(FORM), seed=st.integers(0, 2**32))
def test_a_mistake_of_form_has_no_consequences(
    file: Path, topology: Topology, mistake: Callable[[Topology, Random], None], seed: int
) -> None:
    """A topology that was right before is wrong only where the mistake is."""
    mistake(topology, Random(seed))
    of_form = said_of_form(file, topology)
    assume(of_form)
    assert said(file, topology) == of_form


@MANY
@given(
    topology=topologies(),
    mistakes=st.lists(st.sampled_from(FORM), min_size=1, max_size=2),
    seed=st.integers(0, 2**32),
)
def test_what_is_found_besides_stays_when_the_form_is_mended(
    file: Path, topology: Topology, mistakes: list[Callable[[Topology, Random], None]], seed: int
) -> None:
    """Each mistake of meaning that is told beside mistakes of form is told without them as well."""
    random = Random(seed)
    mended = wrong(topology, random)
    broken, of_form = mended, set[Said]()
    for mistake in mistakes:
        worse = copy.deepcopy(broken)
        mistake(worse, random)
        if (told := said_of_form(file, worse)) > of_form:  # a name may be as good as another
            broken, of_form = worse, told
    assume(of_form)
    assert said(file, broken) - of_form <= said(file, mended)


@MANY
@given(
    topology=topologies(), where=st.sampled_from(("top", "network", "sandbox")), seed=st.integers(0, 2**32)
)
def test_a_mistake_of_form_hides_nothing_elsewhere(
    file: Path, topology: Topology, where: str, seed: int
) -> None:
    """What is wrong with a topology is told in full beside a mistake of form that touches none of it."""
    mended = wrong(topology, Random(seed))
    broken = copy.deepcopy(mended)
    match where:
        case "top":
            broken["version"] = "3"
        case "network":
            broken["networks"]["other"] = {"subnets": ["192.168.77.0/24"], "labells": {"tier": "app"}}
            mended["networks"]["other"] = {"subnets": ["192.168.77.0/24"]}
        case _:
            broken["sandboxes"]["other"] = {"labels": {"tier": 1}, "sysctls": {"kernel.panic": 1}}
            mended["sandboxes"]["other"] = {}
    of_form = said_of_form(file, broken)
    assert of_form
    assert said(file, broken) == of_form | said(file, mended)
