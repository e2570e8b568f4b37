"""What an errno means for the thing that was asked: turns a netlink failure into words with a next step. Pure."""

from __future__ import annotations

import errno

from ..errors import KernelError
from ..objects import (
    Address,
    Bridge,
    FdbEntry,
    KernelObject,
    Link,
    Neighbour,
    Netns,
    Port,
    Qdisc,
    Route,
    Rule,
    Sysctl,
    Vlan,
    Vxlan,
)
from ..plan import Action, Change
from .netlink import Failure

_GENERAL = {
    errno.EPERM: "the privilege CAP_NET_ADMIN (for namespaces: CAP_SYS_ADMIN) is missing; run as root",
    errno.EACCES: "access is denied; run as root",
    errno.ENOBUFS: "the kernel's buffers were full; run the command again",
    errno.ENOMEM: "the kernel is out of memory; free some, then run the command again",
    errno.EMFILE: "too many open files; raise `ulimit -n`",
    errno.ENODEV: "a device went away meanwhile; run the command again",
}
_BY_KIND = {
    ("link", errno.EEXIST): "somebody made a link of that name meanwhile; run `reconciler plan` to see it",
    ("link", errno.EXFULL): "a bridge takes 1,023 ports; spread the endpoints over several networks",
    ("link", errno.EOPNOTSUPP): "this kernel lacks the link kind; load its module",
    ("link", errno.EBUSY): "the device is in use by something else, for example as a port or parent",
    ("link", errno.EINVAL): "a value is out of the range that this kernel accepts",
    ("link", errno.ERANGE): "a value is out of the range that this kernel accepts",
    ("port", errno.EBUSY): "the link is in use by something else, for example as a macvlan parent",
    ("port", errno.ELOOP): "a bridge cannot be a port of a bridge",
    ("address", errno.EEXIST): "the address is there already and not ours; run `reconciler plan` to see it",
    (
        "route",
        errno.ENETUNREACH,
    ): "no link of the sandbox reaches the gateway; check `via`, or set `onlink: true`",
    ("route", errno.EINVAL): "the gateway or source does not fit the sandbox's addresses",
    ("route", errno.EEXIST): "the route is there already and not ours; run `reconciler plan` to see it",
    ("sysctl", errno.EINVAL): "the kernel does not accept this value for the parameter",
    ("sysctl", errno.EACCES): "the parameter is read-only, or cannot be set inside a namespace",
    ("sysctl", errno.ENOENT): "this kernel or namespace has no such parameter; remove the line",
    (
        "qdisc",
        errno.ENOENT,
    ): "this kernel lacks the queueing discipline, or the link was changed meanwhile; load its module: modprobe sch_netem, or sch_tbf",
    (
        "qdisc",
        errno.EEXIST,
    ): "somebody gave the link a queueing discipline meanwhile; run `reconciler plan` to see it",
    ("qdisc", errno.EINVAL): "a value is out of the range that this kernel accepts",
    ("netns", errno.EEXIST): "the netns directory already holds an entry of that name; look at /run/netns",
    ("netns", errno.ENOSPC): "the limit of namespaces is reached; see /proc/sys/user/max_net_namespaces",
}
_TAKEN_VNI = (
    "a VXLAN device with this VNI and UDP port hides in another namespace, as Docker's do; "
    "give the network another `vni` or `udp_port`"
)
_TAKEN_VLAN = "the parent has this VLAN already, in a namespace that is none of ours; delete that link, or give the network another `id`"
_VERBS = {Action.CREATE: "create", Action.UPDATE: "change", Action.DELETE: "delete"}


def explain(change: Change, failure: Failure) -> KernelError:
    """The error of one change: object, what was tried, the kernel's answer, what to do."""
    obj = change.object
    hint = _BY_KIND.get((obj.kind_name, failure.errno)) or _GENERAL.get(failure.errno)
    match obj:
        case Link(kind=Vxlan()) if failure.errno == errno.EEXIST:
            hint = _TAKEN_VNI
        case Link(kind=Vlan()) if failure.errno == errno.EEXIST:
            hint = _TAKEN_VLAN
    message = f"cannot {_VERBS[change.action]} {describe(obj)}: {failure}"
    return KernelError(message, errno=failure.errno, detail=failure.detail, hint=hint)


def describe(obj: KernelObject) -> str:
    """A kernel object in a few words, with its namespace unless that is the host."""
    where = f" in {obj.netns}" if obj.netns else ""
    match obj:
        case Netns():
            return f"namespace '{obj.netns}'"
        case Link(kind=Bridge()):
            return f"bridge '{obj.name}'{where}"
        case Link():
            return f"link '{obj.name}'{where}"
        case Port():
            return f"bridge port '{obj.name}'{where}"
        case Address():
            return f"address {obj.address} on '{obj.link}'{where}"
        case Route():
            return f"route to {obj.to}{where}"
        case Rule():
            return f"rule {obj.priority}{where}"
        case Neighbour():
            return f"neighbour {obj.address} on '{obj.link}'{where}"
        case FdbEntry():
            return f"forwarding entry {obj.mac} on '{obj.link}'{where}"
        case Qdisc():
            return f"queueing discipline {obj.discipline} on '{obj.link}'{where}"
        case Sysctl():
            return f"parameter {obj.path.replace('/', '.')}{where}"
