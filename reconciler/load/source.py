"""YAML text to plain data, remembering where every key and value stands.

`parse` and `dump` are pure; what looks at the disk comes from `files`. Whatever is read is made of `Map`, `Seq`, text,
whole numbers, floats, booleans and None, and every part of it knows its file, line and column.

Scalars follow the YAML 1.2 core schema, not PyYAML's 1.1: there the MAC 12:34:56:10:20:30 is the number 9783973230
and `no` is false. The tree is built straight from libyaml's event stream, because that is four times faster than
PyYAML's own loader and keeps positions. Duplicate keys, tags, alias bombs, recursion and oversized input are refused.
"""

from __future__ import annotations

import difflib
import re
import sys
from typing import Any

import yaml

from ..errors import Diagnostic, Mark, TopologyError
from ..garbage import left_lying
from .doubts import Doubts, Draft
from .files import MAX_FILE_BYTES, STDIN, below, collect, default_paths, read_bytes, too_large
from .tree import REST, Map, Seq

__all__ = [
    "MAX_FILE_BYTES",
    "STDIN",
    "Map",
    "Seq",
    "below",
    "collect",
    "default_paths",
    "draft",
    "dump",
    "parse",
    "read",
    "read_bytes",
]

MAX_NODES = 1_000_000
MAX_DEPTH = 20
MAX_MISTAKES = 1_000

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
# Longer numbers fit no field and stay text, so that nobody pays for (or crashes on) converting them.
_INT = re.compile(r"[-+]?[0-9]{1,20}|0o[0-7]{1,22}|0x[0-9a-fA-F]{1,16}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]{1,20}|[0-9]{1,20}(?:\.[0-9]{0,20})?)(?:[eE][-+]?[0-9]{1,2})?")
# What YAML does not allow at all, and the line breaks of YAML 1.1 that no editor counts as lines. To say instead what is
# allowed would take `re` ten times as long to compile.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
_PROPERTIES = re.compile(r"(?:[&!]\S*[ \t]+)+")
_TAG_PREFIX = "tag:yaml.org,2002:"
_TEXT_TAGS = (None, "!", _TAG_PREFIX + "str")
_new = tuple.__new__


def parse(text: bytes, file: str) -> Map:
    """The content of one file. `file` is only the name that marks and messages show.

    Raises TopologyError with every duplicate key and tag of the file, or with the first syntax error.
    """
    found = draft(text, file)
    if found.mistakes:
        raise TopologyError(found.mistakes)
    return found.data


def draft(text: bytes, file: str) -> Draft:
    """As `parse`, but a file with duplicate keys and tags is read to its end. Raises TopologyError for a syntax error."""
    if len(text) > MAX_FILE_BYTES:
        raise TopologyError([too_large(file)])
    try:
        decoded = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        col = len(text[text.rfind(b"\n", 0, error.start) + 1 : error.start].decode("utf-8", "replace")) + 1
        mark = Mark(file, line, col, col + 1)
        raise TopologyError(
            [Diagnostic("yaml", "the file is not UTF-8 text here", mark, "save it as UTF-8")]
        ) from None
    if forbidden := _FORBIDDEN.search(decoded):
        raise TopologyError([_forbidden(decoded, forbidden, file)])
    with left_lying():
        return _Builder(decoded, file).build()


def read(file: str) -> Map:
    """The content of one file on disk, or of standard input for '-'. Raises TopologyError."""
    return parse(read_bytes(file), file)


def dump(data: object) -> str:
    """Plain data as YAML that every reader understands alike: what merely looks like a number or a word is quoted."""
    text: str = yaml.dump(
        data, Dumper=_PlainDumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=110
    )
    return text


def _forbidden(text: str, match: re.Match[str], file: str) -> Diagnostic:
    start = match.start()
    line = text.count("\n", 0, start) + 1
    col = start - text.rfind("\n", 0, start)
    message = f"the character U+{ord(match[0]):04X} is not allowed in a topology file"
    return Diagnostic(
        "yaml", message, Mark(file, line, col, col + 1), "remove it, or write it as an escape in quotes"
    )


