"""Queueing disciplines on the wire: what we make (tbf, netem) with all its options, anything else by name. Pure.

Options are C structures, not attributes, so pyroute2 would be of little help; numbers and layouts are those of
include/uapi/linux/pkt_sched.h. Only the 64-bit forms of times and rates are exact, but the older fields must be there as
well. Every option is always sent: what a netem is not told it keeps (net/sched/sch_netem.c, netem_change).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .. import marks
from ..objects import ROOT, Qdisc
from . import wire
from .netlink import Message, Reply

_TICK = 64  # nanoseconds; net/sched: PSCHED_SHIFT
_SECOND = 10**9
_WHOLE = 10**9
_U32 = 2**32 - 1

# struct tc_ratespec: cell_log, linklayer, overhead, cell_align, mpu, rate
_RATESPEC = struct.Struct("=BBHhHI")
_ETHERNET = 1  # TC_LINKLAYER_ETHERNET: the kernel computes times itself and needs no table from us
_TBF = struct.Struct("=12s12sIII")  # rate, peak rate, limit, buffer, mtu
_TBF_PARMS, _TBF_RATE64, _TBF_PRATE64, _TBF_BURST = 1, 4, 5, 6

_NETEM = struct.Struct("=IIIIII")  # latency, limit, loss, gap, duplicate, jitter
_PAIR, _TRIPLE = struct.Struct("=II"), struct.Struct("=III")
_NETEM_CORR, _NETEM_REORDER, _NETEM_CORRUPT, _NETEM_LOSS, _NETEM_RATE, _NETEM_ECN = 1, 3, 4, 5, 6, 7
_NETEM_RATE64, _NETEM_LATENCY64, _NETEM_JITTER64, _NETEM_SLOT = 8, 10, 11, 12
_S64, _U64 = struct.Struct("=q"), struct.Struct("=Q")


def change(qdisc: Qdisc, index: int, flags: int) -> Message:
    """Make or change a discipline of the link with this index."""
    options = _tbf(qdisc) if qdisc.discipline == "tbf" else _netem(qdisc)
    kind = wire.text(wire.TCA_KIND, qdisc.discipline or "")
    return Message(wire.RTM_NEWQDISC, flags, _header(qdisc, index) + kind + options)


def delete(qdisc: Qdisc, index: int) -> Message:
    """Delete a discipline; the kernel refuses when another one with another handle has its place."""
    return Message(wire.RTM_DELQDISC, 0, _header(qdisc, index))


def _header(qdisc: Qdisc, index: int) -> bytes:
    parent = wire.TC_H_ROOT if qdisc.place == ROOT else _number(qdisc.place)
    return wire.TCMSG.pack(0, index, _number(qdisc.handle), parent, 0)


def _number(text: str) -> int:
    major, _, minor = text.partition(":")
    return int(major, 16) << 16 | int(minor or "0", 16)


def _tbf(qdisc: Qdisc) -> bytes:
    rate, burst = qdisc.rate or 0, qdisc.burst or 0
    spec = _RATESPEC.pack(0, _ETHERNET, 0, 0, 0, min(rate, _U32))
    ticks = min(burst * _SECOND // (rate or 1) // _TICK, _U32)
    body = wire.attribute(_TBF_PARMS, _TBF.pack(spec, bytes(12), qdisc.queue or 0, ticks, 0))
    body += wire.u32(_TBF_BURST, burst)
    if rate > _U32:
        body += wire.attribute(_TBF_RATE64, _U64.pack(rate))
    return wire.attribute(wire.TCA_OPTIONS, body)


def _netem(qdisc: Qdisc) -> bytes:
    delay, jitter = qdisc.delay or 0, qdisc.jitter or 0
    body = _NETEM.pack(
        min(delay // _TICK, _U32),
        qdisc.limit or 0,
        _scaled(qdisc.loss),
        qdisc.gap or 0,
        _scaled(qdisc.duplicate),
        min(jitter // _TICK, _U32),
    )
    body += wire.attribute(_NETEM_LATENCY64, _S64.pack(delay))
    body += wire.attribute(_NETEM_JITTER64, _S64.pack(jitter))
    body += wire.attribute(_NETEM_CORR, _TRIPLE.pack(_scaled(qdisc.correlation), 0, 0))
    body += wire.attribute(_NETEM_REORDER, _PAIR.pack(_scaled(qdisc.reorder), 0))
    body += wire.attribute(_NETEM_CORRUPT, _PAIR.pack(_scaled(qdisc.corrupt), 0))
    return wire.attribute(wire.TCA_OPTIONS, body)


def _scaled(share: int | None) -> int:
    """A share in parts of 10^9 as the kernel has it, in parts of 2^32 - 1; finer, so it comes back the same."""
    return ((share or 0) * _U32 + _WHOLE // 2) // _WHOLE


def _share(scaled: int) -> int:
    return (scaled * _WHOLE + _U32 // 2) // _U32


# ---------------------------------------------------------------------------------------------------------- reading


@dataclass(slots=True)
class QdiscRecord:
    """A discipline as dumped. `values` are the attributes of `objects.Qdisc` that its kind has."""

    index: int
    handle: str
    place: str
    kind: str = ""
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def ours(self) -> bool:
        """Whether it has the handle that we give to its kind."""
        return marks.QDISCS.get(self.kind) == self.handle


def decode(reply: Reply) -> QdiscRecord | None:
    """Decode RTM_NEWQDISC; None for the kernel's own default, which has no handle."""
    _, index, handle, parent, _ = wire.TCMSG.unpack_from(reply.buffer, reply.start)
    if handle == 0:
        return None
    record = QdiscRecord(index, _text(handle), ROOT if parent == wire.TC_H_ROOT else _text(parent))
    for kind, start, end in wire.walk(reply.buffer, reply.start + wire.TCMSG.size, reply.end):
        if kind == wire.TCA_KIND:
            record.kind = wire.get_text(reply.buffer, start, end)
        elif kind == wire.TCA_OPTIONS and (read := _READERS.get(record.kind)) is not None:
            record.values = read(reply.buffer, start, end)
    return record


