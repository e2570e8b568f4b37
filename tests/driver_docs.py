"""What the pages of the drivers say that is made from the product: options, examples, and what changes in place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields as fields_of
from pathlib import Path
from typing import Any

from reconciler.objects import Bridge, BridgePort, Dummy, Ipvlan, Link, Macvlan, Veth, Vlan, Vxlan

ROOT = Path(__file__).resolve().parent.parent
_EXAMPLES = {"bridge": "quickstart", "overlay": "overlay-three-hosts.topo"}
_KINDS = (Bridge, Veth, Macvlan, Ipvlan, Vlan, Vxlan, Dummy)


def example(driver: str) -> Path:
    """The example that shows a driver."""
    return ROOT / "topologies" / f"{_EXAMPLES.get(driver, driver)}.yaml"


def in_place_rows() -> Iterator[tuple[str, str, str]]:
    """Each attribute of each kind of link, and what a change of it does, as the planner decides it."""
    yield from _rows("every link", Link)
    yield from _rows("port of a bridge", BridgePort)
    for kind in _KINDS:
        yield from _rows(kind.name, kind)
    yield "every link", "`kind`", "another link"


def _rows(name: str, cls: type[Any]) -> Iterator[tuple[str, str, str]]:
    for each in fields_of(cls):
        if not each.metadata.get("attr"):
            continue
        unless = each.metadata["unless"]
        what = "in place" if each.metadata["in_place"] else "another link"
        if unless is not None:
            reason = str(unless.__doc__).split(" (")[0].rstrip(".")
            what = f"in place, or another link: {reason[0].lower()}{reason[1:]}"
        yield name, f"`{each.name}`", what
