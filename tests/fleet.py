"""Several private hosts on one wire: worlds whose `eth0` are ports of a switch, which is a world as well.

Each host has its own /run and state directory, so the reconciler runs on each as on a machine of its own. The wire can
be cut and listened to. Like `world`, this never imports the reconciler.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from tests.world import Result, World

TUNNEL_PORT = 4789
_ETH_P_ALL = 3
_ETHERNET = 14
_FRAGMENT = 44


@dataclass(slots=True)
class Heard:
    """Tunnel packets that crossed a host's wire, in either direction: the sizes of the outer IP packets."""

    sizes: list[int] = field(default_factory=list)
    fragments: int = 0


class Fleet:
    """Hosts `node-1` to `node-N`, reachable from each other by their vteps. Use it as a context manager."""

    def __init__(self, size: int, family: int = 4) -> None:
        self.vteps = {
            f"node-{number}": f"192.0.2.{number}" if family == 4 else f"2001:db8::{number}"
            for number in range(1, size + 1)
        }
        self._length = 24 if family == 4 else 64
        self._stack = ExitStack()
        self.hosts: dict[str, World] = {}
        self.switch = self._stack.enter_context(World())
        try:
            self._wire()
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _wire(self) -> None:
        self.switch.run("ip", "link", "add", "wire", "up", "type", "bridge", "mcast_snooping", "0")
        for name, vtep in self.vteps.items():
            host = self._stack.enter_context(World(many_runs=True))
            self.hosts[name] = host
            self.switch.run(
                "ip", "link", "add", name, "up", "master", "wire",
                "type", "veth", "peer", "name", "eth0", "netns", host.namespace,
            )  # fmt: skip
            host.run("ip", "link", "set", "eth0", "up")
            host.run("ip", "addr", "add", f"{vtep}/{self._length}", "dev", "eth0", *["nodad"] * (":" in vtep))

    # ----------------------------------------------------------------------------------------------- the reconciler

    def apply(self, topology: Mapping[str, Any], *on: str) -> None:
        """Applies the same file on the named hosts, by default on all, one after the other."""
        for name in on or self.hosts:
            self.reconciler(name, "apply", self.write(name, topology), "--yes", "--allow-empty")

    def write(self, name: str, topology: Mapping[str, Any]) -> str:
        """Puts the file on one host."""
        return str(self.hosts[name].write("shop.topo.yaml", json.dumps(topology)))

    def reconciler(self, name: str, command: str, *args: str, **options: Any) -> Result:
        """Runs the reconciler on one host."""
        return self.hosts[name].reconciler(command, *args, "--host", name, **options)

    # ------------------------------------------------------------------------------------------------------ the wire

    def cut(self, name: str) -> None:
        """Takes a host off the wire; it does not notice, as with a cable beyond its own switch."""
        self.switch.run("ip", "link", "set", name, "nomaster")

    def heal(self, name: str) -> None:
        """Puts it back."""
        self.switch.run("ip", "link", "set", name, "master", "wire")

    @contextmanager
    def listening(self, *on: str) -> Iterator[dict[str, Heard]]:
        """What crosses the wire of the named hosts, by default of all, while the block runs."""
        heard = {name: Heard() for name in on or self.hosts}
        with ExitStack() as stack:
            ears = {name: stack.enter_context(self.hosts[name].call(listen)) for name in heard}
            yield heard
            for name, ear in ears.items():
                for frame in received(ear):
                    _note(frame[_ETHERNET:], heard[name])

    # ---------------------------------------------------------------------------------------------------- the tables

    def forwarding(self, name: str, device: str) -> set[tuple[str, str]]:
        """The (MAC address, vtep) pairs of a VXLAN device on one host."""
        shown = self.hosts[name].bridge("fdb", "show", "dev", device)
        return {(entry["mac"], entry["dst"]) for entry in shown if "dst" in entry}

    def echoes(
        self, name: str, netns: str, addresses: Collection[str], timeout: float = 5
    ) -> dict[str, bool]:
        """Which of the addresses answer a sandbox."""
        return {address: self.hosts[name].ping(netns, address, timeout=timeout) for address in addresses}


def listen() -> socket.socket:
    """Hears whatever crosses `eth0` of the namespace that it is called in."""
    ear = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
    ear.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    ear.bind(("eth0", _ETH_P_ALL))
    ear.setblocking(False)
    return ear


def received(ear: socket.socket) -> Iterator[bytes]:
    """The frames that it has heard so far, both ways."""
    while True:
        try:
            yield ear.recv(1 << 16)
        except BlockingIOError:
            return


def _note(packet: bytes, heard: Heard) -> None:
    version = packet[0] >> 4
    if version == 4:
        header, protocol = (packet[0] & 15) * 4, packet[9]
        fragment = struct.unpack_from("!H", packet, 6)[0] & 0x3FFF
    elif version == 6:
        header, protocol, fragment = 40, packet[6], int(packet[6] == _FRAGMENT)
    else:
        return
    heard.fragments += bool(fragment)
    if protocol == socket.IPPROTO_UDP and struct.unpack_from("!H", packet, header + 2)[0] == TUNNEL_PORT:
        heard.sizes.append(len(packet))
