"""Anything that was refused, as text: what happened, why, what to do. Pure."""

from __future__ import annotations

from ..errors import DeadlineExceeded, KernelError, ReconcilerError, Refused, Unsupported
from .style import Style, safe


def text(error: ReconcilerError, style: Style) -> str:
    """`error: …`, one line for each reason, then the hint."""
    lines = [f"{style.paint('error:', 'red')} {safe(error.message)}"]
    if isinstance(error, DeadlineExceeded | Refused | Unsupported):
        lines += [f"  {safe(reason)}" for reason in error.reasons]
    if isinstance(error, KernelError) and error.detail and error.detail not in error.message:
        lines.append(f"  the kernel says: {safe(error.detail)}")
    if error.hint:
        lines.append(f"  {safe(error.hint)}")
    return "\n".join(lines) + "\n"
