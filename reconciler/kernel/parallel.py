"""The same work for many things that do not depend on each other, by two threads. Used only inside `kernel`.

Python runs one thread at a time, but not while one of them is in the kernel, and making or removing a namespace is
hardly anything else: half a millisecond of the kernel's own work, or waiting for an RCU grace period that several can
share. A namespace is a property of the thread that entered it, so threads do not disturb each other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

_T = TypeVar("_T")
_R = TypeVar("_R")
_WORTH_IT = 8


def each(work: Callable[[_T], _R], items: Sequence[_T]) -> list[_R]:
    """What `work` returns for each item, in their order; `work` is called by two threads at once.

    An exception of `work` stops its thread's share and is raised when both threads have come to their end.
    """
    if len(items) < _WORTH_IT:
        return [work(item) for item in items]
    results: dict[int, _R] = {}
    errors: list[BaseException] = []

    def share(start: int) -> None:
        try:
            for index in range(start, len(items), 2):
                results[index] = work(items[index])
        except BaseException as error:  # noqa: BLE001  # of any thread, it is the caller's: raised below
            errors.append(error)

    other = threading.Thread(target=share, args=(1,))
    try:
        other.start()
    except RuntimeError:  # the limit of processes is reached: then alone
        share(1)
    share(0)
    if other.ident is not None:
        other.join()
    if errors:
        raise errors[0]
    return [results[index] for index in range(len(items))]
