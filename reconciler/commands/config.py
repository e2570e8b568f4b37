"""`config`: the topology in its one canonical form, or where one value of it comes from.

The form holds what files and built-in defaults say. Values that are decided later (allocated addresses, derived MACs,
an MTU that a network hands down) are no part of it, but `--explain` knows them as well.
"""

from __future__ import annotations

import difflib
from argparse import Namespace
from collections.abc import Iterator
from typing import NamedTuple

from .. import pipeline, resolve
from ..errors import Exit, UsageError
from ..load import expand, fields, source
from ..load.expand import Expanded, OriginKind
from ..load.tree import Map, Seq
from ..model import Endpoint, IPInterface, IPNetwork, Leases, Network
from ..pipeline import Loaded
from ..render import explained as render
from ..render.explained import Explained
from ..render.words import USUAL_MTU
from .console import Console
from .inputs import inputs, state_dir

_WHY = {
    OriginKind.DECLARED: "declared",
    OriginKind.OVERRIDE: "declared by an override",
    OriginKind.DEFAULTS: "from defaults",
    OriginKind.BUILT_IN: "built-in default",
}


_NAMED = ("networks", "sandboxes", "endpoints")  # maps with free names: what they hold is one level below


def run(args: Namespace, console: Console) -> int:
    """The canonical form as YAML or JSON; with `--explain` one value and its origin."""
    named = inputs(args)
    if args.explain is not None:
        found = explain(
            pipeline.load(named.paths, named.overrides, state_dir(args), anywhere=True), args.explain
        )
        if console.json:
            console.document(render.document(found))
        else:
            console.result(render.text(found, console.out))
        return Exit.OK
    expanded = expand.read(named.paths, named.overrides)
    if expanded.mistakes:
        resolve.refuse(expanded)
    _check(expanded)
    tree = expand.to_plain(expanded.tree)
    if console.json:
        console.document({"inputs": {"files": expanded.files, "digest": expanded.digest}, "topology": tree})
    else:
        console.result(source.dump(tree))
    return Exit.OK


def _check(expanded: Expanded) -> None:
    """What is printed as canonical is valid as a whole."""
    resolve.resolve(
        expanded.tree, name_mark=expanded.name_mark, files=expanded.files, leases=Leases(), taken=()
    )


def explain(loaded: Loaded, path: str) -> list[Explained]:
    """The value at `path`, or the values when it is a list that was decided item by item. Raises UsageError."""
    found = list(_decided(loaded, path)) or _declared(loaded.expanded, path) or _unset(loaded, path)
    if not found:
        raise UsageError(f"the topology has no value '{path}'", hint=_hint(loaded, path))
    return found


def _hint(loaded: Loaded, path: str) -> str:
    """The path that was probably meant: a name of the topology, else a field that is known there."""
    names = [*loaded.topology.sandboxes, *loaded.topology.networks]
    first, dot, rest = path.partition(".")
    close = difflib.get_close_matches(first, names, 1)
    if close and close[0] != first:
        return f"did you mean '{close[0]}{dot}{rest}'?"
    above, _, field = path.rpartition(".")
    known = [name for level in _levels(loaded, above) for name in (*_fields(level), *map(str, level.value))]
    if near := difflib.get_close_matches(field, known, 1):
        return f"did you mean '{above}.{near[0]}'?"
    return "name it as in web.eth0.mtu or networks.front.subnets"


def _unset(loaded: Loaded, path: str) -> list[Explained]:
    """A field that exists where the path leads and that nobody gave a value: what the schema says about it."""
    above, _, field = path.rpartition(".")
    level = next((level for level in _levels(loaded, above) if field in _fields(level)), None)
    if level is None:
        return []
    full = f"{level.path}.{field}"
    found = fields.describe(full)
    default = found.default or found.description.partition("Omitted: ")[2].partition(".")[0]
    why = f"default: {default}" if default else found.description
    if found.not_yet:
        why = "not realised by this version"
    return [Explained(full, None, "unset", why)]


class _Level(NamedTuple):
    """A map of the topology that a path leads to."""

    path: str
    value: Map


def _levels(loaded: Loaded, above: str) -> list[_Level]:
    """The maps that `above` can mean: `web` stands for the sandbox and, since it is shorter to write, for its endpoints."""
    found = [loaded.expanded.origin(path) for path in dict.fromkeys((above, f"sandboxes.{above}")) if above]
    return [_Level(o.path, o.value) for o in found if o is not None and isinstance(o.value, Map)]


def _fields(level: _Level) -> list[str]:
    if level.path.rpartition(".")[2] in _NAMED:
        return []
    try:
        doc = fields.describe(level.path)
        return [name for each in (doc, *doc.others) for name, _ in each.children if name != "*"]
    except UsageError:  # a dot in a name is no step in the schema
        return []


