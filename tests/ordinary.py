"""An ordinary user inside a world: the command line that makes one, and Python and this checkout where he can read them.

Interpreters and checkouts are often below somebody's private home. There the world gets a home that everybody may pass,
with nothing in it but those folders; the machine's own stays as it is.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

from tests.world import ROOT, World

COMMAND = ("setpriv", "--reuid", "65533", "--regid", "65533", "--clear-groups", "--")


def refusal(world: World) -> str | None:
    """Why an ordinary user gets no namespaces on this machine, None if he does. Tried, not guessed."""
    done = world.run(*COMMAND, "unshare", "-Urnmpf", "true", check=False)
    return f"an ordinary user gets no user namespace: {done.stderr.strip()}" if done.returncode else None


def admit(world: World) -> None:
    """Lets everybody in the world read what the reconciler needs to run."""
    hidden = [path for path in _needed() if _blocker(path)]
    copies = {path: world.root / f"admitted-{number}" for number, path in enumerate(hidden)}
    for path, copy in copies.items():
        world.run("mkdir", copy)
        world.run("mount", "--bind", path, copy)
    for blocker in dict.fromkeys(_blocker(path) for path in hidden):
        world.run("mount", "-t", "tmpfs", "-o", "mode=755", "none", str(blocker))
    for path, copy in copies.items():
        world.run("mkdir", "-p", path)
        world.run("mount", "--bind", copy, path)


@cache
def _needed() -> tuple[Path, ...]:
    paths = {ROOT, Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable).resolve().parent.parent}
    return tuple(path for path in sorted(paths) if not any(other in path.parents for other in paths))


def _blocker(path: Path) -> Path | None:
    """The outermost folder on the way to `path` that others may not pass."""
    return next((each for each in reversed(path.parents) if not each.stat().st_mode & 0o001), None)
