"""Which files make a topology: the ones that were named and the ones that those include, in layers.

The first layer is what was named as the topology, each override is one more on top of it. Reads files, and is the only
place that follows an `include`. Whatever is read lies, links resolved, below a directory that was named (that of a file
that was named counts) or the working directory. A topology that somebody else wrote must not make a privileged process read, and quote in
its error messages, any file of the host.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

from ..errors import Diagnostic, Mark, TopologyError, UsageError
from . import source
from .doubts import Draft
from .tree import Map, Seq

if TYPE_CHECKING:
    from hashlib import _Hash

MAX_TOTAL_BYTES = 64 * 1024 * 1024
MAX_FILES = 10_000

_STAY = "move the file below it, or name its directory on the command line"


@dataclass(frozen=True, slots=True)
class Sources:
    """What was read. `files` are all names in reading order; `digest` changes with any name or byte of them.

    `mistakes` are the files that could not be read; their content is missing from `layers`. `drafts` are files that have
    mistakes and were read in spite of them, by name.
    """

    layers: tuple[tuple[Map, ...], ...]
    files: tuple[str, ...]
    digest: str
    mistakes: tuple[Diagnostic, ...]
    drafts: Mapping[str, Draft] = field(default_factory=dict)


def read(paths: Sequence[str], overrides: Sequence[str] = (), within: str | None = None) -> Sources:
    """Every file of the topology. Raises UsageError when a named path names nothing.

    `within` is the one directory that nothing leads out of; names count from there in the digest, so that it is the same
    for the same files elsewhere.
    """
    named = [*(_root(path) for path in (*paths, *overrides)), os.path.realpath(".")]
    reader = _Reader(named if within is None else [os.path.realpath(within)], within)
    layers = [reader.layer(source.collect(paths))]
    layers += [reader.layer(source.collect([path])) for path in overrides]
    return Sources(
        tuple(layers),
        tuple(reader.files),
        reader.digest.hexdigest(),
        tuple(reader.mistakes),
        reader.drafts,
    )


def known_as(name: str, within: str | None) -> str:
    """A file's name in a digest."""
    return name if within is None else os.path.relpath(name, within)


def _root(path: str) -> str:
    if not os.path.lexists(path):  # a pattern, whose directory is the part without one
        path = re.split(r"[*?\[]", path, maxsplit=1)[0]
    return os.path.realpath(path if os.path.isdir(path) else os.path.dirname(path) or ".")


@dataclass(slots=True)
class _Reader:
    """The books of one `read`: what was read, how much, and from where more may come."""

    roots: list[str]
    within: str | None
    files: list[str] = field(default_factory=list)
    mistakes: list[Diagnostic] = field(default_factory=list)
    drafts: dict[str, Draft] = field(default_factory=dict)
    digest: _Hash = field(default_factory=sha256)
    total: int = 0

    def layer(self, names: Sequence[str]) -> tuple[Map, ...]:
        queue: list[str] = list(names)
        seen = {os.path.realpath(name) for name in queue}
        maps: list[Map] = []
        for name in queue:
            data = self._file(name)
            if data is None:
                continue
            maps.append(data)
            for included in self._includes(name, data):
                if (real := os.path.realpath(included)) not in seen:
                    seen.add(real)
                    queue.append(included)
            if len(queue) > MAX_FILES:
                message = f"more than {MAX_FILES:,} files are included"
                raise TopologyError(
                    [*self.mistakes, Diagnostic("too-large", message, data.value_mark("include"))]
                )
        return tuple(maps)

    def _file(self, name: str) -> Map | None:
        try:
            content = source.read_bytes(name, self.roots)
            self.total += len(content)
            if self.total > MAX_TOTAL_BYTES:
                limit = MAX_TOTAL_BYTES // (1024 * 1024)
                message = f"the files of the topology have more than {limit} MiB together"
                raise TopologyError([*self.mistakes, Diagnostic("too-large", message, Mark(name, 1, 1, 2))])
            self.files.append(name)
            known = known_as(name, self.within)
            self.digest.update(f"{len(known)}:{known}:{len(content)}:".encode("utf-8", "surrogateescape"))
            self.digest.update(content)
            draft = source.draft(content, name)
        except TopologyError as error:
            if self.total > MAX_TOTAL_BYTES:
                raise
            self.mistakes.extend(error.diagnostics)
            return None
        if draft.mistakes:
            self.drafts[name] = draft
        return draft.data

    def _includes(self, name: str, data: Map) -> Iterator[str]:
        """The files that one file includes; what the schema will complain about is skipped."""
        included = data.get("include")
        if not isinstance(included, Seq):
            return
        folder = "" if name == source.STDIN else os.path.dirname(name)
        for item, mark in zip(included, included.marks, strict=True):
            if isinstance(item, str) and item:
                yield from self._included(folder, item, mark)

    def _included(self, folder: str, item: str, mark: Mark) -> Iterator[str]:
        """The files that one item of an `include` names. Where it leads is looked at before whether it is there."""
        path = os.path.normpath(os.path.join(folder, item))
        path = os.path.join(".", path) if path == source.STDIN else path
        fixed = re.split(r"[*?\[]", path, maxsplit=1)[0]
        if os.path.isabs(item):
            self._refuse(f"'{item}' must be relative to this file", mark)
            return
        if self._is_outside(path if fixed == path else os.path.dirname(fixed)):
            self._refuse(f"'{item}' leads out of the topology's directory", mark, _STAY)
            return
        try:
            found = source.collect([path])
        except UsageError as error:
            self.mistakes.append(Diagnostic("include", error.message, mark, awaits=path))
            return
        for name in found:
            if self._is_outside(name):
                self._refuse(f"'{item}' leads out of the topology's directory", mark, _STAY)
            else:
                yield name

    def _is_outside(self, path: str) -> bool:
        if "\0" in path:
            return False  # names nothing, which is said later
        return not source.below(path, self.roots)

    def _refuse(self, message: str, mark: Mark, hint: str | None = None) -> None:
        self.mistakes.append(Diagnostic("include", message, mark, hint))
