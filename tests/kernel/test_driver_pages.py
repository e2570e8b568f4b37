"""The pages of the drivers say what the kernel holds after their example was applied: this is where that comes from.

DRIVER_PAGES=FOLDER writes it to FOLDER/DRIVER.txt instead of comparing, to be put into the page.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import driver_docs
from tests.kernel.test_examples import EXPECTED, lay_wire
from tests.world import ROOT, World

PAGES = sorted(
    path for path in (ROOT / "docs" / "drivers").glob("*.md") if "<!-- held -->" in path.read_text("utf-8")
)
_HELD = re.compile(r"<!-- held -->\n```text\n(.*?)```\n<!-- end -->", re.DOTALL)
_SHOWN = ("mode", "flags", "id", "protocol")


def _case(page: Path) -> Any:
    needs = EXPECTED[driver_docs.example(page.stem).stem].needs
    return pytest.param(page, id=page.stem, marks=pytest.mark.needs(*needs))


@pytest.mark.parametrize("page", [_case(page) for page in PAGES])
def test_what_the_page_says_the_kernel_holds(world: World, page: Path) -> None:
    """The page tells what `ip` finds."""
    example = driver_docs.example(page.stem)
    if (wire := EXPECTED[example.stem].wire) is not None:
        lay_wire(world, wire)
    world.reconciler("apply", example)
    found = "".join(f"{line}\n" for line in held(world, example.stem))
    if folder := os.environ.get("DRIVER_PAGES"):
        Path(folder, f"{page.stem}.txt").write_text(found)
        return
    match = _HELD.search(page.read_text("utf-8"))
    assert match is not None
    assert match[1] == found


def held(world: World, topology: str) -> Iterator[str]:
    """Links, addresses and routes of the host and of every sandbox, but for what was there before."""
    for netns in (None, *sorted(each for each in world.netns() if each.startswith(f"{topology}."))):
        yield netns or "host"
        for link in _ip(world, netns, "-d", "address", "show"):
            if link["ifname"] == "lo" or (netns is None and link["ifname"] in ("eth1", "wire")):
                continue
            yield f"  {link['ifname']}: {_words(link)}"
            for each in link["addr_info"]:
                if each["scope"] == "global":
                    yield f"    {each['local']}/{each['prefixlen']}"
        for family in ("-4", "-6"):
            for route in _ip(world, netns, family, "route", "show"):
                if route.get("protocol") != "kernel":
                    kind = "" if route.get("type", "unicast") == "unicast" else f"{route['type']} "
                    steps = [
                        f"{word} {route[key]}"
                        for word, key in (("via", "gateway"), ("dev", "dev"))
                        if key in route
                    ]
                    yield f"  {kind}{' '.join([route['dst'], *steps])}"


def _words(link: dict[str, Any]) -> str:
    info = link.get("linkinfo", {})
    data = info.get("info_data", {})
    words = [
        info["info_kind"],
        *(f"{key.rstrip('s')} {data[key]}" for key in _SHOWN if isinstance(data.get(key), str | int)),
    ]
    words += [f"port of {link['master']}"] if "master" in link else []
    return ", ".join([*words, f"mtu {link['mtu']}", "up" if "UP" in link["flags"] else "down"])


def _ip(world: World, netns: str | None, *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = world.netns_ip(netns, *arguments) if netns else world.ip(*arguments)
    return found
