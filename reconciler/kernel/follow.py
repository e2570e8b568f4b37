"""The real kernel for somebody who stays: looks are cheap, because the kernel's notices say where to look again.

The same object for `apply` as `Linux`. What was executed is looked at again in any case, and what others did meanwhile
is heard; a notice that came before a look began is covered by that look, so what we did ourselves causes no second one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain
from typing import Self

from ..features import Lack
from ..interrupts import Interrupts
from ..joined import parts
from ..objects import HOST, Address, FdbEntry, KernelObject, Key, Link, Neighbour, Port, Qdisc, Veth, parent
from ..outcome import Outcome
from ..plan import Change, Creations
from ..sides import Desired, Observed, Scope
from ..state import Store
from .events import ROOM, Counters, Events
from .execute import Note
from .linux import Linux
from .mounts import Mounts
from .observe import EVERYTHING, Observer, Stale


class Follower:
    """Implements `apply.Kernel`, and says when there is something to look at."""

    def __init__(self, store: Store, room: int = ROOM) -> None:
        """`room`: how many bytes of notices the kernel keeps for us before it drops any."""
        self._linux = Linux(store)
        self._observer = Observer(numbering=True)
        self._mounts = Mounts()
        self._events = Events(room)
        self._stale: Stale = EVERYTHING
        self._awaited: frozenset[str] = frozenset()
        self._hears_entries = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._events.__exit__()
        self._mounts.close()

    def fileno(self) -> int:
        """Readable when the kernel has something to say."""
        return self._events.fileno()

    def mounts(self) -> int:
        """Has an exceptional condition when mounts changed: `listen` says whether that is about a namespace of ours."""
        return self._mounts.fileno()

    @property
    def counters(self) -> Counters:
        """How much was heard."""
        return self._events.counters

    @property
    def messages(self) -> int:
        """Messages sent so far that could change something."""
        return self._linux.messages

    @property
    def priors(self) -> Mapping[Key, str]:
        """Values that written parameters had before."""
        return self._linux.priors

    def declare(self, desired: Desired) -> None:
        """What is desired from now on: links of these names matter before they exist.

        There is a reason for a look; at everything only if something matters now of which we heard nothing so far.
        """
        others = [declared.object for declared in desired.others.values()]
        names = {r.key[2] for r in desired.requirements if r.key[:2] == ("link", HOST)}
        names |= {obj.name for obj in others if isinstance(obj, Link) and obj.netns == HOST}
        entries = bool(desired.entries.by_key) or any(isinstance(obj, FdbEntry | Neighbour) for obj in others)
        heard = names <= self._awaited and (self._hears_entries or not entries)
        if entries and not self._hears_entries:
            self._events.hear_entries()
            self._hears_entries = True
        self._awaited = frozenset(names)
        self._stale = self._stale | (Stale(names=True) if heard else EVERYTHING)

    def listen(self) -> bool:
        """Hear what the kernel has to say; whether there is anything to look at."""
        self._stale = self._stale | self._events.drain()
        if self._mounts.changed() and self._observer.moved():
            self._stale = self._stale | Stale(names=True)
        return bool(self._stale)

    def distrust(self) -> None:
        """Look at everything next time, whatever was heard."""
        self._stale = EVERYTHING

    def observe(self, scope: Scope) -> Observed:
        """Everything in scope, as it is now."""
        self._linux.release()
        self.listen()
        stale, self._stale = self._stale, Stale()
        try:
            observed = self._observer.observe(scope, stale)
        except BaseException:
            self._stale = EVERYTHING
            raise
        self._follow()
        return observed

    def execute(self, changes: Sequence[Change], note: Note) -> Sequence[Outcome]:
        """Carry out changes in order; `note` hears the values of parameters before they are written."""
        host = self._observer.tables.get(HOST)
        named = {} if host is None else {record.name: record.index for record in host.links}
        self._stale = self._stale | _touched(changes, named)
        return self._linux.execute(changes, note)

    def wait_ready(
        self, scope: Scope, unready: Mapping[Key, str], timeout: float, interrupts: Interrupts
    ) -> Mapping[Key, str]:
        """Wait until everything in `unready` works."""
        return self._linux.wait_ready(scope, unready, timeout, interrupts)

    def lacks(self, names: Collection[str]) -> Mapping[str, Lack]:
        """Those of the features, by name, that this kernel surely does not have, in that order."""
        return self._linux.lacks(names)

    def addresses(self) -> Mapping[str, str]:
        """Every address in the host's own namespace, with the name of its link."""
        return self._linux.addresses()

    def clean_up(self, store: Store) -> None:
        """Undo what an apply had to do to the netns directory if nobody uses it, then forget the topology."""
        self._linux.clean_up(store)

    def _follow(self) -> None:
        """Hear of every namespace that was looked at, and of the host's links that matter."""
        host = self._observer.tables.get(HOST)
        links = (
            [record for record in host.links if record.alias or record.name in self._awaited] if host else []
        )
        self._events.follow(self._observer.peers, [record.index for record in links], self._awaited)


def _touched(changes: Sequence[Change], host: Mapping[str, int]) -> Stale:
    """Where changes can be seen. In the host that is at links; of one that is made we hear, because it is awaited."""
    namespaces: set[str] = set()
    links: set[int] = set()
    for where, link in _seen(changes):
        if where != HOST:
            namespaces.add(where)
        elif link is None:  # what is of no link is read again with any
            links.add(0)
        elif link in host:
            links.add(host[link])
    return Stale(frozenset(namespaces), frozenset(links))


def _seen(changes: Sequence[Change]) -> Iterator[tuple[str, str | None]]:
    for part in parts(changes):
        if isinstance(part, Creations):
            yield from ((HOST, link) for link in part.entries.links)
        else:
            yield from chain.from_iterable(_places(change.object) for change in part)


def _places(obj: KernelObject) -> Iterator[tuple[str, str | None]]:
    """Every namespace in which an object can be seen, with the link that it is, or is on."""
    match obj:
        case Link():
            yield obj.netns, obj.name
            if isinstance(obj.kind, Veth) and obj.kind.peer is not None:
                yield obj.kind.peer.netns, obj.kind.peer.name
            if (below := parent(obj)) is not None:
                yield below.netns, below.name
        case Port():
            yield obj.netns, obj.name
        case Address() | Qdisc() | FdbEntry() | Neighbour():
            yield obj.netns, obj.link
        case _:
            yield obj.netns, None
