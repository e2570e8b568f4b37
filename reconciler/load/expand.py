"""Files to one canonical tree: merged, defaults applied, short forms long, replicas expanded, built-ins filled in.

`load` and `read` are the entries for commands and read files; everything behind them is pure. The tree has one form for
one meaning, its keys in one order, and each value still knows the line that declared it: what no file declares (built-in
defaults) has no place. It is shared, with itself and with the input, and must not be changed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from ..errors import Diagnostic, Mark, TopologyError
from ..garbage import left_lying
from . import checks, layers, salvage
from .merge import below, long_endpoint, long_host, merge, only
from .replicas import NotExpandable, depends_on_number, replica, stray_numbers
from .source import default_paths
from .tree import REST, UNKNOWN, Map, Seq, gapped, opened, places, walk

MAX_SANDBOXES = 20_000
MAX_ENDPOINTS = 60_000

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_NETWORK = ("driver", "subnets", "internal", "protect", "mtu", "labels", "options")
_SANDBOX = ("netns", "pid", "host", "endpoints", "routes", "sysctls", "protect", "labels")
_ENDPOINT = ("network", "addresses", "mac", "mtu", "gateway_priority", "sysctls", "bandwidth", "impair")
_BANDWIDTH = ("egress", "ingress", "burst", "latency")
_IMPAIR = ("delay", "jitter", "correlation", "loss", "duplicate", "corrupt", "reorder", "gap", "limit")
_ROUTE = ("to", "via", "dev", "metric", "table", "type", "src", "onlink")
_HOST = ("vtep", "underlay_mtu")
_SUBNET = ("subnet", "gateway", "ip_range", "aux_addresses")

_Built = Mapping[str, Callable[[Mark], object]]
_NETWORK_BUILT_IN: _Built = {
    "driver": lambda _: "bridge",
    "subnets": lambda mark: _drawn(mark),  # noqa: PLW0108  # defined below
    "internal": lambda _: False,
    "labels": Map,
    "options": Map,
}
# Networks that give their sandboxes no interface (`options.Traits.links`): nothing is drawn for them, and defaults
# are for networks that can have what they say.
_WITHOUT_LINKS = ("null", "host")
_LINKLESS_BUILT_IN: _Built = {**_NETWORK_BUILT_IN, "subnets": Seq}
_SANDBOX_BUILT_IN: _Built = {"endpoints": Map, "routes": Seq, "sysctls": Map, "labels": Map}
_ENDPOINT_BUILT_IN: _Built = {"gateway_priority": lambda _: 0, "sysctls": Map}
_HOST_BUILT_IN: _Built = {"underlay_mtu": lambda _: 1500}
_ROUTE_BUILT_IN: _Built = {"table": lambda _: 254, "type": lambda _: "unicast", "onlink": lambda _: False}


class OriginKind(Enum):
    """Who decided a value."""

    DECLARED = "declared"
    OVERRIDE = "override"
    DEFAULTS = "defaults"
    BUILT_IN = "built-in"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value of the tree comes from.

    `path` is complete, `mark` is None for built-ins, `replica` is (template, number) inside of a replica. Overrides and
    defaults are told apart by the place of the value, so a value repeated by an alias counts where it is written.
    """

    path: str
    value: object
    kind: OriginKind
    mark: Mark | None
    replica: tuple[str, int] | None


