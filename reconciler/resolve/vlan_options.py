"""The vlan driver's options: text of the file to `VlanOptions`, with what a schema cannot check. Pure."""

from __future__ import annotations

from ..errors import Diagnostic
from ..load.tree import Map
from ..options import VlanOptions
from . import fields
from .parents import read_parent


def read_vlan_options(network: Map, found: list[Diagnostic]) -> VlanOptions:
    """The options of one network; a value that is wrong is reported and left out."""
    source = fields.section(network, "options")
    parent = read_parent(source, found)
    if parent.name and source.get("id") is None:
        hint = "write 'options: {parent: LINK, id: NUMBER}'"
        found.append(Diagnostic("missing-key", "the network has no VLAN 'id'", source.mark, hint))
    return VlanOptions(
        parent=parent.name,
        vlan=parent.vlan,
        id=fields.number(source, "id") or 0,
        protocol=fields.text(source, "protocol") or "802.1Q",
    )
