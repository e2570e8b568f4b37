"""Under a service manager: readiness, state and signs of life by the protocol of sd_notify(3). Nothing without one."""

from __future__ import annotations

import os
import socket
from contextlib import suppress

from .watched import Report


def notify(text: str) -> None:
    """Tell the service manager, if there is one; a message that it cannot take is dropped."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.sendto(text.encode(), "\0" + address[1:] if address[0] == "@" else address)


def state(report: Report) -> str:
    """One line for `systemctl status`."""
    if report.mistakes:
        words = f"the files are wrong: {report.mistakes[0]}"
    elif report.suspended is not None:
        words = f"suspended: {report.suspended.reason}"
    elif report.trouble:
        words = f"{len(report.trouble)} not ready, {report.repaired} repaired"
    else:
        words = f"in sync, {report.repaired} repaired"
    return "STATUS=" + " ".join(words.split())