@dataclass(frozen=True, slots=True)
class Expanded:
    """The canonical tree of one topology. `files` are in reading order; `digest` changes with any name or byte of them.

    With `mistakes`, the tree is what is left without them: good for finding more of them, and for nothing else.
    """

    name: str
    name_mark: Mark
    tree: Map
    files: tuple[str, ...]
    digest: str
    mistakes: tuple[Diagnostic, ...]
    replicas: Mapping[str, tuple[str, int]] = field(repr=False)
    _defaults: frozenset[Mark] = field(repr=False)
    _overrides: frozenset[str] = field(repr=False)

    def origin(self, path: str) -> Origin | None:
        """Who decided the value at `sandboxes.web-1.endpoints.eth0.mtu`, or `web-1.eth0.mtu` for short; None if nobody."""
        parts = tuple(part for part in path.replace("[", ".").replace("]", "").split(".") if part)
        for candidate in self._candidates(parts):
            if (found := walk(self.tree, candidate)) is not None:
                return self._origin(*found)
        return None

    def _candidates(self, parts: tuple[str, ...]) -> Iterable[tuple[str, ...]]:
        yield parts
        if not parts:
            return
        first, rest = parts[0], parts[1:]
        template = next((name for name, (origin, _) in self.replicas.items() if origin == first), first)
        for name in dict.fromkeys((first, template)):
            yield ("sandboxes", name, "endpoints", *rest)
            yield ("sandboxes", name, *rest)
        yield ("networks", first, *rest)

    def _origin(self, path: tuple[str, ...], value: object, mark: Mark | None) -> Origin:
        if mark is None:
            kind = OriginKind.BUILT_IN
        elif mark in self._defaults:
            kind = OriginKind.DEFAULTS
        else:
            kind = OriginKind.OVERRIDE if mark.file in self._overrides else OriginKind.DECLARED
        numbered = self.replicas.get(path[1]) if path[:1] == ("sandboxes",) and len(path) > 1 else None
        return Origin(".".join(path), value, kind, mark, numbered)


def load(paths: Sequence[str], overrides: Sequence[str] = ()) -> Expanded:
    """The topology that files declare; each override is a layer of its own, later ones win.

    Without paths, what `default_paths` finds is read.
    Raises TopologyError with every mistake of form in all files, UsageError for a path that names nothing.
    """
    expanded = read(paths, overrides)
    if expanded.mistakes:
        raise TopologyError(expanded.mistakes)
    return expanded


def read(paths: Sequence[str], overrides: Sequence[str] = (), within: str | None = None) -> Expanded:
    """As `load`, but with mistakes of form in `mistakes` and cut out of the tree, so that the rest can be judged.

    Raises TopologyError where nothing can be judged: a file is missing or is no YAML, and what it would have declared
    cannot be told, or there are more mistakes than were looked for. `within` is as `layers.read` has it.
    """
    with left_lying():
        sources = layers.read(paths or default_paths(), overrides, within)
        checked = salvage.check(sources.layers, sources.drafts)
        if sources.mistakes or not checked.is_whole:
            raise TopologyError([*sources.mistakes, *checked.mistakes])
        return expand(replace(sources, layers=checked.layers), checked.mistakes)


def expand(sources: layers.Sources, mistakes: Sequence[Diagnostic] = ()) -> Expanded:
    """The canonical tree of files that the schema accepts, or that are what it left of them.

    `mistakes` are the ones known already; those that files make only together come on top.
    """
    merged, found = merge(sources.layers)
    name = merged.get("name")
    if name is None:
        hint = f"add 'name: …' to {sources.files[0]}" if sources.files else None
        found.append(Diagnostic("missing-key", "no file gives the topology a name", merged.mark, hint))
    tree = Map(merged.mark)
    tree.put("name", UNKNOWN if name is None else name, merged.marks.get("name"))
    numbers: dict[str, tuple[str, int]] = {}
    tree.put("pools", _pools(merged), merged.marks.get("pools"))
    if "hosts" in merged:
        tree.put("hosts", _hosts(merged), merged.marks.get("hosts"))
    networks = _networks(merged)
    tree.put("networks", networks, merged.marks.get("networks"))
    sandboxes = _sandboxes(merged, networks, numbers, found)
    tree.put("sandboxes", sandboxes, merged.marks.get("sandboxes"))
    if "checks" in merged:
        tree.put(
            "checks",
            checks.long(merged["checks"], merged.mark, sandboxes, numbers),
            merged.marks.get("checks"),
        )
    return Expanded(
        name=name if isinstance(name, str) else "",
        name_mark=merged.value_mark("name"),
        tree=tree,
        files=sources.files,
        digest=sources.digest,
        mistakes=(*mistakes, *found),
        replicas=numbers,
        _defaults=frozenset(
            places(data["defaults"] for files in sources.layers for data in files if "defaults" in data)
        ),
        _overrides=frozenset(data.mark.file for files in sources.layers[1:] for data in files),
    )


