"""Plan files: told apart by content, read with suspicion, refused when the base has moved."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reconciler import saved
from reconciler.errors import Mark, Refused, UsageError
from reconciler.model import Leases
from reconciler.objects import (
    HOST,
    Bridge,
    Link,
    Netns,
)
from reconciler.plan import (
    Plan,
)
from reconciler.planner import plan
from reconciler.sides import Declared, Desired, Found, Observed, Requirement

BRIDGE = Link(
    netns=HOST,
    name="br0",
    kind=Bridge(stp=False),
    mtu=1400,
    altnames=("shop.front",),
    alias="reconciler:shop:network/front",
)
WEB = Netns(netns="shop.web", alias="reconciler:shop:sandbox/web", up=True)
DESIRED = Desired(
    "shop",
    {
        BRIDGE.key: Declared(BRIDGE, "network/front", Mark("shop.yaml", 3, 3, 8)),
        WEB.key: Declared(WEB, "sandbox/web"),
    },
    (Requirement(("link", HOST, "eth1"), "network/front", None, "host link 'eth1'", "veth"),),
)
LEASES = Leases({"front": ("10.0.0.0/24",)}, {"web/eth0": ("10.0.0.2",)})
UPLINK = Found(Link(netns=HOST, name="eth1", kind=Bridge()), ours=False)


def planned(*objects: Link | Netns) -> Plan:
    """The plan when these are there already."""
    held = {obj.key: Found(obj, ours=True, origin="x") for obj in objects}
    return plan(DESIRED, Observed({**held, UPLINK.object.key: UPLINK}))


def written(tmp_path: Path, base: Plan) -> str:
    """A plan file."""
    path = str(tmp_path / "shop.plan")
    saved.write(path, DESIRED, LEASES, "digest", base)
    return path


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    """Objects, places, requirements and leases; and the file is known as a plan by its content."""
    path = written(tmp_path, planned())
    back = saved.read(path)
    assert (back.desired, back.leases, back.digest) == (DESIRED, LEASES, "digest")
    assert saved.is_saved_plan(path)
    saved.check_base(back, planned())
    assert list(tmp_path.iterdir()) == [Path(path)]


@pytest.mark.parametrize(
    ("there", "words"),
    [
        ((WEB,), "no longer needed: create netns shop.web"),
        ((replace(WEB, up=False),), "needed now: update netns shop.web"),
        ((replace(BRIDGE, mtu=1500),), "needed now: update link br0"),
        ((BRIDGE,), "no longer needed: create link br0"),
        ((Netns(netns="shop.old"),), "needed now: delete netns shop.old"),
    ],
)
def test_a_moved_base_is_refused_and_named(
    tmp_path: Path, there: tuple[Link | Netns, ...], words: str
) -> None:
    """More to do, less to do, or something else to do."""
    back = saved.read(written(tmp_path, planned()))
    with pytest.raises(Refused, match="no longer fits") as caught:
        saved.check_base(back, planned(*there))
    assert words in caught.value.reasons


def test_a_plan_that_was_applied_already_is_no_moved_base(tmp_path: Path) -> None:
    """Nothing is left to do, so nothing can be other than reviewed."""
    saved.check_base(saved.read(written(tmp_path, planned())), planned(BRIDGE, WEB))


def test_another_value_from_which_to_change_counts_as_moved(tmp_path: Path) -> None:
    """The same change of the same attribute, but from a value that nobody reviewed."""
    back = saved.read(written(tmp_path, planned(replace(BRIDGE, mtu=1500))))
    saved.check_base(back, planned(replace(BRIDGE, mtu=1500)))
    with pytest.raises(Refused):
        saved.check_base(back, planned(replace(BRIDGE, mtu=1300)))


@pytest.mark.parametrize("text", ["", "name: shop\n", '{"format":"other"}', "\0" * 64])
def test_other_files_are_no_plans(tmp_path: Path, text: str) -> None:
    """By their first bytes, whatever they are called; nor are directories and what is not there."""
    path = tmp_path / "x.plan"
    path.write_text(text)
    assert not saved.is_saved_plan(str(path))
    assert not saved.is_saved_plan(str(tmp_path))
    assert not saved.is_saved_plan(str(tmp_path / "nothing"))


def _damaged(data: dict[str, Any], way: str) -> str:
    match way:
        case "torn":
            return json.dumps(data)[:-20]
        case "version":
            data["format_version"] = "9.0"
        case "object":
            data["objects"][0]["object"]["mtu"] = "big"
        case "missing":
            del data["leases"]
        case "steps":
            data["steps"] = 7
        case "requirement":
            data["requirements"][0] = ["x"]
        case "mark":
            data["objects"][0]["mark"] = "shop.yaml:3"
        case "deep":
            return json.dumps(data)[:-1] + ',"x":' + "[" * 100_000
        case "twice":
            data["objects"].append(data["objects"][0])
        case "topology":
            data["topology"] = "../etc"
        case "another topology":
            data["topology"] = "shops"
        case "namespace of another":
            data["objects"][1]["object"]["netns"] = "bank.web"
        case "host":
            data["objects"][1]["object"]["netns"] = ""
        case "mark of another":
            data["objects"][0]["object"]["alias"] = "reconciler:bank:network/front"
        case "no mark":
            del data["objects"][0]["object"]["alias"]
        case "kind":
            data["objects"][0]["object"]["link_kind"] = {"kind": "vxlan"}
        case "key":
            data["requirements"][0][0] = ["netns", "a\0b"]
        case "link kind":
            data["requirements"][0][4] = 7
        case "leases":
            data["leases"]["endpoints"] = {"web/eth0": ["here"]}
        case "objects":
            data["objects"] = {}
        case "namespace without a name":
            data["objects"][1]["object"]["netns"] = "shop."
        case "another sandbox":
            data["objects"][1]["object"]["netns"] = "shop.db"
        case "mark of another origin":
            data["objects"][1]["object"]["alias"] = "reconciler:shop:sandbox/db"
        case "loopback":
            data["objects"][0]["object"]["name"] = "lo"
        case "multicast":
            data["objects"][0]["object"]["mac"] = "01:00:00:00:00:01"
        case "nowhere":
            data["objects"][0]["object"]["netns"] = "pid:1"
        case "left behind":
            data["objects"][0]["object"]["netns"] = "pid:1"
            data["requirements"].append([["netns", "pid:1"], "sandbox/x", None, "x", None])
        case "plugged in nowhere":
            data["objects"][0]["object"]["master"] = "br9"
        case "origin":
            data["objects"][0]["origin"] = "network/\x1b[2J"
        case "digest":
            data["digest"] = "\x1b[2J"
        case "destroys":
            data["destroy"] = True
        case "step":
            data["steps"][0][1] = []
        case _:
            raise AssertionError(way)
    return json.dumps(data)


_WAYS = """torn version object missing steps requirement mark deep twice topology another-topology namespace-of-another host
mark-of-another no-mark kind key link-kind leases step objects namespace-without-a-name another-sandbox
mark-of-another-origin loopback multicast nowhere left-behind plugged-in-nowhere origin digest destroys"""


@pytest.mark.parametrize("way", [way.replace("-", " ") for way in _WAYS.split()])
def test_a_damaged_plan_is_a_usage_error(tmp_path: Path, way: str) -> None:
    """The file is named; nothing of it is used."""
    path = Path(written(tmp_path, planned()))
    path.write_text(_damaged(json.loads(path.read_text()), way))
    with pytest.raises(UsageError, match=r"shop\.plan"):
        saved.read(str(path))


def test_a_plan_that_cannot_be_written_says_where(tmp_path: Path) -> None:
    """The path and the system's word for it."""
    with pytest.raises(UsageError, match=r"cannot write the plan to .*nowhere"):
        saved.write(str(tmp_path / "nowhere/shop.plan"), DESIRED, LEASES, "", planned())


