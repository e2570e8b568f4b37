"""Golden error texts: every file below tests/errors holds cases, and adding one needs no Python.

A case is a name with `topology` (one file, `topology.yaml`) or `files` (name → text, all loaded unless `load` says which)
and `overrides`, and `expect`: for each diagnostic a line `file:line:col code message`, then its hint, indented. The whole
front end runs: reading, schema, expansion, the lock file, resolution.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler import lockfile
from reconciler.errors import Diagnostic, TopologyError
from reconciler.resolve import resolve

CASES = Path(__file__).parent.parent / "errors"


def _cases() -> Iterator[Any]:
    for path in sorted(CASES.glob("**/*.yaml")):
        for name, case in yaml.safe_load(path.read_text(encoding="utf-8")).items():
            yield pytest.param(case, id=f"{path.relative_to(CASES).with_suffix('')}: {name}")


@pytest.mark.parametrize("case", list(_cases()))
def test_error_text(case: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The diagnostics of a broken topology are word for word, and place for place, the expected ones."""
    monkeypatch.chdir(tmp_path)
    files = case.get("files") or {"topology.yaml": case["topology"]}
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("utf-8"))
    overrides = case.get("overrides", [])
    paths = case.get("load", [n for n in files if n not in overrides and not n.endswith(".lock.yaml")])
    assert _diagnostics(paths, overrides).rstrip() == case["expect"].rstrip()


def _diagnostics(paths: list[str], overrides: list[str]) -> str:
    try:
        locked = lockfile.load(paths, overrides)
        expanded, leases = locked.expanded, locked.lock.leases
        topology, dealt = resolve(
            expanded.tree, name_mark=expanded.name_mark, files=expanded.files, leases=leases
        )
        lockfile.require(topology, dealt, locked)
    except TopologyError as error:
        return "\n".join(map(_text, error.diagnostics))
    return "no mistake found"


def _text(diagnostic: Diagnostic) -> str:
    line = f"{diagnostic.mark} {diagnostic.code} {diagnostic.message}"
    return line if diagnostic.hint is None else f"{line}\n    {diagnostic.hint}"
