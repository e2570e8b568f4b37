"""The topologies of the benchmark, as a file for the reconciler and as scripts for `ip -batch` that do the same work.

Fifty sandboxes on each bridge, because a bridge's own cost grows with its ports and is not what is measured.
The scripts do what is needed and no more: they mark nothing, record nothing, and take nothing back on failure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

PER_BRIDGE = 50
NAME = "bench"


@dataclass(frozen=True, slots=True)
class Member:
    """One sandbox with its single endpoint."""

    sandbox: str
    network: str
    address: IPv4Address
    gateway: IPv4Address


@dataclass(frozen=True, slots=True)
class Shape:
    """`size` sandboxes with one endpoint each."""

    size: int

    @property
    def networks(self) -> list[str]:
        """Names of the networks, which are also those of the reference's bridges."""
        return [f"n{number}" for number in range(-(-self.size // PER_BRIDGE))]

    def members(self) -> Iterator[Member]:
        """All sandboxes in order."""
        for number in range(self.size):
            network, place = divmod(number, PER_BRIDGE)
            subnet = IPv4Address("10.0.0.0") + (network << 8)
            yield Member(f"s{number}", f"n{network}", subnet + place + 2, subnet + 1)

    def topology(self) -> str:
        """The file for the reconciler, as people would write it: every address declared."""
        lines = [f"name: {NAME}", "networks:"]
        for number, network in enumerate(self.networks):
            lines.append(f"  {network}: {{subnets: [{IPv4Address('10.0.0.0') + (number << 8)}/24]}}")
        lines.append("sandboxes:")
        for member in self.members():
            lines += [
                f"  {member.sandbox}:",
                "    endpoints:",
                "      eth0:",
                f"        network: {member.network}",
                f"        addresses: [{member.address}]",
            ]
        return "\n".join(lines) + "\n"

    def build_script(self) -> str:
        """Two batches for the host, then one `ip` process in each namespace: it cannot enter several."""
        host = [f"link add {network} type bridge" for network in self.networks]
        host += [f"link set {network} up" for network in self.networks]
        gateways = {member.network: member.gateway for member in self.members()}
        host += [f"address add {gateway}/24 dev {network}" for network, gateway in gateways.items()]
        for member in self.members():
            end = f"v{member.sandbox}"
            host.append(
                f"link add {end} up master {member.network} type veth peer name eth0 netns {member.sandbox}"
            )
        inside = "\n".join(f"{member.sandbox} {member.address} {member.gateway}" for member in self.members())
        return "\n".join(
            [
                "set -e",
                "ip -batch - <<'END'",
                *(f"netns add {member.sandbox}" for member in self.members()),
                "END",
                "ip -batch - <<'END'",
                *host,
                "END",
                "while read -r netns address gateway; do ip -n $netns -batch - <<END",
                "link set lo up",
                "link set eth0 up",
                "address add $address/24 dev eth0",
                "route add default via $gateway",
                "END",
                "done <<'END'",
                inside,
                "END",
            ]
        )

    def read_script(self, prefix: str = "") -> str:
        """Reads links, addresses and routes of the host and of every sandbox. `prefix` starts the namespaces' names."""
        names = "\n".join(prefix + member.sandbox for member in self.members())
        inside = "; ".join(f"ip -n $netns {question}" for question in ("-j -d link", "-j addr", "-j route"))
        host = inside.replace("-n $netns ", "")
        return f"set -e\n{host}\nwhile read -r netns; do {inside}; done <<'END'\n{names}\nEND"

    def delete_each_script(self) -> str:
        """Deletes link by link, namespace by namespace, bridge by bridge."""
        lines = [f"link del v{member.sandbox}" for member in self.members()]
        return _batch(lines + self._delete_lines())

    def delete_smart_script(self) -> str:
        """Deletes namespaces and bridges; the links go with their other ends."""
        return _batch(self._delete_lines())

    def _delete_lines(self) -> list[str]:
        namespaces = [f"netns del {member.sandbox}" for member in self.members()]
        return namespaces + [f"link del {network}" for network in self.networks]


def _batch(lines: list[str]) -> str:
    return "\n".join(["ip -batch - <<'END'", *lines, "END"])
