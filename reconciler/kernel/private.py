"""A private view of the kernel: links, mounts and processes of its own, and an empty /run. Nothing to clean up.

`separate` moves the calling process, `furnish` is for its first child, which is process 1 of the view: the kernel kills
whatever else is in there when it ends, and takes links, namespaces and mounts along. Both may be called only by a
process that has one thread and exists for this.

Root does without a user namespace where it can: files keep all their owners. Everybody else becomes root inside of one,
which is what makes the rest possible.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import socket
import struct
from contextlib import suppress
from pathlib import Path

from ..errors import Unsupported

_libc = ctypes.CDLL(None, use_errno=True)
_NEWNS, _NEWUSER, _NEWPID, _NEWNET = 0x00020000, 0x10000000, 0x20000000, 0x40000000
_VIEW = _NEWNS | _NEWPID | _NEWNET
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_BIND, _MS_REC, _MS_PRIVATE = 2, 4, 8, 4096, 16384, 1 << 18
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_REFUSALS = (errno.EPERM, errno.EACCES, errno.ENOSPC, errno.EUSERS, errno.EINVAL, errno.ENOSYS)
# What of /run a program may need that has nothing to do with daemons of the host.
_KEPT = ("user",)
_SWITCHES = (
    ("/proc/sys/kernel/unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"),
    (
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    ),
    ("/proc/sys/user/max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=15000"),
    ("/proc/sys/user/max_net_namespaces", "0", "sysctl -w user.max_net_namespaces=15000"),
)


def separate() -> None:
    """Give the calling process a network and mounts of its own, and its children processes of their own.

    Raises Unsupported, with what would allow it, where the kernel does not.
    """
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0 and _unshared(_VIEW) is None:
        return
    problem = _unshared(_NEWUSER | _VIEW)
    if problem is None:
        try:
            _map(0, uid, 0, gid)
        except OSError as error:
            problem = error
    if problem is None:
        return
    if problem.errno not in _REFUSALS:
        raise problem
    raise Unsupported(
        f"this machine gives no private view of the kernel: {problem.strerror}", hint=_remedy(uid)
    )


def furnish() -> None:
    """Make the calling process's mounts independent, with an empty /run, /proc and /sys to match, and loopback up."""
    _mount("none", "/", None, _MS_REC | _MS_PRIVATE)
    _fresh_run()
    _fresh_sys()
    with suppress(OSError):  # in a container that hides parts of /proc the old one stays, and numbers differ
        _mount("proc", "/proc", "proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack_from("H", fcntl.ioctl(sock, _SIOCGIFFLAGS, request), 16)[0]
        fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | _IFF_UP))


def be(uid: int, gid: int) -> None:
    """Let the calling process, which is root inside, be this user again; at its next exec it loses all power over the view."""
    if (uid, gid) != (0, 0):
        _checked(_libc.unshare(_NEWUSER))
        _map(uid, 0, gid, 0)


def _unshared(flags: int) -> OSError | None:
    try:
        _checked(_libc.unshare(flags))
    except OSError as error:
        return error
    return None


def _map(uid: int, outer_uid: int, gid: int, outer_gid: int) -> None:
    """Names for the one user and group that a new user namespace has."""
    Path("/proc/self/setgroups").write_text(
        "deny"
    )  # the kernel's condition for a map of groups without privilege
    Path("/proc/self/uid_map").write_text(f"{uid} {outer_uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {outer_gid} 1")


def _remedy(uid: int) -> str:
    """What would have to be different, as far as it can be seen."""
    for path, bad, command in _SWITCHES:
        with suppress(OSError):
            if Path(path).read_text().strip() == bad:
                return f"run `{command}` as root" + ("" if uid == 0 else ", or run this as root")
    if uid == 0:
        return (
            "root lacks CAP_SYS_ADMIN here; in a container, allow it (--privileged, or --cap-add SYS_ADMIN)"
        )
    return "run it as root; in a container, allow user namespaces (seccomp and AppArmor profiles forbid them)"


def _fresh_run() -> None:
    """An empty /run, but for links that lead elsewhere (some systems have their programs behind one) and _KEPT."""
    links = {entry.name: os.readlink(entry.path) for entry in os.scandir("/run") if entry.is_symlink()}
    kept = {name: os.open(f"/run/{name}", os.O_PATH) for name in _KEPT if os.path.isdir(f"/run/{name}")}
    _mount("none", "/run", "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=755")
    for name, target in links.items():
        os.symlink(target, f"/run/{name}")
    for name, fd in kept.items():
        os.mkdir(f"/run/{name}")
        _rebind(fd, f"/run/{name}")


def _fresh_sys() -> None:
    """The /sys of the view's own network, with the control groups that were there."""
    groups = os.open("/sys/fs/cgroup", os.O_PATH) if os.path.isdir("/sys/fs/cgroup") else None
    try:
        _mount("none", "/sys", "sysfs", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    except OSError:  # a container that hides parts of /sys; netlink has all that we need
        if groups is not None:
            os.close(groups)
        return
    if groups is not None:
        _rebind(groups, "/sys/fs/cgroup")


def _rebind(fd: int, target: str) -> None:
    with suppress(OSError):
        _mount(f"/proc/self/fd/{fd}", target, None, _MS_BIND | _MS_REC)
    os.close(fd)


def _mount(source: str, target: str, kind: str | None, flags: int, data: str = "") -> None:
    _checked(
        _libc.mount(
            source.encode(), target.encode(), kind.encode() if kind else None, flags, data.encode() or None
        )
    )


def _checked(code: int) -> None:
    if code:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
