"""Which of the declared hosts this machine is: said by whoever runs it, and held against the addresses it has.

A host name or a machine id would be wrong after a copy of the disk, and silently; so a machine is told who it is, by
`--host`, else `RECONCILER_HOST`, else `/etc/reconciler/host`, and is believed only if it has the address by which the
others reach that host. `choose` reads the environment and that file, `confirm` is pure.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from ipaddress import ip_address

from .errors import Unsupported, UsageError
from .model import Host
from .sides import Here

VARIABLE = "RECONCILER_HOST"
FILE = "/etc/reconciler/host"
_LISTED = 10


def choose(hosts: Mapping[str, Host], flag: str | None) -> Here | None:
    """The host that this machine is said to be; None for a topology without hosts. Raises UsageError."""
    if not hosts:
        if flag is not None:
            raise UsageError("--host is given, and the topology has no hosts", hint="leave it out")
        return None
    name, origin = _said(flag)
    known = ", ".join(list(hosts)[:_LISTED]) + (
        f" and {len(hosts) - _LISTED} more" if len(hosts) > _LISTED else ""
    )
    if name is None:
        raise UsageError(
            "the topology has several hosts, and nothing says which of them this machine is",
            hint=f"add --host NAME, or write the name to {FILE}; hosts: {known}",
        )
    host = hosts.get(name)
    if host is None:
        close = difflib.get_close_matches(name, hosts, 1)
        meant = f"did you mean '{close[0]}'? " if close else ""
        raise UsageError(f"the topology has no host '{name}' ({origin})", hint=f"{meant}hosts: {known}")
    return Here(host.name, str(host.vtep))


def agree(here: Here | None, flag: str | None) -> None:
    """Raise UsageError when a saved plan is for another host than this machine is said to be."""
    if here is None:
        if flag is not None:
            raise UsageError(
                "--host is given, and the plan is of a topology without hosts", hint="leave it out"
            )
        return
    name, origin = _said(flag)
    if name is not None and name != here.host:
        raise UsageError(
            f"the plan is for host '{here.host}', and this is '{name}' ({origin})",
            hint="plan again on this host",
        )


def confirm(here: Here | None, addresses: Mapping[str, str]) -> None:
    """Raise Unsupported unless this machine has the address of the host it is said to be.

    `addresses` gives, for each address in the host's own namespace, its link.
    """
    if here is None or here.vtep in addresses:
        return
    usable = [
        f"{address} on {link}"
        for address, link in addresses.items()
        if not ip_address(address).is_loopback and not ip_address(address).is_link_local
    ]
    more = f" and {len(usable) - _LISTED} more" if len(usable) > _LISTED else ""
    there = ", ".join(usable[:_LISTED]) + more or "none"
    raise Unsupported(
        f"this machine is not host '{here.host}': no link has its vtep {here.vtep}",
        hint=f"say which host it is, or correct 'hosts'; addresses here: {there}",
    )


def _said(flag: str | None) -> tuple[str | None, str]:
    """The name that was given, and by what."""
    if flag is not None:
        return flag, "--host"
    if name := os.environ.get(VARIABLE):
        return name, VARIABLE
    try:
        with open(FILE, encoding="utf-8") as file:
            name = file.read(4096).strip()
    except (FileNotFoundError, NotADirectoryError):
        return None, ""
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise UsageError(f"cannot read {FILE}: {reason}", hint="give --host NAME") from error
    return name or None, FILE
