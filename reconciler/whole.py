"""Files that are replaced whole or not at all: whoever reads one sees the old or the new, never a half.

For files that people name. What stays behind of a killed writer is a hidden file beside the target; the state directory
has writers of its own, whose leftovers have names that are known and removed.
"""

from __future__ import annotations

import os
from contextlib import suppress


def replace(
    path: str, content: bytes, mode: int, *, folder: int | None = None, lasting: bool = False
) -> None:
    """Put `content` in place of what is at `path`; a link there is replaced, not followed. Raises OSError.

    `mode` is subject to the umask. `folder` is an open directory that `path` is relative to. What is `lasting` is on the
    disk before it takes the place of what was there.
    """
    temporary = os.path.join(os.path.dirname(path), f".reconciler-{os.urandom(8).hex()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, mode, dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            if lasting:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        raise
