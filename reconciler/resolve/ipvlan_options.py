"""The ipvlan driver's options: text of the file to `IpvlanOptions`, with what a schema cannot check. Pure."""

from __future__ import annotations

from ..errors import Diagnostic
from ..load.tree import Map
from ..options import IpvlanOptions
from . import fields
from .parents import read_parent


def read_ipvlan_options(network: Map, found: list[Diagnostic]) -> IpvlanOptions:
    """The options of one network; a value that is wrong is reported and left out."""
    source = fields.section(network, "options")
    parent = read_parent(source, found)
    mode = fields.text(source, "mode") or "l2"
    if mode != "l2":
        _check_gateways(network, mode, found)
    return IpvlanOptions(
        parent=parent.name, vlan=parent.vlan, mode=mode, flag=fields.text(source, "flag") or "bridge"
    )


def _check_gateways(network: Map, mode: str, found: list[Diagnostic]) -> None:
    """Where nobody can be asked for a MAC address, nobody can be the next hop."""
    for subnet in fields.maps(network, "subnets"):
        if isinstance(gateway := subnet.get("gateway"), str):
            message = f"gateway {gateway} has no meaning in mode {mode}: the parent routes"
            hint = "remove 'gateway'; the default route leads to the parent without one"
            found.append(Diagnostic("conflict", message, subnet.value_mark("gateway"), hint))
