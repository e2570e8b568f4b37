"""What a host lacks: who is told, in which words, and what to do. The cases are in tests/hosts."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from reconciler import pipeline
from reconciler.errors import Exit, Unsupported
from reconciler.features import FEATURES
from reconciler.kernel import modules
from reconciler.kernel.modules import Modules
from reconciler.objects import LinkKind, OtherKind
from reconciler.render import failure
from reconciler.render.style import PLAIN
from tests.fake import FakeKernel
from tests.unit.test_cases import run

HOSTS = Path(__file__).parent.parent / "hosts"


def cases(name: str) -> list[Any]:
    """The cases of a file."""
    data = yaml.safe_load((HOSTS / f"{name}.yaml").read_text(encoding="utf-8"))
    return [pytest.param(case, id=about) for about, case in data.items()]


@pytest.mark.parametrize("case", cases("refused"))
def test_refusal(case: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan that makes what the kernel lacks is refused with exit code 8, each feature with the first that needs it."""
    monkeypatch.chdir(tmp_path)
    kernel = FakeKernel()
    if "before" in case:
        assert run(_load(case["before"]), kernel) is Exit.OK
    kernel.missing = set(case["missing"])
    assert _said(_load(case["topology"]), kernel).rstrip() == case["expect"].rstrip()


def _load(topology: str) -> pipeline.Loaded:
    Path("lab.yaml").write_text(topology, encoding="utf-8")
    return pipeline.load(["lab.yaml"], [], Path("state"))


def _said(loaded: pipeline.Loaded, kernel: FakeKernel) -> str:
    look = pipeline.look(loaded.desired, loaded.store, kernel)
    assert look.plan.changes
    try:
        pipeline.check_host(look, kernel)
    except Unsupported as error:
        return failure.text(error, PLAIN)
    return ""


@pytest.mark.parametrize("case", cases("remedies"))
def test_remedy(case: dict[str, Any]) -> None:
    """The remedy fits what is known of the host's kernel."""
    host = {**case["host"]}
    if "loadable" in host:
        host["loadable"] = modules.names("".join(f"kernel/x/{name}.ko.xz: \n" for name in host["loadable"]))
    assert modules.remedy(FEATURES[case["feature"]], Modules(**host)) == case["remedy"]


def test_every_link_kind_can_be_asked_for() -> None:
    """A kind of link that a driver makes is known here, or its absence would be found when half of it is made."""
    assert {kind.name for kind in get_args(LinkKind) if kind is not OtherKind} <= set(FEATURES)
