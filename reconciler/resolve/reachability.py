"""Checks with every name led to its addresses: who tries what, and where that is. Pure.

A check that says several things, or names nobody, is a mistake. Of a check with a gap nothing is said; and where
anything else is wrong with the topology, nothing is concluded from addresses, which may yet change.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from ..errors import Diagnostic, Mark
from ..load.tree import REST, UNKNOWN, Map
from ..model import Check, CheckKind, IPAddress, Network, Sandbox, SandboxKind
from . import fields
from .addresses import Fault, parse_address

MAX_CHECKS = 50_000
_KINDS = ("ping", "tcp", "udp", "http")
_PORT = re.compile(":[0-9]{1,5}")
_PREFIX = "http://"
_LISTED = 10


class _Target(NamedTuple):
    """Where a target is; `sandbox` is None for what is none of the topology's."""

    addresses: tuple[IPAddress, ...]
    sandbox: str | None


class _Reach(NamedTuple):
    """Who tries, and whether it is meant to fail: then it may well have no address of the target's family."""

    sandbox: Sandbox
    closed: bool


@dataclass(frozen=True, slots=True)
class _Names:
    """What a topology has. `is_whole`: no mistake hides any of it; `more`: one may hide further names."""

    networks: Mapping[str, Network]
    sandboxes: Mapping[str, Sandbox]
    owners: Mapping[IPAddress, str | None]
    tree: Map
    is_whole: bool
    more: bool


def read_checks(
    tree: Map,
    networks: Mapping[str, Network],
    sandboxes: Mapping[str, Sandbox],
    found: list[Diagnostic],
    *,
    is_whole: bool,
) -> tuple[Check, ...]:
    """The checks of a topology, one for each pair of who tries and what is tried."""
    if "checks" not in tree:
        return ()
    more = fields.may_have_more(tree, "sandboxes") or fields.may_have_more(tree, "networks")
    names = _Names(networks, sandboxes, _owners(networks, sandboxes), tree, is_whole, more)
    checks: list[Check] = []
    for source in fields.maps(tree, "checks"):
        if REST in source or UNKNOWN in source.values() or _has_gaps(source):
            continue
        if (draft := _form(source, found)) is None:
            continue
        checks += _pairs(source, draft, names, found)
        if len(checks) > MAX_CHECKS:
            message = f"more than {MAX_CHECKS:,} pairs of sandboxes to check"
            found.append(Diagnostic("too-large", message, source.mark, "name fewer of them"))
            break
    return tuple(checks)


def _has_gaps(source: Map) -> bool:
    return fields.has_gap(source, "from") or fields.has_gap(source, "to")


def _owners(networks: Mapping[str, Network], sandboxes: Mapping[str, Sandbox]) -> dict[IPAddress, str | None]:
    """Who has an address: a sandbox, or None for the host, a router and whatever else the file reserves one for."""
    owners: dict[IPAddress, str | None] = {}
    for network in networks.values():
        for subnet in network.subnets:
            owners.update(dict.fromkeys(address for _, address in subnet.aux_addresses))
            if subnet.gateway is not None:
                owners[subnet.gateway] = None
        owners.update(dict.fromkeys(address for _, address in network.options.traits.reserved))
    for sandbox in sandboxes.values():
        for endpoint in sandbox.endpoints:
            owners.update((address.ip, sandbox.name) for address in endpoint.addresses)
    return owners


def _form(source: Map, found: list[Diagnostic]) -> Check | None:
    """What a check tries, without who and where; None if it contradicts itself."""
    kinds = [key for key in _KINDS if key in source]
    problem = None
    if len(kinds) > 1:
        problem = (kinds[1], f"a check tries '{kinds[0]}' or '{kinds[1]}', not both", "write two checks")
    elif "http" in source and "to" in source:
        problem = ("to", "'http' has the target in its URL", "leave 'to' out")
    elif "http" not in source and "to" not in source:
        problem = ("from", "the check has no target", "add 'to: NAME', or 'http: URL'")
    elif "size" in source and kinds not in ([], ["ping"]):
        problem = ("size", f"'size' is that of a ping, and this check tries '{kinds[0]}'", "write two checks")
    elif any((fields.number(source, key) or 0) > 65535 for key in ("tcp", "udp")):
        problem = (kinds[0], f"there is no port {source[kinds[0]]}", "ports go from 1 to 65535")
    if problem is not None:
        key, message, hint = problem
        found.append(Diagnostic("bad-check", message, source.value_mark(key), hint))
        return None
    kind = CheckKind(kinds[0]) if kinds else CheckKind.PING
    return Check(
        source="",
        target=fields.text(source, "http") or "",
        kind=kind,
        addresses=(),
        mark=source.mark,
        port=fields.number(source, kind.value) if kind in (CheckKind.TCP, CheckKind.UDP) else None,
        size=fields.number(source, "size"),
        open=fields.text(source, "expect") != "closed",
    )


def _pairs(source: Map, draft: Check, names: _Names, found: list[Diagnostic]) -> Iterator[Check]:
    targets = [(draft.target, source.value_mark("http"))] if draft.target else [*fields.texts(source, "to")]
    sources = [each for each in fields.texts(source, "from") if _is_known(*each, names, found)]
    for text, mark in targets:
        reported: list[Diagnostic] = []
        for tries, _ in sources:
            if len(targets) + len(sources) > 2 and text.partition("/")[0] == tries:
                continue  # "everybody" means everybody else
            if (check := _led(draft, tries, text, mark, names, reported)) is not None:
                yield check
            if reported:
                break  # the target is wrong, whoever tries it
        found += reported


