"""`events`: what happened to a topology, and with `--follow` what happens.

Without `--follow`, JSON is one document like everywhere; with it there is no end, so it is one object a line.
"""

from __future__ import annotations

import json
import time
from argparse import Namespace
from collections.abc import Iterable
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from ..errors import Exit
from ..render import events as render
from ..waiting import places
from ..watch.eventlog import EventLog, Record
from ..watch.triggers import Triggers
from ..watch.watched import Desk
from . import named, times
from .console import Console

_SHOWN = 50
_LONG = 3600.0


def run(args: Namespace, console: Console) -> int:
    """The last events, or those since a time; following ends with a signal."""
    since = None if args.since is None else times.past(args.since, datetime.now(UTC))
    desk = named.desk(args, console)
    with EventLog(desk.events) as log:
        past = [one for one in log.past() if _wanted(one, args.address) and _recent(one, since)]
        number = args.number if args.number is not None else (len(past) if since else _SHOWN)
        past = past[len(past) - min(number, len(past)) :]
        if args.follow:
            return _follow(desk, log, past, args.address, console)
    if console.json:
        console.document({"topology": desk.topology, "events": past})
    elif past:
        console.result("".join(render.line(one, console.out) for one in past))
    else:
        console.notice(f"nothing is known to have happened to topology '{desk.topology}'\n")
    return Exit.OK


def _follow(desk: Desk, log: EventLog, past: Iterable[Record], address: str | None, console: Console) -> int:
    if console.json:
        console.result(json.dumps({"format_version": "1.0", "topology": desk.topology}) + "\n")
    _print(past, console)
    with Triggers() as triggers:
        while True:
            triggers.watch(places(desk))
            _print([one for one in log.news() if _wanted(one, address)], console)
            stop = triggers.wait(time.monotonic() + _LONG).stop
            if stop is not None:
                return 128 + stop


def _print(records: Iterable[Record], console: Console) -> None:
    for one in records:
        console.result(f"{json.dumps(one)}\n" if console.json else render.line(one, console.out))


def _wanted(one: Record, address: str | None) -> bool:
    return address is None or fnmatchcase(str(one.get("address")), address)


def _recent(one: Record, since: datetime | None) -> bool:
    try:
        return since is None or datetime.fromisoformat(one["time"]) >= since
    except (ValueError, TypeError):
        return False
