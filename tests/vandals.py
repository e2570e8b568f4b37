"""What others do to a machine behind our back, as data, for the fake kernel and for the real one.

    {delete: link|address|route|netns, in: NETNS, …}        {set: link, in: NETNS, name: N, mtu|mac|up|master|stp|mode: V}
    {add: link|altname|address|route|netns, in: NETNS, …}   {write: PATH, in: NETNS, value: V}
    {add|set|delete: fdb, link: L, mac: M, dst: D}          {add|set|delete: neighbour, link: L, address: A, mac: M}

    {add|set: qdisc, link: L, handle: H, tc: WORDS, values: {…}}    the discipline at the root, in tc's words and in ours
    {delete: qdisc, link: L}

`in` is a namespace, absent for the host. A link is `name` and `type` (bridge, veth, vlan with `parent` and `id`, or
ipvlan with `parent` and `mode`), an address `link` and `address`, a route `to`, `via` and `proto`.
A forwarding entry without `dst` is one of the bridge
that the link is a port of; one with `learned: true` comes from another daemon, which the fake kernel does not have.
A link of type vxlan has `vni` and `local`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reconciler.objects import (
    HOST,
    ROOT,
    Address,
    Bridge,
    FdbEntry,
    Ipvlan,
    Link,
    LinkRef,
    Macvlan,
    Neighbour,
    Netns,
    Qdisc,
    Route,
    Sysctl,
    Veth,
    Vlan,
    Vxlan,
)

if TYPE_CHECKING:
    from tests.fake import FakeKernel
    from tests.world import World

Step = Mapping[str, Any]
METRIC = {4: "0", 6: "1024"}


def on_fake(kernel: FakeKernel, step: Step) -> None:
    """Do one step to the fake kernel."""
    where = step.get("in", HOST)
    match step:
        case {"delete": "link", "name": name}:
            kernel.delete(("link", where, name))
        case {"delete": "address", "link": link, "address": address}:
            kernel.delete(("address", where, link, address))
        case {"delete": "route", "to": to}:
            metric = METRIC[6 if ":" in to else 4]
            key = ("route", where, to, "254", str(step.get("metric", metric)))
            kernel.delete(key) if key in kernel.objects else kernel.cut_off(where, to, step.get("dev"))
        case {"delete": "qdisc", "link": link}:
            kernel.delete(("qdisc", where, link, ROOT))
        case {"add": "qdisc", "link": link} | {"set": "qdisc", "link": link}:
            kind, values = step["tc"].split()[0], dict(step.get("values", {}))
            values["further"] = tuple(values.get("further", ()))
            there = kernel.objects.get(("qdisc", where, link, ROOT))
            if isinstance(there, Qdisc) and there.handle != step["handle"]:
                kernel.delete(there.key)
            kernel.put(
                Qdisc(netns=where, link=link, place=ROOT, handle=step["handle"], discipline=kind, **values)
            )
        case {"delete": "netns", "name": name}:
            kernel.delete(("netns", name))
        case {"delete": "fdb"}:
            kernel.delete(_forwarding(step).key)
        case {"delete": "neighbour", "link": link, "address": address}:
            kernel.delete(("neighbour", where, link, address))
        case {"add": "fdb"} | {"set": "fdb"} if not step.get("learned"):
            kernel.put(_forwarding(step))
        case {"add": "fdb"}:
            pass
        case {"add": "neighbour", "link": link, "address": address, "mac": mac} | {
            "set": "neighbour",
            "link": link,
            "address": address,
            "mac": mac,
        }:
            kernel.put(Neighbour(netns=where, link=link, address=address, mac=mac))
        case {"add": "link", "name": name, "type": "vxlan", "vni": vni, "local": local}:
            kernel.put(
                Link(
                    netns=where, name=name, kind=Vxlan(vni=vni, local=local, udp_port=step.get("port", 4789))
                )
            )
        case {"set": "link", "name": name}:
            link = kernel.objects["link", where, name]
            assert isinstance(link, Link)
            kernel.objects[link.key] = _changed(link, step)
            kernel.fit_ipv6(_changed(link, step))
            kernel.share_mode(_changed(link, step))
            kernel.fit_neighbours(_changed(link, step))
        case {"add": "link", "name": name, "type": "bridge"}:
            kernel.put(Link(netns=where, name=name, kind=Bridge()))
        case {"add": "link", "name": name, "type": "veth", "peer": peer}:
            kernel.put(
                Link(netns=where, name=name, kind=Veth(peer=LinkRef(where, peer)), master=step.get("master"))
            )
        case {"add": "link", "name": name, "type": "vlan", "parent": parent, "id": number}:
            tagged = Vlan(parent=LinkRef(where, parent), id=number, protocol="802.1Q")
            kernel.put(Link(netns=where, name=name, kind=tagged))
        case {"add": "link", "name": name, "type": "ipvlan", "parent": parent, "mode": mode}:
            kind = Ipvlan(parent=LinkRef(where, parent), mode=mode, flag="bridge")
            kernel.put(Link(netns=where, name=name, kind=kind))
        case {"add": "altname", "name": name, "altname": altname}:
            held = kernel.objects["link", where, name]
            assert isinstance(held, Link)
            kernel.objects[held.key] = replace(held, altnames=(*(held.altnames or ()), altname))
        case {"add": "address", "link": link, "address": address}:
            kernel.put(Address(netns=where, link=link, address=address))
        case {"add": "route", "to": to, "via": via, "dev": dev}:
            priority = 1024 if ":" in to else 0
            kernel.put(Route(netns=where, to=to, metric=priority, type="unicast", via=via, dev=dev))
        case {"add": "netns", "name": name}:
            for reference in (name, f"/run/netns/{name}"):  # a file may name it either way
                kernel.put(Netns(netns=reference, up=False))
        case {"write": path, "value": value}:
            for reference in (where, f"/run/netns/{where}"):
                if reference == where or ("netns", reference) in kernel.objects:
                    kernel.put(Sysctl(netns=reference, path=path, value=str(value)))
        case _:
            raise AssertionError(f"no such vandal: {step}")


def _changed(link: Link, step: Step) -> Link:
    values = {name: step[name] for name in ("mtu", "mac", "up", "master", "group") if name in step}
    if "learning" in step:
        assert isinstance(link.kind, Vxlan)
        link = replace(link, kind=replace(link.kind, learning=step["learning"]))
    link = replace(link, **values)
    if isinstance(link.kind, Macvlan | Ipvlan) and "mode" in step:
        link = replace(link, kind=replace(link.kind, mode=step["mode"]))
    if "stp" in step:
        assert isinstance(link.kind, Bridge)
        link = replace(link, kind=replace(link.kind, stp=step["stp"]))
    for name in ("isolated", "hairpin", "learn", "flood"):
        if name in step:
            assert link.port is not None
            link = replace(link, port=replace(link.port, **{name: step[name]}))
    if step.get("master", "") is None:
        link = replace(link, port=None)
    return link


def _forwarding(step: Step) -> FdbEntry:
    dst = step.get("dst")
    sticky = None if dst else bool(step.get("sticky"))
    return FdbEntry(
        netns=HOST, link=step["link"], mac=step["mac"], dst=dst, of_bridge=dst is None, sticky=sticky
    )


def on_world(world: World, step: Step) -> None:
    """Do one step to the real kernel, with the field's own tools."""
    where = step.get("in")

    def run(*argv: Any) -> None:
        world.run("ip", *map(str, argv), netns=where)

    match step:
        case {"delete": "link", "name": name}:
            run("link", "del", name)
        case {"delete": "address", "link": link, "address": address}:
            run("addr", "del", address, "dev", link)
        case {"delete": "route", "to": to}:
            on_link = ("dev", step["dev"]) if "dev" in step else ()
            run("-6" if ":" in to else "-4", "route", "del", to, *on_link)
        case {"delete": "qdisc", "link": link}:
            world.run("tc", "qdisc", "del", "dev", link, "root", netns=where)
        case {"add": "qdisc", "link": link} | {"set": "qdisc", "link": link}:
            words = ("root", "handle", step["handle"], *step["tc"].split())
            world.run("tc", "qdisc", "replace", "dev", link, *words, netns=where)
        case {"delete": "netns", "name": name}:
            _delete_netns(world, name)
        case {"add": "fdb"} | {"set": "fdb"} | {"delete": "fdb"}:
            world.run("bridge", "fdb", *map(str, _fdb_words(step)))
        case {"delete": "neighbour", "link": link, "address": address}:
            run("neigh", "del", address, "dev", link)
        case {"add": "neighbour", "link": link, "address": address, "mac": mac} | {
            "set": "neighbour",
            "link": link,
            "address": address,
            "mac": mac,
        }:
            run("neigh", "replace", address, "lladdr", mac, "dev", link, "nud", "permanent")
        case {"add": "link", "name": name, "type": "vxlan", "vni": vni, "local": local}:
            port = step.get("port", 4789)
            run("link", "add", name, "type", "vxlan", "id", vni, "local", local, "dstport", port)
        case {"set": "link", "name": name}:
            for words in _set_words(step):
                run("link", "set", "dev", name, *words)
        case {"add": "link", "name": name, "type": "bridge"}:
            # With a MAC of its own: otherwise it takes that of a port, and has none when the last port leaves.
            run("link", "add", "name", name, "address", "02:b0:b0:b0:b0:b0", "type", "bridge")
        case {"add": "link", "name": name, "type": "veth", "peer": peer}:
            run("link", "add", "name", name, "type", "veth", "peer", "name", peer)
            if "master" in step:
                run("link", "set", "dev", name, "master", step["master"])
        case {"add": "link", "name": name, "type": "vlan", "parent": parent, "id": number}:
            run("link", "add", "link", parent, "name", name, "type", "vlan", "id", number)
        case {"add": "link", "name": name, "type": "ipvlan", "parent": parent, "mode": mode}:
            run("link", "add", "link", parent, "name", name, "type", "ipvlan", "mode", mode)
        case {"add": "altname", "name": name, "altname": altname}:
            run("link", "property", "add", "dev", name, "altname", altname)
        case {"add": "address", "link": link, "address": address}:
            run("addr", "add", address, "dev", link)
        case {"add": "route", "to": to, "via": via, "dev": dev}:
            run("route", "add", to, "via", via, "dev", dev)
        case {"add": "netns", "name": name}:
            world.run("ip", "netns", "add", name)
        case {"write": path, "value": value}:
            world.run("sysctl", "-qw", f"{path}={value}", netns=where)
        case _:
            raise AssertionError(f"no such vandal: {step}")


