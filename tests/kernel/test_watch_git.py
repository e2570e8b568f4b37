"""A watch that follows a Git repository: what is pushed there is in the kernel, and what is not to be followed changes nothing."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.repository import Repository, allowed, new_key
from tests.watching import PATIENCE, Watching, following
from tests.world import ROOT, World

LAB: dict[str, Any] = {"name": "lab", "networks": {"front": {"subnets": ["10.10.0.0/24"]}}}


def lab(*names: str, **more: object) -> dict[str, Any]:
    """The lab with these sandboxes, each with an endpoint."""
    return {**LAB, **more, "sandboxes": {name: {"endpoints": {"eth0": "front"}} for name in names}}


def files(*names: str, **more: object) -> dict[str, object]:
    """That as the only file of a repository."""
    return {"topologies/lab.yaml": lab(*names, **more)}


def fetch(watch: Watching) -> None:
    """Have it look at the repository now."""
    watch.signal(signal.SIGHUP)


def applied(watch: Watching, commit: str) -> None:
    """Waits until it is what the watch says that it keeps applied, and all is well."""
    watch.until(lambda event: event["kind"] == "files" and commit in event["message"])
    says(watch, commit=commit, refused=None)
    watch.reports("trouble", {})


def says(watch: Watching, **wanted: str | None) -> None:
    """Waits until this is what the watch says of the repository."""
    deadline = time.monotonic() + PATIENCE
    while not wanted.items() <= (found := watch.report()["following"]).items():
        assert time.monotonic() < deadline, found
        time.sleep(0.01)


def refused(watch: Watching, commit: str, why: str) -> None:
    """Fetches and waits until it is said that this commit is refused, in these words; the namespaces are as before."""
    before, kept = watch.world.netns(), watch.report()["following"]["commit"]
    fetch(watch)
    message = watch.kind("mistake")["message"]
    assert f"commit {commit[:12]} is refused: " in message
    assert why in message
    says(watch, commit=kept, refused=commit)
    assert watch.world.netns() == before


@pytest.fixture
def repository(world: World) -> Iterator[Repository]:
    """One to push to. When the test is over, everything that the watch had for it is gone."""
    yield Repository(world)
    world.reconciler("destroy", "--name", "lab", "--yes")
    assert not world.call(world.state_dir.exists)
    assert processes(world) == []


def processes(world: World) -> list[str]:
    """The command lines of programs that git started for the watch, or that those started."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            variables = (process / "environ").read_bytes()
            command = (process / "cmdline").read_bytes()
        except OSError:  # it ended
            continue
        theirs = b"GIT_CONFIG_GLOBAL=/proc/self/fd/" in variables
        if theirs and str(world.root).encode() in variables + command:
            found.append(command.replace(b"\0", b" ").decode())
    return found


def test_what_is_pushed_is_applied(world: World, repository: Repository) -> None:
    """A push is in the kernel, garbage is not, the next good one is; history, events and status say which commit."""
    first = repository.commit(files("a"))
    with following(world, "lab", repository.path) as watch:
        assert watch.report()["following"]["commit"] == first
        assert world.netns() == ["lab.a"]

        second = repository.commit(files("a", "b"))
        fetch(watch)
        applied(watch, second)
        assert [link["ifname"] for link in world.netns_ip("lab.b", "link") if link["ifname"] != "lo"] == [
            "eth0"
        ]
        assert world.ping("lab.b", "10.10.0.1")

        garbage = repository.commit({"topologies/lab.yaml": "name: ["})
        refused(watch, garbage, "topologies/lab.yaml:2:1")
        nothing = repository.commit(files())
        refused(watch, nothing, "more than half")

        repository.commit({"README": "of no interest"})
        third = repository.commit(files("a", "b", "c"))
        fetch(watch)
        applied(watch, third)
        assert world.netns() == ["lab.a", "lab.b", "lab.c"]

        status = world.reconciler("status", "--name", "lab", "-o", "json").json()
        assert status["watch"]["following"] == watch.report()["following"]
        said = world.reconciler("status", "--name", "lab").stdout
        assert f"Follows {repository.path} (its default branch): commit {third[:12]}" in said
        runs = world.reconciler("history", "--name", "lab", "-o", "json").json()["runs"]
        assert [run["revision"] for run in runs] == [first, second, third]
        assert third[:12] in world.reconciler("history", "--name", "lab").stdout
        events = world.reconciler("events", "--name", "lab", "-o", "json", "--address", "sandbox/c").stdout
        assert third in events


