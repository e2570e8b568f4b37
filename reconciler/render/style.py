"""How text looks: colour, width, columns, and what may never reach a terminal raw. Pure.

Symbols and words carry the meaning, colour only repeats it, so a plain style loses nothing. Names come from files and
from a kernel that lets anybody choose them: `safe` turns control characters into visible escapes, because a link alias
with an escape sequence could otherwise rewrite what the reader sees.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

# C0, DEL, C1, marks that reorder text, line separators, halves of surrogate pairs, the byte order mark.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")
_NUMBERS = re.compile(r"([0-9]+)")
_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


@dataclass(frozen=True, slots=True)
class Style:
    """What the reader's end can show. `width` is only ever used to cut excerpts, never to hide results."""

    color: bool = False
    width: int = 100
    verbose: bool = False

    def paint(self, text: str, code: str) -> str:
        """`text` in a colour or weight, or as it is when the style is plain."""
        return f"\x1b[{_CODES[code]}m{text}\x1b[0m" if self.color and code and text else text


PLAIN = Style()


def safe(text: str) -> str:
    """`text` on one line, with everything that could move a cursor or reorder letters made visible."""
    return _UNSAFE.sub(_visible, text)


def _visible(match: re.Match[str]) -> str:
    number = ord(match[0])
    named = {9: r"\t", 10: r"\n", 13: r"\r"}.get(number)
    return named or (f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}")


def counted(number: int, noun: str) -> str:
    """A number with its noun: `1 network`, `1,200 networks`; a noun that ends in y is not expected."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}{'es' if noun.endswith('x') else 's'}"


def duration(seconds: float) -> str:
    """A measured time, in the unit that people would use for it."""
    if seconds < 0.1:
        return f"{max(1, round(seconds * 1000))} ms"
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:,.1f} s"


def local(time: str) -> str:
    """A time in ISO form as the reader's clock shows it; what is no time stays as it is."""
    try:
        return datetime.fromisoformat(time).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError):
        return safe(time)


@lru_cache(maxsize=1 << 14)  # the same addresses are sorted for the plan, for the question and for the result
def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """A sort key by which web-2 comes before web-10."""
    parts = _NUMBERS.split(text)
    return tuple((1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts)


def columns(rows: Sequence[Sequence[str]], *, indent: str = "", limit: int = 60) -> list[str]:
    """Rows padded so that columns stand below each other; a cell over `limit` pushes only its own row."""
    if not rows:
        return []
    count = max(len(row) for row in rows)
    widths = [
        max((len(row[i]) for row in rows if i < len(row) and len(row[i]) <= limit), default=0)
        for i in range(count)
    ]
    return [
        (indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False))).rstrip()
        for row in rows
    ]
