"""Runs the command line as a process of its own, away from any real state directory."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """`run("plan", "x.yaml", stdin=…, env={…})` in an empty directory; both streams are pipes."""
    base = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("RECONCILER_") and name != "NO_COLOR"
    }

    def start(
        *words: str, stdin: str = "", env: dict[str, str] | None = None, python: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *python, "-m", "reconciler", *words],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env={
                **base,
                "PYTHONPATH": str(ROOT),
                "RECONCILER_STATE_DIR": str(tmp_path / "state"),
                **(env or {}),
            },
        )

    return start


@pytest.fixture
def topology(tmp_path: Path) -> Path:
    """A valid topology file named lab.yaml in the directory of the run."""
    path = tmp_path / "lab.yaml"
    path.write_text(VALID)
    return path


VALID = """\
name: lab
defaults:
  network: {mtu: 1400}
networks:
  lan:
    subnets: [10.10.0.0/24]
sandboxes:
  web:
    replicas: 2
    endpoints:
      eth0: lan
  db:
    endpoints:
      eth0: {network: lan, addresses: [10.10.0.9]}
"""
