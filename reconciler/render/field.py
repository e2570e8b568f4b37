"""The documentation of one field of the topology file, as text. Pure."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from .style import Style, safe

if TYPE_CHECKING:
    from ..load.schema import FieldDoc


def text(doc: FieldDoc, style: Style) -> str:
    """Name and type, the description, what is allowed, and the fields below with a sentence each; driver by driver."""
    return "\n".join(_one(each, style) for each in (doc, *doc.others))


def _one(doc: FieldDoc, style: Style) -> str:
    title = style.paint(safe(doc.path) or "the topology file", "bold")
    whose = f"  (driver {', '.join(safe(name) for name in doc.drivers)})" if doc.drivers else ""
    lines = [f"{title}  {doc.type}{whose}"]
    if doc.not_yet:
        lines.append("  not realised by this version")
    lines += textwrap.wrap(doc.description, style.width - 2, initial_indent="  ", subsequent_indent="  ")
    facts = (
        ("default", doc.default),
        ("one of", ", ".join(doc.allowed)),
        ("limits", doc.limits),
        ("required", ", ".join(doc.required)),
        ("for example", "; ".join(doc.examples)),
    )
    known = [f"  {label}: {value}" for label, value in facts if value]
    lines += ["", *known] if known else []
    if doc.children:
        width = max(len(name) for name, _ in doc.children)
        lines += ["", "  fields:"]
        lines += [f"    {name:<{width}}  {sentence}".rstrip() for name, sentence in doc.children]
    return "\n".join(lines) + "\n"
