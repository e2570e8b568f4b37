"""The topologies that are shipped as examples, without their lock files."""

from __future__ import annotations

from pathlib import Path

DIRECTORY = Path(__file__).resolve().parent.parent / "topologies"
PATHS = sorted(path for path in DIRECTORY.glob("*.yaml") if not path.name.endswith(".lock.yaml"))
# Of several hosts: these are applied on each of them, in tests/kernel/test_overlay.py.
OF_SEVERAL_HOSTS = [path for path in PATHS if path.name.endswith(".topo.yaml")]
