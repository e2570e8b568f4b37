"""The default pools: where networks without declared ranges draw theirs from. Pure.

A family that no pool of the file serves falls back to the built-in one, so that declaring an IPv4 pool does not take
IPv6 away.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import Diagnostic, Mark
from ..ipam import BITS, BUILT_IN_SIZE, DefaultPool, built_in_pools
from ..load.tree import Map
from . import fields
from .addresses import Fault, listed, parse_subnet


def read_pools(tree: Map, topology: str, found: list[Diagnostic]) -> tuple[DefaultPool, ...]:
    """The declared pools in file order, then the built-in one of each family that they do not serve."""
    pools: list[tuple[DefaultPool, Mark]] = []
    families: set[int] = set()
    for source in fields.maps(tree, "pools"):
        if fields.unknown(source, "base", "size"):
            continue
        mark = source.value_mark("base")
        base = parse_subnet(fields.text(source, "base") or "")
        if isinstance(base, Fault):
            found.append(base.at(mark))
            continue
        families.add(base.version)
        size = fields.number(source, "size") or BUILT_IN_SIZE[base.version]
        if not base.prefixlen <= size <= BITS[base.version]:
            message = f"pool {base} cannot be cut into subnets of size /{size}"
            hint = f"'size' is a prefix length from {base.prefixlen} to {BITS[base.version]}"
            found.append(Diagnostic("bad-value", message, source.value_mark("size"), hint))
            continue
        pools.append((DefaultPool(base, size), mark))
    _check_overlaps(pools, found)
    missing = [pool for pool in built_in_pools(topology) if pool.base.version not in families]
    return (*(pool for pool, _ in pools), *missing)


def exhausted(family: int, pools: Sequence[DefaultPool], networks: Sequence[str], mark: Mark) -> Diagnostic:
    """What to say when networks get nothing from the pools; `mark` is the place of the first."""
    bases = [f"{pool.base} (size {pool.size})" for pool in pools if pool.base.version == family]
    others = f" and {len(networks) - 1} more" if len(networks) > 1 else ""
    message = (
        f"no free IPv{family} subnet for network '{networks[0]}'{others}: the default pools {listed(bases)} "
        "are used up by other networks or by the host"
    )
    example = "{base: 10.202.0.0/16, size: 24}" if family == 4 else "{base: fd00:202::/48, size: 64}"
    return Diagnostic("exhausted", message, mark, f"declare 'subnets', or add a pool: 'pools: [{example}]'")


def _check_overlaps(pools: Sequence[tuple[DefaultPool, Mark]], found: list[Diagnostic]) -> None:
    for place, (pool, mark) in enumerate(pools):
        for other, other_mark in pools[:place]:
            if pool.base.version == other.base.version and pool.base.overlaps(other.base):
                message = f"pools {other.base} and {pool.base} overlap"
                related = ((f"{other.base} is here", other_mark),)
                found.append(Diagnostic("overlap", message, mark, "remove one of the two", related))
                break
