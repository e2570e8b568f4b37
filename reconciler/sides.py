"""The two sides that `plan` compares: what the files declare and what the kernel holds. Frozen data, no I/O.

Both are maps from an object's key to the object with its context. The desired side says where in the files each
object comes from; the observed side says whose it is. Nothing here knows how either side was obtained.

A tunnel has ten thousands of entries, and mostly all of them are as declared. So whoever looks may say just that of an
entry, instead of describing it once more: `Held` makes the description for who asks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import NamedTuple, Self

from .errors import Mark
from .objects import ENTRIES, HOST, IN_BRIDGE, FdbEntry, KernelObject, Key, Neighbour


class Declared(NamedTuple):
    """An object that shall exist. `origin` is its address in the topology, `mark` the file line that asks for it.

    `yields`: if somebody else has made something in its place, that serves as well and is left as it is.
    """

    object: KernelObject
    origin: str
    mark: Mark | None = None
    yields: bool = False


@dataclass(frozen=True, slots=True)
class Requirement:
    """Something that must be there and is not ours to make: a given namespace, a host link, an adopted bridge.

    `link_kind` is the kind the link must have, None when any will do. `awaited` requirements may come later: what
    stands on them waits for them to exist and be up, while everything else goes on.
    """

    key: Key
    origin: str
    mark: Mark | None
    what: str
    link_kind: str | None = None
    awaited: bool = False


@dataclass(frozen=True, slots=True)
class Here:
    """Which of several hosts something is for, and the address by which that host is recognised."""

    host: str
    vtep: str


class Table(NamedTuple):
    """Entries of one kind, on one link, in columns: quick to pack and to write down.

    `places`: of forwarding entries the hosts that the MAC addresses are behind, of neighbours their own addresses.
    """

    link: str
    origin: str
    keys: list[Key]
    macs: list[str]
    places: list[str]


class Tables(NamedTuple):
    """Entries by kind and link. `others` leave something open, or say more than where a MAC address is."""

    hosts: list[Table]
    neighbours: list[Table]
    others: list[Key]


@dataclass(frozen=True, eq=False)
class Entries:
    """Declared entries of tunnels by key. The same only as itself: what is derived from ten thousand can be kept."""

    by_key: Mapping[Key, Declared] = field(default_factory=dict)

    @property
    def links(self) -> frozenset[str]:
        """The links of the host that they are on."""
        return frozenset(key[2] for key in self.by_key)

    @cached_property
    def tables(self) -> Tables:
        """The same in columns."""
        hosts: dict[tuple[str, str], Table] = {}
        neighbours: dict[tuple[str, str], Table] = {}
        others: list[Key] = []
        link = origin = None
        behind = beside = Table("", "", [], [], [])
        for key, (entry, its, _, _) in self.by_key.items():
            if not isinstance(entry, ENTRIES) or not entry.is_plain:
                others.append(key)
                continue
            if entry.link is not link or its is not origin:  # mostly it is the table of the one before
                link, origin = entry.link, its
                behind = hosts.setdefault((link, origin), Table(link, origin, [], [], []))
                beside = neighbours.setdefault((link, origin), Table(link, origin, [], [], []))
            if isinstance(entry, FdbEntry):
                table, place = behind, entry.dst
            else:
                table, place = beside, entry.address
            table.keys.append(key)
            table.macs.append(entry.mac or "")
            table.places.append(place or "")
        return Tables(
            [t for t in hosts.values() if t.keys], [t for t in neighbours.values() if t.keys], others
        )


@dataclass(frozen=True, slots=True)
class Desired:
    """Everything a topology declares, in declaration order, parents before children.

    `here` says for which host that is; None for a topology of one machine. `protected` are addresses of networks and
    sandboxes that are not to be deleted or replaced by the way. `entries` are those of the objects that a tunnel has
    ten thousands of, `others` all else.
    """

    topology: str
    objects: Mapping[Key, Declared] = field(default_factory=dict)
    requirements: tuple[Requirement, ...] = ()
    here: Here | None = None
    protected: frozenset[str] = frozenset()
    entries: Entries = field(init=False, repr=False, compare=False)
    others: Mapping[Key, Declared] = field(init=False, repr=False, compare=False)

    @property
    def established(self) -> Established:
        """What there is when all of it is."""
        return Established({key: declared.object for key, declared in self.others.items()}, self.entries)

    def __post_init__(self) -> None:
        entries = {key: declared for key, declared in self.objects.items() if _is_entry(key)}
        others = {key: declared for key, declared in self.objects.items() if key not in entries}
        object.__setattr__(self, "entries", Entries(entries))
        object.__setattr__(self, "others", others)


def _is_entry(key: Key) -> bool:
    return key[0] in (FdbEntry.kind_name, Neighbour.kind_name) and key[1] == HOST and key[-1] != IN_BRIDGE


class Established(Mapping[Key, KernelObject]):
    """What an apply has established, as one map: the entries of tunnels, and all the rest."""

    __slots__ = ("entries", "others")

    def __init__(self, others: Mapping[Key, KernelObject], entries: Entries) -> None:
        self.others, self.entries = others, entries

    @classmethod
    def of(cls, objects: Mapping[Key, KernelObject]) -> Self:
        """From all of them."""
        entries = {key: Declared(obj, "") for key, obj in objects.items() if _is_entry(key)}
        return cls({key: obj for key, obj in objects.items() if key not in entries}, Entries(entries))

    def __getitem__(self, key: Key) -> KernelObject:
        return self.others[key] if key in self.others else self.entries.by_key[key].object

    def __iter__(self) -> Iterator[Key]:
        return chain(self.others, self.entries.by_key)

    def __len__(self) -> int:
        return len(self.others) + len(self.entries.by_key)

    def __contains__(self, key: object) -> bool:
        return key in self.others or key in self.entries.by_key

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Established) and other.entries is self.entries:
            return self.others == other.others
        return super().__eq__(other)

    __hash__ = None  # type: ignore[assignment]  # as for every mapping


class Found(NamedTuple):
    """An object that the kernel holds. `origin` comes from its ownership mark, None for foreign objects."""

    object: KernelObject
    ours: bool
    origin: str | None = None


class Held(Mapping[Key, Found]):
    """What was found, as one map. `as_declared` are ours and exactly what is declared, and `apart` is all the rest."""

    __slots__ = ("apart", "as_declared")

    def __init__(self, apart: Mapping[Key, Found], as_declared: Mapping[Key, Declared]) -> None:
        self.apart, self.as_declared = apart, as_declared

    def __getitem__(self, key: Key) -> Found:
        if (found := self.apart.get(key)) is not None:
            return found
        declared = self.as_declared[key]
        return Found(declared.object, ours=True, origin=declared.origin)

    def __iter__(self) -> Iterator[Key]:
        yield from self.apart
        yield from self.as_declared

    def __len__(self) -> int:
        return len(self.apart) + len(self.as_declared)

    def __contains__(self, key: object) -> bool:
        return key in self.apart or key in self.as_declared


@dataclass(frozen=True, slots=True)
class Observed:
    """What one look at the kernel found, within a `Scope`.

    `unready` says, for objects that exist but do not work yet, why: a port that is not forwarding, an address in
    duplicate detection. `orphans` are entries of the netns directory with a name of this topology's that are not
    namespaces: a creation that was cut short, or somebody's file. `same` says of a given namespace which other
    reference leads to it as well ("" for the host); it is then looked at under that one only. `unknown` are paths of
    parameters, wanted in namespaces that do not exist yet, that this kernel does not even have for the host.
    """

    objects: Mapping[Key, Found]
    unready: Mapping[Key, str] = field(default_factory=dict)
    orphans: frozenset[str] = frozenset()
    same: Mapping[str, str] = field(default_factory=dict)
    unknown: frozenset[str] = frozenset()

    def is_ours(self, key: Key) -> bool:
        """Whether there is something of that key, which this topology made."""
        found = self.objects.get(key)
        return found is not None and found.ours

    @property
    def apart(self) -> Mapping[Key, Found]:
        """Those of the objects of which it is not known yet that they are as declared."""
        return self.objects.apart if isinstance(self.objects, Held) else self.objects

    @property
    def as_declared(self) -> Mapping[Key, Declared]:
        """Those of the objects that are ours and exactly what is declared."""
        return self.objects.as_declared if isinstance(self.objects, Held) else {}


@dataclass(frozen=True, slots=True)
class Scope:
    """What to look at: the topology whose marks count, further namespaces by reference, and parameters by key.

    `claims` are keys of addresses and routes that this topology put on things that are not its own. `foreign` asks
    for all named namespaces and for everything in them, not only for what a plan can need. `entries` are what is
    declared of those that there are ten thousands of: of one that is exactly so it is enough to say that.
    """

    topology: str
    given: frozenset[str] = frozenset()
    sysctls: frozenset[Key] = frozenset()
    claims: frozenset[Key] = frozenset()
    foreign: bool = False
    entries: Entries = field(default_factory=Entries, repr=False, compare=False)
