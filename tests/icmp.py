"""One echo request and its reply over a raw socket, in the calling thread's network namespace.

The `ping` program is not everywhere, and takes longer to start than the packet takes to travel.
"""

from __future__ import annotations

import os
import socket
import struct
import time

ICMP_PROTOCOL, ICMP6_PROTOCOL = 1, 58
IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, PMTUDISC_DO = 10, 23, 2
REPLY_WITHIN = 0.2


def echo(address: str, sequence: int, size: int | None) -> bool:
    """Whether `address` answers within a fifth of a second. `size` is the payload; the packet must not be fragmented."""
    family, _, _, _, target = socket.getaddrinfo(address, None, type=socket.SOCK_RAW)[0]
    six = family == socket.AF_INET6
    identity = os.urandom(2)
    payload = os.urandom(56 if size is None else size)
    header = identity + struct.pack("!H", sequence)
    packet = struct.pack("!BBH", 128 if six else 8, 0, 0) + header + payload
    if not six:
        packet = packet[:2] + _checksum(packet) + packet[4:]
    with socket.socket(family, socket.SOCK_RAW, ICMP6_PROTOCOL if six else ICMP_PROTOCOL) as sock:
        level, option = (
            (socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER) if six else (socket.IPPROTO_IP, IP_MTU_DISCOVER)
        )
        sock.setsockopt(level, option, PMTUDISC_DO)
        try:
            sock.sendto(packet, target)
            return _answered(sock, header + payload, 129 if six else 0, 0 if six else 20)
        except TimeoutError:
            return False
        except OSError:  # no route, too big, a tentative source address: refused before it left
            time.sleep(0.02)
            return False


def _answered(sock: socket.socket, expected: bytes, kind: int, skip: int) -> bool:
    deadline = time.monotonic() + REPLY_WITHIN
    while (left := deadline - time.monotonic()) > 0:
        sock.settimeout(left)
        data = sock.recv(1 << 16)[skip:]
        if data[:1] == bytes([kind]) and data[4:] == expected:
            return True
    return False


def _checksum(data: bytes) -> bytes:
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF)
