"""Kernel parameters below /proc/sys/net, of the namespace that the calling thread is in. Used only inside `kernel`.

/proc/sys/net shows the namespace of the reading thread, whatever /proc was mounted by. Paths come from topology
files, which may be hostile, so each component is checked again here, right before it is opened.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from ..errors import KernelError
from ..objects import Sysctl

_ROOT = Path("/proc/sys")
# Without IPv6 in the kernel these hold by themselves.
_WITHOUT_IPV6 = {"disable_ipv6": "1", "accept_ra": "0"}


def read(path: str) -> str | None:
    """The value with white space normalised, None when there is no such parameter that can be read.

    A parameter that exists and holds nothing yet reads as empty.
    """
    try:
        value = _checked(path).read_text()
    except (FileNotFoundError, NotADirectoryError):
        if path.startswith("net/ipv6/conf/") and not (_ROOT / "net/ipv6").exists():
            return _WITHOUT_IPV6.get(path.rpartition("/")[2])
        return None
    except (PermissionError, IsADirectoryError):
        return None
    except OSError as error:
        if error.errno == errno.EIO:  # net/ipv6/addrconf.c: stable_secret before it is set
            return ""
        raise KernelError(f"reading {path}: {error.strerror}", errno=error.errno or 0) from error
    return " ".join(value.split())


def is_of_link(path: str) -> bool:
    """Whether a parameter belongs to one link, so that it comes and goes with it."""
    return Sysctl(netns="", path=path).link is not None


def write(path: str, value: str) -> None:
    """Set a parameter. Raises OSError with the kernel's errno."""
    fd = os.open(_checked(path), os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode() + b"\n")
    finally:
        os.close(fd)


def _checked(path: str) -> Path:
    parts = path.split("/")
    if parts[0] != "net" or any(part in ("", ".", "..") for part in parts):
        raise KernelError(f"'{path}' is not a network parameter", errno=22)
    return _ROOT.joinpath(*parts)