def to_plain(tree: Map) -> dict[str, object]:
    """The tree as plain dicts and lists in canonical order: a topology file that means the same."""
    return {key: _plain(value) for key, value in tree.items()}


# ------------------------------------------------------------------------------------------------------- canonical


def _pools(merged: Map) -> Seq:
    declared = merged.get("pools")
    if declared is UNKNOWN:
        return gapped(merged.mark)
    if not isinstance(declared, Seq):
        pool = Map(merged.mark)
        pool.update(base="10.201.0.0/16", size=24)
        pools = Seq(merged.mark)
        pools.put(pool, merged.mark)
        return pools
    pools = Seq(declared.mark)
    for item, mark in zip(declared, declared.marks, strict=True):
        if item is UNKNOWN:
            pools.put(UNKNOWN, mark)
            continue
        assert isinstance(item, Map)
        pool = _ordered(item, mark, ("base", "size"), {})
        pool.setdefault("size", 64 if ":" in str(item["base"]) else 24)
        pools.put(pool, mark)
    return pools


def _hosts(merged: Map) -> Map:
    declared = _map_of(merged, "hosts")
    result = Map(declared.mark)
    for name, value in declared.items():
        if name == REST:
            result[REST] = UNKNOWN
            continue
        marks = declared.marks.get(name) or (declared.mark, declared.mark)
        result.put(name, _ordered(long_host(value, marks[1]), marks[0], _HOST, _HOST_BUILT_IN), marks)
    return result


def _networks(merged: Map) -> Map:
    general = _map_of(_map_of(merged, "defaults"), "network")
    general_driver = general.get("driver", "bridge")
    others = only(general, [key for key in general if key != "options"])  # which are those of one driver
    declared = _map_of(merged, "networks")
    result = Map(declared.mark)
    for name, value in declared.items():
        mark = declared.key_mark(name)
        if name == REST:
            result[REST] = UNKNOWN
            continue
        own = _long(value, mark)
        driver = own.get("driver", general_driver)
        usual, built_in = general if driver == general_driver else others, _NETWORK_BUILT_IN
        if driver in _WITHOUT_LINKS:
            usual, built_in = only(general, ("driver", "protect", "labels")), _LINKLESS_BUILT_IN
        network = _ordered(below(usual, own), mark, _NETWORK, built_in)
        if "subnets" in network.marks:
            network["subnets"] = _subnets(network["subnets"])
        result.put(name, network, declared.marks.get(name))
    return result


def _subnets(declared: object) -> Seq:
    assert isinstance(declared, Seq)
    result = Seq(declared.mark)
    for item, mark in zip(declared, declared.marks, strict=True):
        subnet = Map(mark)
        if item is UNKNOWN:
            result.put(UNKNOWN, mark)
            continue
        if isinstance(item, Map):
            subnet = _ordered(item, mark, _SUBNET, {})
        else:
            subnet.put("subnet", item, (mark, mark))
        if subnet["subnet"] in ("ipv4", "ipv6"):
            drawn = Map(mark)
            drawn.put("draw", subnet.pop("subnet"), subnet.marks.pop("subnet"))
            drawn.update(subnet)
            drawn.marks.update(subnet.marks)
            subnet = drawn
        result.put(subnet, mark)
    return result


def _drawn(mark: Mark) -> Seq:
    subnet = Map(mark)
    subnet["draw"] = "ipv4"
    subnets = Seq(mark)
    subnets.put(subnet, mark)
    return subnets


