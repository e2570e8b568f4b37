"""Mistakes in the files as text: place, code, what is wrong, the line itself with a caret, what to do. Pure.

The line comes from a `Lines` function, since only the caller may read files; it answers None when the file is gone or
was standard input, and the excerpt is then left out. A long line is cut around the column.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence

from ..errors import Diagnostic, Mark
from .style import Style, counted, safe

Lines = Callable[[str], Sequence[str] | None]


def text(diagnostics: Sequence[Diagnostic], lines: Lines, style: Style) -> str:
    """Every diagnostic, then how many there are in how many files."""
    blocks = [_block(diagnostic, lines, style) for diagnostic in diagnostics]
    files = {diagnostic.mark.file for diagnostic in diagnostics if diagnostic.mark is not None}
    where = f" in {counted(len(files), 'file')}" if files else ""
    return "\n".join([*blocks, f"Found {counted(len(diagnostics), 'error')}{where}.\n"])


def _block(diagnostic: Diagnostic, lines: Lines, style: Style) -> str:
    mark = diagnostic.mark
    where = f"{_place(mark)}: " if mark is not None else ""
    error = style.paint(f"error[{diagnostic.code}]:", "red")
    found = [f"{style.paint(where, 'bold')}{error} {safe(diagnostic.message)}"]
    excerpt = _excerpt(mark, diagnostic.hint, lines, style) if mark is not None else []
    if excerpt:
        found += excerpt
    elif diagnostic.hint:
        found.append(f"  {safe(diagnostic.hint)}")
    found += [f"  {_place(other)}: {safe(label)}" for label, other in diagnostic.related]
    return "\n".join(found) + "\n"


def _place(mark: Mark) -> str:
    return safe(str(mark))


def _excerpt(mark: Mark, hint: str | None, lines: Lines, style: Style) -> list[str]:
    held = lines(mark.file)
    if held is None or not 1 <= mark.line <= len(held):
        return []
    line = held[mark.line - 1]
    if mark.col > len(line) + 1:
        return []  # the file has changed since it was read
    number = str(mark.line)
    gutter = " " * len(number)
    shown, start, end = _cut(line, mark, max(20, style.width - len(number) - 4))
    carets = "^" * max(1, _columns(shown[start:end]))
    pointer = " " * _columns(shown[:start]) + style.paint(carets, "red")
    tail = f" {safe(hint)}" if hint else ""
    return [f" {gutter} |", f" {number} | {shown}".rstrip(), f" {gutter} | {pointer}{tail}"]


def _cut(line: str, mark: Mark, room: int) -> tuple[str, int, int]:
    """The part of a line around the mark, with the mark's start and end in it; one character stays one character."""
    start = mark.col - 1
    end = min(max(mark.end - 1, start + 1), max(len(line), start + 1))
    first, last, before, after = 0, len(line), "", ""
    if len(line) > room:
        first = min(max(0, start - room // 3), len(line) - room)
        last = first + room
        before, after = "…" if first else "", "…" if last < len(line) else ""
    end = min(end, max(last, start + 1))
    shown = "".join(_one_column(character) for character in line[first:last])
    return before + shown + after, start - first + len(before), end - first + len(before)


def _one_column(character: str) -> str:
    if character == "\t":
        return " "
    return character if safe(character) == character else "\ufffd"


def _columns(shown: str) -> int:
    """Terminal columns of a text: East Asian letters take two, combining marks none."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in shown
    )
