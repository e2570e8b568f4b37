"""The state directory: what comes back, what a reboot voids, what a kill leaves, who may work at a time."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from reconciler import state
from reconciler.apply import record_in_sync
from reconciler.errors import Damaged, LockHeld, ReconcilerError, Unsupported
from reconciler.history import Run
from reconciler.model import Leases
from reconciler.objects import (
    HOST,
    Bridge,
    KernelObject,
    Key,
    Link,
    Netns,
    Value,
    Veth,
)
from reconciler.plan import Action, Cause, Change
from reconciler.sides import Declared, Desired
from reconciler.state import Interrupted, Store

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
        store.save_applied({WEB.key: WEB})
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
        store.save_applied({WEB.key: WEB})
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


def test_repairs_do_not_push_edits_out_of_the_history(store: Store) -> None:
    """Fifty of each cause are kept, in the order in which they were."""
    with store.lock():
        store.add_history(RUN)
        for number in range(60):
            store.add_history(replace(RUN, started=str(number), cause="drift"))
        store.add_history(replace(RUN, started="last"))
    started = [run.started for run in store.history()]
    assert started == [RUN.started, *map(str, range(10, 60)), "last"]


@pytest.mark.parametrize("name", ["state.json", "applied.json", "history.json", "protected.json"])
@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "7",
        '{"format_version":"1.1","runs":[{"x":1}],"objects":[{}],"boot_id":"BOOT","leases":1}',
    ],
)
def test_a_damaged_file_is_named(store: Store, name: str, text: str) -> None:
    """With what to do about it; never a traceback, never silently empty. What was applied only explains, and may miss."""
    store.directory.mkdir(parents=True)
    (store.directory / name).write_text(text.replace("BOOT", state.boot_id()))
    if name == "applied.json":
        assert store.applied() == {}
        assert f"{store.directory / name} is damaged" in store.forgotten[name]
        return
    read = {"state.json": store.leases, "history.json": store.history, "protected.json": store.protected}
    with pytest.raises(Damaged, match=rf"{name} is damaged") as caught:
        read[name]()
    assert "move it away" in (caught.value.hint or "")
    assert store.forgotten == {}


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


_DEEP = "[" * 100_000
_CLAIM = '{"leases":{"networks":{},"endpoints":{}},"boot_id":"BOOT","claims":[%s]}'


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("state.json", b"\xff\xfe\x00\x80"),
        ("state.json", _DEEP.encode()),
        *(
            ("state.json", (_CLAIM % claim).encode())
            for claim in (
                "7",
                "{}",
                '{"key":[],"before":null}',
                '{"key":["planet","x"],"before":null}',
                '{"key":["port",""],"before":null}',
                '{"key":["port","",7],"before":null}',
                r'{"key":["port","","a\u0000"],"before":null}',
                '{"key":["port","","eth1"],"before":7}',
                '{"key":["sysctl","","net/ipv4/ip_forward"],"before":null}',
            )
        ),
        ("state.json", b'{"leases":{"networks":{"a":["x"]},"endpoints":{}},"boot_id":"","claims":[]}'),
        ("history.json", _DEEP.encode()),
        ("history.json", b'{"runs":7}'),
        ("history.json", json.dumps({"runs": [{**asdict(RUN), "started": 7}]}).encode()),
        ("history.json", json.dumps({"runs": [{**asdict(RUN), "created": "1"}]}).encode()),
        ("history.json", json.dumps({"runs": [{**asdict(RUN), "seconds": None}]}).encode()),
    ],
)
def test_damage_of_every_kind_is_named(store: Store, name: str, content: bytes) -> None:
    """Bytes that are no text, nesting without end, values of other shapes."""
    store.directory.mkdir(parents=True)
    (store.directory / name).write_bytes(content.replace(b"BOOT", state.boot_id().encode()))
    read = {"state.json": store.claims, "history.json": store.history}[name]
    with pytest.raises(Damaged, match=rf"{name} is damaged"):
        read()


@pytest.mark.parametrize(
    "content",
    [
        b"\xff",
        _DEEP.encode(),
        b'{"format_version":"1.1","boot_id":"BOOT","objects":[[]]}',
        b'{"format_version":"1.1","boot_id":"BOOT","objects":[7]}',
        b'{"format_version":"1.1","boot_id":"BOOT"}',
        b"[]",
        None,
    ],
)
def test_a_damaged_record_of_what_was_applied_is_replaced(store: Store, content: bytes | None) -> None:
    """By the next that is saved, also where somebody put a directory in its place; until then it counts as absent."""
    path = store.directory / "applied.json"
    with store.lock():
        if content is None:
            path.mkdir()
        else:
            path.write_bytes(content.replace(b"BOOT", state.boot_id().encode()))
        assert (store.applied(), store.applied_links(HOST)) == ({}, frozenset())
        store.save_applied({})
        assert json.loads(path.read_bytes())["objects"] == []
        store.save_applied({WEB.key: WEB})
        assert store.applied() == {WEB.key: WEB}
    again = Store(store.root, "shop")
    assert (again.applied(), again.forgotten) == ({WEB.key: WEB}, {})


@pytest.mark.parametrize(
    "content",
    [
        None,
        '{"boot_id":"BOOT","objects":[],"hosts":{},"neighbours":{}}',
        '{"format_version":"1.0","boot_id":"BOOT","objects":[],"hosts":{"vx":{}},"neighbours":{}}',
        '{"format_version":"1.1","boot_id":"another","objects":[],"hosts":{},"neighbours":{}}',
        '{"format_version":"1.1","boot',
        "",
    ],
)
def test_a_record_that_tells_nothing_is_written_anew(store: Store, content: str | None) -> None:
    """Also by an apply that finds nothing to do: of another version or uptime, which is no damage, or cut off."""
    desired = Desired("shop", {WEB.key: Declared(WEB, "sandbox/web")})
    path = store.directory / "applied.json"
    with store.lock():
        if content is not None:
            path.write_text(content.replace("BOOT", state.boot_id()))
        assert not store.has_current()
        if content is not None and content.endswith("}}"):
            assert (store.applied(), store.forgotten) == ({}, {})
        record_in_sync(desired, Leases(), store, "apply")
        assert (store.has_current(), Store(store.root, "shop").applied()) == (True, {WEB.key: WEB})
        written = path.stat().st_ino
        record_in_sync(desired, Leases(), store, "apply")
        assert path.stat().st_ino == written


def test_a_damaged_history_hides_only_the_last_run(store: Store) -> None:
    """What asks for the last run goes on without, and can tell."""
    with store.lock():
        store.add_history(RUN)
        assert (store.last_run(), store.forgotten) == (RUN, {})
        (store.directory / "history.json").write_bytes(b"{")
        assert store.last_run() is None
        assert "history.json is damaged" in store.forgotten["history.json"]


def test_a_damaged_history_stops_no_run(store: Store) -> None:
    """It is moved aside, and a destroy takes it along."""
    with store.lock():
        (store.directory / "history.json").write_bytes(b"\xff")
        store.add_history(RUN)
        assert store.history() == (RUN,)
        assert (store.directory / "history.json.damaged").read_bytes() == b"\xff"
        store.remove()
    assert not store.root.exists()


_BEGIN = '{"event":"begin","started":"2026","command":"apply","boot_id":"BOOT"}\n'
_BATCH = '{"event":"batch","creates":[["netns","shop.web"]]}\n'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("\udcff", Interrupted("", "", frozenset())),
        (_DEEP, Interrupted("", "", frozenset())),
        (_BATCH, Interrupted("", "", frozenset())),
        (_BEGIN.replace("BOOT", "another"), None),
        (_BEGIN.replace('"apply"', "7"), Interrupted("", "", frozenset())),
        (_BEGIN, Interrupted("2026", "apply", frozenset())),
        (_BEGIN + _BATCH, Interrupted("2026", "apply", frozenset({WEB.key}))),
        (_BEGIN + _BATCH + _BATCH[:20], Interrupted("2026", "apply", frozenset({WEB.key}))),
        (_BEGIN + "7\n" + _BATCH, Interrupted("2026", "apply", frozenset())),
        (_BEGIN + _BATCH[:20] + "\n" + _BATCH, Interrupted("2026", "apply", frozenset())),
        (_BEGIN + _BATCH.replace('["netns","shop.web"]', "7"), Interrupted("2026", "apply", frozenset())),
        (_BEGIN + _BATCH.replace('"netns",', ""), Interrupted("2026", "apply", frozenset())),
        (_BEGIN + '{"event":"priors","values":[7]}', Interrupted("2026", "apply", frozenset())),
        (_BEGIN + '{"event":"priors"}', Interrupted("2026", "apply", frozenset())),
        (_BEGIN + _BATCH + '{"event":"end"}\n', None),
    ],
)
def test_what_a_journal_says(store: Store, text: str, expected: Interrupted | None) -> None:
    """One of another uptime nothing; one that cannot be read, that a run was cut short."""
    store.directory.mkdir(parents=True)
    content = text.replace("BOOT", state.boot_id()).encode(errors="surrogateescape")
    (store.directory / "journal.jsonl").write_bytes(content)
    assert store.interrupted() == expected


def test_a_journal_that_cannot_be_opened_is_one_of_a_run_cut_short(store: Store) -> None:
    """A new one is never written through a link."""
    with store.lock():
        store.save(LEASES, {})
        elsewhere = store.root / "elsewhere"
        (store.directory / "journal.jsonl").symlink_to(elsewhere)
        with store.journal("", "apply"):
            pass
        assert not elsewhere.exists()
        assert (store.directory / "journal.jsonl.damaged").is_symlink()
        store.remove()
    with store.lock():
        (store.directory / "journal.jsonl").mkdir()
        assert store.interrupted() == Interrupted("", "", frozenset())
        with store.journal("", "apply"):
            pass
        assert store.interrupted() is None


def test_a_directory_in_place_of_a_record_stops_no_destroy(store: Store) -> None:
    """It is somebody's, and stays; what is ours goes."""
    with store.lock():
        (store.directory / "history.json").mkdir()
        with pytest.raises(ReconcilerError, match=r"history\.json is damaged"):
            store.history()
        store.remove()
        assert [path.name for path in store.directory.iterdir()] == ["history.json"]


