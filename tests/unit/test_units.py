"""Rates, sizes, times and shares in tc's words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.kernel import qdisc
from reconciler.resolve import units
from reconciler.resolve.addresses import Fault


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("8bit", 1),
        ("10mbit", 1_250_000),
        ("1.5Mbit", 187_500),
        ("1kibit", 128),
        ("100gbit", 12_500_000_000),
        ("10kbps", 10_000),
        ("1mibps", 1_048_576),
        ("9bit", 1),
    ],
)
def test_rates(text: str, rate: int) -> None:
    """A rate is what tc makes of it (tc/tc_util.c, get_rate64), in bytes per second."""
    assert units.parse_rate(text) == rate


@pytest.mark.parametrize(
    ("text", "size"), [("1600b", 1600), ("64kb", 65536), ("64k", 65536), ("1mb", 1 << 20), ("8kbit", 1024)]
)
def test_sizes(text: str, size: int) -> None:
    """A size counts in powers of 1024, as in tc."""
    assert units.parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [("20ms", 20_000_000), ("1.5s", 1_500_000_000), ("100usecs", 100_000), ("7ns", 7)],
)
def test_times(text: str, nanoseconds: int) -> None:
    """A time is in nanoseconds."""
    assert units.parse_time(text) == nanoseconds


@pytest.mark.parametrize(
    "text", ["", "10", "mbit", "-1mbit", "1 mbit", "1e3bit", "٣bit", "10%", "nanbit", "infbit"]
)
def test_no_rates(text: str) -> None:
    """What has no unit, or is no plain number, is refused."""
    assert isinstance(units.parse_rate(text), Fault)


@given(st.integers(0, 10**9))
def test_shares_survive_the_kernel(share: int) -> None:
    """A share comes back from the kernel's 32 bits as it was declared."""
    assert qdisc._share(qdisc._scaled(share)) == share


@given(st.integers(1, 10**13))
def test_rates_in_hints_can_be_written(rate: int) -> None:
    """A rate that a hint proposes is one, and nearly the one that was meant."""
    parsed = units.parse_rate(units.rate_text(rate))
    assert isinstance(parsed, int)
    assert abs(parsed - rate) <= 1 + rate / 10**5


@given(st.integers(1, 10**10))
def test_sizes_in_hints_are_enough(size: int) -> None:
    """A size that a hint proposes is one, and not too small."""
    parsed = units.parse_size(units.size_text(size))
    assert isinstance(parsed, int)
    assert size <= parsed <= size + 1024
