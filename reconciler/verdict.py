"""What became of each check of a topology: the answer of `verify`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .errors import Exit
from .model import Check


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a check holds, in words what was seen, and after how many seconds.

    `absent`: it could not be tried, for a sandbox does not exist.
    """

    check: Check
    holds: bool
    words: str
    seconds: float
    absent: bool = False


def exit_code(verdicts: Iterable[Verdict]) -> Exit:
    """OK when all hold, TIMEOUT when nothing speaks against one but that it could not be tried yet, else FAILED."""
    failed = [verdict for verdict in verdicts if not verdict.holds]
    if not failed:
        return Exit.OK
    return Exit.TIMEOUT if all(verdict.absent for verdict in failed) else Exit.FAILED
