"""Drivers: each compiles one kind of network. `registry` is the only place that knows which there are. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from .bridge import BridgeDriver
from .contract import Driver
from .macvlan import MacvlanDriver

registry: Mapping[str, Driver] = MappingProxyType(
    {driver.name: driver for driver in (BridgeDriver(), MacvlanDriver())}
)
