"""`lock`: deal every address that the files leave open, and keep it in a file that is committed with them.

Like `validate` it needs no privilege and no kernel, so the answer is the same on every machine. What the lock file
holds stays as long as it fits; else what this machine has applied before, so that the first `lock` renumbers nothing.
"""

from __future__ import annotations

from argparse import Namespace
from contextlib import suppress

from .. import lockfile, resolve, whole
from ..errors import Exit, Unsupported, UsageError
from ..lockfile import Locked
from ..model import Leases
from ..render import locked as render
from ..render.locked import LockView
from ..state import Store
from .console import Console
from .inputs import inputs, state_dir


def run(args: Namespace, console: Console) -> int:
    """Write the lock file where it is not up to date; with `--check` only tell, and exit with 4."""
    named = inputs(args)
    locked = lockfile.load(named.paths, named.overrides)
    if locked.path is None:
        raise UsageError(
            "files from standard input have no lock file", hint="name the topology's files or their directory"
        )
    wanted = _wanted(locked, Store(state_dir(args), locked.expanded.name))
    differences = tuple(lockfile.differences(locked.lock, wanted))
    text = lockfile.render(wanted, locked.expanded.name)
    if not args.check and text != locked.text and (wanted or locked.text is not None):
        _write(locked.path, text)
    view = LockView(
        locked.expanded.name, locked.path, len(wanted), differences, f"lock {locked.arguments}", args.check
    )
    if console.json:
        console.document(render.document(view))
    elif differences and args.check:
        console.result(render.text(view))
    else:
        console.success(render.text(view))
    return Exit.PENDING if differences and args.check else Exit.OK


def _wanted(locked: Locked, store: Store) -> lockfile.Lock:
    expanded, remembered = locked.expanded, Leases()
    with suppress(Unsupported):  # another user's state: what is locked does not depend on it
        remembered = store.leases()
    topology, leases = resolve.resolve(
        expanded.tree,
        name_mark=expanded.name_mark,
        files=expanded.files,
        leases=lockfile.prefer(locked.lock.leases, remembered),
        vnis=locked.lock.vnis,
    )
    return lockfile.needed(leases, topology)


def _write(path: str, text: str) -> None:
    """Replace the file whole or not at all."""
    try:
        whole.replace(path, text.encode(), 0o666)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
