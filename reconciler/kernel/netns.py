"""Network namespaces: reach them, make them, remove them. Used only inside `kernel`.

A thread can be in one namespace at a time. `inside` switches the calling thread and always switches back; a thread
that cannot get back is of no use to anybody, so that failure ends the process. No fork, no helper process: making a
namespace takes 0.5 ms this way.

Making one has to survive a kill at any point. The namespace is marked as ours (on its loopback device) before
it gets a name, so an entry of the netns directory is either complete or a plain file, which `orphans` recognises by
the file system it is on.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import KernelError, Unsupported
from ..objects import HOST

DIRECTORY = Path("/run/netns")
_DIRECTORY = str(DIRECTORY)  # joining paths by pathlib takes longer than opening them
_OWN = "/proc/thread-self/ns/net"
_NSFS_MAGIC = 0x6E736673
_NS_GET_NSTYPE = 0xB703
_CLONE_NEWNET = 0x40000000
_MS_BIND, _MS_REC, _MS_SHARED, _MNT_DETACH, _UMOUNT_NOFOLLOW = 4096, 16384, 1 << 20, 2, 8

_libc = ctypes.CDLL(None, use_errno=True)


class _Statfs(ctypes.Structure):
    # asm-generic/statfs.h on 64-bit; only the first word is read, the rest is room for the kernel to write.
    _fields_ = (("f_type", ctypes.c_long), ("rest", ctypes.c_long * 31))


def _call(name: str, *arguments: object) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def is_namespace(fd: int) -> bool:
    """Whether `fd` is a network namespace."""
    buffer = _Statfs()
    _call("fstatfs", fd, ctypes.byref(buffer))
    if buffer.f_type != _NSFS_MAGIC:
        return False
    return fcntl.ioctl(fd, _NS_GET_NSTYPE) == _CLONE_NEWNET


def path_of(netns: str) -> str:
    """The file through which a namespace reference is reached (see `objects` for the forms of a reference)."""
    if netns == HOST:
        return _OWN
    if netns.startswith("pid:"):
        return f"/proc/{netns[4:]}/ns/net"
    return netns if netns.startswith("/") else f"{_DIRECTORY}/{netns}"


def open_fd(netns: str) -> int | None:
    """A file descriptor of the namespace, None when there is none. The caller closes it.

    An entry of ours is never followed through a symlink. Raises Unsupported when it exists and may not be opened.
    """
    own_entry = netns != HOST and not netns.startswith(("/", "pid:"))
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (os.O_NOFOLLOW if own_entry else 0)
    try:
        fd = os.open(path_of(netns), flags)
    except (FileNotFoundError, NotADirectoryError, ProcessLookupError):
        return None
    except PermissionError as error:
        raise Unsupported(
            f"namespace '{netns}' may not be opened: {error.strerror}", hint="run as root"
        ) from error
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            return None
        if error.errno in (errno.EMFILE, errno.ENFILE):
            message = "too many open files: every namespace in scope is held open for the time of a look"
            raise KernelError(
                message, errno=error.errno, hint="raise the hard limit of `ulimit -n`"
            ) from error
        raise
    if is_namespace(fd):
        return fd
    os.close(fd)
    return None


def allow_many() -> None:
    """Raise the soft limit of open files to the hard one: 1,024 by default, while a look needs one a namespace."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextmanager
def home() -> Iterator[int]:
    """A file descriptor of the namespace that the calling thread is in, to come back to."""
    fd = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def inside(fd: int, back: int) -> Iterator[None]:
    """Run the body with the calling thread in the namespace `fd`; `back` is its own (see `home`)."""
    _enter(fd)
    try:
        yield
    finally:
        _return(back)


def move(fd: int) -> None:
    """Move the calling thread into the namespace `fd`, for good."""
    _enter(fd)


def _enter(fd: int) -> None:
    try:
        _call("setns", fd, _CLONE_NEWNET)
    except PermissionError as error:
        raise Unsupported(
            "namespaces may not be entered: CAP_SYS_ADMIN is missing", hint="run as root"
        ) from error


def _return(home: int) -> None:
    try:
        _call("setns", home, _CLONE_NEWNET)
    except OSError as error:  # in the wrong namespace everything that follows would hit the wrong machine
        os.write(2, f"reconciler: cannot return to the host's namespace: {error}\n".encode())
        os._exit(70)


