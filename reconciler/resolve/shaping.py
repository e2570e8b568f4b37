"""Rates and impairments of an endpoint: text of the file to `Bandwidth` and `Impairment`. Pure.

What the kernel takes without a word and then does not do is refused here: a burst that no packet fits into lets nothing
through, jitter or reordering without a delay does nothing. Zeros mean "none", so that an endpoint can take back what
`defaults` say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from ..errors import Diagnostic
from ..load.tree import Map
from ..model import Bandwidth, Bucket, Impairment
from . import fields
from .addresses import Fault
from .units import SECOND, parse_rate, parse_share, parse_size, parse_time, rate_text, size_text

_USUAL_MTU = 1500
_ETHERNET_HEADER = 14
_LEAST_BURST = 16 * 1024
_BURST_TIME = (
    100  # a hundredth of a second of the rate: enough for a kernel that wakes up a hundred times a second
)
_FASTEST_HZ = 1000
_LATENCY = 25 * 1000**2
_LONGEST_BURST = 274  # seconds; a burst is kept as the time that it takes, in 32 bits of 64 ns
_U32 = 2**32 - 1
_LONGEST = 3600 * SECOND
_LIMIT = 1000  # packets, what tc takes


class Where(NamedTuple):
    """The endpoint that is read: its name in the topology, its MTU, the driver of its network.

    `outer_end`: there is a link in the host that sends into the sandbox, and so can be slowed down.
    """

    key: str
    mtu: int | None
    driver: str
    outer_end: bool


def read_bandwidth(endpoint: Map, where: Where, found: list[Diagnostic]) -> Bandwidth | None:
    """The limits of an endpoint, None without any. A limit that is wrong is reported and left out."""
    source = fields.section(endpoint, "bandwidth")
    if endpoint.get("bandwidth") is None:
        return None
    rates = {key: _read(source, key, parse_rate, found) for key in ("egress", "ingress")}
    burst = _read(source, "burst", parse_size, found)
    latency = _read(source, "latency", parse_time, found)
    if source.get("egress") is None and source.get("ingress") is None:
        message = f"'bandwidth' of '{where.key}' limits neither direction"
        hint = "add 'egress', 'ingress', or both; or write one rate for both: 'bandwidth: 10mbit'"
        found.append(Diagnostic("missing-key", message, endpoint.key_mark("bandwidth"), hint))
    _check_ingress(source, where, found)
    buckets = {
        key: _bucket(source, key, rate, burst, _LATENCY if latency is None else latency, where, found)
        for key, rate in rates.items()
        if rate is not None
    }
    limits = Bandwidth(buckets.get("egress"), buckets.get("ingress"))
    return None if limits == Bandwidth() else limits


def read_impairment(endpoint: Map, where: Where, found: list[Diagnostic]) -> Impairment | None:
    """What happens to packets of an endpoint, None when nothing does."""
    if endpoint.get("impair") is None:
        return None
    source = fields.section(endpoint, "impair")
    times = {key: _read(source, key, parse_time, found) or 0 for key in ("delay", "jitter")}
    shares = {
        key: _read(source, key, parse_share, found) or 0
        for key in ("correlation", "loss", "duplicate", "corrupt", "reorder")
    }
    _check_times(source, times, found)
    _check_company(source, {**times, **shares}, where, found)
    if not any((*times.values(), *shares.values())):
        return None
    return Impairment(
        **times,
        **shares,
        gap=(fields.number(source, "gap") or 1) if shares["reorder"] else 0,
        limit=fields.number(source, "limit") or _LIMIT,
    )


def _read(source: Map, key: str, parse: Callable[[str], int | Fault], found: list[Diagnostic]) -> int | None:
    text = fields.text(source, key)
    value = None if text is None else parse(text)
    if isinstance(value, Fault):
        found.append(value.at(source.value_mark(key)))
        return None
    return value


# -------------------------------------------------------------------------------------------------------- bandwidth


def _check_ingress(source: Map, where: Where, found: list[Diagnostic]) -> None:
    if source.get("ingress") is None or where.outer_end:
        return
    message = (
        f"'ingress' of '{where.key}' cannot be limited: a {where.driver} endpoint has no end in the host"
    )
    hint = (
        "limit only what it sends, with 'bandwidth: {egress: …}'; or limit 'egress' of those who send to it"
    )
    found.append(Diagnostic("conflict", message, source.value_mark("ingress"), hint))


def _bucket(
    source: Map,
    key: str,
    rate: int,
    burst: int | None,
    latency: int,
    where: Where,
    found: list[Diagnostic],
) -> Bucket | None:
    packet = (where.mtu or _USUAL_MTU) + _ETHERNET_HEADER
    if fault := _rate_fault(source, key, rate, packet, where):
        found.append(fault.at(source.value_mark(key)))
        return None
    if burst is None:
        most = rate * _LONGEST_BURST
        size = max(packet, min(most, max(_LEAST_BURST, rate // _BURST_TIME)))
    elif fault := _burst_fault(source, key, rate, burst, packet, where):
        found.append(fault.at(source.value_mark("burst")))
        return None
    else:
        size = burst
    if size + rate * latency // SECOND > _U32:
        message = (
            f"what may wait at '{where.key}' ({source[key]} for {latency // 1000**2} ms) is more than 4 GiB"
        )
        mark = source.value_mark("latency" if source.get("latency") is not None else key)
        found.append(Diagnostic("bad-value", message, mark, "lower 'latency' or the rate"))
        return None
    return Bucket(rate, size, latency)


def _rate_fault(source: Map, key: str, rate: int, packet: int, where: Where) -> Fault | None:
    least = -(-packet // _LONGEST_BURST)
    if rate >= least:
        return None
    message = f"{key} {source[key]} of '{where.key}' is too slow for packets of {packet} bytes"
    return Fault(
        "bad-value",
        message,
        f"{rate_text(least)} at least; for no traffic at all use 'impair: {{loss: 100%}}'",
    )


def _burst_fault(source: Map, key: str, rate: int, burst: int, packet: int, where: Where) -> Fault | None:
    told = f"burst {source['burst']} of '{where.key}'"
    least = max(packet, -(-rate // _FASTEST_HZ))
    hint = f"{size_text(least)} at least, or leave it out"
    if burst < packet:
        return Fault(
            "bad-value", f"{told} is less than one packet of {packet} bytes, so nothing would pass", hint
        )
    if burst < least:
        message = f"{told} is too small for {key} {source[key]}: no kernel refills it more than {_FASTEST_HZ} times a second"
        return Fault("bad-value", message, hint)
    if burst > rate * _LONGEST_BURST:
        message = f"{told} takes {burst // rate} seconds at {source[key]}, and the kernel counts to {_LONGEST_BURST}"
        return Fault("bad-value", message, "lower it, or leave it out")
    return None


# ------------------------------------------------------------------------------------------------------- impairments


def _check_times(source: Map, times: Mapping[str, int], found: list[Diagnostic]) -> None:
    for key, time in times.items():
        if time > _LONGEST:
            message = f"'{key}' must be at most an hour, not {source[key]}"
            found.append(Diagnostic("bad-value", message, source.value_mark(key)))


_NEEDS = {"jitter": "delay", "correlation": "jitter", "reorder": "delay", "gap": "reorder"}


def _check_company(source: Map, values: Mapping[str, int], where: Where, found: list[Diagnostic]) -> None:
    """What has no effect without something else, unless that is wrong itself or the effect is none anyway."""
    for key, other in _NEEDS.items():
        asked = values.get(key, source.get(key))
        wrong = source.get(other) is not None and not _is_zero(source, other)
        if asked and not values[other] and not wrong:
            message = f"'{key}' of '{where.key}' has no effect without '{other}'"
            found.append(
                Diagnostic("conflict", message, source.key_mark(key), f"add '{other}', or remove '{key}'")
            )


def _is_zero(source: Map, key: str) -> bool:
    parse = parse_time if key in ("delay", "jitter") else parse_share
    return parse(fields.text(source, key) or "") == 0
