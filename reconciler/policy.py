"""Policy files: what topologies of others may do on this machine, as whoever runs it says, outside of their reach.

`/etc/reconciler/policy.yaml` counts whenever it is there, and must be root's alone to write; what the command line or
`RECONCILER_POLICY` names counts as well, so that it can narrow that and not widen it. A policy that cannot be read, or has
a mistake, allows nothing: everything raises Forbidden. `bounds` holds a topology against the rules.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any

from .errors import Diagnostic, Forbidden, Mark, TopologyError
from .load import source
from .load.tree import Map, Seq
from .resolve.addresses import Fault
from .resolve.units import parse_rate

DEFAULT = "/etc/reconciler/policy.yaml"
VARIABLE = "RECONCILER_POLICY"
_SCHEMA = Path(__file__).parent / "schemas" / "policy.schema.json"
_PREFIXES = ("subnets", "host_routes")
Prefixes = tuple[IPv4Network | IPv6Network, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one file. `digest` changes with any byte of it."""

    file: str
    rules: Map
    digest: str

    def texts(self, rule: str) -> tuple[str, ...]:
        """The items of a rule that is a list of texts."""
        found: Sequence[str] = self._value(rule)
        return tuple(found)

    def prefixes(self, rule: str) -> Prefixes:
        """The items of a rule that is a list of prefixes."""
        return tuple(ip_network(item) for item in self.texts(rule))

    def number(self, rule: str) -> int:
        """The value of a rule that is a number."""
        found: int = self._value(rule)
        return found

    def allows(self, rule: str) -> bool:
        """The value of a rule that is yes or no."""
        return bool(self._value(rule))

    def rate(self, rule: str) -> int | None:
        """Bytes per second, None for a rule that is not there."""
        found = self._value(rule)
        rate = None if found is None else parse_rate(found)
        assert not isinstance(rate, Fault)  # it was looked at when the file was read
        return rate

    def place(self, rule: str) -> tuple[str, Mark]:
        """Where a rule stands, in words; the file for one that is not in it."""
        if rule in self.rules:
            return f"the rule '{rule}'", self.rules.key_mark(rule)
        return f"the policy, whose rule '{rule}' has its default", Mark(self.file, 1, 1, 2)

    def _value(self, rule: str) -> Any:
        return self.rules[rule] if rule in self.rules else _schema()["properties"][rule].get("default")


@cache
def _schema() -> dict[str, Any]:
    """The schema with what its rules refer to beside them."""
    schema: dict[str, Any] = json.loads(_SCHEMA.read_text(encoding="utf-8"))
    for rule in schema["properties"].values():
        if "$ref" in rule:
            rule.update(schema["$defs"][rule.pop("$ref").rpartition("/")[2]])
    return schema


def files(named: Sequence[str] = ()) -> tuple[str, ...]:
    """The files that count, whether or not they are there and in order: the machine's, and the named or the environment's."""
    variable = os.environ.get(VARIABLE)
    return tuple(dict.fromkeys((DEFAULT, *(named or ((variable,) if variable else ())))))


def in_force(named: Sequence[str] = ()) -> tuple[Policy, ...]:
    """Every policy that counts. Raises Forbidden where one cannot be read or has a mistake."""
    return tuple(_read(path) for path in files(named) if path != DEFAULT or os.path.lexists(path))


def _read(path: str) -> Policy:
    try:
        if path == DEFAULT and (problem := _distrust()):
            raise Forbidden(
                [Diagnostic("unreadable", problem, Mark(path, 1, 1, 2), "make it root's alone to write")]
            )
        content = source.read_bytes(path)
        rules = source.parse(content, path)
        if mistakes := _mistakes(rules):
            raise Forbidden(mistakes)
    except Forbidden:
        raise
    except TopologyError as error:
        raise Forbidden(error.diagnostics) from error
    return Policy(path, rules, f"sha256:{sha256(content).hexdigest()}")


def _distrust() -> str | None:
    """Why the machine's policy is not believed."""
    for path, is_right in ((os.path.dirname(DEFAULT), stat.S_ISDIR), (DEFAULT, stat.S_ISREG)):
        info = os.lstat(path)
        if not is_right(info.st_mode):
            return f"{path} is not a plain {'file' if path == DEFAULT else 'directory'}"
        if info.st_uid != 0 or info.st_mode & 0o022:
            return f"{path} can be written by others than root"
    return None


def _mistakes(rules: Map) -> list[Diagnostic]:
    from .load import violations  # brings jsonschema along, which most runs do without

    if found := violations.of(rules, _schema()):
        return found
    for rule in _PREFIXES:
        items = rules.get(rule)
        for item, mark in zip(items, items.marks, strict=True) if isinstance(items, Seq) else ():
            try:
                ip_network(str(item))
            except ValueError as error:
                found.append(Diagnostic("bad-value", f"'{item}' is no prefix: {error}", mark))
    if isinstance(rate := rules.get("max_bandwidth"), str):
        fault = parse_rate(rate)
        if isinstance(fault, Fault):
            found.append(fault.at(rules.value_mark("max_bandwidth")))
    return found
