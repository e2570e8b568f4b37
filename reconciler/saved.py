"""A plan as a file: what was reviewed is what gets applied, or nothing.

The file holds what is desired, object by object, and the changes that followed when it was written. Applying it looks
at the kernel again and plans again; if the changes are not the same, the base has moved and the plan is refused,
naming what moved. So nothing in the file is trusted to be still true, and topology files are not needed to apply it.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from . import marks, names, serial, whole
from .errors import Refused, UsageError
from .model import Leases
from .objects import HOST, FdbEntry, KernelObject, Key, Link, Neighbour, Netns, Port, Veth, parent
from .plan import Change, Plan
from .sides import Declared, Desired, Here, Requirement

FORMAT, VERSION = "reconciler-plan", "1.1"
_SNIFF = f'{{"format":"{FORMAT}"'.encode()
_LIMIT = 256 << 20
_NAME = re.compile(r"[a-z0-9]([a-z0-9_-]{0,30}[a-z0-9])?")
_PART = re.compile(r"[a-z0-9][a-z0-9_-]*")
Step = tuple[str, Key, str]


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """What a plan file says. `steps` are the changes that were reviewed, reduced to what identifies them.

    `destroying` says that nothing is desired because a destroy was planned, and not because a file was empty. `identity`
    is the digest of the file itself, `digest` that of the topology files; `policies` those of the policies that allowed it.
    """

    desired: Desired
    leases: Leases
    digest: str
    steps: tuple[Step, ...]
    destroying: bool = False
    identity: str = ""
    policies: tuple[str, ...] = ()


def is_saved_plan(path: str) -> bool:
    """Whether a path names a plan file rather than topology files: by its first bytes, not by its name."""
    try:
        if not os.path.isfile(path):
            return False
        with open(path, "rb") as file:
            return file.read(len(_SNIFF)) == _SNIFF
    except OSError:
        return False


def check_target(path: str) -> None:
    """Raise UsageError unless a plan may be written to `path`: to nothing, over another plan, into a pipe or device."""
    if path in ("-", ""):
        raise UsageError(f"'{path}' is not a file for a plan", hint="name a file; `-o json` prints the plan")
    try:
        info = os.lstat(path)
    except OSError:  # not there; if it is something else, writing says so
        return
    if _is_stream(path) or (stat.S_ISREG(info.st_mode) and is_saved_plan(path)):
        return
    raise UsageError(f"{path} exists and is not a saved plan", hint="choose another name, or remove it first")


def write(
    path: str,
    desired: Desired,
    leases: Leases,
    digest: str,
    plan: Plan,
    *,
    destroying: bool = False,
    policies: Sequence[str] = (),
) -> str:
    """Save `plan`, and say by which digest it is known from now on.

    A file is replaced whole or not at all; raises UsageError for what is not ours to replace.
    """
    check_target(path)
    data = {
        "format": FORMAT,
        "format_version": VERSION,
        "digest": digest,
        "destroy": destroying,
        "policies": list(policies),
        "leases": serial.leases_to_data(leases),
        **side_to_data(desired),
        "steps": [_step(change) for change in plan.changes],
    }
    text = json.dumps(data, separators=(",", ":")) + "\n"
    try:
        if _is_stream(path):
            Path(path).write_text(text)
        else:
            whole.replace(path, text.encode(), 0o600)
    except OSError as error:
        raise UsageError(f"cannot write the plan to {path}: {error.strerror}") from error
    return _identity(text.encode())


def side_to_data(desired: Desired) -> dict[str, Any]:
    """Everything that is desired, as JSON data."""
    return {
        "topology": desired.topology,
        "host": None if desired.here is None else [desired.here.host, desired.here.vtep],
        "protected": sorted(desired.protected),
        "objects": [
            {
                "object": serial.to_data(d.object),
                "origin": d.origin,
                "mark": serial.mark_to_data(d.mark),
                "yields": d.yields,
            }
            for d in desired.objects.values()
        ],
        "requirements": [
            [list(r.key), r.origin, serial.mark_to_data(r.mark), r.what, r.link_kind, r.awaited]
            for r in desired.requirements
        ],
    }


def side_from_data(data: Mapping[str, Any]) -> Desired:
    """The reverse. Raises ValueError, KeyError, TypeError or AttributeError for what no topology can ask for."""
    topology = data["topology"]
    if not isinstance(topology, str) or not _NAME.fullmatch(topology):
        raise ValueError(f"{topology!r} cannot be the name of a topology")
    objects = [_declared(item, topology) for item in _list(data["objects"])]
    desired = Desired(
        topology,
        {d.object.key: d for d in objects},
        tuple(map(_requirement, _list(data["requirements"]))),
        _here(data.get("host")),
        frozenset(map(_line, _list(data.get("protected", [])))),
    )
    if len(desired.objects) != len(objects):
        raise ValueError("an object is there twice")
    _check_places(desired)
    return desired


def _identity(content: bytes) -> str:
    """What an approval names: it changes with any byte of the plan."""
    return f"sha256:{sha256(content).hexdigest()}"


def _is_stream(path: str) -> bool:
    """Whether writing to `path` replaces nothing: /dev/null, /dev/stdout, a named pipe. A disk is none."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)


def read(path: str) -> SavedPlan:
    """Read a plan file. Raises UsageError when it is none, or one of a later version."""
    try:
        if os.path.getsize(path) > _LIMIT:
            raise UsageError(f"{path} is too large for a plan")
        content = Path(path).read_bytes()
        data = json.loads(content)
    except OSError as error:
        raise UsageError(f"cannot read the plan {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not a plan: {error}", hint="plan again") from error
    if not isinstance(data, dict):
        raise UsageError(f"{path} is not a plan", hint="plan again")
    if data.get("format_version") != VERSION:
        version = data.get("format_version")
        raise UsageError(f"{path} has plan format {version}, this version reads {VERSION}", hint="plan again")
    try:
        return replace(_decode(data), identity=_identity(content))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise UsageError(f"{path} is not a plan that can be read: {error}", hint="plan again") from error


