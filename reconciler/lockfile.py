"""The lock file: the addresses that the files leave open, dealt once, committed and reviewed like any other change.

Without it each machine deals for itself and remembers in its state directory. Where several machines must come to the
same answer, or where a review shall show every address, `reconciler lock` writes `NAME.lock.yaml` beside the files,
and what stands there goes before what the state directory remembers. An entry that no longer fits the files is treated
like one that is missing: it is dealt anew, and a network on several hosts is refused until the lock file is right.

Reads files; `parse`, `render`, `differences` and `unlocked` are pure.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from ipaddress import ip_address, ip_network
from typing import NamedTuple

from .errors import Diagnostic, Mark, TopologyError
from .load import expand, source
from .load.expand import Expanded
from .load.files import LOCK_SUFFIX, MAX_FILE_BYTES, STDIN, too_large
from .load.layers import known_as
from .load.tree import Map, Seq
from .model import Leases, Topology
from .options import OverlayOptions
from .resolve import places, refuse

VERSION = 1
MAX_VNI = (1 << 24) - 1
_SUFFIX = re.compile(r"(\.topo)?\.ya?ml$")
_PLAIN = re.compile(r"[a-z][a-z0-9_-]*(/[A-Za-z0-9_.-]+)?|([0-9]+\.){3}[0-9]+(/[0-9]+)?")
_KEYS = ("version", "topology", "networks", "vnis", "endpoints")
_WORDS = frozenset(("null", "true", "false"))  # which YAML would not read as text
_HEADER = """\
# Addresses of topology '{name}' that its files leave open. Made by `reconciler lock`, which keeps what stands here, adds
# what is new and drops what is gone. Commit it, and review it like any change.
"""


@dataclass(frozen=True, slots=True)
class Lock:
    """What a lock file holds. `vnis` are the numbers of tunnelled networks by name."""

    leases: Leases = field(default_factory=Leases)
    vnis: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        """How many entries it has."""
        return len(self.leases.networks) + len(self.leases.endpoints) + len(self.vnis)


@dataclass(frozen=True, slots=True)
class Locked:
    """Topology files with their lock file.

    `path` is where the lock file is, or would be; None when the files come from standard input. `text` is what it holds,
    None when there is none. The digest and the files of `expanded` include it. `arguments` name the topology files on a
    command line.
    """

    expanded: Expanded
    lock: Lock
    path: str | None
    text: str | None
    arguments: str


class Difference(NamedTuple):
    """One entry that is not as it has to be. `before` is empty for a new one, `after` for one that is gone."""

    what: str
    name: str
    before: tuple[str, ...]
    after: tuple[str, ...]


def load(paths: Sequence[str], overrides: Sequence[str] = (), within: str | None = None) -> Locked:
    """The topology that files declare and its lock file. Raises TopologyError for mistakes in either.

    Mistakes of meaning in the files are among them only beside others: they are for `resolve` to find. `within` is as
    `layers.read` has it.
    """
    paths = tuple(paths) or source.default_paths()
    expanded = expand.read(paths, overrides, within)
    if expanded.mistakes:
        refuse(expanded)
    arguments = " ".join((*(f"-f {path}" for path in (*paths, *overrides)),) if overrides else paths)
    path = path_of(paths, overrides, expanded.name)
    if path is None or not os.path.lexists(path):
        return Locked(expanded, Lock(), path, None, arguments)
    _refuse_outside(path)
    content = source.read_bytes(path)
    lock = parse(source.parse(content, path), expanded.name)
    known = known_as(path, within)
    digest = sha256(f"{expanded.digest}:{known}:".encode("utf-8", "surrogateescape") + content).hexdigest()
    expanded = replace(expanded, files=(*expanded.files, path), digest=digest)
    return Locked(expanded, lock, path, content.decode(), arguments)


def _refuse_outside(path: str) -> None:
    """A link in a checked-out directory must not make a privileged process quote any file of the host."""
    folder = os.path.realpath(os.path.dirname(path))
    if os.path.commonpath((folder, os.path.realpath(path))) != folder:
        message = f"'{path}' leads out of the topology's directory"
        hint = "remove the link, and run `reconciler lock`"
        raise TopologyError([Diagnostic("bad-lock", message, None, hint)])  # no place: it would be quoted


def path_of(paths: Sequence[str], overrides: Sequence[str], topology: str) -> str | None:
    """Where the lock file of these files is: the same for a directory and for the files in it, in any order.

    Overrides make another topology, so each combination of them has a file of its own.
    """
    files = source.collect(paths)
    if not files or STDIN in (*files, *overrides):
        return None
    folder = min((os.path.dirname(file) for file in files), key=os.path.realpath)
    stems = [_SUFFIX.sub("", os.path.basename(os.path.normpath(path))) for path in overrides]
    return os.path.join(folder, ".".join((topology, *stems)) + LOCK_SUFFIX)


def prefer(first: Leases, second: Leases) -> Leases:
    """Both leases, where nothing of `second` stands in the way of `first`."""
    held = {address for addresses in first.endpoints.values() for address in addresses}
    subnets = [ip_network(subnet) for drawn in first.networks.values() for subnet in drawn]

    def free(text: str) -> bool:
        try:
            subnet = ip_network(text)
        except ValueError:
            return False
        return not any(subnet.version == other.version and subnet.overlaps(other) for other in subnets)

    return Leases(
        _together(first.networks, second.networks, free),
        _together(first.endpoints, second.endpoints, lambda address: address not in held),
    )


def _together(
    first: Mapping[str, tuple[str, ...]], second: Mapping[str, tuple[str, ...]], free: Callable[[str], bool]
) -> dict[str, tuple[str, ...]]:
    together = dict(first)
    for name, texts in second.items():
        if texts != first.get(name):
            together[name] = (*first.get(name, ()), *filter(free, texts))
    return {name: texts for name, texts in together.items() if texts}


# ---------------------------------------------------------------------------------------------------------- reading


def parse(data: Map, topology: str) -> Lock:
    """The lock of a file that `source` has read. Raises TopologyError with everything that is wrong with it."""
    found = [
        _bad(f"'{key}' is no part of a lock file", data.key_mark(key)) for key in data if key not in _KEYS
    ]
    if data.get("version") != VERSION or isinstance(data.get("version"), bool):
        message = f"a lock file has 'version: {VERSION}'"
        found.append(_bad(message, data.value_mark("version"), "was it made by a later version?"))
    if data.get("topology") != topology:
        message = f"this is not the lock file of topology '{topology}'"
        found.append(_bad(message, data.value_mark("topology"), "rename it, or remove it"))
    networks = dict(_lists(data, "networks", _subnet, found))
    endpoints = dict(_lists(data, "endpoints", _address, found))
    vnis = dict(_vnis(data, found))
    if found:
        raise TopologyError(found)
    return Lock(Leases(networks, endpoints), vnis)


def _lists(
    data: Map, key: str, canonical: Callable[[object], str], found: list[Diagnostic]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    section = _section(data, key, found)
    for name, value in section.items():
        if not isinstance(value, Seq):
            found.append(_bad(f"'{name}' must have a list", section.value_mark(name)))
            continue
        texts: list[str] = []
        for item, mark in zip(value, value.marks, strict=True):
            try:
                texts.append(canonical(item))
            except ValueError as error:
                found.append(_bad(str(error), mark))
        yield name, tuple(texts)


def _vnis(data: Map, found: list[Diagnostic]) -> Iterator[tuple[str, int]]:
    section = _section(data, "vnis", found)
    for name, value in section.items():
        if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_VNI:
            yield name, value
        else:
            found.append(
                _bad(f"the number of '{name}' must be from 1 to {MAX_VNI}", section.value_mark(name))
            )


def _section(data: Map, key: str, found: list[Diagnostic]) -> Map:
    value = data.get(key)
    if value is not None and not isinstance(value, Map):
        found.append(_bad(f"'{key}' must be a map", data.value_mark(key)))
    return value if isinstance(value, Map) else Map(data.mark)


def _subnet(value: object) -> str:
    if not isinstance(value, str) or "/" not in value:
        raise ValueError("a range of addresses must be text such as 10.201.0.0/24")
    return str(ip_network(value))


def _address(value: object) -> str:
    if not isinstance(value, str) or "%" in value:
        raise ValueError("an address must be text such as 10.201.0.2")
    return str(ip_address(value))


def _bad(message: str, mark: Mark, hint: str | None = None) -> Diagnostic:
    hint = hint or "undo the change, or remove what is wrong and run `reconciler lock`"
    return Diagnostic("bad-lock", message, mark, hint)


# ---------------------------------------------------------------------------------------------------------- writing


def render(lock: Lock, topology: str) -> str:
    """The text of a lock file: sorted, a line for an entry. Raises TopologyError when it would be too large to read."""
    lines = [_HEADER.format(name=topology), f"version: {VERSION}\ntopology: {_text(topology)}\n"]
    for title, entries in (("networks", lock.leases.networks), ("endpoints", lock.leases.endpoints)):
        if title == "endpoints" and lock.vnis:
            lines.append("vnis:\n")
            lines += [f"  {_text(name)}: {lock.vnis[name]}\n" for name in sorted(lock.vnis)]
        if entries:
            lines.append(f"{title}:\n")
        for name in sorted(entries):
            lines.append(f"  {_text(name)}: [{', '.join(map(_text, entries[name]))}]\n")
    text = "".join(lines)
    if len(text.encode()) > MAX_FILE_BYTES:
        raise TopologyError([too_large(f"the lock file of {topology}")])
    return text


def _text(value: str) -> str:
    """A text as YAML takes it."""
    return value if _PLAIN.fullmatch(value) and value not in _WORDS else f'"{value}"'


# -------------------------------------------------------------------------------------------------------- comparing


def needed(leases: Leases, topology: Topology) -> Lock:
    """What the lock file has to hold: the leases of a resolved topology, and the numbers that its files leave open."""
    in_order = {
        name: tuple(sorted(addresses, key=lambda each: (":" in each, int(ip_address(each)))))
        for name, addresses in leases.endpoints.items()
    }
    vnis = {
        name: network.options.vni
        for name, network in topology.networks.items()
        if isinstance(network.options, OverlayOptions) and network.options.dealt and network.options.vni
    }
    return Lock(Leases(leases.networks, in_order), vnis)


def differences(lock: Lock, wanted: Lock) -> Iterator[Difference]:
    """Every entry of a lock file that is missing, of no use any more, or does not fit; sorted."""
    pairs = (
        ("network", lock.leases.networks, wanted.leases.networks),
        ("number of network", _as_texts(lock.vnis), _as_texts(wanted.vnis)),
        ("endpoint", lock.leases.endpoints, wanted.leases.endpoints),
    )
    for what, before, after in pairs:
        for name in sorted(before.keys() | after.keys()):
            old, new = before.get(name, ()), after.get(name, ())
            if set(old) != set(new):
                yield Difference(what, name, old, new)


def _as_texts(numbers: Mapping[str, int]) -> dict[str, tuple[str, ...]]:
    return {name: (str(number),) for name, number in numbers.items()}


def require(topology: Topology, leases: Leases, locked: Locked) -> None:
    """Raise TopologyError when machines could deal different addresses on a network that they share."""
    if found := list(unlocked(topology, leases, locked.lock.leases, locked.arguments)):
        raise TopologyError(found)


def unlocked(topology: Topology, leases: Leases, lock: Leases, arguments: str) -> Iterator[Diagnostic]:
    """A diagnostic for each network on several hosts with addresses that neither the files nor the lock file give."""
    if not topology.hosts:
        return
    on = places(topology.sandboxes.values())
    open_ones: dict[str, list[str]] = {name: [] for name, hosts in on.items() if len(hosts) > 1}
    for name, missing in open_ones.items():
        if set(leases.networks.get(name, ())) - set(lock.networks.get(name, ())):
            missing.append("its subnet")
    for sandbox in topology.sandboxes.values():
        for endpoint in sandbox.endpoints:
            key = f"{sandbox.name}/{endpoint.name}"
            dealt = set(leases.endpoints.get(key, ())) - set(lock.endpoints.get(key, ()))
            if dealt and endpoint.network in open_ones:
                open_ones[endpoint.network].append(f"an address of '{key}'")
    for name, missing in open_ones.items():
        if missing:
            more = f" and {len(missing) - 1} more are" if len(missing) > 1 else " is"
            message = (
                f"network '{name}' is on hosts {', '.join(repr(host) for host in on[name])}, and {missing[0]}{more} "
                "neither written nor locked: each host would choose for itself"
            )
            hint = f"run `reconciler lock {arguments}` and commit what it writes"
            yield Diagnostic("not-locked", message, topology.networks[name].mark, hint)
