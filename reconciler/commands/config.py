"""`config`: the topology in its one canonical form, or where one value of it comes from.

The form holds what files and built-in defaults say. Values that are decided later (allocated addresses, derived MACs,
an MTU that a network hands down) are no part of it, but `--explain` knows them as well.
"""

from __future__ import annotations

import difflib
from argparse import Namespace
from typing import NamedTuple

from .. import pipeline, resolve
from ..errors import Exit, UsageError
from ..load import expand, fields, source
from ..load.expand import Expanded
from ..load.tree import Map
from ..model import Leases
from ..pipeline import Loaded
from ..render import explained as render
from ..render.explained import Explained
from .console import Console
from .inputs import inputs, state_dir
from .origins import decided, declared

_NAMED = ("networks", "sandboxes", "endpoints")  # maps with free names: what they hold is one level below


def run(args: Namespace, console: Console) -> int:
    """The canonical form as YAML or JSON; with `--explain` one value and its origin."""
    named = inputs(args)
    if args.explain is not None:
        found = explain(
            pipeline.load(named.paths, named.overrides, state_dir(args), anywhere=True), args.explain
        )
        if console.json:
            console.document(render.document(found))
        else:
            console.result(render.text(found, console.out))
        return Exit.OK
    expanded = expand.read(named.paths, named.overrides)
    if expanded.mistakes:
        resolve.refuse(expanded)
    _check(expanded)
    tree = expand.to_plain(expanded.tree)
    if console.json:
        console.document({"inputs": {"files": expanded.files, "digest": expanded.digest}, "topology": tree})
    else:
        console.result(source.dump(tree))
    return Exit.OK


def _check(expanded: Expanded) -> None:
    """What is printed as canonical is valid as a whole."""
    resolve.resolve(
        expanded.tree, name_mark=expanded.name_mark, files=expanded.files, leases=Leases(), taken=()
    )


def explain(loaded: Loaded, path: str) -> list[Explained]:
    """The value at `path`, or the values when it is a list that was decided item by item. Raises UsageError."""
    found = list(decided(loaded, path)) or declared(loaded.expanded, path) or _unset(loaded, path)
    if not found:
        raise UsageError(f"the topology has no value '{path}'", hint=_hint(loaded, path))
    return found


def _hint(loaded: Loaded, path: str) -> str:
    """The path that was probably meant: a name of the topology, else a field that is known there."""
    names = [*loaded.topology.sandboxes, *loaded.topology.networks]
    first, dot, rest = path.partition(".")
    close = difflib.get_close_matches(first, names, 1)
    if close and close[0] != first:
        return f"did you mean '{close[0]}{dot}{rest}'?"
    above, _, field = path.rpartition(".")
    known = [name for level in _levels(loaded, above) for name in (*_fields(level), *map(str, level.value))]
    if near := difflib.get_close_matches(field, known, 1):
        return f"did you mean '{above}.{near[0]}'?"
    return "name it as in web.eth0.mtu or networks.front.subnets"


def _unset(loaded: Loaded, path: str) -> list[Explained]:
    """A field that exists where the path leads and that nobody gave a value: what the schema says about it."""
    above, _, field = path.rpartition(".")
    level = next((level for level in _levels(loaded, above) if field in _fields(level)), None)
    if level is None:
        return []
    full = f"{level.path}.{field}"
    found = fields.describe(full)
    default = found.default or found.description.partition("Omitted: ")[2].partition(".")[0]
    why = f"default: {default}" if default else found.description
    if found.not_yet:
        why = "not realised by this version"
    return [Explained(full, None, "unset", why)]


class _Level(NamedTuple):
    """A map of the topology that a path leads to."""

    path: str
    value: Map


def _levels(loaded: Loaded, above: str) -> list[_Level]:
    """The maps that `above` can mean: `web` stands for the sandbox and, since it is shorter to write, for its endpoints."""
    found = [loaded.expanded.origin(path) for path in dict.fromkeys((above, f"sandboxes.{above}")) if above]
    return [_Level(o.path, o.value) for o in found if o is not None and isinstance(o.value, Map)]


def _fields(level: _Level) -> list[str]:
    if level.path.rpartition(".")[2] in _NAMED:
        return []
    try:
        doc = fields.describe(level.path)
        return [name for each in (doc, *doc.others) for name, _ in each.children if name != "*"]
    except UsageError:  # a dot in a name is no step in the schema
        return []
