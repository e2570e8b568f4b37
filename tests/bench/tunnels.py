"""The benchmark's network in tunnels: one endpoint here, thousands on other hosts; and scripts that do the same work.

The scripts are the floor: the file is read in C, and every message is packed by hand and sent in large chunks, with
nothing compared, marked, recorded or looked at again. They run as processes of their own, without the reconciler.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

HERE, VTEP = "here", "192.0.2.1"
HOSTS = 20
DEVICE = "reference"


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


SEND = f"""
import socket, struct, sys, yaml

data = yaml.load(open(sys.argv[1]), yaml.CSafeLoader)
index, sequence, messages = socket.if_nametoindex({DEVICE!r}), 0, []
for sandbox in data["sandboxes"].values():
    if sandbox["host"] == {HERE!r}:
        continue
    address = socket.inet_aton(sandbox["endpoints"]["eth0"]["addresses"][0])
    vtep = socket.inet_aton(data["hosts"][sandbox["host"]])
    mac = b"\\x0a\\0\\2\\0\\2\\x42" + address + b"\\0\\0"
    for header, body in (
        ((7, index, 0xC0, 2), mac + b"\\x08\\0\\1\\0" + vtep),
        ((2, index, 0x80, 0), b"\\x08\\0\\1\\0" + address + mac),
    ):
        sequence += 1
        body = struct.pack("=BxxxiHBx", *header) + body
        messages.append([16 + len(body), 28, 0x501, sequence, 0, body])
with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as sock:
    sock.bind((0, 0))
    for start in range(0, len(messages), 512):
        chunk = messages[start : start + 512]
        chunk[-1][2] |= 4
        sock.send(b"".join(struct.pack("=IHHII", *head) + body for *head, body in chunk))
        assert struct.unpack_from("=i", sock.recv(65536), 16)[0] == 0
"""

READ = """
import json, subprocess, sys

for argv in (["bridge", "-j", "fdb"], ["ip", "-j", "neigh", "show", "nud", "permanent"]):
    json.loads(subprocess.run(argv, capture_output=True, check=True).stdout)
"""

PARSE_AND_READ = (
    READ
    + """
import yaml
yaml.load(open(sys.argv[1]), yaml.CSafeLoader)
"""
)