@contextmanager
def fresh(back: int) -> Iterator[None]:
    """Run the body with the calling thread in a new, nameless namespace; it vanishes unless `pin` gives it a name."""
    try:
        _call("unshare", _CLONE_NEWNET)
    except PermissionError as error:
        raise Unsupported(
            "namespaces may not be made: CAP_SYS_ADMIN is missing", hint="run as root"
        ) from error
    try:
        yield
    finally:
        _return(back)


def pin(name: str) -> None:
    """Give the calling thread's namespace an entry in the netns directory. Raises FileExistsError if it is taken."""
    path = _entry(name)
    fd = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o444)
    os.close(fd)
    try:
        _call("mount", _OWN.encode(), os.fsencode(path), b"none", _MS_BIND, None)
    except OSError as error:
        os.unlink(path)
        if error.errno == errno.EPERM:
            raise Unsupported(
                "namespaces may not be named: mounting is not allowed", hint="run as root"
            ) from error
        raise


def unpin(name: str) -> None:
    """Remove an entry of the netns directory; the kernel then clears the namespace away unless a process uses it.

    An entry with nothing mounted on it is removed if it is what a killed creation leaves. Raises FileExistsError for
    anything else: a file that somebody put there.
    """
    path = _entry(name)
    try:
        _call("umount2", os.fsencode(path), _MNT_DETACH | _UMOUNT_NOFOLLOW)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOENT):  # EINVAL: nothing is mounted there
            raise
        if error.errno == errno.EINVAL and not is_orphan(name):
            raise FileExistsError(errno.EEXIST, "not a namespace", path) from error
    with suppress(FileNotFoundError):
        os.unlink(path)


def _entry(name: str) -> str:
    """The path of an entry. Names can come from a saved plan, so what is not a plain name is refused here."""
    if "/" in name or name in ("", ".", ".."):
        raise KernelError(f"'{name}' is not a name for a namespace", errno=errno.EINVAL)
    return f"{_DIRECTORY}/{name}"


def entries(prefix: str = "") -> list[str]:
    """Names in the netns directory that begin with `prefix`, sorted; plain files included."""
    try:
        return sorted(name for name in os.listdir(DIRECTORY) if name.startswith(prefix))
    except FileNotFoundError:
        return []


def is_orphan(name: str) -> bool:
    """Whether an entry is an empty regular file with nothing mounted on it: what a killed creation leaves."""
    try:
        info = os.lstat(f"{_DIRECTORY}/{name}")
    except FileNotFoundError:
        return False
    return stat.S_ISREG(info.st_mode) and info.st_size == 0 and info.st_dev == os.stat(_DIRECTORY).st_dev


@dataclass(frozen=True, slots=True)
class Prepared:
    """What `prepare_directory` has to do first: make the directory, make it a mount of its own."""

    made: bool
    mounted: bool


def preparation() -> Prepared:
    """What is missing of a netns directory, so that it can be written down before it is done."""
    text = Path("/proc/self/mountinfo").read_text()
    mounted = any(line.split(" ", 5)[4] == _DIRECTORY for line in text.splitlines())
    return Prepared(made=not DIRECTORY.exists(), mounted=not mounted)


def prepare_directory() -> None:
    """Make the netns directory a shared mount, as `ip netns` does, so that other mount namespaces see new entries."""
    made = not DIRECTORY.exists()
    try:
        DIRECTORY.mkdir(mode=0o755, parents=True, exist_ok=True)
    except PermissionError as error:
        raise Unsupported(f"{DIRECTORY} cannot be made: {error.strerror}", hint="run as root") from error
    target = _DIRECTORY.encode()
    try:
        _call("mount", b"", target, b"none", _MS_SHARED | _MS_REC, None)
    except OSError as error:
        if error.errno == errno.EPERM:
            if made:
                DIRECTORY.rmdir()
            raise Unsupported(
                "namespaces may not be named: mounting is not allowed", hint="run as root"
            ) from error
        if error.errno != errno.EINVAL:
            raise KernelError(f"preparing {DIRECTORY}: {error.strerror}", errno=error.errno or 0) from error
        _call("mount", target, target, b"none", _MS_BIND | _MS_REC, None)
        _call("mount", b"", target, b"none", _MS_SHARED | _MS_REC, None)


def undo_directory(done: Prepared) -> bool:
    """Undo a preparation if nobody has an entry in the directory. True when it is undone."""
    if entries():
        return False
    if done.mounted:
        try:
            _call("umount2", _DIRECTORY.encode(), _MNT_DETACH | _UMOUNT_NOFOLLOW)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOENT):
                raise
    if done.made:
        with suppress(FileNotFoundError):
            DIRECTORY.rmdir()
    return True
