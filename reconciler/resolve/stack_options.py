"""Options of the null and host drivers: there are none, and a network of theirs has nothing that a link has. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import Diagnostic
from ..load.tree import Map
from ..options import HostOptions, NullOptions
from . import fields

_OF_LINKS = ("subnets", "internal", "mtu")


def read_null_options(network: Map, found: list[Diagnostic]) -> NullOptions:
    """The options of one network; what only links can have is reported."""
    found += _of_links(network, "null")
    return NullOptions()


def read_host_options(network: Map, found: list[Diagnostic]) -> HostOptions:
    """The options of one network; what only links can have is reported."""
    found += _of_links(network, "host")
    return HostOptions()


def _of_links(network: Map, driver: str) -> Iterator[Diagnostic]:
    for key in _OF_LINKS:
        if network.get(key) and not fields.unknown(network, key):
            yield without_meaning(key, network, f"a network of driver {driver}")


def without_meaning(key: str, source: Map, whose: str) -> Diagnostic:
    """What only an interface can have, asked of somebody who has none."""
    message = f"'{key}' has no meaning for {whose}, which makes no interface"
    return Diagnostic("conflict", message, source.key_mark(key), "remove it")
