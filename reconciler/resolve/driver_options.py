"""Which reader a network's `options` belong to: one module a driver, each checking what a schema cannot. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..errors import Diagnostic
from ..options import BridgeOptions, Options
from ..tree import Map
from . import fields
from .bridge_options import read_bridge_options
from .macvlan_options import read_macvlan_options

_Reader = Callable[[Map, list[Diagnostic]], Options]
_READERS: Mapping[str, _Reader] = {
    "bridge": read_bridge_options,
    "macvlan": read_macvlan_options,
}


def read_options(name: str, network: Map, found: list[Diagnostic]) -> Options:
    """The options of one network; those of a driver that is not realised are a diagnostic."""
    driver = fields.text(network, "driver") or "bridge"
    if reader := _READERS.get(driver):
        return reader(network, found)
    message = f"network '{name}': driver '{driver}' is not realised by this version"
    hint = "use 'driver: bridge' until then"
    found.append(Diagnostic("not-yet", message, network.value_mark("driver"), hint))
    return BridgeOptions()
