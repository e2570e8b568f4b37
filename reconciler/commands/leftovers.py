"""What a destroy leaves although it looks like the topology's: namespaces and links with its names, without its mark.

Only the mark makes something ours, so a namespace called `shop.web` that somebody made by hand stays. After a destroy
nobody expects it any more, and the next apply would stop there; so it is named, with the command that removes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet

from .. import marks, names
from ..errors import ReconcilerError
from ..kernel import observe
from ..objects import HOST, Link, Netns, Veth
from ..render.style import safe
from ..sides import Found, Scope
from ..state import Store
from .console import Console


def derived(store: Store) -> frozenset[str]:
    """Names of host links that the last apply established; asked for before the destroy, which forgets them."""
    return store.applied_links(HOST)


def mention(topology: str, links: AbstractSet[str], console: Console) -> None:
    """Name what is left, with one look. `links` are names of host links that were the topology's."""
    try:
        found = observe.observe(Scope(topology)).objects.values()
    except ReconcilerError:  # the destroy is done, and this is only a courtesy
        return
    for line in sorted(_lines(topology, links, found)):
        console.notice(f"left: {line}\n")


def _lines(topology: str, links: AbstractSet[str], found: Iterable[Found]) -> Iterator[str]:
    prefix = names.netns(topology, "")
    for item in found:
        match item.object:
            case Netns(netns=netns) if not item.ours and netns.startswith(prefix):
                name = safe(netns)
                yield f"namespace {name} is not marked as ours (ip netns delete {name} removes it)"
            case Link(kind=Veth(peer=None)):
                pass  # its other end was in a namespace that has just gone; the kernel is about to take it as well
            case Link(netns="", name=link, altnames=further, alias=alias) if marks.owner(alias) is None:
                if link in links or any(n.startswith(prefix) for n in (link, *(further or ()))):
                    name = safe(link)
                    yield f"link {name} is not marked as ours (ip link delete {name} removes it)"
            case _:
                pass
