"""The journal of a running apply: what it is about to do, written before it does it; and what a killed one left.

Only appended, and not synced: what it describes does not survive a crash of the machine either, so a journal of another
uptime says nothing. One that cannot be read is that of a run that was cut short, and nothing of it is believed: what
it would have told only makes cleaning up more thorough.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import serial
from .objects import ENTRIES, Key
from .plan import Change, apart

_Record = dict[str, Any]
_FAULTS = (ValueError, KeyError, TypeError, RecursionError)


@dataclass(frozen=True, slots=True)
class Interrupted:
    """An apply that never finished.

    `announced` are the keys that it was about to create, `priors` what parameters held that it was about to write.
    """

    started: str
    command: str
    announced: frozenset[Key]
    priors: Mapping[Key, str] = field(default_factory=dict)


class Journal:
    """Append-only record of a running apply, one JSON object a line."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def announce(self, changes: Sequence[Change]) -> None:
        """Write down what is about to happen, with what is needed to undo it, before it happens.

        Of the entries of tunnels only how many: whose they are, the device says that they are on.
        """
        told = [change for change in apart(changes) if not isinstance(change.after, ENTRIES)]
        self.record(
            {
                "event": "batch",
                "creates": [change.key for change in told if change.before is None],
                "changes": [
                    [change.action.value, change.key, serial.to_data(change.before)]
                    for change in told
                    if change.before is not None
                ],
                "entries": len(changes) - len(told),
            }
        )

    def priors(self, values: Mapping[Key, str]) -> None:
        """Write down what parameters hold that are about to be written."""
        self.record({"event": "priors", "values": [[key, value] for key, value in values.items()]})

    def record(self, data: Mapping[str, Any]) -> None:
        """Append one line."""
        os.write(self._fd, json.dumps(data, separators=(",", ":")).encode() + b"\n")


def read_interrupted(path: Path, boot_id: str) -> Interrupted | None:
    """The run that was cut short, None when the last one of this uptime came to its end or there was none."""
    try:
        lines = path.read_bytes().splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        return Interrupted("", "", frozenset())
    if not lines or _is_end(lines[-1]):
        return None
    try:
        first = _record(lines[0])
        if first["boot_id"] != boot_id:
            return None
        started, command = _text(first["started"]), _text(first["command"])
    except _FAULTS:
        return Interrupted("", "", frozenset())
    try:
        records = [_record(line) for line in lines[1:-1]]
        if (last := _unless_torn(lines[-1])) is not None:
            records.append(last)
        return Interrupted(started, command, _announced(records), _priors(records))
    except _FAULTS:
        return Interrupted(started, command, frozenset())


def _is_end(line: bytes) -> bool:
    record = _unless_torn(line)
    return record is not None and record.get("event") == "end"


def _unless_torn(line: bytes) -> _Record | None:
    """The last line of a killed run may be cut off."""
    try:
        return _record(line)
    except (ValueError, RecursionError):
        return None


def _record(line: bytes) -> _Record:
    record = json.loads(line)
    if not isinstance(record, dict):
        raise ValueError("not a JSON object")
    return record


def _announced(records: Sequence[_Record]) -> frozenset[Key]:
    return frozenset(serial.key_from_data(key) for record in records for key in record.get("creates", ()))


def _priors(records: Sequence[_Record]) -> dict[Key, str]:
    """The first value counts: a later one may already be ours."""
    found: dict[Key, str] = {}
    for record in records:
        if record.get("event") == "priors":
            for key, value in record["values"]:
                found.setdefault(serial.key_from_data(key), _text(value))
    return found


def _text(data: object) -> str:
    if not isinstance(data, str):
        raise ValueError(f"expected a text, found {data!r}")
    return data
