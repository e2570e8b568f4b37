"""What is compared: specifications as data, each for Docker and for the reconciler; and the hosts that they run on.

On these hosts the engine and its tools are installed, and nowhere else: their files lie over /usr in the host's own mount
namespace, from the unpacked packages that $ENGINE names.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.fleet import Fleet
from tests.world import World

SPECS = Path(__file__).parent / "specs"


@dataclass(frozen=True, slots=True)
class Spec:
    """One specification, said twice."""

    name: str
    about: str
    driver: str
    hosts: int
    wire: tuple[str, ...]
    topology: Mapping[str, Any]
    docker: Mapping[str, tuple[str, ...]]
    reach: tuple[tuple[str, str, str], ...]


def load(path: Path) -> Spec:
    """A file of tests/differential/specs. Commands for a sole host need no name of it."""
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    said = data["docker"] if isinstance(data["docker"], dict) else {"": data["docker"]}
    docker = {host: tuple(commands) for host, commands in said.items()}
    return Spec(
        name=path.stem,
        about=data["about"],
        driver=data["driver"],
        hosts=data.get("hosts", 1),
        wire=tuple(data.get("wire", ())),
        topology=data["topology"],
        docker=docker,
        reach=tuple((host, sandbox, address) for host, sandbox, address in data.get("reach", ())),
    )


def specs() -> list[Spec]:
    """All of them, by name."""
    return [load(path) for path in sorted(SPECS.glob("*.yaml"))]


@contextmanager
def hosts(spec: Spec) -> Iterator[Mapping[str, World]]:
    """The private hosts of a specification, with the links that it takes for granted; `""` is a sole one's name."""
    with ExitStack() as stack:
        if spec.hosts == 1:
            found: Mapping[str, World] = {"": stack.enter_context(World())}
        else:
            found = stack.enter_context(Fleet(spec.hosts)).hosts
        for host in found.values():
            host.run(
                "mount", "-t", "overlay", "-o", f"lowerdir={os.environ['ENGINE']}/usr:/usr", "engine", "/usr"
            )
            for line in spec.wire:
                host.run("ip", *line.split())
        yield found
