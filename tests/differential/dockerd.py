"""A Docker engine of its own for one private host: socket, data and sandboxes below the host's own /run.

The engine is told what to do by its own command line, as a user would. When it is ready it says so, by the protocol of
sd_notify(3).
"""

from __future__ import annotations

import json
import shlex
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.differential.facts import SEGMENT, Names
from tests.world import World

RUN = "/run/engine"
HERE = {"DOCKER_HOST": f"unix://{RUN}/socket", "DOCKER_CONFIG": f"{RUN}/client"}
READY_AFTER = 90  # seconds, in a kernel where everything is ten times slower
IMAGE = "idle"


class Engine:
    """A running engine."""

    def __init__(self, host: World) -> None:
        self.host = host

    def __call__(self, command: str) -> str:
        """What `docker COMMAND` prints; a failure is an AssertionError that shows it."""
        argv = ("/usr/bin/docker", *shlex.split(command))
        return self.host.run(*argv, env=HERE, timeout=120).stdout.strip()

    def ask(self, path: str) -> Any:
        """The engine's answer to GET `path` of its interface, without a start of its command line."""
        return self.host.call(_get, path)

    def show(self) -> Names:
        """Gives the engine's namespaces a name in /run/netns, where tools look, and says what it calls things."""
        networks = {each["Id"]: each["Name"] for each in self.ask("/networks")}
        containers = [self.ask(f"/containers/{each['Id']}/json") for each in self.ask("/containers/json")]
        keys = {
            Path(each["NetworkSettings"]["SandboxKey"]).name: each["Name"].strip("/") for each in containers
        }
        namespaces: dict[str, str] = {}
        for key in self.host.run("ls", f"{RUN}/exec/netns").stdout.split():
            if key == "default":  # the host's
                continue
            name = keys.get(key) or _of_network(key, networks) or key
            entry = name.replace(" ", "-")
            self.host.run("mkdir", "-p", "/run/netns")
            self.host.run("touch", f"/run/netns/{entry}")
            self.host.run("mount", "--bind", f"{RUN}/exec/netns/{key}", f"/run/netns/{entry}")
            namespaces[entry] = name
        return Names({f"br-{key[:12]}": name for key, name in networks.items()}, namespaces)

    def hide(self, names: Names) -> None:
        """Takes the names away again, so that namespaces can go."""
        for entry in names.namespaces:
            self.host.run("umount", f"/run/netns/{entry}")
            self.host.run("rm", f"/run/netns/{entry}")


def _get(path: str) -> Any:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(READY_AFTER)
        sock.connect(f"{RUN}/socket")
        sock.sendall(f"GET {path} HTTP/1.0\r\nHost: engine\r\n\r\n".encode())
        with sock.makefile("rb") as answer:
            head, _, body = answer.read().partition(b"\r\n\r\n")
    assert b" 200 " in head.partition(b"\r\n")[0], f"GET {path}: {head!r} {body!r}"
    return json.loads(body)


def _of_network(key: str, networks: Mapping[str, str]) -> str | None:
    """Of an overlay, the namespace with its bridge and its tunnel, or the one that spreads calls of its services."""
    number, _, start = key.partition("-")
    role = SEGMENT if number.isdigit() else "balancer of "
    start = start or key.removeprefix("lb_")
    return next((f"{role}{name}" for full, name in networks.items() if full.startswith(start)), None)


@contextmanager
def engine(host: World) -> Iterator[Engine]:
    """An engine with an image named `idle`, whose containers do nothing, while the block runs."""
    _control_groups(host)
    host.run("mkdir", "-p", f"{RUN}/image/bin", f"{RUN}/client")
    host.run(
        "sh",
        "-c",
        f"cd {RUN}; cp /usr/bin/busybox image/bin/sleep; tar -C image -c . >image.tar; echo '{{}}' >config",
    )
    with host.call(socket.socket, socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
        notices.bind("\0engine")
        notices.settimeout(READY_AFTER)
        process = host.start(
            "dockerd", f"--config-file={RUN}/config", f"--host=unix://{RUN}/socket", f"--data-root={RUN}/data",
            f"--exec-root={RUN}/exec", f"--pidfile={RUN}/pid", "--bridge=none", "--storage-driver=vfs",
            "--log-level=error", env={"NOTIFY_SOCKET": "@engine"},
        )  # fmt: skip
        try:
            while b"READY=1" not in notices.recv(4096):
                pass
            found = Engine(host)
            found(f"import {RUN}/image.tar {IMAGE}")
            yield found
        finally:  # asked, not killed: it ends its containers and all its helpers
            process.terminate()
            process.communicate(timeout=READY_AFTER)


def _control_groups(host: World) -> None:
    """Hierarchies as the machine has them: what is mounted together somewhere can be mounted only together."""
    together: dict[str, list[str]] = {}
    for line in Path("/proc/cgroups").read_text().splitlines()[1:]:
        controller, hierarchy, _, enabled = line.split()
        if enabled == "1":
            together.setdefault(hierarchy if hierarchy != "0" else controller, []).append(controller)
    folder = "/sys/fs/cgroup"
    host.run("mount", "-t", "tmpfs", "none", folder)
    for controllers in map(",".join, together.values()):
        host.run("mkdir", f"{folder}/{controllers}")
        host.run("mount", "-t", "cgroup", "-o", controllers, "none", f"{folder}/{controllers}")
