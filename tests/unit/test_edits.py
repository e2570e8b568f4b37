"""Whether files say something new, and whether they can be read yet."""

from __future__ import annotations

import os
from pathlib import Path

from reconciler.errors import Diagnostic, Mark, TopologyError
from reconciler.load.files import is_being_written
from reconciler.watch.edits import Edits


def taken(*named: Path | str, led: tuple[str, ...] = ()) -> Edits:
    """Files that were read."""
    edits = Edits([str(name) for name in named])
    edits.take()
    edits.was_read(led or [str(name) for name in named])
    return edits


def test_nothing_new_after_reading(tmp_path: Path) -> None:
    """Until one is written, replaced by one of the same size and time, or removed."""
    path = tmp_path / "lab.yaml"
    path.write_text("a")
    edits = taken(path)
    assert not edits.pending()
    before = path.stat()
    new = tmp_path / "new"
    new.write_text("b")
    os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))
    new.replace(path)
    assert edits.pending()
    edits.take()
    path.unlink()
    assert edits.pending()


def test_patterns_and_lock_files_count(tmp_path: Path) -> None:
    """A file that a pattern means from now on, and a lock file that appears beside one."""
    path = tmp_path / "one.topo.yaml"
    path.write_text("a")
    pattern = taken(str(tmp_path / "*.topo.yaml"), led=(str(path),))
    pattern.take()
    (tmp_path / "two.topo.yaml").write_text("b")
    assert pattern.pending()
    alone = taken(path)
    (tmp_path / "lab.lock.yaml").write_text("version: 1")
    assert alone.pending()


def test_what_changes_while_it_is_read_is_another_edit(tmp_path: Path) -> None:
    """It was noted before."""
    path = tmp_path / "lab.yaml"
    path.write_text("a")
    edits = Edits([str(path)])
    edits.take()
    path.write_text("while it was read")
    edits.was_read([str(path)])
    assert edits.pending()


def test_files_that_others_led_to_are_read_once_more(tmp_path: Path) -> None:
    """What they were before they were read nobody knows; then they count like the others."""
    path, included = tmp_path / "lab.yaml", tmp_path / "sub" / "more.yaml"
    included.parent.mkdir()
    path.write_text("a")
    included.write_text("b")
    edits = taken(path, led=(str(path), str(included)))
    assert edits.pending()
    edits.take()
    edits.was_read([str(path), str(included)])
    assert not edits.pending()
    included.write_text("c")
    assert edits.pending()


def test_a_file_that_is_missing_is_waited_for(tmp_path: Path) -> None:
    """The mistake names it, so it counts although nothing could be read."""
    path, included = tmp_path / "lab.yaml", tmp_path / "sub" / "more.yaml"
    path.write_text("a")
    edits = Edits([str(path)])
    for _ in range(2):
        edits.take()
        edits.failed(TopologyError([Diagnostic("unreadable", "gone", Mark(str(included), 1, 1, 2))]))
    assert not edits.pending()
    included.parent.mkdir()
    included.write_text("b")
    assert edits.pending()


def test_a_pattern_in_a_file_may_mean_more(tmp_path: Path) -> None:
    """A file that appears beside one that was read counts, what is written to it later does not: nobody read it."""
    path, included = tmp_path / "lab.yaml", tmp_path / "conf.d" / "one.yaml"
    included.parent.mkdir()
    path.write_text("a")
    included.write_text("b")
    edits = taken(path, led=(str(path), str(included)))
    edits.take()
    other = included.with_name("two.yaml")
    other.write_text("c")
    assert edits.pending()
    edits.take()
    other.write_text("more of c")
    assert not edits.pending()


def test_who_writes_is_waited_for(tmp_path: Path) -> None:
    """Open for writing, as far as the kernel tells; a directory or a pipe in the list is none of its business."""
    path = tmp_path / "lab.yaml"
    path.write_text("a")
    os.mkfifo(tmp_path / "pipe")
    edits = taken(path)
    with path.open("a"):
        assert is_being_written(str(path))
        assert not edits.settled(edits.look())
    assert edits.settled(edits.look())
    assert not is_being_written(str(tmp_path / "pipe"))
    assert not is_being_written(str(tmp_path))
