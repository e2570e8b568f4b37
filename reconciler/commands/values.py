"""What the value of a flag may be. Imports argparse only, like `arguments`, and for the same reason."""

from __future__ import annotations

import argparse
import re

TYPE_CHECKING = False  # see arguments
if TYPE_CHECKING:
    from datetime import timedelta

# By errors.Exit; only "changes are pending" can have another number.
_TAKEN = (0, 1, 2, 3, 5, 6, 7, 8, 130, 143)


def exit_code(text: str) -> int:
    """A number that does not mean something else already. Raises ArgumentTypeError."""
    if not text.isdecimal() or not 0 <= int(text) <= 255:
        raise argparse.ArgumentTypeError(f"'{text}' is no exit code: a number from 4 to 255 is needed")
    if int(text) in _TAKEN:
        raise argparse.ArgumentTypeError(f"exit code {int(text)} means something else already")
    return int(text)


def count(text: str) -> int:
    """How many. Raises ArgumentTypeError."""
    if not re.fullmatch("[0-9]{1,9}", text):
        raise argparse.ArgumentTypeError(f"'{text}' is no number: one from 0 is needed")
    return int(text)


def seconds(text: str) -> float:
    """A time in seconds; the unit may be added. Raises ArgumentTypeError."""
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?s?", text):
        raise argparse.ArgumentTypeError(f"'{text}' is no time: a number of seconds is needed")
    return float(text.removesuffix("s"))


def span(text: str) -> timedelta:
    """A length of time as people write it. Raises ArgumentTypeError."""
    from ..errors import UsageError
    from .times import span as read

    try:
        return read(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(f"{error}: {error.hint}") from error