def _declared(expanded: Expanded, path: str) -> list[Explained]:
    origin = expanded.origin(path)
    if origin is None:
        return []
    why = _WHY[origin.kind]
    if origin.replica is not None:
        why = f"replica {origin.replica[1]} of '{origin.replica[0]}', {why}"
    return [Explained(origin.path, origin.value, origin.kind.value, why, origin.mark)]


# --------------------------------------------------------------------------------------- what no file says literally


def _decided(loaded: Loaded, path: str) -> Iterator[Explained]:
    field = path.rpartition(".")[2]
    network = loaded.topology.networks.get(_name_of(path))
    if field == "mtu" and network is not None and network.mtu is None:
        why = "the network sets none: what a new link has"
        yield Explained(f"networks.{network.name}.mtu", USUAL_MTU, "derived", why)
    if field == "subnets" and network is not None:
        yield from _drawn_subnets(loaded, network)
    endpoint = _endpoint(loaded, path)
    if endpoint is None:
        return
    where, found = endpoint
    data = loaded.expanded.origin(where)
    declared = data.value if data is not None and isinstance(data.value, Map) else {}
    match field:
        case "addresses":
            yield from _addresses(loaded, where, found, declared)
        case "mac" if "mac" not in declared:
            yield Explained(f"{where}.mac", found.mac, "derived", "derived from the first address")
        case "mtu" if "mtu" not in declared:
            if found.mtu is None:
                why = "neither the endpoint nor its network sets one: what a new link has"
                yield Explained(f"{where}.mtu", USUAL_MTU, "derived", why)
            else:
                yield Explained(f"{where}.mtu", found.mtu, "derived", f"the mtu of network '{found.network}'")


def _name_of(path: str) -> str:
    """The network that `networks.front.mtu` or `front.mtu` is about."""
    return path.removeprefix("networks.").rpartition(".")[0]


def _endpoint(loaded: Loaded, path: str) -> tuple[str, Endpoint] | None:
    """The endpoint whose field `path` names, with the full path of the endpoint."""
    name, _, rest = path.removeprefix("sandboxes.").partition(".")
    sandbox = loaded.topology.sandboxes.get(name)
    if sandbox is None:
        return None
    wanted = rest.removeprefix("endpoints.").rpartition(".")[0]
    for endpoint in sandbox.endpoints:
        if endpoint.name == wanted:
            return f"sandboxes.{name}.endpoints.{wanted}", endpoint
    return None


def _addresses(
    loaded: Loaded, where: str, endpoint: Endpoint, declared: dict[str, object]
) -> Iterator[Explained]:
    _, sandbox, _, name = where.split(".", 3)
    automatic = loaded.leases.endpoints.get(f"{sandbox}/{name}", ())
    listed = declared.get("addresses")
    mark = declared.value_mark("addresses") if isinstance(declared, Map) and isinstance(listed, Seq) else None
    for address in endpoint.addresses:
        if str(address.ip) in automatic:
            why = _pool(loaded, endpoint.network, address)
            yield Explained(f"{where}.addresses", str(address), "allocated", f"allocated from {why}")
        else:
            yield Explained(f"{where}.addresses", str(address), "declared", "declared", mark)


def _pool(loaded: Loaded, network: str, address: IPInterface) -> str:
    for subnet in loaded.topology.networks[network].subnets:
        if address.ip in subnet.subnet:
            place = f"subnet {subnet.subnet}"
            if subnet.ip_range != subnet.subnet:
                place = f"{subnet.ip_range}, the ip_range of subnet {subnet.subnet}"
            drawn = _draw(loaded, network, subnet.subnet)
            return f"{place} of network '{network}'{f', itself drawn from {drawn}' if drawn else ''}"
    return f"network '{network}'"


def _drawn_subnets(loaded: Loaded, network: Network) -> Iterator[Explained]:
    path = f"networks.{network.name}.subnets"
    drawn = [(subnet.subnet, _draw(loaded, network.name, subnet.subnet)) for subnet in network.subnets]
    if not any(pool for _, pool in drawn):
        return
    for subnet, pool in drawn:
        if pool:
            yield Explained(path, str(subnet), "allocated", f"drawn from {pool}")
        else:
            yield Explained(path, str(subnet), "declared", "declared", network.mark)


def _draw(loaded: Loaded, network: str, subnet: IPNetwork) -> str | None:
    """The default pool that a subnet was drawn from, None for a declared one."""
    if str(subnet) not in loaded.leases.networks.get(network, ()):
        return None
    pools = loaded.expanded.tree.get("pools")
    for item in pools if isinstance(pools, Seq) else ():
        base = item.get("base") if isinstance(item, Map) else None
        if isinstance(base, str) and _holds(base, subnet):
            return f"the pool {base}"
    return "the built-in pool"


def _holds(base: str, subnet: IPNetwork) -> bool:
    from ipaddress import ip_network

    pool = ip_network(base, strict=False)
    return pool.version == subnet.version and subnet.network_address in pool
