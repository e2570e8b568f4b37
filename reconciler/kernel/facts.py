"""Which features this kernel has, asked of the kernel itself, without making anything.

Each question is a request to make something that cannot be made. A link: with an address that is too short, and a
name with a slash. A kernel that knows the kind refuses one or the other (EINVAL), one that does not says EOPNOTSUPP.
Two faults, because a kind need not look at addresses (ipvlan), while every device's name is checked when it is
registered. A queueing discipline: without its parameters, which those asked for refuse (EINVAL); an unknown one is
ENOENT. All these questions are one send: 25 us for two. A protocol family: with a socket. Observed on Linux 6.1 and
6.18.

As with any use of a feature, the kernel may load the module for it, and some modules make links when loaded (dummy0,
ifb0). So `probe` can be told to take the word of the module directory for what is not loaded yet.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterable, Mapping
from dataclasses import replace

from ..features import FEATURES, IPV6, Fact, Feature, Lack, Sort, Verdict
from . import modules, wire
from .modules import Modules
from .netlink import Failure, Message, Socket

_LOOPBACK = 1  # its index in every namespace (LOOPBACK_IFINDEX)
_TCMSG = struct.Struct("=BxxxiIII")
_TC_H_ROOT = 0xFFFFFFFF
_RTM_NEWQDISC, _TCA_KIND = 36, 1
_NEW = wire.NLM_F_CREATE | wire.NLM_F_EXCL
_NO_DEVICE_NAME = "/"
_SHORT_ADDRESS = b"\0"
_FAMILIES = {IPV6: socket.AF_INET6}
_NOT_KNOWN = {Sort.LINK: errno.EOPNOTSUPP, Sort.QDISC: errno.ENOENT, Sort.FAMILY: errno.EAFNOSUPPORT}


def lacks(names: Iterable[str]) -> dict[str, Lack]:
    """Those of the features that this kernel surely does not have. Unknown is not missing. May load modules."""
    found = probe([FEATURES[name] for name in names if name in FEATURES])
    absent = [fact for fact in found if fact.verdict is Verdict.MISSING]
    return {fact.name: Lack(fact.answer, fact.remedy) for fact in absent}


def probe(features: Iterable[Feature], *, load: bool = True) -> list[Fact]:
    """A fact for each feature. With `load` False no module is loaded that is known to be at hand."""
    wanted = list(features)
    host = None if load else modules.read()
    facts = {feature.name: _without_asking(feature, host) for feature in wanted}
    asked = [feature for feature in wanted if facts[feature.name] is None]
    answers = _ask(asked)
    found = [facts[f.name] or _judge(f, answers[f.name]) for f in wanted]
    if any(fact.verdict is Verdict.MISSING for fact in found):
        host = host or modules.read()
        found = [_with_remedy(fact, host) for fact in found]
    return found


def _without_asking(feature: Feature, host: Modules | None) -> Fact | None:
    if host is None or not host.can_load(feature.module) or modules.is_loaded(feature.module):
        return None
    return _fact(feature, Verdict.PRESENT, f"module '{feature.module}', loaded when first used")


def _ask(features: list[Feature]) -> Mapping[str, Failure | None]:
    """The kernel's answers; None where it did not refuse."""
    by_netlink = [feature for feature in features if feature.sort is not Sort.FAMILY]
    found = {f.name: _open(_FAMILIES[f.name]) for f in features if f.sort is Sort.FAMILY}
    if by_netlink:
        with Socket() as asking:
            failures = asking.transact([_question(feature) for feature in by_netlink])
        found |= {feature.name: failures.get(index) for index, feature in enumerate(by_netlink)}
    return found


def _open(family: int) -> Failure | None:
    try:
        socket.socket(family, socket.SOCK_DGRAM).close()
    except OSError as error:
        return Failure(error.errno or 0)
    return None


def _question(feature: Feature) -> Message:
    if feature.sort is Sort.QDISC:
        header = _TCMSG.pack(socket.AF_UNSPEC, _LOOPBACK, 0, _TC_H_ROOT, 0)
        return Message(_RTM_NEWQDISC, _NEW, header + wire.text(_TCA_KIND, feature.name))
    body = (
        wire.IFINFO.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
        + wire.text(wire.IFLA_IFNAME, _NO_DEVICE_NAME)
        + wire.attribute(wire.IFLA_ADDRESS, _SHORT_ADDRESS)
        + wire.nested(wire.IFLA_LINKINFO, wire.text(wire.IFLA_INFO_KIND, feature.name))
    )
    return Message(wire.RTM_NEWLINK, _NEW, body)


def _judge(feature: Feature, failure: Failure | None) -> Fact:
    if failure is None:
        return _fact(feature, Verdict.PRESENT, "the kernel has it")
    match failure.errno:
        case errno.EINVAL:
            return _fact(feature, Verdict.PRESENT, "the kernel knows it")
        case errno.EPERM:
            return _fact(feature, Verdict.UNKNOWN, "asking needs CAP_NET_ADMIN")
        case number if number == _NOT_KNOWN[feature.sort]:
            return _fact(feature, Verdict.MISSING, f"{failure.name}, {failure.detail or os.strerror(number)}")
        case _:
            return _fact(feature, Verdict.UNKNOWN, f"the kernel says: {failure}")


def _fact(feature: Feature, verdict: Verdict, answer: str) -> Fact:
    return Fact(feature.name, verdict, answer, feature.use)


def _with_remedy(fact: Fact, host: Modules) -> Fact:
    if fact.verdict is not Verdict.MISSING:
        return fact
    return replace(fact, remedy=modules.remedy(FEATURES[fact.name], host))