def _sandboxes(
    merged: Map, networks: Map, numbers: dict[str, tuple[str, int]], found: list[Diagnostic]
) -> Map:
    defaults = _map_of(merged, "defaults")
    general, endpoint = _map_of(defaults, "sandbox"), _map_of(defaults, "endpoint")
    endpoint = long_endpoint(endpoint, endpoint.mark)
    declared = _map_of(merged, "sandboxes")
    complete = {
        name: below(general, _long(declared[name], declared.key_mark(name)))
        for name in declared
        if name != REST
    }
    if too_many := _too_many(declared, complete):
        found.append(too_many)
        return opened(declared.mark)
    result = opened(declared.mark) if REST in declared else Map(declared.mark)
    for name, value in complete.items():
        if value.get("replicas") is UNKNOWN or declared[name] is UNKNOWN:
            result[REST] = UNKNOWN  # not even its name is known
            continue
        marks = declared.marks.get(name) or (declared.mark, declared.mark)
        sandbox = _sandbox(value, marks[0], endpoint, networks)
        if "replicas" not in value:
            if stray := list(stray_numbers(sandbox)):
                found += stray if REST not in value else []
                result[REST] = UNKNOWN
            else:
                _add(name, sandbox, marks, result, found)
            continue
        _expand(name, sandbox, value, marks, result=result, numbers=numbers, found=found)
    return result


def _long(value: object, mark: Mark) -> Map:
    """The map of a network or sandbox; a name without anything stands for an empty one."""
    if value is UNKNOWN:
        return opened(mark)
    return value if isinstance(value, Map) else Map(mark)


def _expand(
    name: str,
    template: Map,
    declared: Map,
    marks: tuple[Mark, Mark],
    *,
    result: Map,
    numbers: dict[str, tuple[str, int]],
    found: list[Diagnostic],
) -> None:
    """Put the replicas of one sandbox into `result`; none of them when there is a number that makes no sense."""
    count = declared["replicas"]
    assert isinstance(count, int)
    differ = depends_on_number(template)
    if not _NAME.fullmatch(f"{name}-{count}"):
        message = f"the name '{name}-{count}' of the last replica has more than 63 characters"
        found.append(Diagnostic("bad-name", message, marks[0]))
        result[REST] = UNKNOWN
        return
    try:
        copies = [replica(template, n) if differ else template for n in range(1, count + 1)]
    except NotExpandable as error:
        found.append(error.diagnostic)
        result[REST] = UNKNOWN
        return
    for n, sandbox in enumerate(copies, 1):
        _add(f"{name}-{n}", sandbox, marks, result, found)
        numbers[f"{name}-{n}"] = (name, n)


def _add(name: str, sandbox: Map, marks: tuple[Mark, Mark], result: Map, found: list[Diagnostic]) -> None:
    """Put a sandbox into `result`, or say that its name is taken; nobody knows then what the second will be called."""
    if name not in result:
        result.put(name, sandbox, marks)
        return
    other = result.key_mark(name)
    hint = f"the other one is {other}; rename one"
    message = f"the sandbox '{name}' is declared and is also a replica"
    found.append(Diagnostic("duplicate-name", message, marks[0], hint, (("first", other),)))
    result[REST] = UNKNOWN


def _too_many(declared: Map, complete: Mapping[str, Map]) -> Diagnostic | None:
    """The diagnostic for the sandbox that exceeds what one topology may hold, before anything is expanded."""
    sandboxes = endpoints = 0
    for name, value in complete.items():
        count = value.get("replicas", 1)
        if count is UNKNOWN:
            continue
        assert isinstance(count, int)
        sandboxes += count
        endpoints += count * len(_map_of(value, "endpoints"))
        if sandboxes > MAX_SANDBOXES or endpoints > MAX_ENDPOINTS:
            message = f"more than {MAX_SANDBOXES:,} sandboxes or {MAX_ENDPOINTS:,} endpoints in one topology"
            if "replicas" in value:
                return Diagnostic("replicas", message, value.value_mark("replicas"), "split the topology")
            return Diagnostic("too-large", message, declared.key_mark(name), "split the topology")
    return None


