"""Commands that need a kernel: what they ask, print and return, each on a private host."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.world import World, refusal

pytestmark = pytest.mark.kernel
_refusal = cache(refusal)

LAB = """\
name: lab
networks:
  lan: {subnets: [10.10.0.0/24]}
sandboxes:
  web: {endpoints: {eth0: {network: lan, addresses: [10.10.0.2]}}}
  db: {endpoints: {eth0: lan}}
"""
WITHOUT_DB = LAB.rpartition("  db:")[0]


@pytest.fixture
def world() -> Iterator[World]:
    """A fresh private host."""
    if reason := _refusal():
        pytest.skip(reason)
    with World() as world:
        yield world


@pytest.fixture
def lab(world: World) -> Path:
    """The file of a topology that is applied."""
    path = world.write("lab.yaml", LAB)
    world.reconciler("apply", path)
    return path


def test_apply_shows_the_plan_and_then_the_result(world: World) -> None:
    """Standard output has both, standard error nothing; a second time it is one line."""
    path = world.write("lab.yaml", LAB)
    first = world.reconciler("apply", path)
    assert "  + sandbox/web/endpoint/eth0  10.10.0.2/24 on lan" in first.stdout
    assert "Plan: 5 to create.\n\nApplied: 5 created. Configured in " in first.stdout
    assert first.stderr == ""
    assert world.reconciler("apply", path).stdout.startswith("In sync. 1 network, 2 sandboxes, 2 endpoints (")


def test_apply_as_json_is_one_document(world: World) -> None:
    """Each operation has its status; in sync it is an empty list of the same form."""
    path = world.write("lab.yaml", LAB)
    planned = world.reconciler("plan", path, "-o", "json").json()
    applied = world.reconciler("apply", path, "-o", "json").json()
    assert [c["key"] for c in applied["changes"]] == [c["key"] for c in planned["changes"]]
    assert {c["status"] for c in applied["changes"]} == {"done"}
    again = world.reconciler("apply", path, "-o", "json").json()
    assert (again["changes"], set(again)) == ([], set(applied))


def test_exit_codes_of_plan(world: World, lab: Path) -> None:
    """0 without being asked, 4 or the given number when changes are pending, 0 when none are."""
    world.reconciler("plan", lab, "--exit-code", exit=0)
    world.run("ip", "link", "delete", "lab-web-eth0")
    world.reconciler("plan", lab, exit=0)
    world.reconciler("plan", lab, "--exit-code", exit=4)
    assert "drift" in world.reconciler("plan", "--exit-code=10", lab, exit=10).stdout


def test_a_deletion_without_a_terminal_needs_yes(world: World, lab: Path) -> None:
    """Refused with exit code 5 and nothing done; with --yes it goes."""
    world.write("lab.yaml", WITHOUT_DB)
    refused = world.reconciler("apply", lab, exit=5)
    assert "delete sandbox/db" in refused.stderr
    assert "--yes" in refused.stderr
    assert "lab.db" in world.netns()
    assert "2 deleted" in world.reconciler("apply", lab, "--yes").stdout
    assert "lab.db" not in world.netns()


EMPTY = "name: lab\n"
MANY = LAB.replace("db: {", "db: {replicas: 6, ")  # with web and lan 15 objects


def test_an_emptied_file_deletes_nothing_by_itself(world: World, lab: Path) -> None:
    """Even with --yes everything goes only when a flag says so."""
    world.write("lab.yaml", EMPTY)
    before = (world.netns(), world.ip("address"))
    refused = world.reconciler("apply", lab, "--yes", exit=5)
    assert (
        "this deletes everything that topology 'lab' has here (5 objects); nothing was done" in refused.stderr
    )
    assert "--allow-empty" in refused.stderr
    assert "--allow-empty" in world.reconciler("apply", lab, "--yes", "--max-deletes", "5", exit=5).stderr
    assert (world.netns(), world.ip("address")) == before
    assert announced(world, lab) == ["--allow-empty"]
    assert "5 deleted" in world.reconciler("apply", lab, "--yes", "--allow-empty").stdout


def announced(world: World, path: Path) -> list[str]:
    """The flags that the plan says its apply would need; text, JSON and a report say the same, and the exit code nothing."""
    text = world.reconciler("plan", path, "--report", "markdown=-")
    flags = [flag for one in plan_of(world, path)["refusals"] for flag in one["flags"]]
    assert [flag in text.stderr and flag in text.stdout for flag in flags] == [True] * len(flags)
    assert ("\nnote: apply refuses this, since it deletes " in text.stderr) == bool(flags)
    return flags


def plan_of(world: World, path: Path) -> Any:
    return world.reconciler("plan", path, "-o", "json").json()


def test_half_a_file_deletes_no_more_than_it_may(world: World) -> None:
    """More than half and more than a few need the number; a lower number is a limit, at any size."""
    path = world.write("lab.yaml", MANY)
    world.reconciler("apply", path)
    world.write("lab.yaml", WITHOUT_DB)
    before = (world.netns(), world.ip("address"))
    refused = world.reconciler("apply", path, "--yes", exit=5)
    assert (
        "this deletes 12 of 15 objects of topology 'lab', more than half; nothing was done" in refused.stderr
    )
    assert "--max-deletes 12" in refused.stderr
    assert announced(world, path) == ["--max-deletes 12"]
    world.reconciler("apply", path, "--yes", "--max-deletes", "11", exit=5)
    assert (world.netns(), world.ip("address")) == before
    world.reconciler("apply", path, "--yes", "--max-deletes", "12")
    world.write("lab.yaml", WITHOUT_DB.replace("  web:", "  web-2:"))
    world.reconciler("apply", path, "--yes", "--max-deletes", "1", exit=5)
    assert announced(world, path) == []
    world.reconciler("apply", path, "--yes")


@pytest.mark.parametrize(("answer", "code", "left"), [("y", 0, []), ("n", 5, ["lab.db", "lab.web"])])
@pytest.mark.usefixtures("lab")
def test_a_terminal_is_asked(world: World, answer: str, code: int, left: list[str]) -> None:
    """Yes does it, anything else does nothing."""
    returned, seen, _ = answered(world, answer.encode() + b"\n")
    assert b"This deletes 5 objects. Go on? [y/N]" in seen
    assert returned == code
    assert world.netns() == left


@pytest.mark.usefixtures("lab")
def test_an_interrupted_question_is_a_no(world: World) -> None:
    """Ctrl-C at the question ends the line and says that nothing was done."""
    returned, _, after = answered(world, signal.SIGINT)
    assert (returned, after.replace(b"\r", b"")) == (130, b"\nNothing was done.\n")
    assert world.netns() == ["lab.db", "lab.web"]


def answered(world: World, answer: bytes | signal.Signals) -> tuple[int, bytes, bytes]:
    """A destroy on a terminal: the exit code, what is seen up to the question, and what follows the answer."""
    ours, theirs = pty.openpty()

    def destroy() -> tuple[int, bytes, bytes]:
        command = [sys.executable, "-m", "reconciler", "destroy", "--name", "lab"]
        environment = {**os.environ, **world.environment()}
        pid = os.posix_spawn(
            sys.executable,
            command,
            environment,
            file_actions=[(os.POSIX_SPAWN_DUP2, theirs, fd) for fd in (0, 2)],
        )
        os.close(theirs)
        seen, after = b"", b""
        while b"[y/N] " not in seen:
            seen += os.read(ours, 4096)
        if isinstance(answer, bytes):
            os.write(ours, answer)
        else:
            os.kill(pid, answer)
        with suppress(OSError):  # what the end of a terminal is on Linux
            while part := os.read(ours, 4096):
                after += part
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen, after

    try:
        return world.call(destroy)
    finally:
        os.close(ours)


def test_a_saved_plan_is_applied_or_refused(world: World, lab: Path) -> None:
    """It fits once, then there is nothing left to do; a moved base is refused, and options beside it are a mistake."""
    world.write("lab.yaml", WITHOUT_DB)
    out = lab.with_name("lab.plan")
    world.reconciler("plan", lab, "--out", out)
    world.reconciler("apply", out, lab, "--yes", exit=2)
    world.reconciler("apply", out, exit=5)
    world.reconciler("apply", out, "--yes")
    assert "Already applied. In sync." in world.reconciler("apply", out, "--yes").stdout
    world.run("ip", "link", "del", "lab-lan")
    moved = world.reconciler("apply", out, "--yes", exit=5)
    assert "no longer fits this machine" in moved.stderr
    assert "no longer needed: delete" in moved.stderr
    assert "needed now: create link lab-lan" in moved.stderr


def test_a_saved_destroy_is_a_destroy(world: World, lab: Path) -> None:
    """The guard against emptied files does not ask what was planned by that word; `--yes` it needs all the same."""
    out = lab.with_name("lab.plan")
    world.reconciler("plan", lab, "--destroy", "--out", out)
    world.reconciler("apply", out, exit=5)
    assert "Destroyed: 5 deleted" in world.reconciler("apply", out, "--yes").stdout
    assert world.netns() == []
    assert "Nothing to destroy" in world.reconciler("apply", out, "--yes").stdout


def test_a_conflict_is_refused_by_plan_and_apply(world: World) -> None:
    """Exit code 5, the reason and the next step, and nothing done."""
    path = world.write("lab.yaml", LAB.replace("lan: {", "lan: {options: {name: br0}, "))
    world.run("ip", "link", "add", "br0", "type", "bridge")
    planned = world.reconciler("plan", path, exit=5)
    assert "  ! network/lan: a bridge named 'br0' exists that this topology did not make" in planned.stdout
    applied = world.reconciler("apply", path, "--yes", exit=5)
    assert "nothing was done" in applied.stderr
    assert world.netns() == []


def test_destroy_by_name_needs_no_files(world: World, lab: Path) -> None:
    """By name it works when the file is broken; a second time there is nothing left."""
    world.write("lab.yaml", "name: [")
    world.reconciler("destroy", lab, "--yes", exit=3)
    assert "Destroyed: 5 deleted" in world.reconciler("destroy", "--name", "lab", "--yes").stdout
    assert world.netns() == []
    again = world.reconciler("destroy", "--name", "lab", "--yes")
    assert again.stdout == "Nothing to destroy: this host holds nothing of topology 'lab'.\n"
    assert not world.call(world.state_dir.exists)


def test_destroy_names_what_it_leaves(world: World, lab: Path) -> None:
    """Namespaces and links with names of the topology and no mark stay, and are mentioned with their removal."""
    world.run("ip", "netns", "add", "lab.mine")
    world.run("ip", "link", "add", "alien0", "type", "bridge")
    world.run("ip", "link", "property", "add", "dev", "alien0", "altname", "lab.alien")
    world.run("ip", "link", "set", "lab-db-eth0", "alias", "")
    world.run("ip", "-n", "lab.db", "link", "set", "eth0", "alias", "")
    world.run("ip", "link", "add", "bystander", "type", "bridge")
    told = [
        "left: link alien0 is not marked as ours (ip link delete alien0 removes it)",
        "left: namespace lab.mine is not marked as ours (ip netns delete lab.mine removes it)",
    ]
    assert world.reconciler("destroy", lab, "--yes").stderr.splitlines() == told
    assert world.reconciler("destroy", lab, "--yes").stderr.splitlines() == told
    assert world.reconciler("destroy", lab, "--yes", "-q").stderr == ""
    assert world.netns() == ["lab.mine"]


def test_show_does_not_believe_a_forged_mark(world: World, lab: Path) -> None:
    """A namespace with the mark of another's name on its loopback is foreign, as it is to apply."""
    world.run("ip", "netns", "add", "forged")
    world.run("ip", "-n", "forged", "link", "set", "lo", "alias", "reconciler:lab:sandbox/web")
    assert "namespace forged   foreign" in world.reconciler("show", lab, "--netns", "forged").stdout
    assert "forged" not in world.reconciler("show").stdout