def test_old_values_of_a_killed_run_are_claims(store: Store, reboot: Callable[[], None]) -> None:
    """Until the next run has them in its own; what was saved before wins, and a reboot voids them."""
    forward, other = ("sysctl", HOST, "net/ipv4/ip_forward"), ("sysctl", HOST, "net/ipv4/conf/all/rp_filter")
    with store.lock():
        store.save(LEASES, CLAIMS)
        with suppress(KeyError), store.journal("2026", "apply") as journal:
            journal.priors({forward: "7", other: "2"})
            journal.priors({other: "1"})
            raise KeyError
        assert store.claims() == {**CLAIMS, other: "2"}
        with store.journal("2027", "apply"):
            assert store.claims() == {**CLAIMS, other: "2"}
        assert store.claims() == {**CLAIMS, other: "2"}
    reboot()
    assert store.claims() == {}


def test_leftovers_of_killed_writes_go_with_the_topology(store: Store) -> None:
    """Temporary files of every record."""
    with store.lock():
        for name in ("state.json", "applied.json", "history.json"):
            (store.directory / f".{name}.new").write_text("{")
        store.remove()
    assert not store.root.exists()


def test_directories_that_were_there_stay(tmp_path: Path) -> None:
    """Only what was made is removed, parents included."""
    (tmp_path / "a").mkdir()
    store = Store(tmp_path / "a", "shop")
    with store.lock():
        pass
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]
    deep = Store(tmp_path / "a/b/c", "shop")
    with deep.lock():
        deep.save(LEASES, {})
    with deep.lock():
        deep.remove()
    assert list((tmp_path / "a").iterdir()) == []
    assert (tmp_path / "a").is_dir()


