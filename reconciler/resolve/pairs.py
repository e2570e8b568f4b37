"""Networks that are one veth pair: how many endpoints each has, and that there are no more than two. Pure.

The number decides what the other end is, and with it whether the network has a gateway; so endpoints are counted
before networks are read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from ..errors import Diagnostic
from ..load.tree import Map
from ..model import Endpoint, Network, Sandbox
from ..options import PtpOptions
from . import fields


def members(tree: Map) -> Mapping[str, int]:
    """The number of endpoints of each network; nothing is counted where it does not matter, or cannot be told."""
    if all(fields.text(network, "driver") != "ptp" for _, network, _ in fields.sections(tree, "networks")):
        return {}
    if _has_gaps(tree):
        return {}
    return Counter(
        fields.text(endpoint, "network") or ""
        for _, sandbox, _ in fields.sections(tree, "sandboxes")
        for _, endpoint, _ in fields.sections(sandbox, "endpoints")
    )


def _has_gaps(tree: Map) -> bool:
    return fields.may_have_more(tree, "sandboxes") or any(
        fields.may_have_more(sandbox, "endpoints")
        or any(
            fields.unknown(endpoint, "network") for _, endpoint, _ in fields.sections(sandbox, "endpoints")
        )
        for _, sandbox, _ in fields.sections(tree, "sandboxes")
    )


def check_pairs(networks: Iterable[Network], sandboxes: Iterable[Sandbox]) -> Iterator[Diagnostic]:
    """A diagnostic for each endpoint that is the third or a later one of a pair."""
    ends: dict[str, list[tuple[Sandbox, Endpoint]]] = {
        network.name: [] for network in networks if isinstance(network.options, PtpOptions)
    }
    for sandbox in sandboxes if ends else ():
        for endpoint in sandbox.endpoints:
            if (held := ends.get(endpoint.network)) is None:
                continue
            held.append((sandbox, endpoint))
            if len(held) > 2:
                names = [f"{owner.name}/{each.name}" for owner, each in held]
                message = (
                    f"'{names[-1]}' joins network '{endpoint.network}', "
                    f"whose two ends are '{names[0]}' and '{names[1]}'"
                )
                related = ((f"'{names[0]}' is here", held[0][1].mark),)
                hint = "a ptp network is one cable; use 'driver: bridge' for more than two"
                yield Diagnostic("conflict", message, endpoint.mark, hint, related)