def test_a_policy_is_held_against_each_commit(world: World, repository: Repository) -> None:
    """What the policy of this machine does not allow is refused; once it does, the same commit is taken."""
    repository.commit(files("a"))
    policy = world.write("policy.yaml", "max_sandboxes: 1")
    with following(world, "lab", repository.path, "--policy", str(policy)) as watch:
        second = repository.commit(files("a", "b"))
        refused(watch, second, "the policy allows 1")
        world.write("policy.yaml", "max_sandboxes: 2")
        applied(watch, second)


def test_history_that_was_rewritten(world: World, repository: Repository) -> None:
    """A commit that does not descend from the applied one is refused, also after a start, until somebody accepts it by
    its number; which is good for that one time only.
    """
    start = repository.commit(files("a"))
    with following(world, "lab", repository.path) as watch:
        second = repository.commit(files("a", "b"))
        fetch(watch)
        applied(watch, second)
        repository.rewind(start)
        refused(watch, start, "does not descend")
        other = repository.commit(files("a", "c"))
        refused(watch, other, f"--accept-rewrite {other}")
    with following(world, "lab", repository.path) as watch:
        watch.kind("mistake")
        assert world.netns() == ["lab.a", "lab.b"]
    with following(world, "lab", repository.path, "--accept-rewrite", other) as watch:
        applied(watch, other)
        assert world.netns() == ["lab.a", "lab.c"]
        later = repository.commit(files("a", "c", "d"))
        fetch(watch)
        applied(watch, later)
        repository.rewind(other)
        refused(watch, other, "does not descend")
        own = world.state_dir / "lab/source/repository"
        world.run("git", "-c", "safe.directory=*", "--git-dir", own, "gc", "--quiet", "--prune=now")
        sibling = repository.commit(
            files("a")
        )  # nothing leads to the applied one any more, which is known all the same
        refused(watch, sibling, "does not descend")
        repository.rewind(later)
        fetch(watch)
        watch.reports("mistakes", [])


def test_signatures(world: World, repository: Repository) -> None:
    """Followed is what a key of the file signed: not what nobody, a stranger, or a signer of other words has signed."""
    alice, mallory = new_key(world, "alice"), new_key(world, "mallory")
    signers = str(allowed(world, alice))
    repository.commit(files("a"))
    done = world.reconciler("watch", "--git", repository.path, "--allowed-signers", signers, exit=5)
    assert "is refused: it is not signed with an SSH key" in done.stderr
    assert not world.call(world.state_dir.exists)

    first = repository.commit(key=alice)
    with following(world, "lab", repository.path, "--allowed-signers", signers) as watch:
        assert watch.report()["following"]["signer"] == "alice@example.org"
        refused(watch, repository.commit(files("a", "b")), "it is not signed with an SSH key")
        refused(watch, repository.commit(key=mallory), "is signed by a key that is not in")
        good = repository.commit(key=alice)
        forged = repository.git("cat-file", "commit", good).replace("\n\nchange", "\n\nchanged")
        number = repository.git("hash-object", "-t", "commit", "-w", "--stdin", input=forged + "\n")
        repository.rewind(number)
        refused(watch, number, "its signature does not hold")
        lines = repository.git("cat-file", "commit", good).split("\n")
        begin, end = (
            lines.index(f"{key}-----")
            for key in ("gpgsig -----BEGIN SSH SIGNATURE", " -----END SSH SIGNATURE")
        )
        pgp = ["gpgsig -----BEGIN PGP SIGNATURE-----", " ", " iQ==", " -----END PGP SIGNATURE-----"]
        text = "\n".join([*lines[:begin], *pgp, *lines[end + 1 :]])
        number = repository.git("hash-object", "-t", "commit", "-w", "--stdin", input=text + "\n")
        repository.rewind(number)
        refused(watch, number, "it is not signed with an SSH key")
        assert world.netns() == ["lab.a"]
        repository.rewind(good)
        fetch(watch)
        applied(watch, good)
        assert world.netns() == ["lab.a", "lab.b"]

        second = repository.commit(files("a", "b", "c"), key=mallory)
        refused(watch, second, "is signed by a key that is not in")
        allowed(world, alice, mallory)
        fetch(watch)
        applied(watch, second)
        world.run("chmod", "666", signers)
        refused(watch, repository.commit(key=alice), "can be written by others")
    assert first != second


