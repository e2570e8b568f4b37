"""A driver from another distribution, held to what the built-in ones are trusted for. Pure, as far as the driver is.

Whatever it returns is checked before anybody plans with it: it may only ask for objects in the host and in the sandbox
at hand, and its links must carry the mark of this topology, or nobody would find them again. What it raises is told as
its own failure, with the place in its code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from .. import marks, serial
from ..errors import PluginError
from ..model import Network
from ..objects import HOST, Link, Netns
from ..plugins import Plugin
from ..sides import Declared, Requirement
from .contract import Item, Member, Site, network_origin


class PluggedDriver:
    """The driver of a plug-in."""

    def __init__(self, plugin: Plugin) -> None:
        self.name = plugin.name
        self._plugin = plugin

    def network(self, site: Site, network: Network) -> Iterable[Item]:
        """What the plug-in says that the network needs, checked."""
        origin = network_origin(network)
        return self._checked(site, origin, HOST, lambda: self._plugin.driver.network(site, network))

    def endpoint(self, site: Site, network: Network, member: Member) -> Iterable[Item]:
        """What the plug-in says that the endpoint needs, checked."""
        driver, netns = self._plugin.driver, member.netns
        return self._checked(site, member.origin, netns, lambda: driver.endpoint(site, network, member))

    def _checked(self, site: Site, origin: str, netns: str, make: Callable[[], Iterable[Item]]) -> list[Item]:
        items = self._plugin.call(lambda: list(make()))
        for item in items:
            if problem := _problem(item, site, origin, netns):
                raise PluginError(f"{self._plugin} asks for what it may not, for {origin}: {problem}")
        return items


def _problem(item: object, site: Site, origin: str, netns: str) -> str | None:
    match item:
        case Requirement(origin=claimed):
            return None if claimed == origin else f"a requirement of {claimed!r}"
        case Declared(object=obj, origin=claimed):
            if claimed != origin:
                return f"an object of {claimed!r}"
            if isinstance(obj, Netns):
                return "a namespace; those are made for it"
            if obj.netns not in (HOST, netns):
                return f"something in '{obj.netns}'"
            if isinstance(obj, Link) and marks.owner(obj.alias) != marks.Owner(site.owner.topology, origin):
                return f"link '{obj.name}' without the mark of its owner (site.owner.alias)"
            return next(_unsound(item), None)
        case other:
            return f"a {type(other).__name__}"


def _unsound(item: Declared) -> Iterator[str]:
    try:
        serial.check_desired(serial.from_data(serial.to_data(item.object)))
    except ValueError as error:
        yield str(error)
