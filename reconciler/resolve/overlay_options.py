"""The overlay driver's options: text of the file to `OverlayOptions`. Pure."""

from __future__ import annotations

from ..errors import Diagnostic
from ..load.tree import Map
from ..options import OverlayOptions
from . import fields
from .linknames import name_fault

_UDP_PORT = 4789


def read_overlay_options(network: Map, found: list[Diagnostic]) -> OverlayOptions:
    """The options of one network; a number that is not written is given to it later."""
    source = fields.section(network, "options")
    name = fields.text(source, "name")
    if name is not None and (fault := name_fault(name)):
        found.append(fault.at(source.value_mark("name")))
        name = None
    return OverlayOptions(
        vni=fields.number(source, "vni"),
        udp_port=fields.number(source, "udp_port") or _UDP_PORT,
        flood=fields.text(source, "flood") == "replicate",
        name=name,
    )
