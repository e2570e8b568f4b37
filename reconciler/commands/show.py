"""`show`: what the kernel holds, in our words, each object marked as ours or foreign.

With files or a name it looks as that topology does; alone it finds every topology by the marks in the kernel, so it
works on a host whose files are gone. What is foreign is listed where people look for it, in sandboxes; everywhere
else only with `--foreign`.
"""

from __future__ import annotations

import difflib
from argparse import Namespace
from collections.abc import Iterable, Iterator
from pathlib import Path

from .. import identity, marks, names, pipeline
from ..apply import scope_of
from ..errors import Exit, UsageError
from ..kernel import observe
from ..objects import HOST, Link, Netns, Port, Sysctl
from ..render import show as render
from ..render.show import Shown, Space
from ..sides import Found, Scope
from ..state import Store
from .console import Console
from .inputs import has_files, inputs, refuse_both, refuse_host, state_dir, topology_name


def run(args: Namespace, console: Console) -> int:
    """The objects by namespace; exit code 2 when a named namespace or sandbox is not there."""
    refuse_both(args)
    if args.netns and args.sandbox:
        raise UsageError("--netns and --sandbox exclude each other", hint="leave one of them out")
    scopes = list(_scopes(args))
    every = _spaces(scopes)
    chosen = _chosen(every, args, scopes)
    narrow = bool(args.netns or args.sandbox)
    shown = [space for space in (_visible(s, everything=args.foreign or narrow) for s in chosen) if space]
    hidden = sum(len(s.objects) for s in chosen) - sum(len(s.objects) for s in shown)
    if console.json:
        console.document(render.document(shown))
    else:
        console.result(render.text(shown, hidden, console.out))
    return Exit.OK


# ----------------------------------------------------------------------------------------------------- where to look


def _scopes(args: Namespace) -> Iterator[Scope]:
    """One look for each topology, since only its own scope tells which unmarked things it has claimed."""
    directory = state_dir(args)
    if not has_files(args):
        refuse_host(args)
    if args.name:
        yield _scope(topology_name(args.name), directory)
    elif has_files(args):
        named = inputs(args)
        loaded = pipeline.load(named.paths, named.overrides, directory, args.host)
        if loaded.desired.here is not None:
            identity.confirm(loaded.desired.here, observe.host_addresses())
        yield scope_of(loaded.desired, loaded.store.claims(), foreign=True)
    else:
        bare = observe.observe(Scope("", foreign=True))
        found = {owner.topology for item in bare.objects.values() if (owner := _mark(item)) is not None}
        yield from (_scope(name, directory) for name in sorted(found))
        if not found:
            yield Scope("", foreign=True)


def _scope(topology: str, directory: Path) -> Scope:
    store = Store(directory, topology)
    claims = store.claims()
    given = {key[1] for key in claims} - {HOST}
    sysctls = {key for key in (*store.applied(), *claims) if key[0] == "sysctl"}
    return Scope(topology, frozenset(given), frozenset(sysctls), frozenset(claims), foreign=True)


def _mark(found: Found) -> marks.Owner | None:
    """Whose mark an object carries; a namespace's counts only under the name that belongs to it, as everywhere."""
    match found.object:
        case Link(alias=alias):
            return marks.owner(alias)
        case Netns(netns=netns, alias=alias) if (owner := marks.owner(alias)) is not None:
            return (
                owner if netns == names.netns(owner.topology, owner.origin.removeprefix("sandbox/")) else None
            )
        case _:
            return None


# ------------------------------------------------------------------------------------------------------ what is there


def _spaces(scopes: Iterable[Scope]) -> list[Space]:
    """Everything by namespace, the host first; an object counts as ours when any topology owns it."""
    spaces: dict[str, dict[tuple[str, ...], Shown]] = {HOST: {}}
    owners: dict[str, Shown] = {}
    for scope in scopes:
        for key, found in observe.observe(scope).objects.items():
            shown = _shown(found, scope)
            if isinstance(found.object, Netns):
                if found.object.netns not in owners or shown.topology is not None:
                    owners[found.object.netns] = shown
                spaces.setdefault(found.object.netns, {})
            elif isinstance(found.object, Port) and key not in scope.claims:
                continue  # only the links that somebody plugged in for us have a port role worth a line
            else:
                objects = spaces.setdefault(found.object.netns, {})
                if key not in objects or shown.topology is not None:
                    objects[key] = shown
    return [
        Space(
            netns,
            tuple(objects.values()),
            owners[netns].topology if netns in owners else None,
            owners[netns].origin if netns in owners else None,
        )
        for netns, objects in sorted(spaces.items())
    ]


def _shown(found: Found, scope: Scope) -> Shown:
    """With the owner that the mark names, which may be another topology than the one that looks."""
    if (owner := _mark(found)) is not None:
        return Shown(found.object, owner.topology, owner.origin)
    if isinstance(found.object, Sysctl):  # asked for by name because a file or a record of ours names it
        return Shown(found.object, scope.topology, None)
    ours = found.ours or found.object.key in scope.claims
    return Shown(found.object, scope.topology if ours else None, found.origin)


def _chosen(spaces: list[Space], args: Namespace, scopes: list[Scope]) -> list[Space]:
    if args.sandbox:
        wanted = {names.netns(scope.topology, args.sandbox) for scope in scopes}
        chosen = [s for s in spaces if s.netns in wanted or s.origin == f"sandbox/{args.sandbox}"]
        known = [s.origin.removeprefix("sandbox/") for s in spaces if s.origin]
        return chosen or _missing("sandbox", args.sandbox, known)
    if args.netns:
        wanted_netns = HOST if args.netns == "host" else args.netns
        chosen = [s for s in spaces if s.netns == wanted_netns]
        return chosen or _missing("namespace", args.netns, [s.netns or "host" for s in spaces])
    return spaces


def _missing(what: str, name: str, known: list[str]) -> list[Space]:
    close = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean '{close[0]}'?" if close else f"there is: {', '.join(sorted(known)[:10]) or 'none'}"
    raise UsageError(f"there is no {what} '{name}' on this host", hint=hint)


def _visible(space: Space, *, everything: bool) -> Space | None:
    """What is shown of a namespace, None when nothing is."""
    if everything or (space.topology is not None and space.netns != HOST):
        return space if space.objects or space.netns != HOST else None
    ours = tuple(item for item in space.objects if item.topology is not None)
    return Space(space.netns, ours, space.topology, space.origin) if ours else None