def _write(path: Path) -> None:
    saved.write(str(path), DESIRED, LEASES, "", planned())


def test_only_a_plan_is_written_over(tmp_path: Path) -> None:
    """A plan is; topology files, directories and links stay as they are, whatever they lead to."""
    plan_file = Path(written(tmp_path, planned()))
    before = plan_file.read_text()
    _write(plan_file)
    assert plan_file.read_text() != before
    assert plan_file.stat().st_mode & 0o777 == 0o600
    topology, folder, link = tmp_path / "shop.yaml", tmp_path / "folder", tmp_path / "link"
    topology.write_text("name: shop\n")
    folder.mkdir()
    link.symlink_to(plan_file)
    for path in (topology, folder, link):
        with pytest.raises(UsageError, match="exists and is not a saved plan") as caught:
            _write(path)
        assert caught.value.hint
    assert topology.read_text() == "name: shop\n"
    assert link.is_symlink()
    assert {path.name for path in tmp_path.iterdir()} == {"shop.plan", "shop.yaml", "folder", "link"}


def test_a_plan_goes_into_a_pipe_or_device(tmp_path: Path) -> None:
    """Which is written to and not replaced."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        _write(pipe)
        assert os.read(reader, 27) == b'{"format":"reconciler-plan"'
    finally:
        os.close(reader)
    assert pipe.is_fifo()
    _write(Path(os.devnull))
    assert Path(os.devnull).is_char_device()


def test_a_dash_is_no_file_for_a_plan() -> None:
    """Standard output has the plan for people, or JSON."""
    with pytest.raises(UsageError, match="not a file") as caught:
        saved.check_target("-")
    assert "-o json" in (caught.value.hint or "")


def test_a_plan_that_cannot_be_finished_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The temporary file goes, the old plan stays."""
    path = Path(written(tmp_path, planned()))
    before = path.read_text()

    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "replace", refused)
    with pytest.raises(UsageError, match="Input/output error"):
        _write(path)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text() == before
