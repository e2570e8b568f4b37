"""Which files a path means, and their bytes: bounded, and from regular files only.

Looks at the disk and at standard input, understands nothing of what it reads. Devices and FIFOs are refused before
they are opened: opening alone can block, or do something.
"""

from __future__ import annotations

import errno
import fcntl
import glob
import os
import signal
import stat
import sys
from collections.abc import Sequence
from contextlib import suppress

from ..errors import Diagnostic, Mark, TopologyError, UsageError

MAX_FILE_BYTES = 4 * 1024 * 1024
STDIN = "-"
_Entry = tuple[str, *tuple[int, ...]]
Signature = tuple[_Entry, ...]
_F_SETSIG = 10  # fcntl(2); the standard library has no name for it
LOCK_SUFFIX = ".lock.yaml"


def collect(paths: Sequence[str]) -> tuple[str, ...]:
    """The files that `paths` name, in reading order, each once: directories give their *.yaml and *.yml, not recursive.

    A path with *, ? or [ that is no file is a pattern; '-' is standard input. Lock files are left out: they are no
    topology files. Raises UsageError for what names nothing.
    """
    files: dict[str, str] = {}
    for path in paths:
        for name in _files_of(path):
            files.setdefault(name if name == STDIN else os.path.realpath(name), name)
    return tuple(files.values())


def is_being_written(path: str) -> bool:
    """Whether somebody has the file open for writing, as far as can be told.

    A read lease is refused then (fcntl(2), F_SETLEASE); whoever may not have one, or on a file system without, is told no.
    Who opens the file for writing while we have the lease makes the kernel signal us: by default with one that kills.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return False
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.fcntl(fd, _F_SETSIG, signal.SIGURG)  # ignored by default
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    finally:
        os.close(fd)
    return False


def default_paths() -> tuple[str, ...]:
    """What to read when nothing is named: ./topologies, else every ./*.topo.yaml. Raises UsageError without either."""
    if os.path.isdir("topologies"):
        return ("topologies",)
    if found := sorted(glob.glob("*.topo.yaml")):
        return tuple(found)
    raise UsageError(
        f"no topology: {os.getcwd()} has neither a directory 'topologies' nor a file '*.topo.yaml'",
        hint="name a file or a directory, or '-' for standard input",
    )


def below(path: str, roots: Sequence[str]) -> bool:
    """Whether a path, links resolved, lies in one of some directories, whose names have no links in them."""
    real = os.path.realpath(path)
    return any(os.path.commonpath((root, real)) == root for root in roots)


def read_bytes(file: str, roots: Sequence[str] | None = None) -> bytes:
    """The bytes of a file that may be a topology. Raises TopologyError for what is no regular file, or too large.

    With `roots`, also for what does not lie in one of these directories: it is the opened file that counts, so a link
    that is swapped meanwhile does not help.
    """
    if file == STDIN:
        data = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
    else:
        try:
            if not stat.S_ISREG(os.stat(file).st_mode):
                raise TopologyError([_unreadable(file, "it is not a regular file")])
            descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            with open(descriptor, "rb") as opened:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise TopologyError([_unreadable(file, "it is not a regular file")])
                if roots is not None and not below(_opened(descriptor, file), roots):
                    raise TopologyError([_leads_away(file)])
                data = opened.read(MAX_FILE_BYTES + 1)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "its name holds a NUL"
            raise TopologyError([_unreadable(file, reason or str(error))]) from error
    if len(data) > MAX_FILE_BYTES:
        raise TopologyError([too_large(file)])
    return data


def _files_of(path: str) -> list[str]:
    if path == STDIN:
        return [path]
    if "\0" in path:
        raise UsageError("a path with a NUL in it names nothing")
    if os.path.isdir(path):
        return _files_in(path)
    if path.endswith(LOCK_SUFFIX):
        hint = "name the topology's files; the lock file beside them is read with them"
        raise UsageError(f"'{path}' is a lock file, not a topology", hint=hint)
    if os.path.lexists(path):
        return [path]
    if any(c in path for c in "*?["):
        found = [name for name in sorted(glob.glob(path)) if not name.endswith(LOCK_SUFFIX)]
        if found:
            return found
    raise UsageError(f"no such file or directory: '{path}'")


def _files_in(folder: str) -> list[str]:
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise UsageError(f"cannot list the directory '{folder}': {error.strerror}") from error
    # Names with a leading dot are editors' lock and swap files.
    paths = [
        os.path.join(folder, n) for n in names if n.endswith((".yaml", ".yml")) and not n.startswith(".")
    ]
    files = [path for path in paths if not os.path.isdir(path) and not path.endswith(LOCK_SUFFIX)]
    if not files:
        raise UsageError(f"the directory '{folder}' holds no *.yaml or *.yml file")
    return files


def _unreadable(file: str, reason: str) -> Diagnostic:
    return Diagnostic("unreadable", f"cannot read '{file}': {reason}", Mark(file, 1, 1, 2))


def _opened(descriptor: int, file: str) -> str:
    link = f"/proc/self/fd/{descriptor}"
    return link if os.path.islink(link) else file  # without /proc, the name has to do


def _leads_away(file: str) -> Diagnostic:
    message = f"'{file}' is a link that leads out of the topology's directory"
    return Diagnostic(
        "unreadable", message, Mark(file, 1, 1, 2), "name the file that is meant instead of the link"
    )


def too_large(file: str) -> Diagnostic:
    """What is said of a file over the limit."""
    limit = f"a topology file may have {MAX_FILE_BYTES // (1024 * 1024)} MiB"
    return Diagnostic("too-large", f"'{file}' is too large: {limit}", Mark(file, 1, 1, 2), "split it")


def signature(named: Sequence[str], read: Sequence[str]) -> Signature:
    """Something that is another thing once a file was written, replaced, added or removed: an entry for each path.

    `named` are files, directories and patterns from the command line, `read` the files that these led to. Of what else
    lies beside those only the names count: a pattern in a file may mean it.
    """
    listed = {*named, *read}
    for path in named:
        with suppress(UsageError):  # it names nothing now
            listed.update(collect([path]))
        listed.update(_lock_files(path))
    beside = {path for folder in {os.path.dirname(path) for path in read} for path in _topologies(folder)}
    return (*map(_stat, sorted(listed)), *((path,) for path in sorted(beside - listed)))


def _topologies(folder: str) -> list[str]:
    try:
        names = os.listdir(folder or ".")
    except OSError:
        return []
    return [os.path.join(folder, name) for name in names if name.endswith((".yaml", ".yml"))]


def _lock_files(path: str) -> list[str]:
    """Those beside what a path means: which one counts depends on what is in the files."""
    folder = path if os.path.isdir(path) else os.path.dirname(path)
    try:
        names = os.listdir(folder or ".")
    except OSError:
        return []
    return [os.path.join(folder, name) for name in names if name.endswith(LOCK_SUFFIX)]


def _stat(path: str) -> _Entry:
    try:
        info = os.stat(path)
    except OSError as error:
        return (path, error.errno or 0)
    return (path, info.st_dev, info.st_ino, info.st_mtime_ns, info.st_size)
