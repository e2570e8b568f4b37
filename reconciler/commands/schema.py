"""`schema`: the JSON Schema of the topology file, for editors. It is JSON whatever the output format."""

from __future__ import annotations

from argparse import Namespace

from ..errors import Exit
from ..load import schema
from .console import Console


def run(_: Namespace, console: Console) -> int:
    """The schema as it is shipped."""
    console.result(schema.text())
    return Exit.OK
