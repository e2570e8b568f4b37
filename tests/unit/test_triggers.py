"""What wakes: whatever becomes of a file along its path, the kernel, signals; and what does not."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from reconciler.watch.triggers import Triggers

LONG, SHORT = 20.0, 0.05
Act = Callable[[Path], object]


@pytest.fixture
def triggers() -> Iterator[Triggers]:
    """Without a kernel."""
    with Triggers() as made:
        yield made


def woken(triggers: Triggers, seconds: float = LONG) -> bool:
    """Whether files wake within that time."""
    return triggers.wait(time.monotonic() + seconds).files


def _rename_over(path: Path) -> None:
    new = path.with_name(".new")
    new.write_text("new")
    new.replace(path)


def _remove_and_restore(path: Path) -> None:
    path.unlink()
    path.write_text("again")


def _replace_directory(path: Path) -> None:
    path.parent.rename(path.parent.with_name("old"))
    path.parent.mkdir()
    path.write_text("another")


EDITS: dict[str, Act] = {
    "in place": lambda path: path.write_text("more"),
    "renamed over": _rename_over,
    "removed": lambda path: path.unlink(),
    "removed and restored": _remove_and_restore,
    "another beside it": lambda path: path.with_name("second.yaml").write_text("x"),
    "unreadable": lambda path: path.chmod(0),
    "its directory replaced": _replace_directory,
}


def test_who_reads_is_nobodys_business(triggers: Triggers, tmp_path: Path) -> None:
    """The kernel is not even asked to tell of it: in /tmp and / somebody always reads."""
    triggers.watch([str(tmp_path / "topology.yaml")])
    asked = set()
    for held in list(Path("/proc/self/fdinfo").iterdir()):
        with suppress(FileNotFoundError):  # it was for the list itself
            lines = [line.split() for line in held.read_text().splitlines() if line.startswith("inotify")]
            asked |= {int(word[5:], 16) for words in lines for word in words if word.startswith("mask:")}
    assert asked
    accessed, closed_unwritten, opened = 0x1, 0x10, 0x20
    assert not [mask for mask in asked if mask & (accessed | closed_unwritten | opened)]


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
@pytest.mark.parametrize("directory", [False, True], ids=["file", "directory"])
def test_edits_wake(triggers: Triggers, tmp_path: Path, edit: Act, directory: bool) -> None:
    """Named as a file or by its directory; and the next edit wakes too, if it is asked for again."""
    path = tmp_path / "lab" / "lab.yaml"
    path.parent.mkdir()
    path.write_text("x")
    named = [str(path.parent if directory else path)]
    triggers.watch(named)
    assert not woken(triggers, SHORT)
    edit(path)
    assert woken(triggers)
    while woken(triggers, SHORT):
        pass
    triggers.watch(named)
    path.write_text("the next")
    assert woken(triggers)


def test_links_along_the_way_are_followed(triggers: Triggers, tmp_path: Path) -> None:
    """As config maps are replaced: a link in the middle leads elsewhere, and neither file nor name was touched."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "lab.yaml").write_text(name)
    (tmp_path / "..data").symlink_to("one")
    (tmp_path / "lab.yaml").symlink_to("..data/lab.yaml")
    (tmp_path / "etc").mkdir()
    path = tmp_path / "etc" / "lab.yaml"
    path.symlink_to(tmp_path / "lab.yaml")
    triggers.watch([str(path)])
    (tmp_path / "..new").symlink_to("two")
    (tmp_path / "..new").rename(tmp_path / "..data")
    assert woken(triggers)
    triggers.watch([str(path)])
    while woken(triggers, SHORT):
        pass
    (tmp_path / "two" / "lab.yaml").write_text("three")
    assert woken(triggers)


def test_what_is_to_come_is_heard(triggers: Triggers, tmp_path: Path) -> None:
    """A file in a directory that does not exist yet."""
    path = tmp_path / "a" / "b" / "lab.yaml"
    triggers.watch([str(path)])
    path.parent.parent.mkdir()
    assert woken(triggers)
    triggers.watch([str(path)])
    path.parent.mkdir()
    assert woken(triggers)


def test_what_is_watched_alone_has_quiet_neighbours(triggers: Triggers, tmp_path: Path) -> None:
    """The state directory is written all the time; only one file in it matters."""
    wish = tmp_path / "suspend.json"
    triggers.watch([], alone=[str(wish)])
    (tmp_path / "watch.json").write_text("{}")
    assert not woken(triggers, SHORT)
    wish.write_text("{}")
    assert woken(triggers)


def test_reading_does_not_wake(triggers: Triggers, tmp_path: Path) -> None:
    """We read ourselves; and who writes is not done before he closes."""
    path = tmp_path / "lab.yaml"
    path.write_text("x")
    triggers.watch([str(tmp_path)])
    path.read_text()
    with path.open("a") as file:
        file.write("half")
        file.flush()
        assert not woken(triggers, SHORT)
    assert woken(triggers)


def test_signals_are_kept(triggers: Triggers) -> None:
    """One that asks for an end is told by each wait from then on, one that asks to read again by one."""
    os.kill(os.getpid(), signal.SIGHUP)
    assert triggers.wait(time.monotonic() + LONG).reload
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGINT)
    found = triggers.wait(time.monotonic() + LONG)
    assert (found.stop, found.reload) == (signal.SIGTERM, False)
    assert triggers.wait(time.monotonic()).stop is triggers.stop is signal.SIGTERM


def test_nothing_is_left_open(tmp_path: Path) -> None:
    """Descriptors and handlers are as before."""

    def held() -> tuple[int, object]:
        return len(list(Path("/proc/self/fd").iterdir())), signal.getsignal(signal.SIGTERM)

    before = held()
    for _ in range(3):
        with Triggers() as triggers:
            triggers.watch([str(tmp_path)])
    assert held() == before
