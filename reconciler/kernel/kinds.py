"""Link kinds that stand alone or on another link: their data as bytes and back, both directions in one place. Pure.

What a bridge and a veth pair need is in `linkinfo` (writing) and `decode` (reading), because there are many of them or
they have many attributes. These here have two or three each, which are packed by hand: include/uapi/linux/if_link.h,
Documentation/netlink/specs/rt-link.yaml. An attribute that is None is not sent; a number that the kernel has and we
have no word for is shown as that number.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from socket import AF_INET, AF_INET6, inet_ntop

from ..objects import Dummy, Ipvlan, LinkKind, LinkRef, Macvlan, OtherKind, Vlan, Vxlan
from . import wire

STACKED = ("macvlan", "ipvlan", "vlan")
KNOWN = (*STACKED, "vxlan", "dummy")

_MACVLAN_MODE, _MACVLAN_MAC, _MACVLAN_MACADDR_MODE, _MACVLAN_MACADDR_DATA = 1, 4, 3, 5
_MACVLAN_MODES = {"private": 1, "vepa": 2, "bridge": 4, "passthru": 8, "source": 16}
_MACADDR_SET = 3
_IPVLAN_MODE, _IPVLAN_FLAGS = 1, 2
_IPVLAN_MODES = {"l2": 0, "l3": 1, "l3s": 2}
_IPVLAN_FLAG = {"bridge": 0, "private": 1, "vepa": 2}
_VLAN_ID, _VLAN_PROTOCOL = 1, 5
_VLAN_PROTOCOLS = {"802.1Q": 0x8100, "802.1ad": 0x88A8}
_VXLAN_ID, _VXLAN_LOCAL, _VXLAN_LEARNING, _VXLAN_PROXY, _VXLAN_PORT, _VXLAN_LOCAL6 = 1, 4, 7, 11, 15, 17


def data(kind: LinkKind) -> bytes:
    """The attributes inside of IFLA_INFO_DATA that `kind` asks for, without what says which its parent is."""
    match kind:
        case Macvlan(mode=mode, sources=sources):
            macs = b"" if sources is None else _macs(sources)
            return _word(_MACVLAN_MODE, mode, _MACVLAN_MODES, wire.u32) + macs
        case Ipvlan(mode=mode, flag=flag):
            return _word(_IPVLAN_MODE, mode, _IPVLAN_MODES, wire.u16) + _word(
                _IPVLAN_FLAGS, flag, _IPVLAN_FLAG, wire.u16
            )
        case Vlan(id=number, protocol=protocol):
            identity = b"" if number is None else wire.u16(_VLAN_ID, number)
            return identity + _word(_VLAN_PROTOCOL, protocol, _VLAN_PROTOCOLS, wire.be16)
        case Vxlan():
            return _vxlan(kind)
        case _:
            return b""


def read(name: str, payload: bytes, parent: LinkRef | None) -> LinkKind:
    """The kind of that name, from the bytes of its IFLA_INFO_DATA; one that no driver makes as `OtherKind`."""
    held = {kind: payload[start:end] for kind, start, end in wire.walk(payload, 0, len(payload))}
    match name:
        case "macvlan":
            mode = _name(held.get(_MACVLAN_MODE), _MACVLAN_MODES)
            macs = _read_macs(held.get(_MACVLAN_MACADDR_DATA, b"")) if mode == "source" else None
            return Macvlan(parent=parent, mode=mode, sources=macs)
        case "ipvlan":
            flag = _name(held.get(_IPVLAN_FLAGS), _IPVLAN_FLAG)
            return Ipvlan(parent=parent, mode=_name(held.get(_IPVLAN_MODE), _IPVLAN_MODES), flag=flag)
        case "vlan":
            protocol = held.get(_VLAN_PROTOCOL)
            return Vlan(
                parent=parent,
                id=_number(held.get(_VLAN_ID)),
                protocol=None if protocol is None else _name(protocol[::-1], _VLAN_PROTOCOLS),
            )
        case "vxlan":
            return _read_vxlan(held)
        case "dummy":
            return Dummy()
        case other:
            return OtherKind(kind=other)


def _word(kind: int, word: str | None, numbers: Mapping[str, int], pack: wire.Pack) -> bytes:
    return b"" if word is None else pack(kind, numbers[word])


def _number(payload: bytes | None) -> int | None:
    return None if payload is None else int.from_bytes(payload, wire.ORDER)


def _name(payload: bytes | None, numbers: Mapping[str, int]) -> str | None:
    number = _number(payload)
    return next(
        (word for word, known in numbers.items() if known == number), None if number is None else str(number)
    )


def _macs(sources: tuple[str, ...]) -> bytes:
    entries = b"".join(wire.attribute(_MACVLAN_MAC, bytes.fromhex(mac.replace(":", ""))) for mac in sources)
    return wire.u32(_MACVLAN_MACADDR_MODE, _MACADDR_SET) + wire.nested(_MACVLAN_MACADDR_DATA, entries)


def _read_macs(payload: bytes) -> tuple[str, ...]:
    return tuple(sorted(payload[start:end].hex(":") for _, start, end in wire.walk(payload, 0, len(payload))))


def _vxlan(kind: Vxlan) -> bytes:
    body = b""
    if kind.vni is not None:
        body += wire.u32(_VXLAN_ID, kind.vni)
    if kind.local is not None:
        local = ip_address(kind.local)
        body += wire.attribute(_VXLAN_LOCAL if local.version == 4 else _VXLAN_LOCAL6, local.packed)
    if kind.udp_port is not None:
        body += wire.be16(_VXLAN_PORT, kind.udp_port)
    if kind.learning is not None:
        body += wire.u8(_VXLAN_LEARNING, kind.learning)
    if kind.proxy is not None:
        body += wire.u8(_VXLAN_PROXY, kind.proxy)
    return body


def _read_vxlan(held: Mapping[int, bytes]) -> Vxlan:
    local = None
    if _VXLAN_LOCAL in held:
        local = inet_ntop(AF_INET, held[_VXLAN_LOCAL])
    elif _VXLAN_LOCAL6 in held:
        local = inet_ntop(AF_INET6, held[_VXLAN_LOCAL6])
    port = held.get(_VXLAN_PORT)
    return Vxlan(
        vni=_number(held.get(_VXLAN_ID)),
        local=local,
        udp_port=None if port is None else int.from_bytes(port, "big"),
        learning=bool(_number(held.get(_VXLAN_LEARNING))),
        proxy=bool(_number(held.get(_VXLAN_PROXY))),
    )