def test_a_directory_goes_with_the_last_topology_and_not_with_files_of_others(tmp_path: Path) -> None:
    """Who made it does not matter, what is in it does."""
    first, second = Store(tmp_path / "a/b", "one"), Store(tmp_path / "a/b", "two")
    with first.lock(), second.lock():
        first.remove()
        assert second.directory.is_dir()
    assert not (tmp_path / "a").exists()
    with first.lock():
        (tmp_path / "a/note").write_text("mine")
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "note"]


@pytest.mark.parametrize("text", ["", "7", "[]", "[7]", '["/"]', '["/", "ROOT"]', _DEEP])
def test_a_note_that_cannot_be_true_removes_nothing(tmp_path: Path, text: str) -> None:
    """Only a chain of directories that ends in the state directory is believed."""
    store = Store(tmp_path / "state", "shop")
    with store.lock():
        (store.root / ".made").write_text(text.replace("ROOT", str(store.root)))
    assert store.root.is_dir()


def test_a_state_directory_that_is_none_is_named(tmp_path: Path) -> None:
    """A file in its place, above it, below it, or links in place of the lock; with what to do."""
    (tmp_path / "file").write_text("")
    (tmp_path / "shop").write_text("")
    (tmp_path / "linked/shop").mkdir(parents=True)
    (tmp_path / "linked/shop/lock").symlink_to(tmp_path / "file")
    (tmp_path / "folder/shop/lock").mkdir(parents=True)
    for name in ("file", "file/below", ".", "linked", "folder"):
        with (
            pytest.raises(ReconcilerError, match=str(tmp_path)) as caught,
            Store(tmp_path / name, "shop").lock(),
        ):
            pass
        assert "--state-dir" in (caught.value.hint or "")


def test_a_state_directory_that_may_not_be_written_is_a_lack_of_privilege(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not a failure of the program."""

    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "state")

    monkeypatch.setattr(os, "mkdir", refused)
    with pytest.raises(Unsupported, match="cannot be written") as caught, store.lock():
        pass
    assert "run as root" in (caught.value.hint or "")


def test_links_that_were_applied_by_namespace(store: Store) -> None:
    """Their names alone, of one namespace; nothing after a reboot or of a damaged record."""
    with store.lock():
        links: list[KernelObject] = [
            WEB,
            Link(netns=HOST, name="shop-front", kind=Bridge()),
            Link(netns="shop.web", name="eth0", kind=Veth()),
        ]
        store.save_applied({obj.key: obj for obj in links})
        assert store.applied_links(HOST) == {"shop-front"}
        record = {"format_version": "1.1", "boot_id": state.boot_id(), "objects": [7]}
        (store.directory / "applied.json").write_text(json.dumps(record))
        assert store.applied_links(HOST) == frozenset()
        (store.directory / "applied.json").write_text(json.dumps({**record, "boot_id": "another"}))
        assert store.applied_links(HOST) == frozenset()
