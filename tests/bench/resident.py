"""A network in tunnels without its file: `python -m tests.bench.resident FILE ROUNDS` prints seconds as JSON.

Everything happens in one process, in turns, so both sides see the same machine. What is compared starts from what a
watch has in memory: on our side the desired objects, on the other rows of text. Nothing of ours is left out: the look
and the plan, the journal, the second look, and the record of what is there. The garbage collector runs as in a watch.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reconciler import pipeline
from reconciler.apply import apply
from reconciler.compile import compile_topology
from reconciler.kernel.linux import Linux
from reconciler.model import Leases
from reconciler.objects import FdbEntry, Neighbour
from reconciler.sides import Desired
from reconciler.state import Store
from tests.bench.tunnels import DEVICE, DEVICE_KIND, HERE, READ_COMMANDS, Row, send


class Silent:
    """A reporter that nobody listens to."""

    def started(self, total: int) -> None:
        """Nothing."""

    def progressed(self, done: int) -> None:
        """Nothing."""

    def waiting(self, missing: int) -> None:
        """Nothing."""


def main() -> int:
    """Measures, and checks that our side did what it was to do."""
    file, rounds = sys.argv[1], int(sys.argv[2])
    loaded = pipeline.load((file,), (), Path(os.environ["RECONCILER_STATE_DIR"]), HERE)
    rows, store = list(_rows(loaded.desired)), loaded.store
    gc.collect()
    gc.freeze()
    gc.enable()
    seconds: defaultdict[str, list[float]] = defaultdict(list)

    @contextmanager
    def measured(name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        seconds[name].append(time.perf_counter() - began)

    for _ in range(rounds):
        kernel = Linux(store)
        with measured("send"):
            send(rows)
        subprocess.run(["ip", "link", "del", DEVICE], check=True)  # nobody is to read that again
        subprocess.run(["ip", "link", "add", DEVICE, "up", *DEVICE_KIND], check=True)
        with store.lock():
            with measured(
                "compile"
            ):  # each time, or what was derived from the objects would be there already
                desired = compile_topology(loaded.topology, host=HERE)
            with measured("apply"):
                _carry_out(desired, loaded.leases, kernel, store)
            for _ in range(3):
                with measured("look"):
                    found = pipeline.look(desired, store, kernel)
                assert found.plan.empty
                with measured("read"):
                    _read()
            _carry_out(Desired(desired.topology, here=desired.here), Leases(), kernel, store)
    json.dump(seconds, sys.stdout)
    return 0


def _rows(desired: Desired) -> Iterator[Row]:
    entries = [declared.object for declared in desired.entries.by_key.values()]
    hosts = {entry.mac: entry.dst for entry in entries if isinstance(entry, FdbEntry)}
    for entry in entries:
        if isinstance(entry, Neighbour):
            yield entry.address, hosts[entry.mac or ""] or ""


def _carry_out(desired: Desired, leases: Leases, kernel: Linux, store: Store) -> None:
    found = pipeline.look(desired, store, kernel)
    result = apply(found.plan, desired, leases, kernel, store, reporter=Silent())
    assert (result.exit_code, found.plan.empty) == (0, False)


def _read() -> None:
    for argv in READ_COMMANDS:
        json.loads(subprocess.run(argv, capture_output=True, check=True).stdout)


if __name__ == "__main__":
    sys.exit(main())
