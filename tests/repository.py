"""A Git repository inside a world, as somebody has it who pushes to what a watch follows; and keys to sign with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from tests.world import World

_WHO = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
_WHO |= {
    f"GIT_{role}_{what}": "somebody@example.org"
    for role in ("AUTHOR", "COMMITTER")
    for what in ("NAME", "EMAIL")
}


class Repository:
    """At `path`, with the branch main checked out."""

    def __init__(self, world: World, path: Path | None = None, *, objects: str = "sha1") -> None:
        self.world, self.path = world, path or world.root / "repository"
        kind = f"--object-format={objects}"
        world.run("git", "init", "--quiet", "--initial-branch=main", kind, self.path, env=_WHO)

    def git(self, *args: str | Path, input: str | None = None) -> str:
        """What git prints."""
        return self.world.run("git", "-C", self.path, *args, env=_WHO, input=input).stdout.strip()

    def put(self, files: Mapping[str, object]) -> None:
        """Write files and stage them; what is no text is written as JSON."""
        for name, content in files.items():
            text = content if isinstance(content, str) else json.dumps(content)
            self.world.call(self._put, self.path / name, text)
        self.git("add", "--all")

    def commit(self, files: Mapping[str, object] | None = None, *, key: Path | None = None) -> str:
        """Commit what is staged and these files; its number."""
        self.put(files or {})
        sign = () if key is None else ("-c", "gpg.format=ssh", "-c", f"user.signingKey={key}")
        self.git(
            *sign, "commit", "--quiet", "--allow-empty", "-m", "change", *(() if key is None else ("-S",))
        )
        return self.git("rev-parse", "HEAD")

    def rewind(self, commit: str) -> None:
        """As a forced push does."""
        self.git("reset", "--quiet", "--hard", commit)

    @staticmethod
    def _put(path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def new_key(world: World, name: str) -> Path:
    """A new key pair for signing; the path of the private half."""
    path = world.write(f"{name}.key", "")
    world.run("rm", path)
    world.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path)
    return path


def allowed(world: World, *keys: Path) -> Path:
    """A file of allowed signers with these."""
    lines = [f"{key.stem}@example.org {world.call(key.with_suffix('.key.pub').read_text)}" for key in keys]
    return world.write("allowed-signers", "".join(lines))
