"""When two values of an attribute are the same to the kernel, where plain equality would lie. Pure.

The kernel rounds what it is given, joins ranges, keeps sets in an order of its own and reads numbers in three notations.
Whoever compares without this sees drift that is none, and mends it for ever. `desired` always comes first: some of these
are not symmetric.
"""

from __future__ import annotations

import re


def within_tick(desired: int, observed: int) -> bool:
    """Times in hundredths of a second, USER_HZ; the kernel's own HZ may be 250: 201 is kept as 502 ticks, read back as 200."""
    return desired - 1 <= observed <= desired


def same_set(desired: tuple[str, ...], observed: tuple[str, ...] | None) -> bool:
    """In any order."""
    return set(desired) == set(observed or ())


def nearly(desired: int, observed: int) -> bool:
    """Bytes of a burst, kept as the time that it takes at its rate in ticks of 64 ns: off by less than a ten-thousandth for
    any burst that `resolve` lets through.
    """
    return abs(desired - observed) <= 1 + desired // 10_000


def includes(desired: tuple[str, ...], observed: tuple[str, ...] | None) -> bool:
    """There may be more than was asked for."""
    return set(desired) <= set(observed or ())


_RANGES = re.compile(r"[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*")


def same_parameter(desired: str, observed: str) -> bool:
    """Texts of /proc/sys: word by word, numbers as numbers and lists of ranges as sets of numbers."""
    return [_word(word) for word in desired.split()] == [_word(word) for word in observed.split()]


def _word(word: str) -> object:
    """A number, or a list of ranges as ip_local_reserved_ports has it: the kernel joins 80,81 to 80-81."""
    if word.isdecimal() or not _RANGES.fullmatch(word):
        return _number(word)
    joined: list[list[int]] = []
    for first, _, last in sorted((part.partition("-") for part in word.split(",")), key=lambda p: int(p[0])):
        start, end = int(first), int(last or first)
        if joined and start <= joined[-1][1] + 1:
            joined[-1][1] = max(joined[-1][1], end)
        else:
            joined.append([start, end])
    return joined


def _number(word: str) -> int | str:
    """As the kernel reads a number in /proc/sys (lib/kstrtox.c, base 0): 010 is eight, 0x10 is sixteen."""
    digits = word.removeprefix("-")
    octal = len(digits) > 1 and digits[0] == "0" and digits.isdecimal()
    try:
        return int(word, 8 if octal else 0)
    except ValueError:
        return word
