"""`python -m reconciler`: the same as the installed command."""

from __future__ import annotations

import sys

from .cli import main

sys.exit(main())
