"""Where a feature that the kernel lacks could come from: its modules, its configuration, the system's packages.

`read` looks at this host, `remedy` is pure. What cannot be read is not known, which is no error: in a container
neither the modules nor the configuration of the machine's kernel need be visible.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from ..features import IPV6, Feature

_COMPRESSED = "/proc/config.gz"
_MODULE = re.compile(r"([^/:]+)\.ko(\.[a-z0-9]+)?:")
_CLOUD = "-cloud-"


@dataclass(frozen=True, slots=True)
class Modules:
    """What is known of this host's kernel. `loadable` are names of modules, None when their directory is not here.

    `config` is the text of the kernel's configuration, None when it is nowhere to be read. `system` is the
    distribution's ID.
    """

    release: str
    system: str = ""
    loadable: frozenset[str] | None = None
    config: str | None = None

    def can_load(self, module: str) -> bool:
        """Whether the module is at hand."""
        return self.loadable is not None and _plain(module) in self.loadable

    def option(self, name: str) -> str:
        """`y`, `m` or `n`, as the configuration has it; nothing when that is not known."""
        if self.config is None:
            return ""
        found = re.search(rf"^{name}=([ym])$", self.config, re.MULTILINE)
        return found[1] if found else "n"


def read() -> Modules:
    """What can be read of the kernel that runs here."""
    release = os.uname().release
    return Modules(release, _system(), _loadable(release), _config(release))


def is_loaded(module: str) -> bool:
    """Whether a module is loaded, or built in and visible as such."""
    return os.path.isdir(f"/sys/module/{_plain(module)}")


def remedy(feature: Feature, host: Modules) -> str:
    """What to do about a missing feature."""
    modprobe = f"`modprobe {feature.module}`"
    if host.can_load(feature.module):
        return f"load it with {modprobe}, which also says why the kernel could not"
    if feature.name == IPV6 and host.option(feature.option) == "y":
        return "it is switched off: take `ipv6.disable=1` from the kernel's command line and boot again"
    if _CLOUD in host.release:
        package = f"linux-image-{host.release.rpartition(_CLOUD)[2]}"
        return f"the cloud kernel is made without it: install {package} and boot that"
    match host.option(feature.option):
        case "n":
            return (
                f"this kernel, {host.release}, is built without it ({feature.option}): boot one that has it"
            )
        case "y":
            return (
                f"{feature.option} is built into {host.release}, which refuses it all the same: see `dmesg`"
            )
        case _:
            return _install(host, modprobe)


def _install(host: Modules, modprobe: str) -> str:
    if host.system == "ubuntu":
        return f"install linux-modules-extra-{host.release}, then {modprobe}"
    if host.loadable is None:
        return (
            f"/lib/modules/{host.release} is not here; if this is a container, run {modprobe} on the machine"
        )
    return f"install the rest of the modules of kernel {host.release}, then {modprobe}"


def _plain(module: str) -> str:
    return module.replace("-", "_")


def _loadable(release: str) -> frozenset[str] | None:
    text = _text(f"/lib/modules/{release}/modules.dep")
    return None if text is None else names(text)


def names(dependencies: str) -> frozenset[str]:
    """The modules that a modules.dep lists."""
    found = (_MODULE.search(line) for line in dependencies.splitlines())
    return frozenset(_plain(match[1]) for match in found if match)


def _config(release: str) -> str | None:
    import gzip  # only where something is missing

    try:
        with gzip.open(_COMPRESSED, "rt", encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return _text(f"/boot/config-{release}") or _text(f"/lib/modules/{release}/config")


def _system() -> str:
    for line in (_text("/etc/os-release") or "").splitlines():
        name, _, value = line.partition("=")
        if name == "ID":
            return value.strip("\"'")
    return ""


def _text(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return None
