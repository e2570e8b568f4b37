"""The state directory: what comes back, what a reboot voids, what a kill leaves, who may work at a time."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler import state
from reconciler.errors import LockHeld, ReconcilerError
from reconciler.model import Leases
from reconciler.objects import HOST, Key, Netns, Value
from reconciler.plan import Action, Cause, Change
from reconciler.state import Run, Store

LEASES = Leases({"front": ("10.0.0.0/24",)}, {"web/eth0": ("10.0.0.2", "fd00::2")})
CLAIMS: dict[Key, Value] = {("sysctl", HOST, "net/ipv4/ip_forward"): "0", ("port", HOST, "eth1"): None}
WEB = Netns(netns="shop.web", alias="reconciler:shop:sandbox/web")
RUN = Run("2026-01-01T00:00:00+00:00", "apply", "digest", 1, 0, 0, 0, "ok", 0.5)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty one."""
    return Store(tmp_path / "state", "shop")


@pytest.fixture
def reboot(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Makes it look as if the machine had been started anew."""
    return lambda: monkeypatch.setattr(state, "boot_id", lambda: "another")


def test_nothing_is_remembered_at_first(store: Store) -> None:
    """Reading makes no directory."""
    assert (store.leases(), store.claims(), store.applied(), store.history()) == (Leases(), {}, {}, ())
    assert store.interrupted() is None
    assert not store.root.exists()


def test_what_was_saved_comes_back(store: Store) -> None:
    """Leases, claims, the applied objects and the history; readable for root only."""
    with store.lock():
        store.save(LEASES, CLAIMS)
        store.save_applied([WEB])
        store.add_history(RUN)
    again = Store(store.root, "shop")
    assert (again.leases(), again.claims(), again.applied()) == (LEASES, CLAIMS, {WEB.key: WEB})
    assert again.history() == (RUN,)
    modes = {path.name: path.stat().st_mode & 0o777 for path in store.directory.iterdir()}
    assert set(modes.values()) == {0o600}
    assert store.directory.stat().st_mode & 0o777 == 0o700


def test_a_reboot_voids_what_was_said_about_the_kernel(store: Store, reboot: Callable[[], None]) -> None:
    """Claims and the applied record go; leases stay."""
    with store.lock():
        store.save(LEASES, CLAIMS)
        store.save_applied([WEB])
    reboot()
    assert (store.leases(), store.claims(), store.applied()) == (LEASES, {}, {})


def test_the_history_is_bounded(store: Store) -> None:
    """The oldest runs are dropped."""
    with store.lock():
        for number in range(60):
            store.add_history(Run(str(number), "apply", "", 0, 0, 0, 0, "ok", 0.0))
    runs = store.history()
    assert (len(runs), runs[0].started, runs[-1].started) == (50, "10", "59")


def test_one_at_a_time(store: Store) -> None:
    """The second hears who has it; afterwards it is free, and another topology never was taken."""
    with store.lock():
        with pytest.raises(LockHeld, match=f"pid {os.getpid()}"), Store(store.root, "shop").lock():
            pass
        with Store(store.root, "other").lock():
            pass
    with store.lock():
        pass


def test_a_refused_run_leaves_no_trace(store: Store) -> None:
    """Lock and directories go when nothing was written; otherwise they stay."""
    with store.lock():
        pass
    assert not store.root.exists()
    with store.lock():
        store.save(LEASES, {})
    assert store.directory.is_dir()
    with store.lock():
        store.remove()
    assert not store.root.exists()


def _announce(store: Store, *, finish: bool) -> None:
    change = Change(Action.CREATE, None, WEB, Cause.DECLARED, "sandbox/web")

    class Dead(Exception):
        pass

    try:
        with store.journal("2026", "apply") as journal:
            journal.announce([change])
            if not finish:
                raise Dead
    except Dead:
        pass


def test_a_run_that_never_ended_is_known(store: Store) -> None:
    """With what it was about to make; a run that came to its end is not."""
    with store.lock():
        _announce(store, finish=False)
        interrupted = store.interrupted()
        assert interrupted is not None
        assert (interrupted.command, interrupted.started) == ("apply", "2026")
        assert interrupted.announced == {WEB.key}
        _announce(store, finish=True)
        assert store.interrupted() is None
        store.remove()


def test_a_torn_last_line_of_the_journal_is_no_end(store: Store) -> None:
    """What was announced before it still counts."""
    with store.lock():
        _announce(store, finish=True)
        path = store.directory / "journal.jsonl"
        text = path.read_text().splitlines()
        path.write_text("\n".join([*text[:-1], text[-1][:5]]))
        interrupted = store.interrupted()
        assert interrupted is not None
        assert interrupted.announced == {WEB.key}


@pytest.mark.parametrize("name", ["state.json", "applied.json", "history.json"])
@pytest.mark.parametrize(
    "text", ["", "{", "[]", "7", '{"runs":[{"x":1}],"objects":[{}],"boot_id":"BOOT","leases":1}']
)
def test_a_damaged_file_is_named(store: Store, name: str, text: str) -> None:
    """With what to do about it; never a traceback, never silently empty."""
    store.directory.mkdir(parents=True)
    (store.directory / name).write_text(text.replace("BOOT", state.boot_id()))
    read = {"state.json": store.leases, "applied.json": store.applied, "history.json": store.history}[name]
    with pytest.raises(ReconcilerError, match=rf"{name} is damaged") as caught:
        read()
    assert "move it away" in (caught.value.hint or "")


def test_a_file_is_replaced_whole(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk is full in the middle of writing, the old content is still there."""
    with store.lock():
        store.save(LEASES, CLAIMS)

        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            store.save(Leases(), {})
        monkeypatch.undo()
        assert store.leases() == LEASES
        store.save(Leases(), {})
        assert store.leases() == Leases()
        assert json.loads((store.directory / "state.json").read_text())["claims"] == []
