"""Which network of the topology holds an address: one bisection, whatever the number of networks. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from ..model import IPAddress
from .networks import Range


class RangeIndex:
    """All known ranges of all networks, to tell a person where an address belongs."""

    def __init__(self, ranges: Iterable[Range]) -> None:
        self._ranges: dict[int, list[Range]] = {4: [], 6: []}
        for one in ranges:
            if one.subnet is not None:
                self._ranges[one.subnet.version].append(one)
        self._starts: dict[int, list[int]] = {}
        for version, group in self._ranges.items():
            group.sort(key=_start)
            self._starts[version] = [_start(one) for one in group]

    def holder(self, address: IPAddress) -> Range | None:
        """The range that holds this address; with overlapping ones (a mistake of its own) any of them, or none."""
        at = bisect_right(self._starts[address.version], int(address)) - 1
        if at < 0:
            return None
        one = self._ranges[address.version][at]
        return one if one.subnet is not None and address in one.subnet else None


def _start(one: Range) -> int:
    assert one.subnet is not None
    return int(one.subnet.network_address)
