"""Names and marks in the host: deterministic, short enough, and never two things under one."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler import marks, names

NAME = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,62}", fullmatch=True)
TOPOLOGY = st.from_regex(r"[a-z0-9]([a-z0-9_-]{0,30}[a-z0-9])?", fullmatch=True)
INTERFACE = st.from_regex(r"[A-Za-z0-9_.-]{1,15}", fullmatch=True)


@given(TOPOLOGY, NAME, INTERFACE)
def test_a_link_name_is_one_that_the_kernel_takes(topology: str, sandbox: str, interface: str) -> None:
    """At most 15 bytes, none of the characters that the kernel refuses, and the same every time."""
    name = names.link(topology, sandbox, interface)
    assert 0 < len(name.encode()) <= 15
    assert not set(name) & set("/: \t\n")
    assert name not in (".", "..")
    assert name == names.link(topology, sandbox, interface)


def test_a_name_that_fits_is_readable_as_it_is() -> None:
    """Longer ones keep a readable stem and end with a hash."""
    assert names.link("shop", "web", "eth0") == "shop-web-eth0"
    assert names.link("shop", "front") == "shop-front"
    long = names.link("shop", "database", "eth0")
    assert long.startswith("database")
    assert len(long) <= 15


def test_a_thousand_long_names_are_a_thousand_links() -> None:
    """Thirty bits of hash keep replicas apart."""
    made = {names.link("production", f"worker-{n}", f"eth{k}") for n, k in product(range(250), range(4))}
    assert len(made) == 1000


@pytest.mark.parametrize(("one", "other"), [(("a", "bc"), ("ab", "c")), (("a-b", "c"), ("a", "b-c"))])
def test_where_the_parts_end_matters_for_the_full_name(one: tuple[str, str], other: tuple[str, str]) -> None:
    """A dot never occurs in names of the file, so full names cannot be confused."""
    assert names.altname("shop", *one) != names.altname("shop", *other)


@given(TOPOLOGY, NAME)
def test_a_mark_says_whose_it_is(topology: str, name: str) -> None:
    """What was written into a link is read back, and fits into an ifalias."""
    origin = f"sandbox/{name}/endpoint/{'x' * 15}"
    text = marks.alias(topology, origin)
    assert marks.owner(text) == marks.Owner(topology, origin)
    assert len(text.encode()) <= 255


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "mine",
        "reconciler",
        "reconciler:",
        "reconciler:shop",
        "reconciler:shop:",
        "reconciler::x",
        "x reconciler:a:b",
    ],
)
def test_anything_else_is_nobodys_mark(text: str | None) -> None:
    """A person's alias, or half a mark, makes nothing ours."""
    assert marks.owner(text) is None


@given(TOPOLOGY)
def test_a_group_is_far_from_those_of_people(topology: str) -> None:
    """A 32-bit number that stays clear of small ones and of the sign bit."""
    assert 0x52000000 <= marks.group(topology) < 0x53000000
