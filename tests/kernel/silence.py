"""Whether an apply is silent, as heard by an independent listener on every namespace of the world."""

from __future__ import annotations

from pathlib import Path

from tests.world import World


def silent(world: World, file: Path) -> bool:
    """Whether an apply causes no notice. The kernel has late ones of its own, so up to three applies are listened to;
    one that does something would be heard each time.
    """
    for _ in range(3):
        world.settle()
        with world.monitor() as monitor:
            world.reconciler("apply", file, "--yes")
            if not monitor.events():
                return True
    return False
