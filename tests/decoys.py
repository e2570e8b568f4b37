"""Foreign objects that look as if a topology had made them, to prove that it leaves them alone.

Names with the topology's prefix, routes with somebody else's protocol number, links that another
topology marked, a namespace without a mark, and things in /run/netns that are no namespaces.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from tests.snapshot import canonical

if TYPE_CHECKING:
    from tests.world import World

FOREIGN_PROTOCOL = "200"
# What enslaving a port to a bridge sets; a port on the topology's own bridge loses it together with the bridge.
PORT_KEYS = ("master", "flags", "promiscuity", "allmulti", "linkinfo")


class Decoys:
    """The foreign objects of one world. `links` are their names on the host, `netns` the name of their namespace."""

    def __init__(self, world: World, topology: str, bridge: str | None) -> None:
        self._world = world
        stem = topology[:9]
        self.netns = f"{topology}.x"
        self.links = ["br-x", f"{stem}-zz", f"{stem}-v0", f"{stem}-v1", f"{stem}-oth"]
        self._port: str | None = None
        self._make(stem, topology)
        if bridge is not None:
            self._port = f"{stem}-prt"
            world.run("ip", "link", "add", self._port, "type", "veth", "peer", "name", f"{stem}-prp")
            world.run("ip", "link", "set", self._port, "master", bridge, "up")
            self.links += [self._port, f"{stem}-prp"]
        world.settle(dad=False)
        self._before = self._look()

    def check(self) -> None:
        """Asserts that every one of them is as it was made."""
        before, after = self._before.splitlines(), self._look().splitlines()
        assert before == after, "\n".join(
            difflib.unified_diff(before, after, "decoys made", "decoys now", lineterm="")
        )

    def _make(self, stem: str, topology: str) -> None:
        other = f"reconciler:{topology}-other:network/front"
        lines = f"""
            link add br-x type bridge
            link add {stem}-zz type bridge stp_state 1
            link add {stem}-oth type bridge
            link set {stem}-oth alias {other}
            link add {stem}-v0 type veth peer name {stem}-v1
            link set {stem}-v0 master br-x
            link set br-x up
            link set {stem}-zz up
            link set {stem}-v0 up
            link set {stem}-v1 up
            address add 192.0.2.1/28 dev br-x
            address add 2001:db8:ffff::1/64 dev br-x nodad
            route add 198.51.100.0/28 via 192.0.2.2 dev br-x proto {FOREIGN_PROTOCOL}
            route add 198.51.100.16/28 via 192.0.2.2 dev br-x proto 199
            route add blackhole 198.51.100.32/28 proto {FOREIGN_PROTOCOL}
            neighbour add 192.0.2.3 lladdr 02:00:00:00:de:03 dev br-x nud permanent
            rule add from 198.51.100.64/28 lookup 52 priority 5200
            netns add {self.netns}
            link add {stem}-h0 type veth peer name eth0 netns {self.netns}
        """
        self.links.append(f"{stem}-h0")
        with self._world.without_dad():
            batch = "\n".join(line.strip() for line in lines.strip().splitlines())
            self._world.run("ip", "-batch", "-", input=batch)
        self._world.run("bridge", "fdb", "add", "02:00:00:00:de:04", "dev", f"{stem}-v0", "master", "static")
        self._world.run("ip", "address", "add", "192.0.2.17/28", "dev", "eth0", netns=self.netns)
        script = f"echo 1 > /proc/sys/net/ipv4/conf/{stem}-zz/proxy_arp; : > /run/netns/{topology}.file"
        self._world.run("sh", "-c", f"{script}; ln -s {self.netns} /run/netns/{topology}.link")
        self._files = {f"/run/netns/{topology}.{part}" for part in ("x", "file", "link")}

    def _look(self) -> str:
        observed = self._world.observe()
        host = observed["namespaces"][""]
        ours = {
            "links": {name: self._link(host["links"].get(name)) for name in self.links},
            "addresses": {name: host["addresses"].get(name) for name in self.links},
            "routes": [
                r
                for r in host["routes"]
                if r.get("dev") in self.links or r.get("dst", "").startswith("198.51.100.")
            ],
            "rules": [rule for rule in host["rules"] if rule.get("priority") == 5200],
            "neighbours": [entry for entry in host["neighbours"] if entry.get("dev") in self.links],
            "fdb": [entry for entry in host["fdb"] if entry.get("mac") == "02:00:00:00:de:04"],
            "sysctls": {
                key: value for key, value in host["sysctls"].items() if set(key.split("/")) & set(self.links)
            },
            "namespace": observed["namespaces"].get(self.netns),
            "files": {path: text for path, text in observed["files"].items() if path in self._files},
        }
        return canonical(ours)

    def _link(self, link: dict[str, Any] | None) -> dict[str, Any] | None:
        if link is None or link["ifname"] != self._port:
            return link
        return {key: value for key, value in link.items() if key not in PORT_KEYS}
