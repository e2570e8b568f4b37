"""Sandboxes: whose namespace it is, its settings, and the parts put together. Pure.

Given namespaces are shared with somebody who knows nothing of the files, perhaps with another sandbox of the same
topology: the same interface or setting in one namespace twice is caught here.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from .. import names
from ..errors import Diagnostic, Mark
from ..load.tree import UNKNOWN, Map
from ..model import Endpoint, IPAddress, Network, Sandbox, SandboxKind
from . import fields
from .endpoints import EndpointDraft
from .gateways import default_gateways
from .hosts import read_place
from .routes import Reach, read_routes
from .sysctls import Setting, is_of_interface, sandbox_settings

_NETNS_DIRECTORY = "/run/netns"
_Place = tuple[str | None, SandboxKind, str]


@dataclass(slots=True)
class SandboxDraft:
    """A sandbox on its way. `kind_is_known`: no mistake hides whose namespace it is; `is_placed`: nor on which host."""

    name: str
    mark: Mark
    source: Map
    kind: SandboxKind
    where: str
    host: str | None = None
    kind_is_known: bool = True
    is_placed: bool = True
    endpoints: list[EndpointDraft] = field(default_factory=list)
    settings: list[Setting] = field(default_factory=list)


def read_sandbox(name: str, source: Map, mark: Mark, hosts: Map, found: list[Diagnostic]) -> SandboxDraft:
    """Whose namespace it is, and on which of `hosts`; endpoints are read afterwards."""
    place = read_place(name, source, mark, hosts, found)
    ways = [key for key in ("netns", "pid") if source.get(key) not in (None, UNKNOWN)]
    if place.own_stack:
        ways.append("host")
    for extra in ways[1:]:
        message = f"sandbox '{name}' has both '{ways[0]}' and '{extra}', and can be only one namespace"
        related = ((f"'{ways[0]}' is here", source.key_mark(ways[0])),)
        found.append(Diagnostic("conflict", message, source.key_mark(extra), "keep one of them", related))
    kind, where = SandboxKind.MADE, ""
    match ways[:1]:
        case ["netns"]:
            kind, where = SandboxKind.PATH, _path(fields.text(source, "netns") or "")
        case ["pid"]:
            kind, where = SandboxKind.PID, str(fields.number(source, "pid"))
        case ["host"]:
            kind = SandboxKind.HOST
    hidden = fields.unknown(source, "netns", "pid", "host") or fields.has_gap(source, "host")
    return SandboxDraft(
        name,
        mark,
        source,
        kind,
        where,
        place.host,
        kind_is_known=bool(ways) or not hidden,
        is_placed=place.host is not None or not hosts,
    )


def finish_sandbox(
    draft: SandboxDraft,
    endpoints: Sequence[Endpoint],
    networks: Mapping[str, Network],
    bridge_addresses: frozenset[IPAddress],
    found: list[Diagnostic],
) -> Sandbox:
    """The sandbox as the model has it."""
    more = fields.may_have_more(draft.source, "endpoints")
    given = draft.kind is not SandboxKind.MADE or not draft.kind_is_known or more
    broken = any(endpoint.broken for endpoint in draft.endpoints)
    interfaces = None if given else [endpoint.name for endpoint in endpoints]
    draft.settings = sandbox_settings(draft.source, interfaces, found)
    _check_settings(draft, found)
    at_home = bridge_addresses if draft.kind is SandboxKind.HOST else frozenset()
    guessed = frozenset(ip for one in draft.endpoints if one.guessed for ip in one.guessed_addresses)
    reach = Reach(endpoints, at_home, guessed, open_ended=given or broken)
    routes = read_routes(draft.source, reach, found)
    willing = [
        endpoint
        for endpoint, origin in zip(endpoints, draft.endpoints, strict=True)
        if not given or "gateway_priority" in origin.source.marks
    ]
    return Sandbox(
        name=draft.name,
        kind=draft.kind,
        where=draft.where,
        endpoints=tuple(endpoints),
        routes=routes,
        gateways=default_gateways(willing, networks, routes, reach.own) if willing else (),
        sysctls={setting.path: setting.value for setting in draft.settings},
        labels=fields.scalars(fields.section(draft.source, "labels")),
        mark=draft.mark,
        host=draft.host,
        protect=fields.flag(draft.source, "protect"),
    )


def check_sharing(topology: str, drafts: Sequence[SandboxDraft], found: list[Diagnostic]) -> None:
    """Given namespaces that several sandboxes use, or that the topology makes itself."""
    made = {
        (draft.host, f"{_NETNS_DIRECTORY}/{names.netns(topology, draft.name)}"): draft
        for draft in drafts
        if draft.kind is SandboxKind.MADE and draft.kind_is_known and draft.is_placed and topology
    }
    interfaces: dict[tuple[_Place, str], SandboxDraft] = {}
    settings: dict[tuple[_Place, str], tuple[SandboxDraft, Setting]] = {}
    for draft in drafts:
        if draft.kind is SandboxKind.MADE or not draft.is_placed:
            continue
        if draft.kind is SandboxKind.PATH and (maker := made.get((draft.host, draft.where))):
            message = f"{draft.where} is the namespace that sandbox '{maker.name}' makes"
            hint = f"put the endpoints of '{draft.name}' into '{maker.name}'"
            related = ((f"'{maker.name}' is here", maker.mark),)
            found.append(Diagnostic("conflict", message, draft.source.value_mark("netns"), hint, related))
        place = (draft.host, draft.kind, draft.where)
        for endpoint in draft.endpoints:
            other = interfaces.setdefault((place, endpoint.name), draft)
            if other is not draft:
                found.append(_same_interface(draft, other, endpoint))
        for setting in _all_settings(draft):
            first = settings.setdefault((place, setting.path), (draft, setting))
            if first[0] is not draft and first[1].value != setting.value:
                found.append(_two_values(setting, first[1]))


def check_host_settings(drafts: Sequence[SandboxDraft], found: list[Diagnostic]) -> None:
    """Settings of the whole host that it only shares with other sandboxes, through `defaults` or an alias.

    What is harmless in a sandbox of its own changes the machine here, so it must be written at the host itself.
    """
    hosts = [draft for draft in drafts if draft.kind is SandboxKind.HOST and draft.settings]
    if not hosts:
        return
    shared = {
        setting.mark
        for draft in drafts
        if draft.kind is not SandboxKind.HOST and draft.kind_is_known
        for setting in draft.settings
    }
    for draft in hosts:
        for setting in draft.settings:
            if setting.mark in shared and not is_of_interface(setting.key):
                message = f"'{setting.key}' would change the whole host, for it comes to '{draft.name}' from a shared value"
                hint = f"write it in the 'sysctls' of '{draft.name}' itself if you mean the host"
                related = ((f"'{draft.name}' is the host", draft.mark),)
                found.append(Diagnostic("bad-sysctl", message, setting.mark, hint, related))


def _path(netns: str) -> str:
    """The absolute path of a given namespace; one spelling for one place."""
    if not netns.startswith("/"):
        return f"{_NETNS_DIRECTORY}/{netns}"
    path = "/" + posixpath.normpath(netns).lstrip("/")
    return path.removeprefix("/var") if path.startswith("/var/run/") else path


def _all_settings(draft: SandboxDraft) -> Iterable[Setting]:
    yield from draft.settings
    for endpoint in draft.endpoints:
        yield from endpoint.settings


def _check_settings(draft: SandboxDraft, found: list[Diagnostic]) -> None:
    """Sandbox settings against those of its endpoints, and against their IPv6 addresses."""
    by_path = {setting.path: setting for endpoint in draft.endpoints for setting in endpoint.settings}
    for setting in draft.settings:
        other = by_path.get(setting.path)
        if other is not None and other.value != setting.value:
            found.append(_two_values(setting, other))
        if not setting.disables_ipv6:
            continue
        scope = setting.path.split("/")[-2]
        for endpoint in draft.endpoints:
            v6 = next((each.ip for each in endpoint.certain_addresses if each.version == 6), None)
            if v6 is not None and scope in ("all", "default", endpoint.name):
                message = (
                    f"'{setting.key}' would take the IPv6 address {v6} of '{draft.name}/{endpoint.name}' away"
                )
                hint = "remove the setting, or the IPv6 subnets and addresses"
                related = (("the endpoint is here", endpoint.mark),)
                found.append(Diagnostic("conflict", message, setting.mark, hint, related))
                break


def _same_interface(draft: SandboxDraft, other: SandboxDraft, endpoint: EndpointDraft) -> Diagnostic:
    place = "the host" if draft.kind is SandboxKind.HOST else draft.where
    if draft.kind is SandboxKind.PID:
        place = f"the namespace of process {draft.where}"
    message = f"sandboxes '{other.name}' and '{draft.name}' are both {place}, and both have '{endpoint.name}'"
    hint = "rename one of the interfaces; replicas of a given sandbox need '{n}' in its 'netns'"
    related = ((f"'{other.name}' is here", other.mark),)
    return Diagnostic("conflict", message, endpoint.mark, hint, related)


def _two_values(setting: Setting, other: Setting) -> Diagnostic:
    message = (
        f"'{setting.key}: {setting.value}' and '{other.key}: {other.value}' are one setting with two values"
    )
    related = (("the other one is here", other.mark),)
    return Diagnostic("conflict", message, setting.mark, "keep one of them", related)
