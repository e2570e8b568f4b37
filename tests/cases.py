"""Cases as data: a topology, what happens behind our back, an edit, and the plan that must follow.

    about:  one sentence
    before: {topology}        applied first; absent: start from nothing
    break:  [steps]           see `vandals` for the vocabulary
    after:  {topology}        the edit; absent: the file stays as it was
    plan:   [lines]           `ACTION KIND NAME CAUSE [ATTRIBUTES]`, in order, exactly what apply will do
    conflicts: [lines]        messages, when it cannot be applied
    pending: [lines]          messages, when a part of it waits for something
    facts:  [commands]        checked on the real kernel after the apply, by `ip` and traffic
    host:   NAME              which of the topology's hosts it is, given by --host
    needs:  [features]        what the real kernel must be able to do, of tests/features.py, beside what shows by itself:
                              the drivers of the networks and the types of the links in the steps

The same files run against the fake kernel (tests/unit/test_cases.py) and the real one (tests/kernel/test_cases.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from reconciler.plan import Change
from tests import features

DIRECTORY = Path(__file__).parent / "cases"
# The features that the driver of a network stands for.
DRIVERS = {
    "bridge": ("bridge", "veth"),
    "dummy": ("dummy",),
    "ipvlan": ("ipvlan",),
    "macvlan": ("macvlan",),
    "overlay": ("bridge", "veth", "vxlan"),
    "ptp": ("veth",),
    "vlan": ("vlan",),
}


@dataclass(frozen=True, slots=True)
class Case:
    """One case file."""

    name: str
    about: str
    before: Mapping[str, Any] | None
    breaks: tuple[Mapping[str, Any], ...]
    after: Mapping[str, Any] | None
    plan: tuple[str, ...]
    conflicts: tuple[str, ...]
    pending: tuple[str, ...]
    facts: tuple[Mapping[str, Any], ...]
    setup: tuple[Mapping[str, Any], ...]
    declared_needs: tuple[str, ...]
    host: str | None = None

    @property
    def needs(self) -> list[str]:
        """The features that a kernel must have for this case, sorted."""
        topologies = [topology for topology in (self.before, self.after) if topology is not None]
        networks = [
            network or {} for topology in topologies for network in topology.get("networks", {}).values()
        ]
        found = {need for network in networks for need in DRIVERS.get(network.get("driver", "bridge"), ())}
        found |= {step["type"] for step in (*self.setup, *self.breaks) if step.get("add") == "link"}
        return sorted(found | set(self.declared_needs))

    @property
    def edited(self) -> Mapping[str, Any]:
        """The topology that the plan is for."""
        topology = self.after if self.after is not None else self.before
        assert topology is not None, f"{self.name} has neither `before` nor `after`"
        return topology


def load_all() -> list[Case]:
    """Every case, by file name."""
    return [_load(path) for path in sorted(DIRECTORY.glob("*.yaml"))]


def _load(path: Path) -> Case:
    data = yaml.safe_load(path.read_text())
    known = {
        "about",
        "before",
        "break",
        "after",
        "plan",
        "conflicts",
        "pending",
        "facts",
        "setup",
        "needs",
        "host",
    }
    assert set(data) <= known, f"{path.name}: unknown keys {set(data) - known}"
    needs = data.get("needs", ())
    assert set(needs) <= set(features.FEATURES), (
        f"{path.name}: unknown needs {set(needs) - set(features.FEATURES)}"
    )
    return Case(
        path.stem,
        data["about"],
        data.get("before"),
        tuple(data.get("break", ())),
        data.get("after"),
        tuple(data.get("plan", ())),
        tuple(data.get("conflicts", ())),
        tuple(data.get("pending", ())),
        tuple(data.get("facts", ())),
        tuple(data.get("setup", ())),
        tuple(needs),
        data.get("host"),
    )


def line(change: Change) -> str:
    """One change as a line of a case file."""
    names = [attribute.name for attribute in change.attributes]
    return _line(change.action.value, change.key, change.cause.value, change.replaces, names)


def json_line(change: Mapping[str, Any]) -> str:
    """One change of `plan -o json` as a line of a case file."""
    names = [attribute["name"] for attribute in change["attributes"]]
    return _line(change["action"][0], change["key"], change["cause"], change["forces_replacement"], names)


def _line(action: str, key: Sequence[str], cause: str, replaces: Sequence[str], names: Sequence[str]) -> str:
    kind, *rest = key
    words = [action, kind, "/".join(part for part in rest if part), cause]
    if replaces:
        words.append(f"replaces({','.join(replaces)})")
    elif action == "update":
        words += names
    return " ".join(words)
