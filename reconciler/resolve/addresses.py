"""Text to addresses, prefixes and MACs, or the reason why not. Pure.

What cannot be an address of an endpoint or a range of a network is refused here, once, with the words of the person
who typed it: host bits, netmasks, zones, leading zeros. Nothing is repaired silently; the hint says what to write.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import NamedTuple

from ..errors import Diagnostic, Mark
from ..ipam import BITS, make_network
from ..model import IPAddress, IPNetwork

Related = tuple[tuple[str, Mark], ...]
_MAC = re.compile(r"[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5}")
_ZEROS = re.compile(r"(?<![0-9])0+(?=[0-9])")
_SPECIAL: tuple[tuple[IPNetwork, str], ...] = (
    (IPv4Network("0.0.0.0/8"), "'this network' (0.0.0.0/8)"),
    (IPv4Network("127.0.0.0/8"), "loopback (127.0.0.0/8)"),
    (IPv4Network("224.0.0.0/4"), "multicast (224.0.0.0/4)"),
    (IPv4Network("255.255.255.255/32"), "broadcast (255.255.255.255)"),
    (IPv6Network("::/128"), "the unspecified address (::)"),
    (IPv6Network("::1/128"), "loopback (::1)"),
    (IPv6Network("::ffff:0:0/96"), "IPv4-mapped (::ffff:0:0/96)"),
    (IPv6Network("ff00::/8"), "multicast (ff00::/8)"),
)
_LINK_LOCAL = IPv6Network("fe80::/10")


class Fault(NamedTuple):
    """What is wrong with a value, before it is known where it stands."""

    code: str
    message: str
    hint: str

    def at(self, mark: Mark | None, *related: tuple[str, Mark | None]) -> Diagnostic:
        """The same as a diagnostic; related places that no file declares are left out."""
        known: Related = tuple((label, place) for label, place in related if place is not None)
        return Diagnostic(self.code, self.message, mark, self.hint, known)


@lru_cache(maxsize=4096)
def parse_address(text: str) -> IPAddress | Fault:
    """An address that one machine can have."""
    if "/" in text:
        return Fault("bad-address", f"'{text}' has a prefix length", f"write only '{text.partition('/')[0]}'")
    if "%" in text:
        return Fault("bad-address", f"'{text}' has a zone", f"write only '{text.partition('%')[0]}'")
    try:
        address: IPAddress = IPv6Address(text) if ":" in text else IPv4Address(text)
    except ValueError:
        return Fault("bad-address", f"'{text}' is not an IP address", _advice(text))
    return _special(address, text) or address


def parse_interface(text: str) -> tuple[IPAddress, int | None] | Fault:
    """An address with the prefix length that it was given, if any."""
    bare, slash, length_text = text.partition("/")
    address = parse_address(bare)
    if isinstance(address, Fault) or not slash:
        return address if isinstance(address, Fault) else (address, None)
    length = _prefix_length(text, length_text, address.version)
    return length if isinstance(length, Fault) else (address, length)


@lru_cache(maxsize=4096)
def parse_network(text: str) -> IPNetwork | Fault:
    """A range of addresses in its canonical form: no bits set behind the prefix."""
    bare, slash, length_text = text.partition("/")
    try:
        address: IPAddress = IPv6Address(bare) if ":" in bare else IPv4Address(bare)
    except ValueError:
        return Fault("bad-address", f"'{text}' is not a range of IP addresses", _advice(bare))
    if not slash:
        example = f"{bare}/{24 if address.version == 4 else 64}"
        return Fault("bad-address", f"'{text}' has no prefix length", f"write for instance '{example}'")
    length = _prefix_length(text, length_text, address.version)
    if isinstance(length, Fault):
        return length
    shift = BITS[address.version] - length
    first = int(address) >> shift << shift
    if first != int(address):
        right = make_network(address.version, first, length)
        return Fault("host-bits", f"{text} has bits set behind its prefix", f"it should be {right}")
    return make_network(address.version, first, length)


def parse_subnet(text: str) -> IPNetwork | Fault:
    """A range that a network may use for its endpoints."""
    subnet = parse_network(text)
    if isinstance(subnet, Fault):
        return subnet
    for special, what in _SPECIAL:
        if special.version == subnet.version and special.overlaps(subnet):
            return Fault("bad-address", f"{text} covers {what}", _private(subnet.version))
    if subnet.version == 6 and _LINK_LOCAL.overlaps(subnet):
        hint = f"every interface has such addresses by itself; {_private(6)}"
        return Fault("bad-address", f"{text} covers link-local addresses (fe80::/10)", hint)
    return subnet


def parse_mac(text: str) -> str | Fault:
    """A MAC address of one machine, in lower case."""
    mac = text.lower()
    if not _MAC.fullmatch(mac):
        return Fault("bad-address", f"'{text}' is not a MAC address", "write six bytes: 02:00:00:00:00:05")
    if int(mac[:2], 16) & 1:
        right = f"{int(mac[:2], 16) & 0xFE | 2:02x}{mac[2:]}"
        return Fault("bad-address", f"{text} is a group address: the first byte is odd", f"use {right}")
    if mac == "00:00:00:00:00:00":
        return Fault("bad-address", f"{text} stands for 'no MAC address'", "use 02:00:00:00:00:01")
    return mac


def listed(values: Iterable[object]) -> str:
    """A list for a message, cut where it gets long."""
    words = [str(value) for value in values]
    return ", ".join(words) if len(words) <= 6 else f"{', '.join(words[:5])} and {len(words) - 5} more"


def _special(address: IPAddress, text: str) -> Fault | None:
    value = int(address)
    if address.version == 4 and 1 <= value >> 24 < 224 and value >> 24 != 127:
        return None  # by far the most common case
    for special, what in _SPECIAL:
        if special.version == address.version and address in special:
            mapped = address.ipv4_mapped if address.version == 6 else None
            hint = f"write '{mapped}'" if mapped else "use the address of one machine"
            return Fault("bad-address", f"{text} is {what}", hint)
    return None


def _prefix_length(text: str, length_text: str, version: int) -> int | Fault:
    bits = BITS[version]
    if length_text.isascii() and length_text.isdigit() and len(length_text) <= 3:
        if int(length_text) <= bits:
            return int(length_text)
        hint = f"IPv{version} has prefix lengths from 0 to {bits}"
        return Fault("bad-address", f"'{text}' has a prefix length above {bits}", hint)
    try:
        length = IPv4Network(f"0.0.0.0/{length_text}").prefixlen
    except ValueError:
        return Fault("bad-address", f"'{length_text}' in '{text}' is not a prefix length", f"0 to {bits}")
    return Fault("bad-address", f"'{text}' has a netmask", f"write '{text.partition('/')[0]}/{length}'")


def _advice(text: str) -> str:
    if ":" in text:
        return "IPv6 has eight groups of up to four hexadecimal digits, one run of zeros written '::'"
    if text != (plain := _ZEROS.sub("", text)):
        return f"numbers with leading zeros are ambiguous; write '{plain}'"
    return "IPv4 has four numbers from 0 to 255, as in 10.10.0.5"


def _private(version: int) -> str:
    if version == 4:
        return "use a private range: 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16"
    return "use a unique local range, below fd00::/8"
