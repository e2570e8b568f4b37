"""The lines of a topology file, for the excerpt under a diagnostic. Read again, since diagnostics are rare.

What a link leads to is not quoted: it may be the very file that must not be read for whoever made the link.
"""

from __future__ import annotations

import os
import re
from functools import cache

from ..errors import TopologyError

_BREAK = re.compile(r"\r\n|\r|\n")


@cache
def lines_of(file: str) -> tuple[str, ...] | None:
    """The lines of a file, None when it cannot be read again, or is a link."""
    from ..load import source

    if file == source.STDIN or os.path.islink(file):
        return None
    try:
        text = source.read_bytes(file).decode("utf-8-sig", "replace")
    except TopologyError:
        return None
    return tuple(_BREAK.split(text))
