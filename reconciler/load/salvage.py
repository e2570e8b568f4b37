"""What is left of a file when everything that the schema rejected is taken out. Pure.

A mistake of form must not hide one of meaning elsewhere, and must not cause one either. So a rejected value is not
simply dropped, which would make it a default: UNKNOWN takes its place, and whoever reads the tree concludes nothing
from it. A misspelt key leaves UNKNOWN at the key that was probably meant. A key that resembles none may stand for any
that its map lacks (REST). A key that belongs elsewhere may belong to any object of the file that lacks it, for its
indentation may be all that is wrong; and so may a name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ..errors import Diagnostic, Mark
from . import schema
from .doubts import Draft, Path
from .fields import Place, known_keys
from .tree import REST, UNKNOWN, Map, Seq, gapped, opened

if TYPE_CHECKING:
    from .violations import Violation

_Part = str | int
_Level = tuple[str, ...]  # a place with '*' for names and positions
_HOST: _Level = ("hosts", "*")
_NETWORK: _Level = ("networks", "*")
_OPTIONS: _Level = (*_NETWORK, "options")
_SUBNET: _Level = (*_NETWORK, "subnets", "*")
_SANDBOX: _Level = ("sandboxes", "*")
_ENDPOINTS: _Level = (*_SANDBOX, "endpoints")
_ENDPOINT: _Level = (*_ENDPOINTS, "*")
_SHAPES: tuple[_Level, ...] = ((*_ENDPOINT, "bandwidth"), (*_ENDPOINT, "impair"))
_ROUTE: _Level = (*_SANDBOX, "routes", "*")
_SHORT = {_HOST: "vtep", _SUBNET: "subnet", _ENDPOINT: "network"}
# Maps with free names, and the levels further in, whose keys may have slipped among the names.
_INNER: dict[_Level, tuple[_Level, ...]] = {
    ("hosts",): (_HOST,),
    ("networks",): (_NETWORK, _OPTIONS, _SUBNET),
    ("sandboxes",): (_SANDBOX, _ENDPOINT, *_SHAPES, _ROUTE),
    _ENDPOINTS: (_ENDPOINT, *_SHAPES),
}
_MAPS = frozenset(("labels", "options", "endpoints", "sysctls", "aux_addresses", "bandwidth", "impair"))
_LISTS = frozenset(("subnets", "routes", "addresses"))
# Stray keys that say: some endpoint is no longer where it was declared.
_LOST_ENDPOINT = (REST, "endpoints")


@dataclass(slots=True)
class _Cuts:
    """What happens to the parts of one map or list, and below them.

    `gone` leaves no trace: without it, the file says the same. `unknown` has a value that nobody knows. `perhaps` are
    keys that may turn out to be there.
    """

    gone: set[_Part] = field(default_factory=set)
    unknown: set[_Part] = field(default_factory=set)
    perhaps: set[str] = field(default_factory=set)
    below: dict[_Part, _Cuts] = field(default_factory=dict)

    def at(self, place: Iterable[_Part]) -> _Cuts:
        """The cuts of what a place leads to."""
        cuts = self
        for part in place:
            cuts = cuts.below.setdefault(part, _Cuts())
        return cuts


class Checked(NamedTuple):
    """Files without what the schema rejects, in layers, and the mistakes.

    `is_whole` says that these are all mistakes, and that none of them is about which files there are.
    """

    layers: tuple[tuple[Map, ...], ...]
    mistakes: list[Diagnostic]
    is_whole: bool


def check(layered: Sequence[Sequence[Map]], drafts: Mapping[str, Draft] | None = None) -> Checked:
    """What the schema says to each file. A file without mistakes comes back as it is, and costs nothing more.

    `drafts` are the files, by name, that have mistakes already; these are in the answer.
    """
    drivers = _drivers([data for layer in layered for data in layer])
    mistakes: list[Diagnostic] = []
    result: list[tuple[Map, ...]] = []
    is_whole = True
    for depth, layer in enumerate(layered):
        files = list(layer)
        for index, data in enumerate(layer):
            found = schema.check(data, override=depth > 0, drivers=drivers)
            draft = (drafts or {}).get(data.mark.file)
            if found or draft is not None:
                told = found if draft is None else _told(draft, found, layered, override=depth > 0)
                mistakes += [each.diagnostic for each in told]
                mistakes += draft.mistakes if draft is not None else ()
                files[index] = salvage(data, found, draft, override=depth > 0)
                is_whole = is_whole and _is_whole(files[index], found)
        result.append(tuple(files))
    return Checked(tuple(result), mistakes, is_whole)


def salvage(
    data: Map, violations: Iterable[Violation], draft: Draft | None = None, *, override: bool = False
) -> Map:
    """A copy of one file without what the violations and a draft's doubts are about; the rest is shared with the input."""
    cuts = _Cuts()
    strays: set[str] = set()
    for violation in violations:
        _note(violation, data, cuts, strays)
    for path in draft.twice | draft.illegible if draft is not None else ():
        _note_doubt(path, cuts, strays)
    result = _cut_map(data, cuts)
    if not strays:
        return result
    strewn = _strewn(result, frozenset(strays), (), data.mark, override=override)
    assert isinstance(strewn, Map)
    return strewn