def _fdb_words(step: Step) -> Iterator[Any]:
    command = "del" if "delete" in step else "replace" if "set" in step else "append"
    yield from (command, step["mac"], "dev", step["link"])
    if "dst" not in step:
        yield from ("master", *(("static",) if "delete" not in step else ()))
        return
    yield from ("dst", step["dst"])
    if step.get("learned"):
        yield "extern_learn"


def _set_words(step: Step) -> list[tuple[Any, ...]]:
    words: list[tuple[Any, ...]] = []
    for name, value in step.items():
        match name, value:
            case "mtu" | "group", _:
                words.append((name, value))
            case "mac", _:
                words.append(("address", value))
            case "up", _:
                words.append(("up" if value else "down",))
            case "master", None:
                words.append(("nomaster",))
            case "master", _:
                words.append(("master", value))
            case "mode", _:
                words.append(("type", step["kind"], "mode", value))
            case "stp", _:
                words.append(("type", "bridge", "stp_state", int(value)))
            case (("isolated" | "hairpin" | "learn" | "flood"), _):
                option = "learning" if name == "learn" else name
                words.append(("type", "bridge_slave", option, "on" if value else "off"))
            case "learning", _:
                words.append(("type", "vxlan", "learning" if value else "nolearning"))
    return words


def _delete_netns(world: World, name: str) -> None:
    """Returns when the other ends of what was in it are gone too: the kernel takes a namespace down in its own time."""
    ends = [
        (where, link["ifindex"])
        for where in ("", *world.netns())
        if where != name and (number := world.nsid(where, name)) is not None
        for link in _links(world, where)
        if link.get("link_netnsid") == number
    ]
    deadline = time.monotonic() + 10
    with world.monitor() as monitor:
        world.run("ip", "netns", "del", name)
        while left := [end for end in ends if end[1] in {link["ifindex"] for link in _links(world, end[0])}]:
            assert time.monotonic() < deadline, f"still there: {left}"
            monitor.wait(0.1)
            monitor.events()


def _links(world: World, where: str) -> list[dict[str, Any]]:
    return world.netns_ip(where, "link") if where else world.ip("link")  # type: ignore[no-any-return]
