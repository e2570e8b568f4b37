"""Kernel settings: names of the file to paths below /proc/sys, and what must not be set. Pure.

A setting of an interface belongs to its endpoint and names it with the word IFNAME; a setting of the whole stack
belongs to the sandbox. The path comes from the file and ends in a write by root, so that every part of it is checked:
only /proc/sys/net, no way up, no way into another sandbox's interface.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator
from typing import NamedTuple

from ..errors import Diagnostic, Mark
from ..load.tree import Map
from . import fields
from .addresses import Fault
from .linknames import name_fault

_PART = re.compile(r"[A-Za-z0-9_-]+")
_VALUE = re.compile(r"[\x20-\x7e\t]+")
_PLACEHOLDER = "IFNAME"
_PER_INTERFACE = ("conf", "neigh")
_EVERY = ("all", "default")


class Setting(NamedTuple):
    """One setting: its path with slashes, its value as text, and where it stands."""

    path: str
    value: str
    key: str
    mark: Mark

    @property
    def disables_ipv6(self) -> bool:
        """Whether it takes IPv6 away from an interface."""
        return self.path.endswith("/disable_ipv6") and self.value.strip() != "0"


class _Name(NamedTuple):
    path: str
    interface: str | None


def endpoint_settings(endpoint: str, source: Map, found: list[Diagnostic]) -> list[Setting]:
    """The settings of one endpoint, with its name in place of IFNAME."""
    settings: list[Setting] = []
    for key, value, mark in _entries(source, found):
        name = _split(key)
        fault = name if isinstance(name, Fault) else _endpoint_fault(endpoint, key, name)
        if fault:
            found.append(fault.at(mark))
            continue
        assert not isinstance(name, Fault)
        settings.append(Setting(name.path.replace(_PLACEHOLDER, endpoint), value, key, mark))
    return settings


def sandbox_settings(
    source: Map, interfaces: Collection[str] | None, found: list[Diagnostic]
) -> list[Setting]:
    """The settings of a sandbox. `interfaces` are the ones it has, None when it was given and may have others."""
    settings: list[Setting] = []
    for key, value, mark in _entries(source, found):
        name = _split(key)
        fault = name if isinstance(name, Fault) else _sandbox_fault(key, name, interfaces)
        if fault:
            found.append(fault.at(mark))
            continue
        assert not isinstance(name, Fault)
        settings.append(Setting(name.path, value, key, mark))
    return settings


def is_of_interface(key: str) -> bool:
    """Whether a setting is about one interface and not about the whole stack."""
    name = _split(key)
    return not isinstance(name, Fault) and name.interface is not None and name.interface not in _EVERY


def _entries(source: Map, found: list[Diagnostic]) -> Iterator[tuple[str, str, Mark]]:
    values = fields.scalars(fields.section(source, "sysctls"))
    marks = fields.section(source, "sysctls")
    for key, value in values.items():
        if _VALUE.fullmatch(value):
            yield key, value, marks.key_mark(key)
        else:
            hint = "write one line of printable text"
            found.append(
                Diagnostic("bad-sysctl", f"'{key}' has no usable value", marks.value_mark(key), hint)
            )


def _split(key: str) -> _Name | Fault:
    """The path of a setting, and the interface in it; a dot in the interface's name may be written '/'."""
    parts = key.split(".")
    if parts[0] != "net":
        hint = "other settings belong to the whole machine, not to a sandbox"
        return Fault("bad-sysctl", f"'{key}' is not a network setting: it does not start with 'net.'", hint)
    if len(parts) < 3:
        return Fault("bad-sysctl", f"'{key}' is not a setting", "write it as in net.ipv4.ip_forward")
    interface = None
    if len(parts) > 4 and parts[2] in _PER_INTERFACE:
        interface = ".".join(parts[3:-1]).replace("/", ".")
        if interface not in (*_EVERY, "lo") and name_fault(interface):
            return Fault("bad-sysctl", f"'{interface}' in '{key}' is no interface name", "write IFNAME")
        parts = [*parts[:3], interface, parts[-1]]
    if bad := [part for part in parts if part != interface and not _PART.fullmatch(part)]:
        hint = "write it with single dots, as in net.ipv4.ip_forward"
        return Fault("bad-sysctl", f"'{key}' is not a setting because of '{bad[0]}'", hint)
    return _Name("/".join(parts), interface)


def _endpoint_fault(endpoint: str, key: str, name: _Name) -> Fault | None:
    if name.interface == _PLACEHOLDER:
        return None
    if name.interface is None:
        message = f"'{key}' is not a setting of one interface"
        hint = "move it to the 'sysctls' of the sandbox"
        if _PLACEHOLDER in key:
            hint = "IFNAME stands for the interface in names such as net.ipv4.conf.IFNAME.rp_filter"
        return Fault("bad-sysctl", message, hint)
    right = key.replace(f".{name.interface}.", f".{_PLACEHOLDER}.")
    what = "the interface itself" if name.interface == endpoint else "another interface"
    return Fault("bad-sysctl", f"'{key}' on endpoint '{endpoint}' names {what}", f"write '{right}'")


def _sandbox_fault(key: str, name: _Name, interfaces: Collection[str] | None) -> Fault | None:
    if _PLACEHOLDER in key:
        hint = "move it to the 'sysctls' of the endpoint, or name the interface"
        return Fault("bad-sysctl", f"IFNAME in '{key}' means nothing on a sandbox", hint)
    if name.interface in (None, *_EVERY, "lo") or interfaces is None or name.interface in interfaces:
        return None
    near = difflib.get_close_matches(str(name.interface), interfaces, 1)
    hint = f"did you mean '{near[0]}'?" if near else f"its interfaces: {', '.join(interfaces) or 'none'}"
    return Fault("bad-sysctl", f"'{key}' names '{name.interface}', which is no endpoint of the sandbox", hint)
