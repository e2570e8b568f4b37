"""`make demo`: plan, apply, look, break, repair and destroy a topology, in a private host that vanishes afterwards."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.world import World, refusal


def main() -> int:
    """Shows every step with its output; returns the first exit code that is not as it should be."""
    if reason := refusal():
        print(f"make demo: {reason}", file=sys.stderr)
        return 8
    file = Path(sys.argv[1] if len(sys.argv) > 1 else "topologies/quickstart.yaml")
    with World() as world:
        for command in (("validate",), ("plan",), ("apply", "--yes")):
            if code := _show(world, *command, str(file)):
                return code
        broken = world.netns()[-1]
        print(f"\n# somebody changes something in {broken}\n$ ip -n {broken} link set eth0 down")
        world.run("ip", "link", "set", "eth0", "down", netns=broken)
        for command in (("plan",), ("apply", "--yes"), ("plan",), ("destroy", "--yes")):
            if code := _show(world, *command, str(file)):
                return code
    return 0


def _show(world: World, *args: str) -> int:
    print(f"\n$ reconciler {' '.join(args)}", flush=True)
    result = world.reconciler(*args, exit=None)
    print(result.stdout + result.stderr, end="", flush=True)
    return result.code


if __name__ == "__main__":
    sys.exit(main())
