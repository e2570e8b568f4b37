"""The few system calls that make a thread a host of its own. All of them act on the calling thread only."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NETNS_DIR = Path("/run/netns")
CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000
MS_REC, MS_PRIVATE = 0x4000, 1 << 18
MNT_DETACH = 2
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
_libc = ctypes.CDLL(None, use_errno=True)


def become_host(root: Path) -> int:
    """Unshares mounts and network, empties /run and `root`, sets loopback up; returns a descriptor of the namespace."""
    _checked(_libc.unshare(CLONE_NEWNS | CLONE_NEWNET), "unshare")
    _mount("none", "/", None, MS_REC | MS_PRIVATE)
    _mount("tmpfs", "/run", "tmpfs")
    _mount("tmpfs", str(root), "tmpfs")
    _mount("sysfs", "/sys", "sysfs")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack_from("H", fcntl.ioctl(sock, SIOCGIFFLAGS, request), 16)[0]
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | IFF_UP))
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def leave_network() -> None:
    """Unshares the network only: an empty namespace that ends with the thread."""
    _checked(_libc.unshare(CLONE_NEWNET), "unshare")


@contextmanager
def namespace(name: str, home: int) -> Iterator[None]:
    """Moves into the entry `name` of /run/netns while the block runs, then back to the namespace behind `home`."""
    with open_namespace(name) as fd:
        _setns(fd)
        try:
            yield
        finally:
            _setns(home)


def enter(fd: int, kind: int) -> None:
    """Moves into the namespace behind `fd`, which is of the given kind, a CLONE_NEW… flag."""
    _checked(_libc.setns(fd, kind), "setns")


@contextmanager
def open_own() -> Iterator[tuple[int, int]]:
    """Descriptors of the thread's network and mount namespace while the block runs."""
    kinds = [os.open(f"/proc/thread-self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in ("net", "mnt")]
    try:
        yield kinds[0], kinds[1]
    finally:
        for fd in kinds:
            os.close(fd)


@contextmanager
def open_namespace(name: str) -> Iterator[int]:
    """A descriptor of the entry `name` of /run/netns while the block runs."""
    fd = os.open(NETNS_DIR / name, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def own_sysfs(folder: Path) -> Iterator[Path]:
    """Shows the sysfs of the thread's own network namespace in `folder` while the block runs; /sys keeps its maker's."""
    folder.mkdir(exist_ok=True)
    _mount("sysfs", str(folder), "sysfs")
    try:
        yield folder
    finally:
        _checked(_libc.umount2(str(folder).encode(), MNT_DETACH), f"umount {folder}")


def is_namespace(path: Path) -> bool:
    """Whether it is a pinned namespace: nsfs keeps its files on a device of its own."""
    return path.exists() and path.stat().st_dev == Path("/proc/thread-self/ns/net").stat().st_dev


def _mount(source: str, target: str, kind: str | None, flags: int = 0) -> None:
    code = _libc.mount(
        source.encode(), target.encode(), kind.encode() if kind else None, ctypes.c_ulong(flags), None
    )
    _checked(code, f"mount {target}")


def _setns(fd: int) -> None:
    enter(fd, CLONE_NEWNET)


def _checked(code: int, what: str) -> None:
    if code:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
