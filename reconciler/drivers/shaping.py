"""Rates and impairments of an endpoint as queueing disciplines, for every driver alike. Pure.

A discipline only ever acts on what a link sends. So what a sandbox sends is shaped on its own end, and what it receives
on the other end, where that has one: on a veth both are limited without any redirection. With both on one link the
impairment is the root and the limit its child, as netem(8) has it: packets travel, then wait for the narrow link.

Every attribute is asked for, zeros included, so that a value that is taken out of the file goes out of the kernel too.
"""

from __future__ import annotations

from .. import marks
from ..model import Bucket, Endpoint, Impairment
from ..objects import ROOT, LinkRef, Qdisc

_SECOND = 10**9


def shaping(endpoint: Endpoint, inner: LinkRef, outer: LinkRef | None) -> tuple[Qdisc, ...]:
    """The disciplines of an endpoint, parents before children.

    `inner` is the sandbox's end, `outer` the one that sends into it; None when there is none (`resolve` has refused a
    limit for what comes in then).
    """
    limits = endpoint.bandwidth
    found: list[Qdisc] = []
    place = ROOT
    if endpoint.impairment is not None:
        found.append(_netem(inner, endpoint.impairment))
        place = f"{marks.QDISCS['netem']}1"
    if limits is not None and limits.egress is not None:
        found.append(_tbf(inner, place, limits.egress))
    if limits is not None and limits.ingress is not None and outer is not None:
        found.append(_tbf(outer, ROOT, limits.ingress))
    return tuple(found)


def _tbf(link: LinkRef, place: str, bucket: Bucket) -> Qdisc:
    return Qdisc(
        netns=link.netns,
        link=link.name,
        place=place,
        handle=marks.QDISCS["tbf"],
        discipline="tbf",
        further=(),
        rate=bucket.rate,
        burst=bucket.burst,
        queue=bucket.burst + bucket.rate * bucket.latency // _SECOND,
    )


def _netem(link: LinkRef, impairment: Impairment) -> Qdisc:
    return Qdisc(
        netns=link.netns,
        link=link.name,
        place=ROOT,
        handle=marks.QDISCS["netem"],
        discipline="netem",
        further=(),
        delay=impairment.delay,
        jitter=impairment.jitter,
        correlation=impairment.correlation,
        loss=impairment.loss,
        duplicate=impairment.duplicate,
        corrupt=impairment.corrupt,
        reorder=impairment.reorder,
        gap=impairment.gap,
        limit=impairment.limit,
    )
