"""Which reader a network's `options` belong to: one module a driver, each checking what a schema cannot.

Pure, but for which drivers plug-ins bring: a fact about this machine that is read once, like the schema.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .. import plugins
from ..errors import Diagnostic
from ..load.tree import Map
from ..options import BridgeOptions, DummyOptions, Options, PluginOptions, PtpOptions
from ..plugins import Plugin
from . import fields
from .bridge_options import read_bridge_options
from .ipvlan_options import read_ipvlan_options
from .macvlan_options import read_macvlan_options
from .overlay_options import read_overlay_options
from .stack_options import read_host_options, read_null_options
from .vlan_options import read_vlan_options

_Reader = Callable[[Map, list[Diagnostic]], Options]
_READERS: Mapping[str, _Reader] = {
    "bridge": read_bridge_options,
    "macvlan": read_macvlan_options,
    "ipvlan": read_ipvlan_options,
    "vlan": read_vlan_options,
    "dummy": lambda _network, _found: DummyOptions(),
    "null": read_null_options,
    "host": read_host_options,
    "overlay": read_overlay_options,
}


def read_options(name: str, network: Map, members: int, found: list[Diagnostic]) -> Options:
    """The options of one network with so many endpoints; those of a driver that is not realised are a diagnostic.

    Options of which a mistake hides a part say nothing for certain, so nothing is said about the others either.
    """
    if fields.unknown(network, "driver"):
        return BridgeOptions()
    if fields.has_gap(network, "options"):
        network, found = _without_gaps(network), []
    driver = fields.text(network, "driver") or "bridge"
    if reader := _READERS.get(driver):
        return reader(network, found)
    if driver == "ptp":
        return PtpOptions(host_end=members == 1)
    if (plugin := plugins.installed().get(driver)) is not None:
        return _plugged(plugin, network, found)
    message = f"network '{name}': driver '{driver}' is not realised by this version"
    hint = "use 'driver: bridge' until then"
    found.append(Diagnostic("not-yet", message, network.value_mark("driver"), hint))
    return BridgeOptions()


def _plugged(plugin: Plugin, network: Map, found: list[Diagnostic]) -> PluginOptions:
    """The options of a driver from elsewhere, as its schema accepts them, and what it has against them itself."""
    values = fields.plain(fields.section(network, "options"))
    mark = network.value_mark("options")
    found += (Diagnostic("bad-value", problem, mark) for problem in plugin.problems(values))
    return PluginOptions(values, plugin.traits)


def _without_gaps(network: Map) -> Map:
    """A network with only those options that are known from end to end."""
    options = fields.section(network, "options")
    known = Map(options.mark)
    for key, value in options.items():
        if not fields.unknown(options, key) and not fields.has_gap(options, key):
            known.put(key, value, options.marks.get(key))
    result = Map(network.mark)
    result.update(network)
    result["options"] = known
    result.marks = network.marks
    return result
