"""Netlink on the wire: attributes packed and unpacked, and the numbers of the routing family that we use.

Pure bytes, no sockets. The envelope (header, attributes) is written here because a plan of 500 sandboxes has
thousands of messages and pyroute2's classes cost 30 to 90 us each; what only a few messages carry, the data of a link
kind, is left to pyroute2 (`linkinfo`). Numbers are those of include/uapi/linux/{netlink,rtnetlink,if_link}.h.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Iterator
from typing import Literal

Pack = Callable[[int, int], bytes]
ORDER: Literal["little", "big"] = sys.byteorder

HEADER = struct.Struct("=IHHII")
IFINFO = struct.Struct("=BxHiII")
IFADDR = struct.Struct("=BBBBi")
RTMSG = struct.Struct("=BBBBBBBBI")
U32 = struct.Struct("=I")
S32 = struct.Struct("=i")
ATTRIBUTE = struct.Struct("=HH")

NLMSG_ERROR, NLMSG_DONE, NLMSG_MIN_TYPE = 2, 3, 16
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP_INTR, NLM_F_ACK_TLVS = 0x1, 0x4, 0x10, 0x200
NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE, NLM_F_APPEND, NLM_F_DUMP = 0x100, 0x200, 0x400, 0x800, 0x300

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
RTM_NEWQDISC, RTM_DELQDISC, RTM_GETQDISC = 36, 37, 38
RTM_NEWNEIGH, RTM_DELNEIGH, RTM_GETNEIGH, RTM_GETRULE = 28, 29, 30, 34
RTM_NEWNSID, RTM_GETNSID = 88, 90
RTM_NEWLINKPROP = 108

IFF_UP = 0x1
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_LINK, IFLA_QDISC, IFLA_MASTER, IFLA_PROTINFO = 1, 3, 4, 5, 6, 10, 12
IFLA_LINKINFO, IFLA_IFALIAS, IFLA_AF_SPEC, IFLA_GROUP, IFLA_NET_NS_FD = 18, 20, 26, 27, 28
IFLA_NUM_TX_QUEUES, IFLA_NUM_RX_QUEUES = 31, 32
IFLA_EXT_MASK, IFLA_LINK_NETNSID, IFLA_TARGET_NETNSID, IFLA_PROP_LIST, IFLA_ALT_IFNAME = 29, 37, 46, 52, 53
IFLA_INFO_KIND, IFLA_INFO_DATA, IFLA_INFO_SLAVE_DATA = 1, 2, 5
IFLA_INET6_ADDR_GEN_MODE = 8
VETH_INFO_PEER = 1
IFLA_BR_FORWARD_DELAY, IFLA_BR_AGEING_TIME, IFLA_BR_STP_STATE = 1, 4, 5
IFLA_BRPORT_STATE, IFLA_BRPORT_MODE, IFLA_BRPORT_ISOLATED = 1, 4, 33
IFLA_BRPORT_LEARNING, IFLA_BRPORT_UNICAST_FLOOD = 8, 9
RTEXT_FILTER_SKIP_STATS = 8

IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST, IFA_FLAGS, IFA_PROTO = 1, 2, 4, 8, 11
IFA_F_SECONDARY, IFA_F_NODAD, IFA_F_DADFAILED, IFA_F_TENTATIVE, IFA_F_PERMANENT = 0x01, 0x02, 0x08, 0x40, 0x80

RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY, RTA_PREFSRC, RTA_TABLE = 1, 4, 5, 6, 7, 15
RTPROT_KERNEL, RT_TABLE_MAIN, RT_TABLE_LOCAL, RTN_UNICAST = 2, 254, 255, 1
RT_SCOPE_UNIVERSE, RT_SCOPE_LINK = 0, 253
RTM_F_CLONED, RTNH_F_ONLINK = 0x200, 4
ROUTE_TYPES = {1: "unicast", 6: "blackhole", 7: "unreachable", 8: "prohibit"}

NDMSG = struct.Struct("=BxxxiHBB")
NDA_DST, NDA_LLADDR, NDA_IFINDEX, NDA_MASTER, NDA_PROTOCOL = 1, 2, 8, 9, 12
NUD_PERMANENT, NUD_NOARP = 0x80, 0x40
NTF_SELF, NTF_MASTER, NTF_EXT_LEARNED, NTF_STICKY = 0x02, 0x04, 0x10, 0x40
FRA_DST, FRA_SRC, FRA_PRIORITY, FRA_TABLE, FRA_PROTOCOL = 1, 2, 6, 15, 21
RULE_ACTIONS = {1: "lookup", 2: "goto", 6: "blackhole", 7: "unreachable", 8: "prohibit"}

NETNSA_NSID, NETNSA_FD = 1, 3

TCMSG = struct.Struct("=BxxxiIII")
TCA_KIND, TCA_OPTIONS = 1, 2
TC_H_ROOT = 0xFFFFFFFF

_NESTED = 0x8000
_TYPE_MASK = 0x3FFF


def attribute(kind: int, payload: bytes) -> bytes:
    """One attribute, padded to four bytes."""
    length = 4 + len(payload)
    return ATTRIBUTE.pack(length, kind) + payload + b"\0" * (-length & 3)


def nested(kind: int, *payload: bytes) -> bytes:
    """An attribute that holds attributes."""
    return attribute(kind | _NESTED, b"".join(payload))


def text(kind: int, value: str) -> bytes:
    """A text attribute with its terminating zero."""
    return attribute(kind, value.encode() + b"\0")


def u32(kind: int, value: int) -> bytes:
    """A 32-bit attribute in host order."""
    return attribute(kind, U32.pack(value))


def s32(kind: int, value: int) -> bytes:
    """A signed 32-bit attribute in host order."""
    return attribute(kind, S32.pack(value))


def u16(kind: int, value: int) -> bytes:
    """A 16-bit attribute in host order."""
    return attribute(kind, value.to_bytes(2, ORDER))


def be16(kind: int, value: int) -> bytes:
    """A 16-bit attribute in network order."""
    return attribute(kind, value.to_bytes(2, "big"))


def u8(kind: int, value: int) -> bytes:
    """An 8-bit attribute."""
    return attribute(kind, bytes((value,)))


def walk(buffer: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The attributes in `buffer[start:end]` as (type, payload start, payload end). Stops at a malformed length."""
    unpack = ATTRIBUTE.unpack_from
    while start + 4 <= end:
        length, kind = unpack(buffer, start)
        stop = start + length
        if length < 4 or stop > end:
            return
        yield kind & _TYPE_MASK, start + 4, stop
        start = (stop + 3) & ~3


def get_text(buffer: bytes, start: int, end: int) -> str:
    """The text of an attribute without its terminating zero; undecodable bytes are kept as escapes."""
    return buffer[start:end].rstrip(b"\0").decode("utf-8", "backslashreplace")


def get_u32(buffer: bytes, start: int) -> int:
    """A 32-bit number in host order."""
    value: int = U32.unpack_from(buffer, start)[0]
    return value
