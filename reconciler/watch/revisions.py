"""What of a followed repository is on disk: our copy of it, the files of each commit in use, and which one is applied.

`.source-KEY/` in the state directory: `repository/` for git, `trees/COMMIT/` with the topology files, `applied.json`. The
last is replaced whole, which is the switch from one commit to the next. A link `source` in the topology's own directory
leads here, so that `destroy` takes everything along.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from .. import directories, whole
from ..errors import LockHeld, ReconcilerError
from ..state import SOURCE, SOURCES, Store
from .remote import Remote
from .repository import COMMIT


@dataclass(frozen=True, slots=True)
class Applied:
    """The commit that is kept applied. `since` is when it was taken over, `signer` who signed it if that was asked."""

    commit: str
    since: str
    url: str
    branch: str | None = None
    path: str | None = None
    signer: str | None = None


class Revisions:
    """The place of one remote repository in a state directory; made for one `with`, and gone with it if nothing came of it."""

    def __init__(self, state_dir: Path, remote: Remote) -> None:
        self.directory = state_dir / f"{SOURCES}{remote.key}"
        self._root, self._remote = state_dir, remote

    @contextmanager
    def occupied(self) -> Iterator[None]:
        """Be the one watch of it. Raises LockHeld when there is another."""
        with Store(self._root, "").usable():
            directories.make(self._root)
            self.directory.mkdir(exist_ok=True)
            self.directory.chmod(0o711)  # whatever the umask: git's user passes through
            self._trees.mkdir(mode=0o700, exist_ok=True)
            number = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(number)
            message = f"{self._remote.words} is followed already"
            raise LockHeld(message, hint="stop that watch first") from None
        try:
            yield
        finally:
            if not (self.directory / "applied.json").exists():
                shutil.rmtree(self.directory, ignore_errors=True)
                directories.unmake(self._root)
            os.close(number)

    @property
    def repository(self) -> Path:
        """Where git works."""
        return self.directory / "repository"

    def tree(self, commit: str) -> Path:
        """Where the files of a commit are, or belong."""
        return self._trees / commit

    def applied(self) -> Applied | None:
        """Raises ReconcilerError when it cannot be known: then nothing may be taken for its descendant."""
        path = self.directory / "applied.json"
        try:
            found = Applied(**json.loads(path.read_bytes()))
            if not COMMIT.fullmatch(found.commit):
                raise ValueError(f"{found.commit!r} is no commit")
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, RecursionError) as error:
            hint = "remove it, and the next commit is taken without being compared to the last one"
            raise ReconcilerError(f"{path} is damaged: {error}", hint=hint) from error
        return found

    def advance(self, store: Store, commit: str, since: str, signer: str | None) -> Applied:
        """From now on this commit is the applied one. Raises OSError, and then it is not."""
        remote = self._remote
        applied = Applied(commit, since, remote.shown, remote.branch, remote.path, signer)
        text = json.dumps(asdict(applied), indent=1) + "\n"
        whole.replace(str(self.directory / "applied.json"), text.encode(), 0o600, lasting=True)
        store.follows(self.directory.name)
        return applied

    def prune(self, keep: Collection[str | None]) -> None:
        """Remove the files of all other commits."""
        for name in os.listdir(self._trees):
            if name not in keep:
                shutil.rmtree(self._trees / name, ignore_errors=True)

    @property
    def _trees(self) -> Path:
        return self.directory / "trees"


def of(store: Store) -> Applied | None:
    """What a topology follows, None for one that does not, or of which that cannot be known."""
    with suppress(OSError, ReconcilerError, ValueError, TypeError, RecursionError):
        return Applied(**json.loads((store.directory / SOURCE / "applied.json").read_bytes()))
    return None