def _is_known(name: str, mark: Mark, names: _Names, found: list[Diagnostic]) -> bool:
    if name in names.sandboxes:
        return True
    if not names.more:
        message = f"a check is from sandbox '{name}', which does not exist"
        found.append(Diagnostic("unknown-sandbox", message, mark, _which(name, names.sandboxes, "sandboxes")))
    return False


def _led(
    draft: Check, tries: str, text: str, mark: Mark, names: _Names, found: list[Diagnostic]
) -> Check | None:
    host, port = _authority(text) if draft.kind is CheckKind.HTTP else (text, draft.port)
    if port is not None and not 0 < port < 65536:
        found.append(
            Diagnostic(
                "bad-check", f"'{text}' has no port from 1 to 65535", mark, "write one, or none for 80"
            )
        )
        return None
    target = _target(_Reach(names.sandboxes[tries], closed=not draft.open), host, names)
    if isinstance(target, Fault):
        found.append(target.at(mark))
    if target is None or isinstance(target, Fault):
        return None
    return replace(
        draft,
        source=tries,
        target=text,
        addresses=target.addresses,
        sandbox=target.sandbox,
        port=port,
    )


def _authority(url: str) -> tuple[str, int]:
    """Host and port of a URL; the port is 0 where it is none."""
    text = url.removeprefix(_PREFIX).partition("/")[0].partition("?")[0]
    if text.startswith("["):
        host, _, rest = text.removeprefix("[").partition("]")
    else:
        host, colon, port = text.partition(":")
        rest = colon + port
    if not rest:
        return host, 80
    return host, int(rest[1:]) if _PORT.fullmatch(rest) else 0


def _target(source: _Reach, text: str, names: _Names) -> _Target | Fault | None:
    """Where a target is, None where a mistake elsewhere hides it."""
    name, slash, interface = text.partition("/")
    if name in names.sandboxes:
        return _of_sandbox(source, names.sandboxes[name], interface or None, names)
    if name in names.networks and not slash:
        return _of_network(names.networks[name], source, names)
    if ":" not in name and not name.replace(".", "").isdecimal():
        if names.more:
            return None
        known = [*names.sandboxes, *names.networks]
        message = f"a check is to '{name}', which is no sandbox, no network and no address"
        return Fault("unknown-target", message, _which(name, known, "there are"))
    address = parse_address(text)
    return address if isinstance(address, Fault) else _of_address(address, names)


def _of_sandbox(
    source: _Reach, target: Sandbox, interface: str | None, names: _Names
) -> _Target | Fault | None:
    endpoints = [each for each in target.endpoints if interface in (None, each.name)]
    if interface is not None and not endpoints:
        if fields.may_have_more(
            fields.section(fields.section(names.tree, "sandboxes"), target.name), "endpoints"
        ):
            return None
        message = f"sandbox '{target.name}' has no endpoint '{interface}'"
        return Fault(
            "unknown-target", message, _which(interface, [e.name for e in target.endpoints], "it has")
        )
    joined = {each.network for each in source.sandbox.endpoints}
    endpoints = [each for each in endpoints if each.addresses]
    near = [each for each in endpoints if each.network in joined] or endpoints
    theirs = [address.ip for address in near[0].addresses] if near else []
    addresses = _reachable(theirs, source)
    if not addresses:
        return _nothing(f"sandbox '{target.name}'", source, names)
    return _Target(addresses, target.name)


def _of_network(network: Network, source: _Reach, names: _Names) -> _Target | Fault | None:
    gateways = [subnet.gateway for subnet in network.subnets if subnet.gateway is not None]
    addresses = _reachable(gateways, source)
    if not addresses:
        return _nothing(f"the gateway of network '{network.name}'", source, names)
    return _Target(addresses, names.owners.get(addresses[0]))


def _nothing(what: str, source: _Reach, names: _Names) -> Fault | None:
    if not names.is_whole:
        return None
    message = f"{what} has no address of a family that sandbox '{source.sandbox.name}' has"
    return Fault("unknown-target", message, "give it one, or name an address")


def _reachable(addresses: Sequence[IPAddress], source: _Reach) -> tuple[IPAddress, ...]:
    """The first address of each family that the source has; the host's own stack has both."""
    families = {address.version for each in source.sandbox.endpoints for address in each.addresses}
    theirs = {address.version for address in addresses}
    if source.sandbox.kind is SandboxKind.HOST or (source.closed and not families & theirs):
        families = theirs
    first: dict[int, IPAddress] = {}
    for address in addresses:
        if address.version in families:
            first.setdefault(address.version, address)
    return tuple(first.values())


def _of_address(address: IPAddress, names: _Names) -> _Target | Fault | None:
    if address not in names.owners and names.is_whole:
        for network in names.networks.values():
            if any(address in subnet.subnet for subnet in network.subnets):
                message = f"nobody on network '{network.name}' has the address {address}"
                return Fault("unknown-target", message, "name the sandbox instead of the address")
    return _Target((address,), names.owners.get(address))


def _which(name: str, known: Iterable[str], label: str) -> str:
    names = list(known)
    close = difflib.get_close_matches(name, names, 1)
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    listed = f"{label}: {', '.join(names[:_LISTED]) or 'none'}{more}"
    return f"did you mean '{close[0]}'? {listed}" if close else listed