def test_a_held_lock_is_exit_code_6(world: World, lab: Path) -> None:
    """The holder's process is named."""
    lock = world.state_dir / "lab" / "lock"
    holder = world.start("flock", "--no-fork", lock, "sh", "-c", "echo; exec sleep 60")
    assert holder.stdout is not None
    holder.stdout.readline()
    assert "another reconciler" in world.reconciler("apply", lab, exit=6).stderr
    world.reconciler("plan", lab)


def test_status_tells_what_is_not_ready(world: World, lab: Path) -> None:
    """In sync first; then drift by address, with the exit code that was asked for."""
    assert "In sync: 5 objects ready." in world.reconciler("status", lab, "--exit-code").stdout
    world.run("ip", "-n", "lab.web", "link", "set", "eth0", "down")
    drifted = world.reconciler("status", lab, "--exit-code", exit=4).stdout
    assert "sandbox/web/endpoint/eth0  Reconciling  Drifted  differs: up (drift)" in drifted
    assert "2 of 5 not ready." in drifted
    document = world.reconciler("status", lab, "-o", "json").json()
    assert document["last_run"]["result"] == "ok"
    assert [c["address"] for c in document["conditions"] if not c["ready"]] == [
        "sandbox/web",
        "sandbox/web/endpoint/eth0",
    ]