def _sandbox(declared: Map, mark: Mark, general: Map, networks: Map) -> Map:
    sandbox = _ordered(declared, mark, _SANDBOX, _SANDBOX_BUILT_IN)
    if sandbox.get("host") is False:
        del sandbox["host"]
        sandbox.marks.pop("host", None)
    if isinstance(place := sandbox.get("host"), Map):
        _put_place(sandbox, place)
    if endpoints := _map_of(sandbox, "endpoints"):
        long = Map(endpoints.mark)
        for name, value in endpoints.items():
            if name == REST:
                long[REST] = UNKNOWN
                continue
            marks = endpoints.marks.get(name) or (mark, mark)
            own = long_endpoint(value, marks[1])
            network = _map_of(networks, str(own.get("network", general.get("network"))))
            usual = only(general, ("network",)) if network.get("driver") in _WITHOUT_LINKS else general
            endpoint = _ordered(below(usual, own), marks[0], _ENDPOINT, _ENDPOINT_BUILT_IN)
            endpoint["sysctls"] = _switches(_map_of(endpoint, "sysctls"))
            _shaping(endpoint, own)
            long.put(name, endpoint, marks)
        sandbox["endpoints"] = long
    if routes := sandbox["routes"]:
        sandbox["routes"] = _routes(routes)
    sandbox["sysctls"] = _switches(_map_of(sandbox, "sysctls"))
    return sandbox


def _shaping(endpoint: Map, own: Map) -> None:
    """The parts of `bandwidth` and `impair` in canonical order. Defaults without a rate are for those that have one."""
    for key, keys in (("bandwidth", _BANDWIDTH), ("impair", _IMPAIR)):
        if key in endpoint:
            endpoint[key] = _ordered(_map_of(endpoint, key), endpoint.value_mark(key), keys, {})
    if "bandwidth" not in own and not {"egress", "ingress"} & set(_map_of(endpoint, "bandwidth")):
        endpoint.pop("bandwidth", None)
        endpoint.marks.pop("bandwidth", None)


def _put_place(sandbox: Map, place: Map) -> None:
    """A host in long form says more than its name only for the own stack of that host."""
    if place.get("own_stack") or "name" not in place:
        sandbox["host"] = _ordered(place, place.mark, ("name", "own_stack"), {})
    else:
        sandbox.put("host", place["name"], (sandbox.key_mark("host"), place.value_mark("name")))


def _routes(declared: object) -> Seq:
    assert isinstance(declared, Seq)
    routes = Seq(declared.mark)
    for item, mark in zip(declared, declared.marks, strict=True):
        known = _ordered(item, mark, _ROUTE, _ROUTE_BUILT_IN) if isinstance(item, Map) else UNKNOWN
        routes.put(known, mark)
    return routes


def _switches(sysctls: Map) -> Map:
    """Settings with true and false as the 1 and 0 that the kernel reads."""
    if not any(isinstance(value, bool) for value in sysctls.values()):
        return sysctls
    result = Map(sysctls.mark)
    for key, value in sysctls.items():
        result.put(key, int(value) if isinstance(value, bool) else value, sysctls.marks.get(key))
    return result


def _ordered(data: Map, mark: Mark, keys: Sequence[str], built_in: _Built) -> Map:
    """A level of the tree: its keys in canonical order, what nobody declares from the built-ins, or left out."""
    if REST in data or UNKNOWN in data.values():
        return _torn(data, mark, keys, built_in)
    result = Map(mark)
    marks = data.marks
    for key in keys:
        if key in data:
            result[key] = data[key]
            if key in marks:
                result.marks[key] = marks[key]
        elif key in built_in:
            result[key] = built_in[key](mark)
    return result


def _torn(data: Map, mark: Mark, keys: Sequence[str], built_in: _Built) -> Map:
    """A level of which not everything is known: no built-in stands for what may yet be declared."""
    completed = Map(mark)
    for key in keys:
        value = data.get(key, UNKNOWN if REST in data else None)
        if value is not None:
            value = salvage.hole(key, mark) if value is UNKNOWN else value
            completed.put(key, value, data.marks.get(key))
    for key in built_in.keys() - completed.keys():
        completed[key] = built_in[key](mark)
    return completed


# -------------------------------------------------------------------------------------------------------- the tree


def _map_of(data: Map, key: str) -> Map:
    value = data.get(key)
    if value is UNKNOWN:
        return opened(data.value_mark(key))
    return value if isinstance(value, Map) else Map(data.value_mark(key))


def _plain(value: object) -> object:
    match value:
        case Map():
            return {"subnet" if key == "draw" else key: _plain(item) for key, item in value.items()}
        case Seq():
            return [_plain(item) for item in value]
    return value
