"""A topology held against a policy: each thing that it may not do, with its place in both files. Pure.

What counts is the topology as it is resolved: replicas made, addresses drawn, defaults applied. So nothing is allowed
because of how it is written. Only places come from the tree. A name of something of the host, such as a parent, is read
wherever an option has that name, so that a driver from another distribution is bounded too as far as it says it so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from ipaddress import IPv4Network, IPv6Network, ip_network

from .errors import Diagnostic, Forbidden, Mark
from .load.tree import Map, Seq, walk
from .model import Bucket, Endpoint, Network, Sandbox, SandboxKind, Topology
from .policy import Policy, Prefixes

# Each option of a network that names something of the host, with the rule for it.
_OPTIONS = {"parent": "parents", "ports": "ports", "name": "devices"}
_Prefix = IPv4Network | IPv6Network


def check(policy: Policy, topology: Topology, tree: Map) -> list[Diagnostic]:
    """Everything that the policy does not allow."""
    return list(_Check(policy, topology, tree).found())


def require(policies: Iterable[Policy], topology: Topology, tree: Map) -> None:
    """Raise Forbidden with everything that any of the policies does not allow."""
    if found := [one for policy in policies for one in check(policy, topology, tree)]:
        raise Forbidden(found)


class _Check:
    """One policy and one topology; each method yields what it finds."""

    def __init__(self, policy: Policy, topology: Topology, tree: Map) -> None:
        self.policy, self.topology, self.tree = policy, topology, tree
        self.subnets = policy.prefixes("subnets")
        self.host_routes = policy.prefixes("host_routes")
        self.rate = policy.rate("max_bandwidth")

    def found(self) -> Iterator[Diagnostic]:
        topology = self.topology
        yield from self.name("names", "a topology", topology.name, self.place("name"))
        endpoints = sum(len(sandbox.endpoints) for sandbox in topology.sandboxes.values())
        yield from self.number("max_networks", len(topology.networks), "networks", "networks")
        yield from self.number("max_sandboxes", len(topology.sandboxes), "sandboxes", "sandboxes")
        yield from self.number("max_endpoints", endpoints, "endpoints", "sandboxes")
        for network in topology.networks.values():
            yield from self.network(network)
        for sandbox in topology.sandboxes.values():
            yield from self.sandbox(sandbox)

    def place(self, *path: str) -> Mark | None:
        """Where the value at a path was declared; for what nobody declared, what it belongs to."""
        for length in range(len(path), 0, -1):
            found = walk(self.tree, path[:length])
            if found is not None and found[2] is not None:
                return found[2]
        return None

    def refuse(
        self, rule: str, message: str, mark: Mark | None, allowed: Iterable[object] = ()
    ) -> Diagnostic:
        listed = [str(item) for item in allowed]
        more = f" and {len(listed) - 10} more" if len(listed) > 10 else ""
        hint = f"allowed: {', '.join(listed[:10])}{more}" if listed else None
        return Diagnostic("policy", message, mark, hint, (self.policy.place(rule),))

    # -- names and numbers -----------------------------------------------------------------------------------------

    def name(self, rule: str, what: str, name: str, mark: Mark | None) -> Iterator[Diagnostic]:
        allowed = self.policy.texts(rule)
        if not matches(name, allowed):
            none = "" if allowed else ": there may be none"
            yield self.refuse(rule, f"the policy does not allow {what} '{name}'{none}", mark, allowed)

    def number(self, rule: str, number: int, what: str, section: str) -> Iterator[Diagnostic]:
        if number > (limit := self.policy.number(rule)):
            message = f"the topology has {number:,} {what}, and the policy allows {limit:,}"
            yield self.refuse(rule, message, self.place(section) or self.place("name"))

    # -- networks --------------------------------------------------------------------------------------------------

    def network(self, network: Network) -> Iterator[Diagnostic]:
        path = ("networks", network.name)
        yield from self.name("network_names", "a network", network.name, network.mark)
        yield from self.name(
            "drivers", "the driver", network.driver, self.place(*path, "driver") or network.mark
        )
        if network.driver == "host":
            yield from self.host_stack(
                f"network '{network.name}'", self.place(*path, "driver") or network.mark
            )
        for number, subnet in enumerate(network.subnets):
            mark = self.place(*path, "subnets", str(number)) or network.mark
            yield from self.inside("subnets", f"subnet {subnet.subnet}", subnet.subnet, mark)
        yield from self.options(path)

    def options(self, path: tuple[str, ...]) -> Iterator[Diagnostic]:
        found = walk(self.tree, (*path, "options"))
        options = found[1] if found is not None else None
        if not isinstance(options, Map):
            return
        for option, rule in _OPTIONS.items():
            rule = "adopt" if option == "name" and options.get("adopt") is True else rule  # noqa: PLW2901
            held = options.get(option)
            for item in held if isinstance(held, Seq) else [held]:
                if item is not None:
                    what = {"parents": "the parent", "ports": "the port", "adopt": "the bridge"}.get(
                        rule, "the device"
                    )
                    yield from self.name(rule, what, str(item), options.value_mark(option))

    def inside(self, rule: str, what: str, prefix: _Prefix, mark: Mark | None) -> Iterator[Diagnostic]:
        allowed = self.subnets if rule == "subnets" else self.host_routes
        if not _within(prefix, allowed):
            yield self.refuse(rule, f"the policy does not allow {what}", mark, allowed)

    # -- sandboxes -------------------------------------------------------------------------------------------------

    def sandbox(self, sandbox: Sandbox) -> Iterator[Diagnostic]:
        path = ("sandboxes", sandbox.name)
        yield from self.name("sandbox_names", "a sandbox", sandbox.name, sandbox.mark)
        yield from self.kind(sandbox, path)
        rule = "sysctls" if sandbox.kind is SandboxKind.MADE else "host_sysctls"
        for setting in sandbox.sysctls:
            yield from self.sysctl(rule, setting, self.place(*path, "sysctls") or sandbox.mark)
        if sandbox.kind is not SandboxKind.MADE:
            yield from self.routes(sandbox, path)
        for endpoint in sandbox.endpoints:
            yield from self.endpoint(endpoint, rule, (*path, "endpoints", endpoint.name))

    def kind(self, sandbox: Sandbox, path: tuple[str, ...]) -> Iterator[Diagnostic]:
        match sandbox.kind:
            case SandboxKind.HOST:
                yield from self.host_stack(
                    f"sandbox '{sandbox.name}'", self.place(*path, "host") or sandbox.mark
                )
            case SandboxKind.PID if not self.policy.allows("pids"):
                message = f"the policy does not allow a sandbox of process {sandbox.where}"
                yield self.refuse("pids", message, self.place(*path, "pid") or sandbox.mark)
            case SandboxKind.PATH:
                allowed = self.policy.texts("netns")
                if not any(_path_matches(sandbox.where, glob) for glob in allowed):
                    message = f"the policy does not allow the namespace '{sandbox.where}'"
                    yield self.refuse("netns", message, self.place(*path, "netns") or sandbox.mark, allowed)

    def host_stack(self, what: str, mark: Mark | None) -> Iterator[Diagnostic]:
        if not self.policy.allows("host_stack"):
            yield self.refuse("host_stack", f"the policy does not allow {what} the host's own stack", mark)

    def routes(self, sandbox: Sandbox, path: tuple[str, ...]) -> Iterator[Diagnostic]:
        """In a stack that is somebody else's, a route may take what is not ours."""
        for number, route in enumerate(sandbox.routes):
            mark = self.place(*path, "routes", str(number)) or route.mark
            yield from self.inside("host_routes", f"a route to {route.to} there", route.to, mark)
        for gateway in sandbox.gateways:
            everything = ip_network("0.0.0.0/0" if gateway.version == 4 else "::/0")
            mark = self.place(*path, "endpoints", gateway.endpoint, "gateway_priority") or sandbox.mark
            yield from self.inside("host_routes", "a default route there", everything, mark)

    def sysctl(self, rule: str, setting: str, mark: Mark | None) -> Iterator[Diagnostic]:
        # As sysctl(8) writes it: a dot within the name of a link is a slash.
        name = setting.translate({ord("/"): ".", ord("."): "/"})
        yield from self.name(rule, "the kernel setting", name, mark)

    def endpoint(self, endpoint: Endpoint, rule: str, path: tuple[str, ...]) -> Iterator[Diagnostic]:
        for setting in endpoint.sysctls:
            yield from self.sysctl(rule, setting, self.place(*path, "sysctls") or endpoint.mark)
        for address in endpoint.addresses:
            mark = self.place(*path, "addresses") or endpoint.mark
            yield from self.inside("subnets", f"address {address}", ip_network(address.ip), mark)
        if endpoint.gateway_priority > (limit := self.policy.number("max_gateway_priority")):
            message = f"gateway_priority {endpoint.gateway_priority} is above {limit}, the most that the policy allows"
            mark = self.place(*path, "gateway_priority") or endpoint.mark
            yield self.refuse("max_gateway_priority", message, mark)
        if endpoint.impairment is not None and not self.policy.allows("impairments"):
            mark = self.place(*path, "impair") or endpoint.mark
            yield self.refuse("impairments", "the policy does not allow impairments", mark)
        yield from self.bandwidth(endpoint, path)

    def bandwidth(self, endpoint: Endpoint, path: tuple[str, ...]) -> Iterator[Diagnostic]:
        if self.rate is None:
            return
        shaped = endpoint.bandwidth
        for way, bucket in (
            ("egress", shaped.egress if shaped is not None else None),
            ("ingress", shaped.ingress if shaped is not None else None),
        ):
            if _exceeds(bucket, self.rate):
                message = f"the policy wants every endpoint limited, and {way} of '{endpoint.name}' is not, or not enough"
                mark = self.place(*path, "bandwidth", way) or endpoint.mark
                yield self.refuse("max_bandwidth", message, mark, (self.policy.rules["max_bandwidth"],))


def _exceeds(bucket: Bucket | None, rate: int) -> bool:
    return bucket is None or bucket.rate > rate


def matches(name: str, globs: Iterable[str]) -> bool:
    """Whether a name is one of those that the globs mean."""
    return any(fnmatchcase(name, glob) for glob in globs)


def _path_matches(path: str, glob: str) -> bool:
    """Part by part, so that no `*` and no `..` leads anywhere else."""
    parts, globs = path.split("/"), glob.split("/")
    if len(parts) != len(globs) or any(part in (".", "..") for part in parts):
        return False
    return all(fnmatchcase(part, each) for part, each in zip(parts, globs, strict=True))


def _within(prefix: _Prefix, ranges: Prefixes) -> bool:
    return any(prefix.version == each.version and prefix.subnet_of(each) for each in ranges)  # type: ignore[arg-type]
