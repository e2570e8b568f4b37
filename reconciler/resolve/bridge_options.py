"""The bridge driver's options: text and numbers of the file to `BridgeOptions`, with what a schema cannot check. Pure.

Combinations that the kernel takes without a word and that then do not work are refused here: an isolated port never
sends a packet back to itself, and the attributes of an adopted bridge are somebody else's.
"""

from __future__ import annotations

from decimal import Decimal

from ..errors import Diagnostic
from ..load.tree import Map
from ..options import BridgeOptions
from . import fields
from .addresses import Fault, parse_mac
from .linknames import name_fault

_CHANGES_THE_BRIDGE = ("mac", "stp", "ageing_time", "forward_delay")


def read_bridge_options(network: Map, found: list[Diagnostic]) -> BridgeOptions:
    """The options of one network; a value that is wrong is reported and left out."""
    source = fields.section(network, "options")
    _check_adoption(network, source, found)
    _check_isolation(source, found)
    return BridgeOptions(
        name=_device(source, found),
        adopt=fields.flag(source, "adopt"),
        mac=_mac(source, found),
        stp=fields.flag(source, "stp") if source.get("stp") is not None else None,
        ageing_time=_hundredths(source, "ageing_time", found),
        forward_delay=_forward_delay(source, found),
        isolated=fields.flag(source, "isolated"),
        hairpin=fields.flag(source, "hairpin"),
        address=fields.flag(source, "address", default=True),
        ports=_ports(source, found),
    )


def _check_adoption(network: Map, source: Map, found: list[Diagnostic]) -> None:
    if not fields.flag(source, "adopt"):
        return
    if source.get("name") is None:
        hint = "add 'name' with the device name of the bridge, as 'ip link show type bridge' lists it"
        found.append(
            Diagnostic("conflict", "'adopt' does not say which bridge", source.key_mark("adopt"), hint)
        )
    adoption = (("adopted here", source.key_mark("adopt")),)
    changes = [(source, key) for key in _CHANGES_THE_BRIDGE] + [(network, "mtu")]
    for holder, key in changes:
        if holder.get(key) is not None:
            message = f"'{key}' would change a bridge that is only adopted"
            hint = f"remove '{key}', or remove 'adopt' so that the bridge is made here"
            found.append(Diagnostic("conflict", message, holder.key_mark(key), hint, adoption))


def _check_isolation(source: Map, found: list[Diagnostic]) -> None:
    if fields.flag(source, "isolated") and fields.flag(source, "hairpin"):
        message = "'hairpin' has no effect: an isolated port sends nothing back to an isolated port, itself included"
        related = (("isolated here", source.key_mark("isolated")),)
        found.append(
            Diagnostic("conflict", message, source.key_mark("hairpin"), "remove one of the two", related)
        )


def _device(source: Map, found: list[Diagnostic]) -> str | None:
    name = fields.text(source, "name")
    if name is not None and (fault := name_fault(name)):
        found.append(fault.at(source.value_mark("name")))
        return None
    return name


def _mac(source: Map, found: list[Diagnostic]) -> str | None:
    text = fields.text(source, "mac")
    mac = None if text is None else parse_mac(text)
    if isinstance(mac, Fault):
        found.append(mac.at(source.value_mark("mac")))
        return None
    return mac


def _forward_delay(source: Map, found: list[Diagnostic]) -> int | None:
    delay = _hundredths(source, "forward_delay", found)
    if delay is not None and fields.flag(source, "stp") and not 200 <= delay <= 3000:
        message = f"forward_delay {source['forward_delay']} is not possible with stp"
        hint = "the kernel takes 2 to 30 seconds then"
        found.append(Diagnostic("bad-value", message, source.value_mark("forward_delay"), hint))
        return None
    return delay


def _hundredths(source: Map, key: str, found: list[Diagnostic]) -> int | None:
    seconds = source.get(key)
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(f"{source.value_mark(key)}: '{key}' is not a number")
    scaled = Decimal(str(seconds)) * 100
    if scaled != scaled.to_integral_value():
        message = f"{key} {seconds} is finer than the kernel's clock"
        hint = f"two decimals at most: {float(round(scaled) / 100):g}"
        found.append(Diagnostic("bad-value", message, source.value_mark(key), hint))
        return None
    return int(scaled)


def _ports(source: Map, found: list[Diagnostic]) -> tuple[str, ...]:
    ports: dict[str, None] = {}
    for name, mark in fields.texts(source, "ports"):
        if fault := name_fault(name):
            found.append(fault.at(mark))
        elif name in ports:
            found.append(
                Diagnostic("conflict", f"port '{name}' stands here twice", mark, "remove one of the two")
            )
        ports[name] = None
    return tuple(ports)
