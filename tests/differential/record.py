"""Makes each specification twice, by Docker and by the reconciler, each on fresh private hosts, and records both.

`python -m tests.differential.record FOLDER [SPEC…]`, in the second kernel: see run.sh. A recording has what is the same
once, and for what is not, both sides. It also says what is left after everything was removed again.
"""

from __future__ import annotations

import json
import platform
import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import yaml

from tests import snapshot
from tests.differential.dockerd import Engine, engine
from tests.differential.facts import Facts, Look, Names, facts
from tests.differential.hosts import Spec, hosts, load
from tests.world import World

AFTERWARDS = "afterwards: "
_OF_IPTABLES = re.compile(r"table ip6? (filter|nat|mangle|raw|security)")
Looks = dict[str, Look]


def main() -> int:
    """Records the named specifications into a folder; says which could not be, and returns 1 if there are any."""
    folder, *names = sys.argv[1:]
    failed = 0
    for name in names:
        since = time.monotonic()
        spec = load(Path(__file__).parent / "specs" / f"{name}.yaml")
        try:
            recorded = record(spec)
        except AssertionError as error:
            sys.stdout.write(f"{name}: {error}\n")
            failed = 1
            continue
        text = yaml.safe_dump(recorded, sort_keys=False, width=160, allow_unicode=True)
        (Path(folder) / f"{name}.yaml").write_text(text, encoding="utf-8")
        sys.stdout.write(f"{name}: {time.monotonic() - since:.0f} s\n")
        sys.stdout.flush()
    return failed


def record(spec: Spec) -> dict[str, Any]:
    """What is the same, and what is not."""
    version, theirs = by_docker(spec)
    ours = by_reconciler(spec)
    return {"docker": version, "linux": platform.release(), **compared(theirs, ours)}


def compared(theirs: Facts, ours: Facts) -> dict[str, Any]:
    """The facts of both, and those of each, by place and attribute."""
    parts: dict[str, Facts] = {"both": {}, "only_docker": {}, "only_ours": {}}
    differ: dict[str, dict[str, list[str]]] = {}
    for place in sorted(theirs.keys() | ours.keys()):
        left, right = theirs.get(place, {}), ours.get(place, {})
        for key in sorted(left.keys() | right.keys()):
            if key not in right:
                parts["only_docker"].setdefault(place, {})[key] = left[key]
            elif key not in left:
                parts["only_ours"].setdefault(place, {})[key] = right[key]
            elif left[key] == right[key]:
                parts["both"].setdefault(place, {})[key] = left[key]
            else:
                differ.setdefault(place, {})[key] = [left[key], right[key]]
    return {**parts, "differ": differ}


# --------------------------------------------------------------------------------------------------------- the two sides


def by_reconciler(spec: Spec) -> Facts:
    """What an apply makes, and what a destroy leaves."""
    topology, name = json.dumps(spec.topology), spec.topology["name"]
    networks = {f"{name}-{network}": network for network in spec.topology.get("networks", {})}
    with hosts(spec) as worlds:
        before = {host: look(world) for host, world in worlds.items()}
        files = {host: str(world.write("topology.yaml", topology)) for host, world in worlds.items()}
        which = {host: ("--host", host) if host else () for host in worlds}
        for host, world in worlds.items():
            world.reconciler("apply", files[host], *which[host], "--yes", timeout=300)
        after = {host: look(world) for host, world in worlds.items()}
        for host, world in worlds.items():
            world.reconciler("destroy", files[host], *which[host], "--yes", timeout=300)
        end = {host: look(world) for host, world in worlds.items()}
    names = {
        host: Names(networks, {each: each.removeprefix(f"{name}.") for each in look_.namespaces if each})
        for host, look_ in after.items()
    }
    return _both(before, after, end, names)