def _told(
    draft: Draft, found: list[Violation], layered: Sequence[Sequence[Map]], *, override: bool
) -> list[Violation]:
    """Violations that are no matter of which value of a key is meant: those of all readings, and those inside of a value."""
    told = {(each.place, each.diagnostic.message): each for each in found}
    everywhere = set(told)
    for reading in draft.readings:
        files = [reading if data is draft.data else data for layer in layered for data in layer]
        again = schema.check(reading, override=override, drivers=_drivers(files))
        read = {(each.place, each.diagnostic.message): each for each in again}
        everywhere &= read.keys()
        told = read | told
    return [
        each
        for key, each in told.items()
        if not _is_within(each.place, draft.illegible)
        and (key in everywhere or _is_within(each.place, draft.twice))
    ]


def _is_within(place: Place, paths: Collection[Path]) -> bool:
    return any(place[:length] in paths for length in range(1, len(place) + 1))


def _note_doubt(path: Path, cuts: _Cuts, strays: set[str]) -> None:
    """Nobody knows a value that stands there twice; and perhaps the one was meant for another key."""
    *above, last = path
    around = cuts.at(above)
    if last == REST:
        around.perhaps.add(REST)
        return
    around.unknown.add(last)
    if above:
        around.perhaps.add(REST)
    if path[0] == "sandboxes":
        strays.update(_LOST_ENDPOINT)


def hole(key: str, mark: Mark) -> object:
    """What stands for a field of which nothing is known, in the shape that its readers expect."""
    if key in _MAPS:
        return opened(mark)
    return gapped(mark) if key in _LISTS else UNKNOWN


def _is_whole(salvaged: Map, violations: Sequence[Violation]) -> bool:
    """Whether all violations of a file are known, and which files it includes."""
    from .violations import MAX_MISTAKES  # imported by now, with the jsonschema that it needs

    include = salvaged.get("include")
    is_complete = include is not UNKNOWN and not (isinstance(include, Seq) and UNKNOWN in include)
    return is_complete and len(violations) < MAX_MISTAKES


def _drivers(files: Iterable[Map]) -> dict[str, str]:
    """The driver of each network after merging, as far as unchecked files tell: their options depend on it."""
    general, own, names = "bridge", dict[str, str](), dict[str, None]()
    for data in files:
        default = _map_of(_map_of(data, "defaults"), "network").get("driver")
        general = default if isinstance(default, str) else general
        for name, network in _map_of(data, "networks").items():
            names[name] = None
            if isinstance(network, Map) and isinstance(driver := network.get("driver"), str):
                own[name] = driver
    return {name: own.get(name, general) for name in names}


def _map_of(data: Map, key: str) -> Map:
    value = data.get(key)
    return value if isinstance(value, Map) else Map(data.mark)


def _note(violation: Violation, data: Map, cuts: _Cuts, strays: set[str]) -> None:
    """Where one violation cuts, and the keys that may belong elsewhere."""
    place = violation.place
    strays.update(_named_like_keys(place))
    if violation.missing is not None:
        cuts.at(place).perhaps.add(violation.missing)
        return
    around, last = cuts.at(place[:-1]), place[-1]
    match violation.keyword:
        case "x-not-yet" if place[0] == "checks":
            cuts.at(place[:1]).unknown.add(place[1])  # without what it tries, a check is another one
        case "x-not-yet":
            around.gone.add(last)
        case "propertyNames":
            around.gone.add(last)
            around.perhaps.add(REST)
        case "additionalProperties":
            around.gone.add(last)
            _note_key(violation, data, cuts, strays)
        case _:
            around.unknown.add(last)
            if violation.keyword == "type" and place[:1] == ("sandboxes",) and len(place) == 2:
                strays.update(_LOST_ENDPOINT)