def _scalar(text: str) -> str | int | float | bool | None:
    """The value of a plain scalar by the YAML 1.2 core schema, without .inf and .nan (they fit no field)."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] in "0123456789+-.":
        if _INT.fullmatch(text):
            return int(text, 0) if text[:2] in ("0x", "0o") else int(text)
        if _FLOAT.fullmatch(text):
            return float(text)
    return text


def _both(first: object, second: object) -> Seq:
    """Two values of `<<` as one list."""
    result = Seq(Mark("", 1, 1, 2))
    for value in (first, second):
        result.extend(value if isinstance(value, Seq) else [value])
    return result


class _Frame:
    """A map or list that is still open while its events arrive."""

    __slots__ = ("anchor", "before", "height", "is_map", "is_merge", "key", "key_mark", "merges", "node")

    def __init__(self, node: Map | Seq, anchor: str | None, before: int) -> None:
        self.node = node
        self.is_map = isinstance(node, Map)
        self.anchor = anchor
        self.before = before
        self.height = 1
        self.key: str | None = None
        self.key_mark = node.mark
        self.is_merge = False
        self.merges: tuple[object, Mark] | None = None


class _Builder:
    """Turns one event stream into a tree. Lives for one `parse`."""

    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.file = file
        self.found: list[Diagnostic] = []
        self.doubts = Doubts()
        self.stack: list[_Frame] = []
        self.root: object = None
        self.root_mark = Mark(file, 1, 1, 2)
        self.documents = 0
        self.nodes = 0
        # anchor → value, its place, nodes in it with aliases expanded, levels below it
        self.anchors: dict[str, tuple[object, int, int]] = {}

    def build(self) -> Draft:
        loader: Any = _Loader(self.text)
        try:
            self._consume(loader)
        except yaml.YAMLError as error:
            raise TopologyError([*self.found, _syntax_error(error, self.text, self.file)]) from None
        finally:
            loader.dispose()
        if self.root is None:
            hint = "write {} if nothing is meant, or remove the file"
            self._fail("yaml", "the file is empty", self.root_mark, hint)
        if not isinstance(self.root, Map):
            self._fail(
                "bad-type", "a topology file must be a map of keys", self.root_mark, "start with 'name: …'"
            )
        assert isinstance(self.root, Map)
        return self.doubts.draft(self.root, self.found) if self.found else Draft(self.root)

    def _consume(self, loader: Any) -> None:
        next_event = loader.get_event
        while (event := next_event()) is not None:
            kind = type(event)
            if kind is yaml.ScalarEvent:
                self._scalar(event)
            elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                self._open(event)
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                self._close()
            elif kind is yaml.AliasEvent:
                self._alias(event)
            elif kind is yaml.DocumentStartEvent:
                self.documents += 1
                if self.documents > 1:
                    mark = self._mark(event, 3)
                    self._fail("yaml", "a file holds one topology, and a second document starts here", mark)
            elif kind is yaml.StreamEndEvent:
                return

    def _scalar(self, event: Any) -> None:
        """A key or a value. This runs once for each word of a file, so it calls little."""
        start, end = event.start_mark, event.end_mark
        line, col = start.line + 1, start.column + 1
        anchor, tag, text = event.anchor, event.tag, event.value
        if anchor is not None or tag is not None:
            col += self._properties(event)
        stop = end.column + 1 if end.line == start.line else self._line_end(start)
        mark = _new(Mark, (self.file, line, col, stop))
        plain = tag is None and event.implicit[0]
        frame = self.stack[-1] if self.stack else None
        if frame is not None and frame.is_map and frame.key is None:
            self._key(frame, text, mark, plain=plain)
            value = text
        else:
            self._count(1, mark)
            value = _scalar(text) if plain else text
            if value is None and end.index == start.index:
                # An empty value has no text to point at; its key has.
                mark = frame.key_mark if frame is not None and frame.is_map else self._mark(event)
            if frame is not None and tag not in _TEXT_TAGS:
                self.doubts.illegible(frame.node, len(frame.node) if frame.key is None else frame.key)
            self._add(value, mark)
        if anchor is not None:
            self.anchors[anchor] = (value, 1, 0)

    def _properties(self, event: Any) -> int:
        """Refuse the tag of a scalar, and say how many columns its anchor and tag take before it."""
        if event.tag not in _TEXT_TAGS:
            self._refuse_tag(event.tag, self._mark(event))
        match = _PROPERTIES.match(self.text, event.start_mark.index)
        return len(match[0]) if match else 0

    def _key(self, frame: _Frame, text: str, mark: Mark, *, plain: bool) -> None:
        if plain and not text:
            self._fail("yaml", "a key is missing before this ':'", mark._replace(end=mark.col + 1))
        node = frame.node
        frame.key = sys.intern(text)
        frame.key_mark = mark
        frame.is_merge = plain and text == "<<"
        if frame.merges is not None if frame.is_merge else text in node:
            assert isinstance(node, Map)
            first = node.mark if frame.is_merge else node.marks[text][0]
            message = f"the key '{text}' stands here a second time"
            hint = f"the first is in line {first.line}; keep one"
            self._note(Diagnostic("duplicate-key", message, mark, hint, (("first", first),)))

    def _open(self, event: Any) -> None:
        is_map = type(event) is yaml.MappingStartEvent
        mark = self._mark(event)
        if self._wants_key():
            self._fail("yaml", "a key must be text, not a map or a list", mark)
        if len(self.stack) >= MAX_DEPTH:
            self._fail("too-large", f"more than {MAX_DEPTH} levels of nesting", mark)
        if event.tag not in (None, "!", _TAG_PREFIX + ("map" if is_map else "seq")):
            self._refuse_tag(event.tag, mark)
        self.stack.append(_Frame(Map(mark) if is_map else Seq(mark), event.anchor, self.nodes))
        self._count(1, mark)
        if event.anchor is not None:
            self.anchors.pop(event.anchor, None)

    def _close(self) -> None:
        frame = self.stack.pop()
        if frame.merges is not None:
            assert isinstance(frame.node, Map)
            self._merge(frame.node, *frame.merges)
        if frame.anchor is not None:
            self.anchors[frame.anchor] = (frame.node, self.nodes - frame.before, frame.height)
        if self.stack:
            self.stack[-1].height = max(self.stack[-1].height, frame.height + 1)
        self._add(frame.node, frame.node.mark)

    def _alias(self, event: Any) -> None:
        name = event.anchor
        mark = self._mark(event)
        if self._wants_key():
            self._fail("yaml", "a key must be text, not an alias", mark)
        if any(frame.anchor == name for frame in self.stack):
            self._fail(
                "yaml", f"'*{name}' stands inside of what it names", mark, "an alias cannot contain itself"
            )
        if name not in self.anchors:
            close = difflib.get_close_matches(name, self.anchors, 1)
            hint = (
                f"did you mean '*{close[0]}'?"
                if close
                else "write '&" + name + "' at the value that it repeats"
            )
            self._fail("yaml", f"nothing above is marked '&{name}'", mark, hint)
        value, nodes, height = self.anchors[name]
        if len(self.stack) + height > MAX_DEPTH:
            self._fail("too-large", f"more than {MAX_DEPTH} levels of nesting", mark)
        self._count(nodes, mark)
        self.stack[-1].height = max(self.stack[-1].height, height + 1)
        self._add(value, mark)

    def _merge(self, node: Map, value: object, mark: Mark) -> None:
        """`<<: *base` or `<<: [*a, *b]`: what the map itself says wins, then the first of a list."""
        bases = value if isinstance(value, Seq) else [value]
        for base in bases:
            if not isinstance(base, Map):
                self._note(Diagnostic("bad-type", "'<<' takes a map, or a list of maps", mark))
                self.doubts.illegible(node, REST)
                continue
            for key, item in base.items():
                if key not in node:
                    node.put(key, item, base.marks.get(key))
                    self.doubts.inherit(base, key, node)
            self.doubts.inherit(base, REST, node)

    def _add(self, value: object, mark: Mark) -> None:
        if not self.stack:
            self.root, self.root_mark = value, mark
            return
        frame = self.stack[-1]
        node = frame.node
        if isinstance(node, Seq):
            node.append(value)
            node.marks.append(mark)
            return
        key, frame.key = frame.key, None
        assert key is not None
        if frame.is_merge:
            frame.merges = (value, mark) if frame.merges is None else (_both(frame.merges[0], value), mark)
        elif key not in node:
            node[key] = value
            node.marks[key] = (frame.key_mark, mark)
        elif len(self.stack) == 1 and isinstance(first := node[key], Map) and isinstance(value, Map):
            node[key] = self.doubts.join(first, value)
        else:
            self.doubts.twice(node, key, value, (frame.key_mark, mark))

    def _count(self, nodes: int, mark: Mark) -> None:
        self.nodes += nodes
        if self.nodes > MAX_NODES:
            self._fail(
                "too-large", f"more than {MAX_NODES:,} values, aliases counted as what they repeat", mark
            )

    def _wants_key(self) -> bool:
        return bool(self.stack) and self.stack[-1].is_map and self.stack[-1].key is None

    def _mark(self, event: Any, width: int = 1) -> Mark:
        """Where an event starts; a block map has no token of its own and borrows its first character."""
        start, end = event.start_mark, event.end_mark
        col = start.column + 1
        last = end.column + 1 if end.line == start.line else 0
        anchor = getattr(event, "anchor", None)
        width = len(anchor) + 1 if anchor is not None else width
        return Mark(self.file, start.line + 1, col, max(int(last), col + width))

    def _line_end(self, start: Any) -> int:
        """The column after the first line of a value that has several."""
        newline = self.text.find("\n", int(start.index))
        width = (newline if newline >= 0 else len(self.text)) - int(start.index)
        return int(start.column) + 1 + max(width, 1)

    def _refuse_tag(self, tag: str, mark: Mark) -> None:
        shown = tag.replace(_TAG_PREFIX, "!!")
        self._note(Diagnostic("yaml", f"the tag '{shown}' is not supported", mark, "write the plain value"))

    def _note(self, mistake: Diagnostic) -> None:
        """Keep a mistake and read on, unless there are more than anybody will read."""
        self.found.append(mistake)
        if len(self.found) >= MAX_MISTAKES:
            raise TopologyError(self.found)

    def _fail(self, code: str, message: str, mark: Mark, hint: str | None = None) -> None:
        """Stop reading this file, keeping what was found so far."""
        raise TopologyError([*self.found, Diagnostic(code, message, mark, hint)])


# Words for the syntax errors that people make, by a part of libyaml's (or PyYAML's) own text.
_SYNTAX = (
    (
        r"mapping values are not allowed",
        "a ':' cannot stand here",
        "check the indentation, or put the text in quotes",
    ),
    (r"could not find expected ':'", "a ':' is missing after this key", None),
    (
        r"expected key|<block end>",
        "the indentation does not fit the lines above",
        "align it with its neighbours",
    ),
    (r"expected '-' indicator", "a list item must start with '- ' here", "align it with its neighbours"),
    (r"unexpected end of stream", "the quote that opens here is never closed", None),
    (
        r"expected ',' or",
        "a ',' or the closing bracket is missing",
        "the bracket was opened in line {opened}",
    ),
    (r"expected node content", "a value is missing here", None),
    (r"block sequence entries", "a list item cannot stand here", "put the list on the lines below its key"),
)


def _syntax_error(error: yaml.YAMLError, text: str, file: str) -> Diagnostic:
    """PyYAML's complaint in our words, at the place where the mistake is."""
    problem = str(getattr(error, "problem", None) or error)
    place: Any = getattr(error, "problem_mark", None)
    context: Any = getattr(error, "context_mark", None) or place
    if place is None:
        return Diagnostic("yaml", problem, Mark(file, 1, 1, 2))
    if "unexpected end of stream" in problem or "expected ':'" in problem:
        place = context
    mark = Mark(file, place.line + 1, place.column + 1, place.column + 2)
    if "nesting depth" in problem:
        return Diagnostic("too-large", f"more than {MAX_DEPTH} levels of nesting", mark)
    if "cannot start any token" in problem:
        character = text[place.index : place.index + 1]
        if character == "\t":
            return Diagnostic("yaml", "a tab cannot indent", mark, "use spaces")
        return Diagnostic("yaml", f"a value cannot start with '{character}'", mark, "put it in quotes")
    for pattern, message, hint in _SYNTAX:
        if re.search(pattern, problem):
            return Diagnostic("yaml", message, mark, hint and hint.format(opened=context.line + 1))
    return Diagnostic("yaml", problem, mark)


class _PlainDumper(_Dumper):  # type: ignore[misc, valid-type]  # the C class where libyaml is there
    """Writes no anchors, keeps the order, and puts short lists of scalars on one line."""

    def ignore_aliases(self, _: object) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    quoted = ":" in text or not text.isprintable() or not isinstance(_scalar(text), str)
    return dumper.represent_scalar(_TAG_PREFIX + "str", text, style='"' if quoted else None)


def _represent_list(dumper: yaml.SafeDumper, items: list[object]) -> yaml.SequenceNode:
    flow = not any(isinstance(item, dict | list) for item in items)
    return dumper.represent_sequence(_TAG_PREFIX + "seq", items, flow_style=flow)


_PlainDumper.add_representer(str, _represent_text)
_PlainDumper.add_representer(list, _represent_list)