def by_docker(spec: Spec) -> tuple[str, Facts]:
    """The engine's version; what its commands make, the engine's own start included, and what their undoing leaves."""
    with hosts(spec) as worlds, ExitStack() as stack:
        before = {host: look(world) for host, world in worlds.items()}
        engines = {host: stack.enter_context(engine(world)) for host, world in worlds.items()}
        if spec.hosts > 1:
            _swarm(engines)
        for host, commands in spec.docker.items():
            for command in commands:
                engines[host](command)
        names = {host: each.show() for host, each in engines.items()}
        for host, sandbox, address in spec.reach:  # engines tell each other of endpoints by gossip
            assert worlds[host].ping(sandbox, address, timeout=60), f"{sandbox} does not reach {address}"
        after = {host: look(world) for host, world in worlds.items()}
        for host, each in engines.items():
            each.hide(names[host])
        _undo(spec, engines)
        end = {host: look(world) for host, world in worlds.items()}
        version = str(next(iter(engines.values())).ask("/version")["Version"])
    return version.partition("+")[0], _both(before, after, end, names)


def _swarm(engines: Mapping[str, Engine]) -> None:
    manager, *rest = engines.values()
    manager(f"swarm init --advertise-addr {_wire_address(manager.host)}")
    token = manager("swarm join-token -q worker")
    for each in rest:
        each(
            f"swarm join --token {token} --advertise-addr {_wire_address(each.host)} {_wire_address(manager.host)}"
        )


def _wire_address(host: World) -> str:
    (link,) = host.ip("-4", "address", "show", "dev", "eth0")
    return str(link["addr_info"][0]["local"])


def _undo(spec: Spec, engines: Mapping[str, Engine]) -> None:
    for each in reversed(list(engines.values())):
        if running := each.ask("/containers/json?all=1"):
            each(f"container rm -f {' '.join(one['Id'] for one in running)}")
    manager, *_ = engines.values()
    for name, network in spec.topology.get("networks", {}).items():
        if network.get("driver") not in ("null", "host"):
            manager(f"network rm {name}")
    if spec.hosts > 1:
        for each in reversed(list(engines.values())):
            each("swarm leave --force")


# ---------------------------------------------------------------------------------------------------------------- a look


def look(host: World) -> Look:
    """What a host holds, without what was drawn by chance."""
    host.settle(dad=True)
    observed = host.observe()
    text = snapshot.mask(host, snapshot.canonical(observed))
    namespaces = json.loads(text)["namespaces"]
    firewall = {
        name: (*_iptables(host, name or None), *_nftables(held["nft"])) for name, held in namespaces.items()
    }
    return Look(namespaces, firewall)


def _iptables(host: World, namespace: str | None) -> Iterator[str]:
    """The rules of iptables, and the chains that do not accept by themselves."""
    for program in ("iptables-save", "ip6tables-save"):
        table, family = "", "IPv4" if program == "iptables-save" else "IPv6"
        for line in host.run(program, netns=namespace).stdout.splitlines():
            if line.startswith("*"):
                table = line[1:]
            elif line.startswith("-A"):
                yield f"{family} {table}: {line}"
            elif line.startswith(":") and " ACCEPT" not in line:
                yield f"{family} {table}: chain {line[1:].partition(' [')[0]}"


def _nftables(lines: Iterable[str]) -> Iterator[str]:
    """What is in tables of nftables; those of iptables are shown there as well."""
    table = ""
    for line in lines:
        if line.startswith("table "):
            table = line.rstrip(" {")
        elif line.strip(" \t}") and table.split()[1:] and not _OF_IPTABLES.fullmatch(table):
            yield f"{table}: {line.strip()}"


def _both(before: Looks, after: Looks, end: Looks, names: Mapping[str, Names]) -> Facts:
    found: Facts = {}
    for host in before:
        prefix = f"{host}: " if host else ""
        for place, each in facts(before[host], after[host], names[host]).items():
            found[f"{prefix}{place}"] = each
        for place, each in facts(before[host], end[host], names[host]).items():
            found[f"{AFTERWARDS}{prefix}{place}"] = each
    return found


if __name__ == "__main__":
    sys.exit(main())
