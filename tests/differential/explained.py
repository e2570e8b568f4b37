"""Every recorded difference with its reason: what was recorded against what was explained, and both as documentation. Pure.

A reason stands in reasons.yaml for all differences that its patterns match; the first one that does counts. A
difference without a reason is a mistake of the reconciler or a gap in the reasons, and a reason without a difference is
out of date: tests/unit/test_differential.py fails on either.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

from tests.differential.hosts import Spec, specs

FOLDER = Path(__file__).parent
NOTHING = "nothing"
_HOST = re.compile(r"node-\d+: ")
SHOWN = 3  # values of one side that are worth a reader's time
VERDICTS = {
    "same": "the same effect",
    "choice": "on purpose",
    "engine": "Docker beyond the network",
    "gap": "not realised here",
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One fact that is not the same on both sides, on whichever host; None is a fact that a side does not have."""

    spec: str
    driver: str
    place: str
    attribute: str
    docker: str | None
    ours: str | None

    def __str__(self) -> str:
        return f"{self.spec}: {self.place}: {self.attribute}: Docker {self.docker!r}, here {self.ours!r}"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why some differences are there. Patterns are those of a shell, none of a kind matches everything.

    With `apart_from`, a regular expression, both sides must be equal once what it matches is taken out.
    """

    about: str
    verdict: str
    why: str
    specs: tuple[str, ...]
    places: tuple[str, ...]
    attributes: tuple[str, ...]
    docker: tuple[str, ...]
    ours: tuple[str, ...]
    apart_from: str | None
    shown: Literal["values", "facts", "places"]

    def matches(self, difference: Difference) -> bool:
        """Whether it is the reason of that difference."""
        return (
            _any(self.specs, difference.spec)
            and _any(self.places, difference.place)
            and _any(self.attributes, difference.attribute)
            and _any(self.docker, difference.docker or NOTHING)
            and _any(self.ours, difference.ours or NOTHING)
            and (self.apart_from is None or self._rest(difference.docker) == self._rest(difference.ours))
        )

    def _rest(self, value: str | None) -> str:
        return re.sub(self.apart_from or "", "", value or NOTHING)


def _any(patterns: tuple[str, ...], text: str) -> bool:
    return not patterns or any(fnmatchcase(text, pattern) for pattern in patterns)


@cache
def recording(name: str) -> Mapping[str, Any]:
    """What was recorded of a specification."""
    found: Mapping[str, Any] = yaml.load(
        (FOLDER / "recorded" / f"{name}.yaml").read_text(encoding="utf-8"), Loader=yaml.CSafeLoader
    )
    return found


def differences(spec: Spec) -> Iterator[Difference]:
    """Everything that Docker and the reconciler do not do alike."""
    held = recording(spec.name)
    for part, pair in (
        ("only_docker", lambda value: (value, None)),
        ("only_ours", lambda value: (None, value)),
        ("differ", tuple),
    ):
        for place, facts in held[part].items():
            for attribute, value in facts.items():
                docker, ours = pair(value)
                yield Difference(spec.name, spec.driver, _HOST.sub("", place), attribute, docker, ours)


@cache
def reasons() -> tuple[Reason, ...]:
    """All reasons, in the order of their file."""
    data = yaml.safe_load((FOLDER / "reasons.yaml").read_text(encoding="utf-8"))
    return tuple(
        Reason(
            about=each["about"],
            verdict=each["verdict"],
            why=" ".join(each["why"].split()),
            specs=_patterns(each.get("specs")),
            places=_patterns(each.get("place")),
            attributes=_patterns(each.get("fact")),
            docker=_patterns(each.get("docker")),
            ours=_patterns(each.get("ours")),
            apart_from=each.get("apart_from"),
            shown=each.get("shown", "values"),
        )
        for each in data
    )


def _patterns(value: str | list[str] | None) -> tuple[str, ...]:
    return () if value is None else (value,) if isinstance(value, str) else tuple(value)


def reason(difference: Difference) -> Reason | None:
    """The first reason that matches."""
    return next((each for each in reasons() if each.matches(difference)), None)


# ----------------------------------------------------------------------------------------------------- as documentation


def drivers() -> list[str]:
    """Those that were compared."""
    return sorted({spec.driver for spec in specs()})


def page(driver: str) -> str:
    """The section of a driver's page: what was compared, how much is the same, and why the rest is not."""
    compared = [spec for spec in specs() if spec.driver == driver]
    found = [difference for spec in compared for difference in differences(spec)]
    versions = {(recording(spec.name)["docker"], recording(spec.name)["linux"]) for spec in compared}
    engines = ", ".join(f"Docker {docker} on Linux {linux}" for docker, linux in sorted(versions))
    lines = [
        "The same specifications were given to Docker and to the reconciler, on equal empty hosts, and what each made in the",
        "kernel was compared: links, addresses, routes, neighbours, forwarding entries, kernel settings, firewall rules; and",
        f"once more what is left when all is removed. It was {engines}; `make differential` does it again.",
        "",
        "| specification | given as | facts that are the same | different |",
        "|---|---|---|---|",
        *(_specification(spec, found) for spec in compared),
        "",
        "| difference | Docker | here | that is | why |",
        "|---|---|---|---|---|",
        *_rows(found),
        "",
    ]
    return "\n".join(lines)


def _specification(spec: Spec, found: Iterable[Difference]) -> str:
    same = sum(len(facts) for facts in recording(spec.name)["both"].values())
    different = sum(difference.spec == spec.name for difference in found)
    file = f"[{spec.name}](../../tests/differential/specs/{spec.name}.yaml)"
    return f"| {spec.about} | {file} | {same} | {different} |"


def _rows(found: list[Difference]) -> Iterator[str]:
    for each in reasons():
        mine = [difference for difference in found if reason(difference) is each]
        if mine:
            cells = (each.about, _side(each, mine, "docker"), _side(each, mine, "ours"))
            row = (*cells, VERDICTS[each.verdict], each.why)
            yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"


def _side(reason: Reason, found: Iterable[Difference], side: str) -> str:
    """What one side has, each once, in its order: the values, or what says more where those are many."""
    shown: list[str] = []
    for each in found:
        if (value := getattr(each, side)) is not None:
            names = {"values": value, "facts": f"{each.attribute} = {value}", "places": each.place}
            shown.append(each.attribute if value == "present" else names[reason.shown])
    shown = list(dict.fromkeys(shown))
    more = [f"and {len(shown) - SHOWN} more"] if len(shown) > SHOWN else []
    return "<br>".join([*(f"`{value}`" for value in shown[:SHOWN]), *more]) or NOTHING
