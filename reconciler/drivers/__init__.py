"""Drivers: each compiles one kind of network. `registry` and `every` are the only places that know which there are."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ..plugins import installed
from .bridge import BridgeDriver
from .contract import Driver
from .dummy import DummyDriver
from .host import HostDriver
from .ipvlan import IpvlanDriver
from .macvlan import MacvlanDriver
from .null import NullDriver
from .overlay import OverlayDriver
from .plugged import PluggedDriver
from .ptp import PtpDriver
from .vlan import VlanDriver

registry: Mapping[str, Driver] = MappingProxyType(
    {
        driver.name: driver
        for driver in (
            BridgeDriver(),
            MacvlanDriver(),
            IpvlanDriver(),
            VlanDriver(),
            OverlayDriver(),
            PtpDriver(),
            DummyDriver(),
            NullDriver(),
            HostDriver(),
        )
    }
)


def every() -> Mapping[str, Driver]:
    """The built-in drivers, and those that this machine allows from other distributions."""
    plugged = {name: PluggedDriver(plugin) for name, plugin in installed().items()}
    return {**registry, **plugged} if plugged else registry
