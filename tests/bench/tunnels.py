"""The benchmark's network in tunnels: one endpoint here, thousands on other hosts; and scripts that do the same work.

The scripts are the floor: the file is read in C, and every message is packed by hand and sent in large chunks, with
nothing compared, marked, recorded or looked at again. They run as processes of their own, without the reconciler.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

HERE, VTEP = "here", "192.0.2.1"
HOSTS = 20
DEVICE = "reference"
DEVICE_KIND = ("type", "vxlan", "id", "7", "local", "127.0.0.1", "dstport", "4789", "nolearning", "proxy")
Row = tuple[str, str]  # the address of an endpoint, and that of its host


@dataclass(frozen=True, slots=True)
class Tunnels:
    """`size` remote endpoints, evenly over twenty hosts."""

    size: int

    def topology(self) -> str:
        """The file, with every address declared and a sandbox for each endpoint."""
        lines = ["name: bench", "hosts:", f"  {HERE}: {VTEP}"]
        lines += [f"  node-{number}: 198.51.100.{number + 1}" for number in range(HOSTS)]
        lines += [
            "networks:",
            "  back: {driver: overlay, subnets: [10.0.0.0/8], options: {vni: 42}}",
            "sandboxes:",
            f"  local: {{host: {HERE}, endpoints: {{eth0: {{network: back, addresses: [10.250.0.1]}}}}}}",
        ]
        for sandbox, host, address in self._members():
            lines += [
                f"  {sandbox}:",
                f"    host: {host}",
                f"    endpoints: {{eth0: {{network: back, addresses: [{address}]}}}}",
            ]
        return "\n".join(lines) + "\n"

    def _members(self) -> Iterator[tuple[str, str, str]]:
        for number in range(self.size):
            host, place = number % HOSTS, number // HOSTS
            yield f"s{number}", f"node-{host}", f"10.{host + 1}.{place // 250}.{place % 250 + 1}"


def send(rows: Iterable[Row]) -> None:
    """A forwarding entry and a neighbour for each row, in chunks of which the last message is acknowledged."""
    index, sequence, messages = socket.if_nametoindex(DEVICE), 0, []
    for address_text, vtep_text in rows:
        address, vtep = socket.inet_aton(address_text), socket.inet_aton(vtep_text)
        mac = b"\x0a\0\2\0\2\x42" + address + b"\0\0"
        for header, body in (
            ((7, index, 0xC0, 2), mac + b"\x08\0\1\0" + vtep),
            ((2, index, 0x80, 0), b"\x08\0\1\0" + address + mac + b"\5\0\x0c\0\xc7\0\0\0"),
        ):
            sequence += 1
            packed = struct.pack("=BxxxiHBx", *header) + body
            messages.append((16 + len(packed), sequence, packed))
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as sock:
        sock.bind((0, 0))
        for start in range(0, len(messages), 512):
            chunk = messages[start : start + 512]
            flags = [0x501] * (len(chunk) - 1) + [0x505]
            parts = zip(chunk, flags, strict=True)
            sock.send(
                b"".join(struct.pack("=IHHII", size, 28, f, n, 0) + body for (size, n, body), f in parts)
            )
            assert struct.unpack_from("=i", sock.recv(65536), 16)[0] == 0


SEND = f"""
import sys, yaml
from tests.bench.tunnels import send

data = yaml.load(open(sys.argv[1]), yaml.CSafeLoader)
send(
    (sandbox["endpoints"]["eth0"]["addresses"][0], data["hosts"][sandbox["host"]])
    for sandbox in data["sandboxes"].values()
    if sandbox["host"] != {HERE!r}
)
"""

READ_COMMANDS = (["bridge", "-j", "fdb"], ["ip", "-j", "neigh", "show", "nud", "permanent"])

READ = f"""
import json, subprocess, sys

for argv in {READ_COMMANDS!r}:
    json.loads(subprocess.run(argv, capture_output=True, check=True).stdout)
"""

PARSE_AND_READ = (
    READ
    + """
import yaml
yaml.load(open(sys.argv[1]), yaml.CSafeLoader)
"""
)
