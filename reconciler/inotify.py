"""Notices of changes below directories, straight from inotify(7): one file descriptor, no thread.

A watch is a directory with the names in it that matter; everything else that happens there wakes nobody. To ask again
for a directory that is watched already changes nothing, unless another one has taken its place: then that one is
watched. So whoever asks again after each notice follows a path through whatever becomes of its parts.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Mapping

_ATTRIB, _CLOSE_WRITE, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x4, 0x8, 0x40, 0x80, 0x100, 0x200
_DELETE_SELF, _MOVE_SELF, _OVERFLOW, _IGNORED = 0x400, 0x800, 0x4000, 0x8000
_ONLYDIR = 0x01000000
# Not IN_MODIFY: who writes is not done, and says so by closing the file.
_MASK = (
    _ATTRIB
    | _CLOSE_WRITE
    | _MOVED_FROM
    | _MOVED_TO
    | _CREATE
    | _DELETE
    | _DELETE_SELF
    | _MOVE_SELF
    | _ONLYDIR
)
_LOST = _OVERFLOW | _DELETE_SELF | _MOVE_SELF
_EVENT = struct.Struct("iIII")
_BUFFER = 1 << 16

_libc = ctypes.CDLL(None, use_errno=True)

# The names in a directory that matter, None for all of them.
Names = frozenset[str] | None


class Inotify:
    """A set of watches. `fileno` is readable when there is something to hear. Raises OSError where there is none."""

    def __init__(self) -> None:
        self._fd: int = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            code = ctypes.get_errno()
            raise OSError(code, f"inotify: {os.strerror(code)}")
        self._names: dict[int, Names] = {}

    def close(self) -> None:
        """End all watches."""
        os.close(self._fd)

    def fileno(self) -> int:
        """For a selector."""
        return self._fd

    def watch(self, directories: Mapping[str, Names]) -> None:
        """From now on these and no others. What cannot be watched, because it is gone or too many are, is left out."""
        found: dict[int, Names] = {}
        for directory, names in directories.items():
            number = _libc.inotify_add_watch(self._fd, os.fsencode(directory), _MASK)
            if number >= 0:
                found[number] = _both(names, found[number]) if number in found else names
        for number in self._names.keys() - found.keys():
            _libc.inotify_rm_watch(self._fd, number)  # refused when its directory is gone
        self._names = found

    def drain(self) -> bool:
        """Hear everything that was said so far; whether any of it matters. Never waits."""
        matters = False
        while True:
            try:
                data = os.read(self._fd, _BUFFER)
            except BlockingIOError:
                return matters
            start = 0
            while start < len(data):
                number, mask, _, length = _EVENT.unpack_from(data, start)
                name = data[start + _EVENT.size : start + _EVENT.size + length].rstrip(b"\0")
                start += _EVENT.size + length
                matters = matters or self._matters(number, mask, name)

    def _matters(self, number: int, mask: int, name: bytes) -> bool:
        if mask & _LOST:
            return True
        if mask & _IGNORED or number not in self._names or not name:
            return False
        names = self._names[number]
        return names is None or os.fsdecode(name) in names


def _both(one: Names, other: Names) -> Names:
    return None if one is None or other is None else one | other