def _text(number: int) -> str:
    minor = number & 0xFFFF
    return f"{number >> 16:x}:{minor:x}" if minor else f"{number >> 16:x}:"


def _attributes(buffer: bytes, start: int, end: int) -> dict[int, bytes]:
    return {kind: buffer[first:last] for kind, first, last in wire.walk(buffer, start, end)}


def _read_tbf(buffer: bytes, start: int, end: int) -> dict[str, Any]:
    found = _attributes(buffer, start, end)
    if len(found.get(_TBF_PARMS, b"")) < _TBF.size:
        return {}
    spec, peak, queue, ticks, _ = _TBF.unpack_from(found[_TBF_PARMS])
    _, _, overhead, _, mpu, rate = _RATESPEC.unpack(spec)
    if _TBF_RATE64 in found:
        rate = _U64.unpack(found[_TBF_RATE64])[0]
    further = {
        "peakrate": _RATESPEC.unpack(peak)[-1] or _TBF_PRATE64 in found,
        "overhead": overhead,
        "mpu": mpu,
    }
    return {
        "rate": rate,
        "burst": round(ticks * _TICK * rate / _SECOND),
        "queue": queue,
        "further": tuple(name for name, there in further.items() if there),
    }


def _read_netem(buffer: bytes, start: int, end: int) -> dict[str, Any]:
    if end - start < _NETEM.size:
        return {}
    latency, limit, loss, gap, duplicate, jitter = _NETEM.unpack_from(buffer, start)
    found = _attributes(buffer, start + _NETEM.size, end)
    delays, losses, duplicates = _numbers(_TRIPLE, found.get(_NETEM_CORR))
    reorder, reorders = _numbers(_PAIR, found.get(_NETEM_REORDER))
    corrupt, corrupts = _numbers(_PAIR, found.get(_NETEM_CORRUPT))
    further = {
        "loss correlation": losses,
        "duplicate correlation": duplicates,
        "reorder correlation": reorders,
        "corrupt correlation": corrupts,
        "loss model": _NETEM_LOSS in found,
        "rate": _NETEM_RATE64 in found or any(found.get(_NETEM_RATE, b"")[:4]),
        "ecn": any(found.get(_NETEM_ECN, b"")),
        "slot": _NETEM_SLOT in found,
    }
    return {
        "delay": _S64.unpack(found[_NETEM_LATENCY64])[0] if _NETEM_LATENCY64 in found else latency * _TICK,
        "jitter": _S64.unpack(found[_NETEM_JITTER64])[0] if _NETEM_JITTER64 in found else jitter * _TICK,
        "correlation": _share(delays),
        "loss": _share(loss),
        "duplicate": _share(duplicate),
        "corrupt": _share(corrupt),
        "reorder": _share(reorder),
        "gap": gap,
        "limit": limit,
        "further": tuple(name for name, there in further.items() if there),
    }


def _numbers(layout: struct.Struct, data: bytes | None) -> tuple[int, ...]:
    return layout.unpack_from(data if data is not None and len(data) >= layout.size else bytes(layout.size))


_READERS: Mapping[str, Callable[[bytes, int, int], dict[str, Any]]] = {"tbf": _read_tbf, "netem": _read_netem}
