"""What an apply says of a signal that comes at an inconvenient time."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from reconciler.apply import Options, apply
from reconciler.objects import KernelObject, Key
from reconciler.state import Store
from tests.fake import FakeKernel
from tests.unit.test_cases import Quiet, load, look
from tests.unit.test_hold import LAB


class Stopped(Store):
    """Somebody says stop while what was done is written down."""

    def save_applied(self, objects: Mapping[Key, KernelObject]) -> None:
        """Write, and be told."""
        signal.raise_signal(signal.SIGTERM)
        super().save_applied(objects)


def test_a_stop_while_the_record_is_written(tmp_path: Path) -> None:
    """Everything is done and recorded, and whoever called hears of the stop."""
    loaded, kernel = load(tmp_path, LAB), FakeKernel()
    loaded = replace(loaded, store=Stopped(tmp_path / "state", "lab"))
    with loaded.store.lock():
        todo = look(loaded, kernel).plan
        result = apply(
            todo,
            loaded.desired,
            loaded.leases,
            kernel,
            loaded.store,
            reporter=Quiet(),
            options=Options(wait=False),
        )
    assert result.interrupted is signal.SIGTERM
    assert all(outcome.done for outcome in result.outcomes)
    assert loaded.store.applied().keys() == loaded.desired.objects.keys()
