"""Rates, sizes, times and shares as tc(8) writes them, to whole numbers. Pure.

The words and their values are tc's, so that what people know from there means the same here: a `k` of bits is 1000, a
`k` of bytes 1024, `bps` are bytes per second. Only a number without unit, which tc takes as bits, bytes or microseconds
by turns, is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal

from .addresses import Fault

SECOND = 10**9
WHOLE = 10**9

_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)([A-Za-z]+|%)")
_PREFIXES = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
# In bits per second.
_RATES = {
    **{f"{prefix}bit": 1000**power for prefix, power in _PREFIXES.items()},
    **{f"{prefix}ibit": 1024**power for prefix, power in _PREFIXES.items() if prefix},
    **{f"{prefix}bps": 8 * 1000**power for prefix, power in _PREFIXES.items()},
    **{f"{prefix}ibps": 8 * 1024**power for prefix, power in _PREFIXES.items() if prefix},
}
_SIZES = {
    "b": 1,
    **{
        f"{prefix}{b}": 1024**power
        for prefix, power in _PREFIXES.items()
        if prefix not in ("", "t")
        for b in ("", "b")
    },
    **{f"{prefix}bit": 1024**power // 8 for prefix, power in _PREFIXES.items() if prefix not in ("", "t")},
}
_TIMES = {
    word: factor
    for words, factor in (
        (("ns", "nsec", "nsecs"), 1),
        (("us", "usec", "usecs"), 1000),
        (("ms", "msec", "msecs"), 1000**2),
        (("s", "sec", "secs"), SECOND),
    )
    for word in words
}


def parse_rate(text: str) -> int | Fault:
    """Bytes per second, rounded down as tc does."""
    bits = _parse(text, _RATES, "rate", "bit, kbit, mbit, gbit or tbit; kbps, mbps, … are bytes per second")
    return bits if isinstance(bits, Fault) else int(bits // 8)


def parse_size(text: str) -> int | Fault:
    """Bytes."""
    size = _parse(text, _SIZES, "size", "b, kb, mb or gb, of 1024 each; kbit, mbit or gbit")
    return size if isinstance(size, Fault) else int(size)


def parse_time(text: str) -> int | Fault:
    """Nanoseconds."""
    time = _parse(text, _TIMES, "time", "ns, us, ms or s")
    return time if isinstance(time, Fault) else _exact(time, text, "the kernel counts nanoseconds")


def parse_share(text: str) -> int | Fault:
    """A probability or correlation in parts of 10^9."""
    share = _parse(text, {"%": WHOLE // 100}, "share", "%")
    if isinstance(share, Fault):
        return share
    if share > WHOLE:
        return Fault("bad-value", f"'{text}' is more than everything", "100% at most")
    return _exact(share, text, "seven decimals at most")


def rate_text(rate: int) -> str:
    """A rate in bytes per second as tc would take it, for hints."""
    bits = rate * 8
    prefix = next((p for p in ("t", "g", "m", "k") if bits >= 1000 ** _PREFIXES[p]), "")
    return f"{bits / 1000 ** _PREFIXES[prefix]:g}{prefix}bit"


def size_text(size: int) -> str:
    """A size as tc would take it, for hints: in kb and rounded up from 10 kb on."""
    return f"{size}b" if size < 10 * 1024 else f"{-(-size // 1024)}kb"


def _parse(text: str, units: Mapping[str, int], what: str, known: str) -> Decimal | Fault:
    match = _QUANTITY.fullmatch(text)
    factor = units.get(match[2].lower()) if match else None
    if match is not None and factor is None and f"{match[2].lower()}it" in units:
        return Fault("bad-value", f"'{text}' is no {what}", f"did you mean '{text}it'?")
    if match is None or factor is None:
        return Fault("bad-value", f"'{text}' is no {what}", f"a number and its unit: {known}")
    return Decimal(match[1]) * factor


def _exact(number: Decimal, text: str, limit: str) -> int | Fault:
    if number != number.to_integral_value():
        return Fault("bad-value", f"'{text}' is finer than the kernel can tell", limit)
    return int(number)
