"""`doctor`: what this host has of what topologies need, and how to get the rest.

Without a PATH every feature is shown, and those of a bridge topology decide about the exit code; with one, only what
that topology needs. Asks the kernel without making anything, and loads no module that is at hand but not loaded.
"""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import replace

from .. import pipeline, plugins
from ..errors import Exit
from ..features import BRIDGE_TOPOLOGY, FEATURES, Fact, Verdict, needs
from ..kernel import facts, host
from ..pipeline import Loaded
from ..render import doctor as render
from ..render.doctor import DoctorView
from .console import Console
from .inputs import has_files, inputs, refuse_host, state_dir


def run(args: Namespace, console: Console) -> int:
    """The facts about this host; exit code 8 when something vital is missing."""
    loaded = None
    if has_files(args):
        named = inputs(args)
        loaded = pipeline.load(named.paths, named.overrides, state_dir(args), args.host)
    else:
        refuse_host(args)
    view = _view(loaded)
    if console.json:
        console.document(render.document(view))
    else:
        console.result(render.text(view, console.out))
    return Exit.UNSUPPORTED if view.lacking else Exit.OK


def _view(loaded: Loaded | None) -> DoctorView:
    release = os.uname().release
    if loaded is None:
        found = (*host.facts(), *_features(), *_plugins())
        return DoctorView(release, None, found, tuple(host.settings()))
    vital = (fact for fact in host.facts() if fact.vital)
    return DoctorView(release, loaded.topology.name, (*vital, *_needed(loaded)), ())


def _plugins() -> Iterator[Fact]:
    for name, plugin in plugins.installed().items():
        yield Fact(f"driver {name}", Verdict.PRESENT, f"of {plugin.distribution}", "networks that choose it")
    for broken in plugins.unusable():
        yield Fact(f"driver {broken.name}", Verdict.MISSING, broken.why, "networks that choose it")


def _features() -> Iterator[Fact]:
    for fact in facts.probe(FEATURES.values(), load=False):
        yield replace(fact, vital=fact.name in BRIDGE_TOPOLOGY)


def _needed(loaded: Loaded) -> Iterator[Fact]:
    wanted = needs(loaded.desired.objects.values())
    for fact in facts.probe((FEATURES[name] for name in wanted if name in FEATURES), load=False):
        yield replace(fact, needed_by=str(wanted[fact.name]), vital=True)
