"""What a watch costs and how soon it mends: the part `watch` of `make bench`.

Latency is from the return of the vandal's command until the value is as it was, to a millisecond. There is no reference to compare with, so these lines are figures of one machine, and a busy one doubles them.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.shapes import NAME, Shape
from tests.world import World

IDLE = 10.0
REPAIRS = 40
PAUSE = 0.3  # between repairs: a look that follows one must not be measured with the next
PATIENCE = 60.0
BUSY = 5.0
RATE = 50_000.0  # notices a second
_TICKS = os.sysconf("SC_CLK_TCK")
_SIOCGIFMTU = 0x8921


class Watched:
    """A watch that runs and is in sync."""

    def __init__(self, world: World, shape: Shape, file: Path, process: subprocess.Popen[str]) -> None:
        self.world, self.shape, self.file, self.process = world, shape, file, process
        self._victims = [f"{NAME}-{member.sandbox}-eth0" for member in shape.members()]
        self._next = 0

    def cpu(self) -> float:
        """Seconds that it used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def resident(self) -> float:
        """MiB."""
        return (
            int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
            * os.sysconf("SC_PAGE_SIZE")
            / 2**20
        )

    def repair(self) -> float:
        """Milliseconds until a link that somebody changed is as it was; each time another one."""
        victim = self._victims[self._next % len(self._victims)]
        self._next += 1
        self.world.run("ip", "link", "set", victim, "mtu", "1400")
        began = time.perf_counter()
        while self.world.call(_mtu, victim) != 1500:
            if time.perf_counter() - began > PATIENCE:
                raise AssertionError(f"{victim} was not mended")
            time.sleep(0.001)  # a listener would be drowned by the crowd
        return (time.perf_counter() - began) * 1000


@contextmanager
def watched(world: World, shape: Shape, resync: int = 3600) -> Iterator[Watched]:
    """A watch over a shape, after its first pass."""
    file = world.write("bench.yaml", shape.topology())
    argv = (sys.executable, "-m", "reconciler", "watch", file, "-q", "--resync", str(resync))
    world.run(
        sys.executable, "-m", "reconciler", "apply", file, "--yes", env=world.environment(), timeout=600
    )
    process = world.start(*argv, env=world.environment())
    try:
        world.run(
            sys.executable,
            "-m",
            "reconciler",
            "wait",
            file,
            "--timeout",
            "120",
            env=world.environment(),
            timeout=150,
        )
        one = Watched(world, shape, file, process)
        one.repair()  # the first of anything loads something
        yield one
    finally:
        process.terminate()
        process.wait()


def latency(one: Watched) -> float:
    """The median of several repairs, in milliseconds."""
    found = []
    for _ in range(REPAIRS):
        time.sleep(PAUSE)
        found.append(one.repair())
    return statistics.median(found)


def idle(one: Watched) -> float:
    """Percent of one core while nothing happens."""
    time.sleep(1)
    before, began = one.cpu(), time.monotonic()
    time.sleep(IDLE)
    return (one.cpu() - before) / (time.monotonic() - began) * 100


def full_look(one: Watched) -> float:
    """Milliseconds of CPU that it takes to read the files and to look at everything."""
    before = one.cpu()
    one.process.send_signal(signal.SIGHUP)
    time.sleep(3)
    return (one.cpu() - before) * 1000


def growth(one: Watched, cycles: int) -> float:
    """MiB that it has more after so many repairs."""
    before = one.resident()
    for _ in range(cycles):
        one.repair()
    return one.resident() - before


def crowd(one: Watched) -> tuple[float, float]:
    """Notices a second of others while links of ours are changed, and the median of their repairs then."""
    one.world.run("ip", "link", "add", "foreign", "type", "bridge")
    process = one.world.start(sys.executable, "-m", "tests.bench.watching", env=one.world.environment())
    try:
        began = time.monotonic()
        found = []
        while time.monotonic() - began < BUSY:
            found.append(one.repair())
    finally:
        process.send_signal(2)
        said, _ = process.communicate(timeout=10)
    return float(said or 0), statistics.median(found)


def _mtu(link: str) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        answer = fcntl.ioctl(sock, _SIOCGIFMTU, struct.pack("16si12x", link.encode(), 0))
    mtu: int = struct.unpack_from("i", answer, 16)[0]
    return mtu


def flood() -> None:
    """Addresses come to a foreign link and go, until interrupted; prints how many notices a second that made."""
    index = socket.if_nametoindex("foreign")
    messages = []
    for number in range(128):
        address = struct.pack("=BBBB", 198, 18, 0, number + 1)
        body = struct.pack("=BBBBI", 2, 32, 0, 0, index) + struct.pack(
            "=HH4sHH4s", 8, 1, address, 8, 2, address
        )
        messages += [(20, 0x401, body), (21, 1, body)]
    data = b"".join(
        struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body for kind, flags, body in messages
    )
    sent, began = 0, time.monotonic()
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as sock:
        sock.bind((0, 0))
        try:
            while True:
                time.sleep(max(0.0, began + 2 * sent / RATE - time.monotonic()))
                sock.send(data)
                sent += len(messages)
        except KeyboardInterrupt:
            # Each address brings a route of its own along: two notices for each message.
            sys.stdout.write(str(2 * sent / (time.monotonic() - began)))


if __name__ == "__main__":
    flood()