def check_base(saved: SavedPlan, now: Plan) -> None:
    """Raise Refused, naming what moved, unless planning again gives the changes that were saved, or none at all."""
    if not now.changes:  # applied already; conflicts are for the caller to tell
        return
    before, after = dict.fromkeys(saved.steps), dict.fromkeys(_tuple(_step(change)) for change in now.changes)
    if list(before) == list(after):
        return
    gone = [f"no longer needed: {_words(step)}" for step in before if step not in after]
    new = [f"needed now: {_words(step)}" for step in after if step not in before]
    reasons = (gone + new)[:20] or ["the order of the changes is another"]
    raise Refused(
        "the saved plan no longer fits this machine", reasons=reasons, hint="plan again and review it"
    )


def _step(change: Change) -> list[Any]:
    """A change with everything that it would do, so that a moved attribute counts as a moved base."""
    content = {
        "before": None if change.before is None else serial.to_data(change.before),
        "after": None if change.after is None else serial.to_data(change.after),
    }
    return [change.action.value, list(change.key), json.dumps(content, sort_keys=True, separators=(",", ":"))]


def _tuple(step: list[Any]) -> Step:
    action, key, content = step
    return (str(action), serial.key_from_data(key), str(content))


def _words(step: Step) -> str:
    action, (kind, *rest), _ = step
    return f"{action} {kind} {'/'.join(part for part in rest if part)}"


def _decode(data: Mapping[str, Any]) -> SavedPlan:
    desired = side_from_data(data)
    destroying = data["destroy"]
    if not isinstance(destroying, bool) or (destroying and desired.objects):
        raise ValueError("it is not clear whether it destroys")
    return SavedPlan(
        desired,
        serial.leases_from_data(data["leases"]),
        _line(data["digest"]),
        tuple(_tuple(step) for step in _list(data["steps"])),
        destroying,
        policies=tuple(map(_line, _list(data.get("policies", [])))),
    )


def _here(item: Any) -> Here | None:
    """The host that the plan is for; plans of a topology without hosts, and those of old, have none."""
    if item is None:
        return None
    host, vtep = item
    if not isinstance(host, str) or not _PART.fullmatch(host) or not isinstance(vtep, str):
        raise ValueError(f"{item!r} is no host")
    return Here(host, str(ip_address(vtep)))


def _declared(item: Mapping[str, Any], topology: str) -> Declared:
    obj, origin = serial.from_data(item["object"]), _line(item["origin"])
    serial.check_desired(obj)
    _check_owner(obj, marks.Owner(topology, origin))
    return Declared(obj, origin, serial.mark_from_data(item["mark"]), _flag(item["yields"]))


def _check_owner(obj: KernelObject, owner: marks.Owner) -> None:
    """What is made must say whose it is, as it does when it comes from a file, or nobody would find it again."""
    if not isinstance(obj, Netns | Link):
        return
    if marks.owner(obj.alias) != owner:
        raise ValueError(
            f"{obj.kind_name} {obj.key[-1]} has no mark of {owner.origin} of topology '{owner.topology}'"
        )
    if isinstance(obj, Netns):
        kind, _, sandbox = owner.origin.partition("/")
        if (
            kind != "sandbox"
            or not _PART.fullmatch(sandbox)
            or obj.netns != names.netns(owner.topology, sandbox)
        ):
            raise ValueError(
                f"namespace '{obj.netns}' is not that of {owner.origin} of topology '{owner.topology}'"
            )


def _check_places(desired: Desired) -> None:
    """Everything is on the host or in a namespace that the plan makes or requires, and plugged in where it says."""
    declared = {key for key, d in desired.objects.items() if isinstance(d.object, Netns | Link)}
    known = declared | {requirement.key for requirement in desired.requirements} | {("netns", HOST)}
    for item in desired.objects.values():
        obj = item.object
        for place in places(obj):
            if place not in known:
                what = " ".join(part for part in place if part)
                raise ValueError(f"{obj.kind_name} {obj.key[-1]} needs {what}, which the plan does not have")


def places(obj: KernelObject) -> Iterator[Key]:
    """What must be there before an object can be: made by the same plan, or required by it."""
    yield ("netns", obj.netns)
    if isinstance(obj, Link | Port) and obj.master:
        yield ("link", obj.netns, obj.master)
    if isinstance(obj, Link) and isinstance(obj.kind, Veth) and obj.kind.peer is not None:
        yield ("netns", obj.kind.peer.netns)
    if isinstance(obj, FdbEntry | Neighbour):
        yield ("link", obj.netns, obj.link)
    if (below := parent(obj)) is not None:
        yield ("link", *below)


def _requirement(item: Any) -> Requirement:
    key, origin, mark, what, kind, awaited = item
    if kind is not None and not isinstance(kind, str):
        raise ValueError(f"{kind!r} is no kind of link")
    place = serial.mark_from_data(mark)
    return Requirement(serial.key_from_data(key), _line(origin), place, _line(what), kind, _flag(awaited))


def _flag(data: object) -> bool:
    if not isinstance(data, bool):
        raise ValueError(f"expected true or false, found {data!r}")
    return data


def _list(data: object) -> list[Any]:
    if not isinstance(data, list):
        raise ValueError(f"expected a list, found {type(data).__name__}")
    return data


def _line(data: object) -> str:
    """A text that is shown as it is."""
    if not isinstance(data, str) or not data.isprintable():
        raise ValueError(f"{data!r} is not a line of text")
    return data
