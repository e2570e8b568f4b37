"""`explain`: the schema's own documentation of one field, offline."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict

from ..errors import Exit
from ..load import schema
from ..render import field
from .console import Console


def run(args: Namespace, console: Console) -> int:
    """What a field means, what it may hold, what is below it."""
    found = schema.describe(args.field)
    if console.json:
        console.document(asdict(found))
    else:
        console.result(field.text(found, console.out))
    return Exit.OK
