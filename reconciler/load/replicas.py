"""`replicas: 3` into three sandboxes: {n} in any text is the number, addresses and MACs without {n} step. Pure.

A replica shares with its template, and with its siblings, every part that does not depend on the number; its marks are
the template's, so an error in a replica points at the line that a person wrote.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address

from ..errors import Diagnostic, Mark
from .tree import UNKNOWN, Map, Seq

_NUMBER = re.compile(r"\{n(?:\+([0-9]{1,6}))?\}")
_ATTEMPT = re.compile(r"\{ *n *[^A-Za-z_}][^}]*\}|\{ +n *\}|\{n +\}")
_MAC = re.compile(r"[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5}")


class NotExpandable(Exception):  # carries a diagnostic to `expand`, never reaches a user
    """A value of a template makes no sense for one of its numbers."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


def replica(template: Map, n: int) -> Map:
    """The n-th copy of a canonical sandbox, counted from 1. Raises NotExpandable."""
    changed: dict[str, object] = {}
    for key, value in template.items():
        if key == "endpoints" and isinstance(value, Map):
            changed[key] = _with(value, {name: _endpoint(item, n) for name, item in value.items()})
        else:
            changed[key] = _value(value, n, template.value_mark(key))
    return _with(template, changed)


def depends_on_number(sandbox: Map) -> bool:
    """Whether copies of a canonical sandbox differ at all."""
    endpoints = sandbox.get("endpoints")
    if isinstance(endpoints, Map):
        for endpoint in endpoints.values():
            if isinstance(endpoint, Map) and (endpoint.get("addresses") or "mac" in endpoint):
                return True
    return mentions_number(sandbox)


def mentions_number(value: object) -> bool:
    """Whether any text in a value has a {n…} in it."""
    match value:
        case str():
            return "{n" in value or "{ " in value
        case Map():
            return any(map(mentions_number, value.values()))
        case Seq():
            return any(map(mentions_number, value))
    return False


def stray_numbers(sandbox: Map) -> Iterator[Diagnostic]:
    """{n} in an address, MAC or path of a canonical sandbox without replicas: surely meant, and surely wrong."""
    if not mentions_number(sandbox):
        return
    endpoints, routes = sandbox["endpoints"], sandbox["routes"]
    assert isinstance(endpoints, Map)
    assert isinstance(routes, Seq)
    places = [(sandbox, "netns"), (sandbox, "host")]
    places += [
        (item, key)
        for item in endpoints.values()
        if isinstance(item, Map)
        for key in ("mac", "addresses", "bandwidth", "impair")
    ]
    places += [(item, key) for item in routes if isinstance(item, Map) for key in ("to", "via", "src")]
    for data, key in places:
        if mentions_number(data.get(key)):
            message = f"'{key}' has a {{n}}, and the sandbox has no replicas"
            hint = "add 'replicas: …' or write the value out"
            yield Diagnostic("replicas", message, data.value_mark(key), hint)


def _endpoint(value: object, n: int) -> object:
    if value is UNKNOWN:
        return value
    assert isinstance(value, Map)
    changed: dict[str, object] = {}
    for key, item in value.items():
        mark = value.value_mark(key)
        if key == "addresses" and isinstance(item, Seq):
            places = zip(item, item.marks, strict=True)
            changed[key] = _list(item, [_address(address, n, place) for address, place in places])
        elif key == "mac" and item is not UNKNOWN:
            changed[key] = _mac(str(item), n, mark)
        else:
            changed[key] = _value(item, n, mark)
    return _with(value, changed)


def _value(value: object, n: int, mark: Mark) -> object:
    match value:
        case str() if "{" in value:
            return _numbered(value, n, mark)
        case Map():
            return _with(value, {key: _value(item, n, value.value_mark(key)) for key, item in value.items()})
        case Seq():
            places = zip(value, value.marks, strict=True)
            return _list(value, [_value(item, n, place) for item, place in places])
    return value


def _with(data: Map, changed: dict[str, object]) -> Map:
    """`data` itself when nothing changed, otherwise a copy of this level; the places are shared."""
    if all(new is data[key] for key, new in changed.items()):
        return data
    result = Map(data.mark)
    result.update(changed)
    result.marks = data.marks
    return result


def _list(data: Seq, items: list[object]) -> Seq:
    """`data` itself when no item changed, otherwise the new items at the old places."""
    if all(new is old for new, old in zip(items, data, strict=True)):
        return data
    result = Seq(data.mark)
    result.extend(items)
    result.marks = data.marks
    return result


def _numbered(text: str, n: int, mark: Mark) -> str:
    if attempt := _ATTEMPT.search(_NUMBER.sub("", text)):
        raise NotExpandable(_bad(f"'{attempt[0]}' is not understood", mark, "write {n} or {n+10}"))
    return _NUMBER.sub(lambda match: str(n + int(match[1] or 0)), text)


def _address(value: object, n: int, mark: Mark) -> object:
    """Without {n}, the first replica has what is written and each further one the next address."""
    if value is UNKNOWN:
        return value
    if isinstance(value, int):
        return value + n - 1
    text = str(value)
    if "{" in text:
        return _numbered(text, n, mark)
    if n == 1:
        return value
    address, slash, prefix = text.partition("/")
    try:
        first = ip_address(address)
    except ValueError:
        raise NotExpandable(Diagnostic("bad-value", f"'{text}' is not an address", mark)) from None
    try:
        return f"{first + (n - 1)}{slash}{prefix}"
    except ValueError:
        raise NotExpandable(_bad(f"'{text}' has no address {n - 1} steps further", mark)) from None


def _mac(text: str, n: int, mark: Mark) -> str:
    if "{" in text:
        numbered = _numbered(text, n, mark)
        if not _MAC.fullmatch(numbered):
            hint = "leave {n} out and the MAC address steps by itself"
            raise NotExpandable(_bad(f"number {n} makes '{numbered}', which is no MAC address", mark, hint))
        return numbered
    if n == 1:
        return text
    number = int(text.replace(":", ""), 16) + n - 1
    if number >= 1 << 48:
        raise NotExpandable(_bad(f"'{text}' has no MAC address {n - 1} steps further", mark))
    return number.to_bytes(6, "big").hex(":")


def _bad(message: str, mark: Mark, hint: str | None = None) -> Diagnostic:
    return Diagnostic("replicas", message, mark, hint)
