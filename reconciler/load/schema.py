"""Plain data against `schemas/topology.schema.json`: accepted at once, or every mistake in words.

Pure. This is the face of the schema for the rest of the package: `accept` says yes or no, `violations` says why not
and is imported only then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from . import accept
from .fields import FieldDoc, describe, text
from .tree import Map

if TYPE_CHECKING:
    from .violations import Violation

__all__ = ["FieldDoc", "check", "describe", "text"]


def check(data: Map, *, override: bool = False, drivers: Mapping[str, str] | None = None) -> list[Violation]:
    """Every mistake in one file that the schema can know, by place.

    An override file may take keys away with null. `drivers` gives the driver of networks that the file only completes.
    """
    if not override and accept.accepted(data, drivers or {}):
        return []
    from . import violations  # brings jsonschema along, which a file without mistakes need not wait for

    return violations.check(data, override=override, drivers=drivers)