def test_over_the_network(world: World, repository: Repository) -> None:
    """By git's own protocol and daemon, of which nothing is believed but the signature; and a named branch."""
    alice = new_key(world, "alice")
    repository.commit(files("a"), key=alice)
    repository.git("branch", "live")
    repository.commit(files("a", "b"), key=alice)
    program = f"{repository.git('--exec-path')}/git-daemon"  # not `git daemon`, which leaves it behind when it is killed
    options = ("--listen=127.0.0.1", "--export-all", "--reuseaddr", "--verbose")
    daemon = world.start(program, *options, f"--base-path={world.root}")
    assert daemon.stderr is not None
    assert "Ready to rumble" in daemon.stderr.readline()
    options = ("--branch", "live", "--allowed-signers", str(allowed(world, alice)))
    with following(world, "lab", "git://127.0.0.1/repository", *options) as watch:
        assert world.netns() == ["lab.a"]
        repository.git("branch", "--force", "live", "main")
        fetch(watch)
        watch.kind("created", "sandbox/b")
    daemon.kill()
    daemon.wait()


SECRET = "s3cret-of-the-host"
UP = "../" * 12


def trees(secret: Path) -> dict[str, tuple[dict[str, object], str]]:
    """What is in a commit, and what is said of it. `secret` is a file of the host."""
    outside = "leads out of the topology's directory"
    return {
        "an absolute include": (files("a", "b", include=[str(secret)]), "must be relative"),
        "an include of the host": (files("a", "b", include=[f"{UP}{secret}"]), outside),
        "an include of where it runs": (
            files("b", include=[f"{UP}{ROOT}/topologies/quickstart.yaml"]),
            outside,
        ),
        "an include of other commits": (files("a", "b", include=["../../*/topologies/lab.yaml"]), outside),
        "a large file": (files("a", "b") | {"other/large.yaml": "#" * (4 << 20 | 1)}, "too large"),
        "too much together": (
            files("a", "b") | {f"other/{number}.yaml": "#" * (4 << 20) for number in range(17)},
            "too large or too many",
        ),
        "another topology": (files("a", "b", name="other"), "those of topology 'other' now"),
        "no topology": ({"elsewhere/lab.yaml": lab("a", "b")}, "has no 'topologies'"),
    }


def test_what_a_tree_may_not_do(world: World, repository: Repository) -> None:
    """Each of these is refused, quotes nothing of the host, and does not keep the next good commit from being taken."""
    repository.commit(files("a"))
    secret = world.write("secret.yaml", SECRET)
    with following(world, "lab", repository.path, "--path", "topologies") as watch:
        for name, (content, why) in trees(secret).items():
            repository.git("rm", "-r", "--quiet", ".")
            refused(watch, repository.commit(content), why)
            assert SECRET not in str(watch.report()), name
        for mode, what in (("120000", "a symbolic link"), ("160000", "a submodule")):
            for place in ("topologies", "topologies/lab.yaml"):
                repository.git("rm", "-r", "--quiet", "--cached", ".")
                object_ = repository.git("hash-object", "-w", "--stdin", input=str(secret))
                number = object_ if mode == "120000" else repository.git("rev-parse", "HEAD")
                repository.git("update-index", "--add", "--cacheinfo", f"{mode},{number},{place}")
                repository.git("commit", "--quiet", "-m", place)
                refused(watch, repository.git("rev-parse", "HEAD"), f"'{place}' is {what}")
        empty = repository.git("hash-object", "-w", "/dev/null")
        entries = "".join(f"100644 {empty}\t{number}.yaml\n" for number in range(10_001))
        repository.git("update-index", "--add", "--index-info", input=entries)
        repository.git("rm", "-r", "--quiet", "--cached", "topologies/lab.yaml")
        repository.git("commit", "--quiet", "-m", "many")
        refused(watch, repository.git("rev-parse", "HEAD"), "too large or too many")
        repository.git("read-tree", "--empty")
        repository.git("clean", "-fdxq")
        good = repository.commit(files("a", "b"))
        fetch(watch)
        applied(watch, good)


def test_an_include_of_what_is_elsewhere_in_the_tree(world: World, repository: Repository) -> None:
    """What --path names may include what lies beside it, and a link or a program elsewhere is nobody's business."""
    shared = {"sandboxes": {"b": {"endpoints": {"eth0": "front"}}}}
    repository.put({"hosts/one.conf": lab("a", include=["../parts/more.yaml"]), "parts/more.yaml": shared})
    world.run("ln", "-s", "/etc", repository.path / "link")
    repository.commit({"parts/tool": "#!/bin/sh"})
    with following(world, "lab", repository.path, "--path", "hosts/one.conf") as watch:
        assert world.netns() == ["lab.a", "lab.b"]
        shared["sandboxes"]["c"] = {"endpoints": {"eth0": "front"}}
        more = repository.commit({"parts/more.yaml": shared})
        fetch(watch)
        applied(watch, more)


