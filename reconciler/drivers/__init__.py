"""Drivers: each compiles one kind of network. `registry` and `every` are the only places that know which there are."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ..plugins import installed
from .bridge import BridgeDriver
from .contract import Driver
from .ipvlan import IpvlanDriver
from .macvlan import MacvlanDriver
from .overlay import OverlayDriver
from .plugged import PluggedDriver

registry: Mapping[str, Driver] = MappingProxyType(
    {driver.name: driver for driver in (BridgeDriver(), MacvlanDriver(), IpvlanDriver(), OverlayDriver())}
)


def every() -> Mapping[str, Driver]:
    """The built-in drivers, and those that this machine allows from other distributions."""
    plugged = {name: PluggedDriver(plugin) for name, plugin in installed().items()}
    return {**registry, **plugged} if plugged else registry
