"""`python -m reconciler`: the same as the installed command."""

from __future__ import annotations

from .cli import entry

entry()