def test_without_the_source(world: World, repository: Repository) -> None:
    """When it is gone everything goes on: repairs, a restart, repairs after that; and when it is back, its news are taken."""
    repository.commit(files("a"))
    away = world.root / "away"
    with following(world, "lab", repository.path) as watch:
        world.run("mv", repository.path, away)
        world.run("mkdir", repository.path)
        fetch(watch)
        assert "cannot be fetched" in watch.kind("unreachable")["message"]
        world.run("ip", "link", "del", "lab-a-eth0")
        watch.kind("created", "sandbox/a/endpoint/eth0")
        assert watch.report()["mistakes"] == []
        assert "Cannot be fetched" in world.reconciler("status", "--name", "lab").stdout
    world.run("ip", "link", "del", "lab-a-eth0")
    with following(world, "lab", repository.path) as watch:
        assert world.ping("lab.a", "10.10.0.1")
        watch.kind("unreachable")
        world.run("ip", "address", "del", "10.10.0.1/24", "dev", "lab-front")
        watch.kind("changed", "network/front")
        world.run("rmdir", repository.path)
        world.run("mv", away, repository.path)
        second = repository.commit(files("a", "b"))
        fetch(watch)
        watch.kind("reached")
        applied(watch, second)
    world.run("mv", repository.path, away)
    done = world.reconciler("watch", "--git", away / "nothing", exit=2)
    assert "no such repository" in done.stderr
    world.run("mkdir", away / "nothing")
    done = world.reconciler("watch", "--git", away / "nothing", exit=1)
    assert "cannot be fetched" in done.stderr


def test_a_repository_that_names_by_sha256(world: World, repository: Repository) -> None:
    """Its objects have longer names; pushes are followed, and kept over a restart, as any others."""
    other = Repository(world, world.root / "long", objects="sha256")
    first = other.commit(files("a"))
    with following(world, "lab", other.path) as watch:
        assert (len(first), watch.report()["following"]["commit"]) == (64, first)
        second = other.commit(files("a", "b"))
        fetch(watch)
        applied(watch, second)
        refused(watch, other.commit({"topologies/lab.yaml": "name: ["}), "topologies/lab.yaml:2:1")
    with following(world, "lab", other.path) as watch:
        assert watch.report()["following"]["commit"] == second
        assert world.netns() == ["lab.a", "lab.b"]


SETTINGS = (
    "core.fsmonitor",
    "core.sshCommand",
    "core.askPass",
    "core.gitProxy",
    "core.alternateRefsCommand",
    "core.editor",
    "credential.helper",
    "diff.external",
    "filter.all.smudge",
    "gpg.program",
    "gpg.ssh.program",
    "uploadpack.packObjectsHook",
)
HOOKS = (
    "fsmonitor-watchman",
    "post-checkout",
    "post-merge",
    "post-update",
    "pre-auto-gc",
    "pre-receive",
    "reference-transaction",
    "update",
)


def test_nothing_of_a_repository_runs(world: World, repository: Repository) -> None:
    """Programs in the hooks and settings of a repository, and in the hooks of our copy of it, would leave a trace,
    whoever they ran as.
    """
    trace = world.root / "trace"
    program = world.write("program", f'#!/bin/sh\necho "$0 $*" >> {trace}\nexec "$@"\n')
    world.run("chmod", "755", program)
    world.run("install", "-m", "666", "/dev/null", trace)
    world.run("setpriv", "--reuid=nobody", "--clear-groups", program, "true")
    assert world.call(trace.read_text), "it would leave none"
    repository.commit(files("a"))
    content = {"topologies/lab.yaml": lab("a", "b"), ".gitattributes": "* filter=all ident text eol=crlf"}
    second = repository.git("commit-tree", "-p", "HEAD", "-m", "x", _tree(repository, content))
    with following(world, "lab", repository.path) as watch:
        copy = world.state_dir / "lab/source/repository"
        for setting in SETTINGS:
            repository.git("config", setting, str(program))
        world.run("mkdir", copy / "hooks")
        for name in HOOKS:
            for hooks in (repository.path / ".git/hooks", copy / "hooks"):
                world.run("cp", program, hooks / name)
        world.run("truncate", "-s0", trace)
        world.call((repository.path / ".git/refs/heads/main").write_text, f"{second}\n")
        fetch(watch)
        applied(watch, second)
        assert world.call(trace.read_text) == ""
        own = world.state_dir / f"lab/source/trees/{second}/topologies/lab.yaml"
        assert b"\r" not in world.call(own.read_bytes)
    world.run("rm", "-rf", repository.path / ".git/hooks")


