"""Drivers from other distributions: which of them this machine allows, and what each brings along.

A driver is code that runs as root, so being installed is not enough: root names it in `/etc/reconciler/drivers`, one
entry point a line. Without that file nothing is looked for and nothing is imported. What cannot be used, for whatever
reason, is kept with the reason and told to who declares a network with it; other topologies do not suffer.

Read once a process, on first use. Nothing here knows what a driver does; see `drivers.contract` for that.
"""

from __future__ import annotations

import os
import re
import stat
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from .errors import PluginError
from .options import Traits

API_VERSION = 1
GROUP = "reconciler.drivers"
ALLOWED = "/etc/reconciler/drivers"
BUILT_IN = frozenset(("bridge", "macvlan", "ipvlan", "overlay", "null", "host", "ptp", "vlan", "dummy"))
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_LIMIT = 64 << 10
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Plugin:
    """A driver that may be used. `schema` describes its `options`; `driver` satisfies `drivers.contract.Driver`."""

    name: str
    distribution: str
    schema: Mapping[str, Any]
    traits: Traits
    driver: Any

    def call(self, body: Callable[[], T]) -> T:
        """What `body` returns; what it raises is a PluginError, with its place in the plug-in's code."""
        try:
            return body()
        except Exception as error:  # somebody else's code: whatever it raises is its failure, not ours
            place = traceback.extract_tb(error.__traceback__)[-1]
            message = f"{self} failed: {type(error).__name__}: {error}"
            raise PluginError(message, hint=f"at {place.filename}:{place.lineno}") from error

    def problems(self, options: Mapping[str, object]) -> list[str]:
        """What the driver has against the options of a network, beyond its schema."""
        check = getattr(self.driver, "problems", None)
        return [] if check is None else self.call(lambda: [str(problem) for problem in check(options)])

    def __str__(self) -> str:
        return f"driver '{self.name}' of {self.distribution}"


@dataclass(frozen=True, slots=True)
class Unusable:
    """A driver that is allowed and cannot be used, or installed and not allowed; `why` says so and what to do."""

    name: str
    why: str


@cache
def installed() -> Mapping[str, Plugin]:
    """Every driver that is allowed, installed and sound, by name."""
    return {found.name: found for found in _allowed_drivers() if isinstance(found, Plugin)}


def unusable() -> tuple[Unusable, ...]:
    """Every driver that is allowed and cannot be used."""
    return tuple(found for found in _allowed_drivers() if isinstance(found, Unusable))


def why_not(name: str) -> str | None:
    """Why no driver of this name can be used although there is one, None when nobody has heard of it."""
    for found in unusable():
        if found.name == name:
            return found.why
    problem = _problem()
    for entry in _entry_points():
        if entry.name == name and name not in BUILT_IN:
            return (
                problem or f"{_distribution(entry)} brings it; root allows it by a line '{name}' in {ALLOWED}"
            )
    return None


@cache
def _allowed_drivers() -> tuple[Plugin | Unusable, ...]:
    return tuple(_load(name) for name in dict.fromkeys(_names()))


def _names() -> Iterator[str]:
    text = _text()
    for line in text.splitlines():
        if name := line.partition("#")[0].strip():
            yield name


def _text() -> str:
    if _problem() is not None:
        return ""
    try:
        with open(ALLOWED, encoding="utf-8", errors="replace") as file:
            return file.read(_LIMIT)
    except OSError:
        return ""


@cache
def _problem() -> str | None:
    """Why the list of allowed drivers is not believed; None when there is none, or it is root's alone to write."""
    for path, wanted in ((os.path.dirname(ALLOWED), stat.S_ISDIR), (ALLOWED, stat.S_ISREG)):
        try:
            info = os.lstat(path)
        except OSError:
            return None
        if not wanted(info.st_mode):
            return (
                f"{path} is not a plain {'file' if path == ALLOWED else 'directory'}, so no driver is allowed"
            )
        if info.st_uid != 0 or info.st_mode & 0o022:
            return f"{path} can be written by others than root, so no driver is allowed"
    return None


def _load(name: str) -> Plugin | Unusable:
    if not _NAME.fullmatch(name):
        return Unusable(name, f"{ALLOWED}: '{name}' cannot be the name of a driver")
    if name in BUILT_IN:
        return Unusable(name, f"{ALLOWED}: '{name}' is built in and needs no line")
    entries = [entry for entry in _entry_points() if entry.name == name]
    if len(entries) != 1:
        brought = " and ".join(sorted(map(_distribution, entries)))
        why = (
            f"{brought} both bring it: remove one"
            if entries
            else f"no installed distribution brings it ({GROUP})"
        )
        return Unusable(name, why)
    try:
        driver = entries[0].load()
        driver = driver() if isinstance(driver, type) else driver
        return _checked(name, _distribution(entries[0]), driver)
    except Exception as error:  # noqa: BLE001  # somebody else's code: whatever it raises is that driver's problem
        return Unusable(name, f"{_distribution(entries[0])} cannot be used: {type(error).__name__}: {error}")


def _entry_points() -> list[Any]:
    from importlib.metadata import entry_points  # 15 ms, for those who have plug-ins

    return list(entry_points(group=GROUP))


def _distribution(entry: Any) -> str:
    found = entry.dist
    return f"{found.name} {found.version}" if found is not None else "a distribution"


def _checked(name: str, distribution: str, driver: Any) -> Plugin:
    """Raises ValueError for what is not a driver of this version."""
    if getattr(driver, "api_version", None) != API_VERSION:
        raise ValueError(f"it has no api_version {API_VERSION}, which this version needs")
    if driver.name != name:
        raise ValueError(f"its name is {driver.name!r}")
    for method in ("network", "endpoint"):
        if not callable(getattr(driver, method, None)):
            raise ValueError(f"it has no method {method}()")
    if not isinstance(driver.traits, Traits):
        raise ValueError("its traits are not Traits")
    return Plugin(name, distribution, _checked_schema(driver.options_schema), driver.traits, driver)


def _checked_schema(schema: Any) -> Mapping[str, Any]:
    """A schema like those of the built-in drivers: one closed map, so that typos are caught."""
    if not isinstance(schema, Mapping) or schema.get("type") != "object":
        raise ValueError("its options_schema is not that of a map")
    if schema.get("additionalProperties") is not False or not isinstance(schema.get("properties"), Mapping):
        raise ValueError(
            "its options_schema is not closed: it needs properties, and additionalProperties false"
        )
    for key, value in schema["properties"].items():
        if not isinstance(value, Mapping) or not value.get("description") or "type" not in value:
            raise ValueError(f"its option '{key}' needs a type and a description")
    if "$ref" in repr(schema):
        raise ValueError("its options_schema has a $ref; write out what it means")
    return dict(schema)
