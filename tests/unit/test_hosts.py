"""What a host lacks: who is told, in which words, and what to do. The cases are in tests/hosts."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from reconciler import pipeline
from reconciler.errors import Exit, Unsupported
from reconciler.features import FEATURES, Feature, Verdict
from reconciler.kernel import facts, modules
from reconciler.kernel.modules import Modules
from reconciler.kernel.netlink import Failure
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


def test_no_module_is_loaded_that_only_has_to_be_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a module is at hand and not loaded, its word is taken; the kernel, which would load it, is not asked."""
    host = Modules("6.1.0", loadable=frozenset({"dummy", "ifb"}))
    monkeypatch.setattr(modules, "read", lambda: host)
    monkeypatch.setattr(modules, "is_loaded", lambda module: module == "ifb")
    asked: list[str] = []

    def ask(features: list[Feature]) -> dict[str, Failure | None]:
        asked.extend(feature.name for feature in features)
        return {feature.name: Failure(errno.EINVAL) for feature in features}

    monkeypatch.setattr(facts, "_ask", ask)
    wanted = [FEATURES[name] for name in ("dummy", "ifb", "vrf")]
    told = facts.probe(wanted, load=False)
    assert asked == ["ifb", "vrf"]
    assert [fact.verdict for fact in told] == [Verdict.PRESENT] * 3
    assert told[0].answer == "module 'dummy', loaded when first used"


@pytest.mark.parametrize(
    ("number", "verdict"),
    [(errno.EPERM, Verdict.UNKNOWN), (errno.ENOBUFS, Verdict.UNKNOWN), (errno.EOPNOTSUPP, Verdict.MISSING)],
)
def test_only_the_kernels_own_no_is_a_no(
    monkeypatch: pytest.MonkeyPatch, number: int, verdict: Verdict
) -> None:
    """A lack of privilege or memory says nothing about features."""
    monkeypatch.setattr(facts, "_ask", lambda features: {f.name: Failure(number) for f in features})
    assert facts.probe([FEATURES["vrf"]])[0].verdict is verdict
    assert bool(facts.lacks(["vrf", "no such feature"])) is (verdict is Verdict.MISSING)
