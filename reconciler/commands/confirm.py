"""`confirm`: keep what an `apply --confirm` made, or with `--revert` take it back without waiting for the time-out."""

from __future__ import annotations

from argparse import Namespace

from .. import confirmation, sentry
from ..errors import Exit, ReconcilerError, Refused
from ..happened import Event
from ..kernel.linux import Linux
from ..state import Store
from . import named
from .console import Console


def run(args: Namespace, console: Console) -> int:
    """Decide; exit code 5 when there is nothing to decide, or the time is over and it was taken back."""
    desk = named.desk(args, console)
    store = desk.store
    with store.lock():
        pending = confirmation.pending(store)
        if pending is None:
            raise Refused(f"no apply of topology '{store.topology}' waits to be confirmed")
        late = pending.left <= 0 and not args.revert
        reverted = late or args.revert
        sitting = confirmation.guardian(store)
        if reverted:
            _take_back(store)
        else:
            confirmation.settle(store)
        sentry.tell(sitting, confirmed=not reverted)
        if store.directory.is_dir():
            kind = "reverted" if reverted else "confirmed"
            words = "what was before is back" if reverted else "what was applied stays"
            desk.note(Event(kind, words))
    _report(store, console, late=late, reverted=reverted)
    return Exit.REFUSED if late else Exit.OK


def _take_back(store: Store) -> None:
    confirmation.revert(store, Linux(store))
    if confirmation.pending(store) is not None:
        raise ReconcilerError(
            f"not everything of topology '{store.topology}' could be taken back",
            hint="`reconciler apply` of what shall be there; `reconciler plan` shows what is in the way",
        )


def _report(store: Store, console: Console, *, late: bool, reverted: bool) -> None:
    words = (
        "Taken back: what was before is there again." if reverted else "Confirmed: what was applied stays."
    )
    if late:
        words = f"Too late to confirm. {words}"
    if console.json:
        console.document({"topology": store.topology, "confirmed": not reverted, "late": late})
    elif late:
        console.problem(f"{words}\n")
    else:
        console.success(f"{words}\n")