def test_show_marks_what_is_ours_and_what_is_not(world: World, lab: Path) -> None:
    """Foreign things are shown inside sandboxes, elsewhere only when asked for."""
    world.run("ip", "link", "add", "alien0", "type", "bridge")
    world.run("ip", "-n", "lab.web", "address", "add", "10.10.0.99/24", "dev", "eth0")
    alone = world.reconciler("show").stdout
    assert "namespace lab.web   ours: lab sandbox/web" in alone
    assert [line.split()[-1] for line in alone.splitlines() if "10.10.0.99/24" in line] == ["foreign"]
    assert "alien0" not in alone
    assert "1 foreign object not shown" in alone
    assert "alien0" in world.reconciler("show", "--foreign").stdout
    assert "alien0" in world.reconciler("show", lab, "--netns", "host").stdout
    web = world.reconciler("show", "--sandbox", "web", "-o", "json").json()
    assert [space["netns"] for space in web["namespaces"]] == ["lab.web"]
    assert "did you mean 'lab.web'?" in world.reconciler("show", "--netns", "lab.wib", exit=2).stderr


def test_exec_becomes_the_program(world: World, lab: Path) -> None:
    """It runs in the sandbox, with its arguments untouched and its own exit code."""
    links = world.reconciler("exec", "web", "-f", lab, "--", "ip", "-j", "-br", "address").stdout
    assert {link["ifname"] for link in json.loads(links)} == {"lo", "eth0"}
    world.reconciler("exec", "--name", "lab", "db", "--", "sh", "-c", "exit 9", exit=9)
    assert (
        world.reconciler("exec", "--name", "lab", "db", "--", "echo", "-v", "--", "x").stdout == "-v -- x\n"
    )
    assert "did you mean 'web'?" in world.reconciler("exec", "-f", lab, "wib", exit=2).stderr
    missing = world.reconciler("exec", "-f", lab, "web", "--", "no-such-program", exit=2)
    assert "cannot run 'no-such-program'" in missing.stderr
    status = world.reconciler("exec", "-f", lab, "web", "--", "cat", "/proc/self/status").stdout
    ignored = int(re.findall(r"^SigIgn:\s*([0-9a-f]+)$", status, re.MULTILINE)[0], 16)
    assert [s.name for s in (signal.SIGPIPE, signal.SIGXFSZ) if ignored >> (s - 1) & 1] == []


def test_a_run_that_was_cut_short_is_mentioned_once(world: World, lab: Path) -> None:
    """Until the next apply has seen to it, every command says so; then nobody does."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    record = json.dumps({"event": "begin", "started": "noon", "command": "apply", "boot_id": boot})
    journal = world.state_dir / "lab" / "journal.jsonl"
    world.call(journal.write_text, f"{record}\n")
    assert "the apply of noon was cut short" in world.reconciler("plan", lab).stderr
    assert "A run was cut short" in world.reconciler("status", lab).stdout
    assert "the apply of noon was cut short" in world.reconciler("apply", lab).stderr
    assert world.reconciler("plan", lab).stderr == ""


def test_quiet_is_silent_unless_something_goes(world: World) -> None:
    """-q leaves out plan and result of an addition, but never what is taken away."""
    path = world.write("lab.yaml", LAB)
    done = world.reconciler("apply", "-q", path)
    assert (done.stdout, done.stderr) == ("", "")
    assert world.reconciler("apply", "-q", path).stdout == ""
    assert "- sandbox/web" in world.reconciler("destroy", "-q", path, "--yes").stdout