def _note_key(violation: Violation, data: Map, cuts: _Cuts, strays: set[str]) -> None:
    """What an unknown key may be: another key here, a key elsewhere, or a name that got out of its map."""
    *above, last = violation.place
    key, around, guess = str(last), cuts.at(above), violation.guess
    meant = guess.meant if guess is not None else None
    if meant is not None:
        around.perhaps.add(meant)
    elif above:  # what resembles nothing at the top level is some other tool's
        around.perhaps.add(REST)
    if guess is not None and guess.elsewhere:
        strays.add(key)
        return
    if meant is not None and meant in _map_at(data, above):
        strays.add(key)  # the better name is taken, so perhaps it is another level's key after all
    value = _at(data, violation.place)
    if meant is None and (isinstance(value, Map) or value is None):
        for section in ("networks", "sandboxes") if not above else ():
            cuts.perhaps.add(section)
            cuts.at((section,)).perhaps.add(key)
        strays.update(_LOST_ENDPOINT)
    elif isinstance(value, str) and value in _map_of(data, "networks"):
        strays.update(_LOST_ENDPOINT)


def _named_like_keys(place: Place) -> Iterator[str]:
    """Names on the way to a mistake that are keys further in: there, they mean what a person meant."""
    for level, inner in _INNER.items():
        index = len(level)
        if len(place) > index and all(a in ("*", b) for a, b in zip(level, place, strict=False)):
            name = str(place[index])
            if any(name in known_keys(*each) for each in inner):
                yield name


def _map_at(data: Map, place: Iterable[_Part]) -> Map:
    node = _at(data, place)
    return node if isinstance(node, Map) else Map(data.mark)


def _at(data: Map, place: Iterable[_Part]) -> object:
    node: object = data
    for part in place:
        assert isinstance(node, Map | Seq)
        node = node[part]  # type: ignore[index]  # names lead into maps, numbers into lists
    return node


def _cut(value: object, cuts: _Cuts | None) -> object:
    match value:
        case Map() if cuts is not None:
            return _cut_map(value, cuts)
        case Seq() if cuts is not None:
            return _cut_list(value, cuts)
    return value


def _cut_map(data: Map, cuts: _Cuts) -> Map:
    result = Map(data.mark)
    for key, value in data.items():
        if key not in cuts.gone:
            kept = UNKNOWN if key in cuts.unknown else _cut(value, cuts.below.get(key))
            result.put(key, kept, data.marks.get(key))
    for key in sorted(cuts.perhaps - result.keys()):
        result[key] = UNKNOWN
    return result


def _cut_list(data: Seq, cuts: _Cuts) -> Seq:
    """The place of an item stays taken: others are known by their number."""
    result = Seq(data.mark)
    for index, (item, mark) in enumerate(zip(data, data.marks, strict=True)):
        gone = index in cuts.unknown or index in cuts.gone
        result.put(UNKNOWN if gone else _cut(item, cuts.below.get(index)), mark)
    return result


# ------------------------------------------------------------------------------------------ keys that belong elsewhere


def _strewn(value: object, keys: frozenset[str], level: _Level, mark: Mark, *, override: bool) -> object:
    """A part of a salvaged file in which every object that lacks one of the keys may have it.

    `level` is the place with '*' for names. Short forms get long; null in an override takes something away and stays.
    """
    known = known_keys(*level)
    missing = keys & known
    match value:
        case None if missing and not override:
            value = Map(mark)
        case str() if missing and level in _SHORT:
            short, value = value, Map(mark)
            value.put(_SHORT[level], short, (mark, mark))
    match value:
        case Map():
            result = Map(value.mark)
            for key, item in value.items():
                below = (*level, key if key in known else "*")
                part = _strewn(item, keys, below, value.key_mark(key), override=override)
                result.put(key, part, value.marks.get(key))
            for key in sorted(missing - result.keys()):
                result[key] = UNKNOWN
            if level == _ENDPOINTS and REST in keys:
                result[REST] = UNKNOWN
            if level == _NETWORK and "options" not in result:
                result["options"] = _strewn(Map(mark), keys, _OPTIONS, mark, override=override)
            return result
        case Seq():
            items = Seq(value.mark)
            for item, place in zip(value, value.marks, strict=True):
                items.put(_strewn(item, keys, (*level, "*"), place, override=override), place)
            return items
    return value