def _tree(repository: Repository, content: Mapping[str, object]) -> str:
    """A tree without a checkout, whose number it is."""
    other = Repository(repository.world, repository.world.root / "other")
    other.commit(content)
    number = other.git("rev-parse", "HEAD^{tree}")
    repository.git("fetch", "--quiet", other.path, "HEAD")
    return number


# As ssh(1), for git: runs the command here instead of over there; or hangs, when there is a file that says so.
SSH = """#!/bin/sh
[ ! -e {hang} ] || exec sleep 1000
for last; do :; done
exec sh -c "$last"
"""


def test_a_fetch_that_takes_its_time(world: World, repository: Repository) -> None:
    """Repairs do not wait for it, and a stop ends it with everything that it started."""
    repository.commit(files("a"))
    hang = world.root / "hang"
    ssh = world.write("ssh", SSH.format(hang=hang))
    world.run("chmod", "755", ssh)
    address = f"somebody@example.org:{repository.path}"
    with following(world, "lab", address, env={"GIT_SSH_COMMAND": str(ssh)}) as watch:
        assert watch.report()["following"]["url"] == address
        world.call(hang.touch)
        fetch(watch)
        watch.kind("reload")
        while not any("sleep" in line for line in processes(world)):
            time.sleep(0.01)
        world.run("ip", "link", "del", "lab-a-eth0")
        watch.kind("created", "sandbox/a/endpoint/eth0")
        assert any("sleep" in line for line in processes(world))
        assert watch.stop() == 143
        assert processes(world) == []
    world.reconciler("destroy", "--name", "lab", "--yes")
    arguments = ("watch", "--git", address)
    environment = world.environment({"GIT_SSH_COMMAND": str(ssh)})
    process = world.start(sys.executable, "-m", "reconciler", *arguments, env=environment)
    while not any("sleep" in line for line in processes(world)):
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 143
    assert processes(world) == []
    assert not world.call(world.state_dir.exists)


def test_what_a_killed_git_leaves_behind(world: World, repository: Repository) -> None:
    """Its lock files and half a pack are removed, and the next fetch is as good as any."""
    repository.commit(files("a"))
    with following(world, "lab", repository.path) as watch:
        own = world.state_dir / "lab/source/repository"
        for name in ("refs/watch/tip.lock", "HEAD.lock", "packed-refs.lock", "objects/pack/tmp_pack_a1b2c3"):
            world.call((own / name).touch)
        second = repository.commit(files("a", "b"))
        fetch(watch)
        applied(watch, second)
        assert not world.call((own / "objects/pack/tmp_pack_a1b2c3").exists)
        assert world.call(os.listdir, world.state_dir / "lab/source/trees") != []


def test_secrets_are_not_told(world: World) -> None:
    """What git says when a server does not answer has the address in it; what is said of it has no password."""
    address = "https://somebody:pa55word@127.0.0.1:1/net.git"
    done = world.reconciler("watch", "--git", address, exit=1)
    assert "https://127.0.0.1:1/net.git (its default branch) cannot be fetched" in done.stderr
    assert "pa55word" not in done.stderr + done.stdout
    assert not world.call(world.state_dir.exists)


def test_two_watches_of_one_repository(world: World, repository: Repository) -> None:
    """The second says so; one of the same topology by its files too."""
    repository.commit(files("a"))
    with following(world, "lab", repository.path):
        assert "followed already" in world.reconciler("watch", "--git", repository.path, exit=6).stderr
        file = world.write("lab.yaml", '{"name": "lab", "sandboxes": {"a": null}}')
        assert "is watched already" in world.reconciler("watch", file, exit=6).stderr


def test_who_runs_git(world: World, repository: Repository) -> None:
    """Nobody, by default: who may not pass the state directory, and of whom nothing is read that is root's alone."""
    repository.commit(files("a"))
    world.run("chmod", "700", repository.path)
    done = world.reconciler("watch", "--git", repository.path, exit=1)
    assert "cannot be fetched" in done.stderr
    with following(world, "lab", repository.path, "--git-user", "root"):
        assert world.netns() == ["lab.a"]
    world.run("chmod", "755", repository.path)
    world.run("chmod", "700", world.state_dir)
    done = world.reconciler("watch", "--git", repository.path, "--path", "topologies", exit=8)
    assert f"may not pass {world.state_dir}" in done.stderr


def test_without_the_programs(world: World, repository: Repository) -> None:
    """What is missing is named, with what to install."""
    repository.commit(files("a"))
    world.reconciler("apply", repository.path / "topologies/lab.yaml")
    done = world.reconciler("watch", "--git", repository.path, exit=8, env={"PATH": "/nonexistent"})
    assert "apt-get install git util-linux" in done.stderr
