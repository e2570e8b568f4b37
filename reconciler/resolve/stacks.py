"""Networks that say which stack a sandbox has, instead of giving it an interface: null and host. Pure.

They make no link, so nothing of a link can be asked for; and a sandbox on one joins nothing else: with a second
network it would not be without one, and the host's own stack is not to be had by the way.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import Diagnostic, Mark
from ..load.tree import REST, UNKNOWN
from ..model import SandboxKind
from . import fields
from .endpoints import EndpointDraft
from .sandboxes import SandboxDraft
from .stack_options import without_meaning


def settle_stack(draft: SandboxDraft, found: list[Diagnostic]) -> None:
    """Let a sandbox be what its network says that it is, and take the endpoints away that are no interfaces."""
    lone = [endpoint for endpoint in draft.endpoints if _is_lone(endpoint)]
    if not lone:
        return
    for endpoint in lone:
        found += _asks_of_link(endpoint)
    found += _company(draft, lone[0])
    found += _become(draft, lone[0])
    draft.endpoints = [endpoint for endpoint in draft.endpoints if endpoint not in lone]


def _is_lone(endpoint: EndpointDraft) -> bool:
    return endpoint.network is not None and not endpoint.network.options.traits.links


def _driver(endpoint: EndpointDraft) -> tuple[str, Mark]:
    assert endpoint.network is not None
    source = endpoint.network.source
    return fields.text(source, "driver") or "", source.value_mark("driver")


def _asks_of_link(endpoint: EndpointDraft) -> Iterator[Diagnostic]:
    driver, _ = _driver(endpoint)
    for key, value in endpoint.source.items():
        if key not in ("network", REST) and value and value is not UNKNOWN:
            yield without_meaning(key, endpoint.source, f"'{endpoint.key}' on a network of driver {driver}")


def _company(draft: SandboxDraft, lone: EndpointDraft) -> Iterator[Diagnostic]:
    driver, place = _driver(lone)
    assert lone.network is not None
    for other in draft.endpoints:
        if other is not lone:
            message = f"'{other.key}' has no place: '{draft.name}' is on network '{lone.network.name}' of driver {driver}"
            hint = "a sandbox on it joins nothing else; keep one of the two"
            related = ((f"driver {driver} is chosen here", place),)
            yield Diagnostic("conflict", message, other.mark, hint, related)


def _become(draft: SandboxDraft, lone: EndpointDraft) -> Iterator[Diagnostic]:
    driver, place = _driver(lone)
    related = ((f"driver {driver} is chosen here", place),)
    match driver, draft.kind:
        case "host", SandboxKind.MADE | SandboxKind.HOST:
            draft.kind = SandboxKind.HOST
        case "host", _:
            message = f"'{lone.key}' makes '{draft.name}' the host, and it is a given namespace"
            yield Diagnostic("conflict", message, lone.mark, "keep one of the two", related)
        case _, SandboxKind.HOST:
            message = f"'{draft.name}' is the host, and '{lone.key}' says that it has no network"
            yield Diagnostic("conflict", message, lone.mark, "keep one of the two", related)
