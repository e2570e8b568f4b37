"""Reading YAML: scalars of YAML 1.2, exact places, limits, and which files a path means."""

from __future__ import annotations

import gc
import io
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import Mark, TopologyError, UsageError
from reconciler.load import files, source
from reconciler.load.source import Map, Seq


def parse(text: str) -> Map:
    return source.parse(text.encode(), "t.yaml")


def underlined(text: str, mark: Mark) -> str:
    """What a caret line under the mark would show."""
    return text.split("\n")[mark.line - 1][mark.col - 1 : mark.end - 1]


def codes(text: str | bytes) -> list[str]:
    with pytest.raises(TopologyError) as caught:
        source.parse(text.encode() if isinstance(text, str) else text, "t.yaml")
    return [diagnostic.code for diagnostic in caught.value.diagnostics]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12:34:56:10:20:30", "12:34:56:10:20:30"),
        ("02:00:00:00:00:05", "02:00:00:00:00:05"),
        ("22:22", "22:22"),
        ("no", "no"),
        ("on", "on"),
        ("Yes", "Yes"),
        ("1_000", "1_000"),
        ("2001-12-14", "2001-12-14"),
        ("10.10.0.0/24", "10.10.0.0/24"),
        ("fd00::1", "fd00::1"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("0o9", "0o9"),
        ("9" * 5000, "9" * 5000),
        ("+", "+"),
        (".", "."),
        ("1e", "1e"),
        ("=", "="),
        ("", None),
        ("~", None),
        ("null", None),
        ("Null", None),
        ("nULL", "nULL"),
        ("true", True),
        ("FALSE", False),
        ("tRue", "tRue"),
        ("0", 0),
        ("-7", -7),
        ("+7", 7),
        ("007", 7),
        ("0x1f", 31),
        ("0o17", 15),
        ("1.5", 1.5),
        ("-.5", -0.5),
        ("1e3", 1000.0),
        ("'12'", "12"),
        ('"true"', "true"),
        ("!!str 12", "12"),
        ("! 12", "12"),
    ],
)
def test_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    """A plain scalar is what YAML 1.2 core says, so MAC addresses, times and `no` stay text."""
    read = parse(f"key: {text}\n")["key"]
    assert read == value
    assert type(read) is type(value)


def test_every_place_is_exact() -> None:
    """Marks point at the token and end after it, in block and flow style, with quotes, anchors and aliases."""
    text = (
        "name: shop  # a comment\n"
        "x-n: &num 1500\n"
        'nets: {front: {mtu: *num, mac: "02:00"}, \'b\': [1, {a: b}, "x y"]}\n'
        "boxes:\n"
        "  web:\n"
        "    - one\n"
        "    - &two 'two'\n"
        "  ü: ÄÖÜ\n"
        "  none:\n"
        "  long: |\n"
        "    first\n"
        "    second\n"
        "  wrapped: this is\n"
        "    one text\n"
    )
    data = parse(text)
    nets, boxes = data["nets"], data["boxes"]
    assert isinstance(nets, Map)
    assert isinstance(boxes, Map)
    front, b, web = nets["front"], nets["b"], boxes["web"]
    assert isinstance(front, Map)
    assert isinstance(b, Seq)
    assert isinstance(web, Seq)
    shown = {
        "name": data.marks["name"],
        "x-n": data.marks["x-n"],
        "front": nets.marks["front"],
        "mtu": front.marks["mtu"],
        "mac": front.marks["mac"],
        "ü": boxes.marks["ü"],
        "long": boxes.marks["long"],
        "wrapped": boxes.marks["wrapped"],
    }
    assert {key: (underlined(text, k), underlined(text, v)) for key, (k, v) in shown.items()} == {
        "name": ("name", "shop"),
        "x-n": ("x-n", "1500"),
        "front": ("front", "{"),
        "mtu": ("mtu", "*num"),
        "mac": ("mac", '"02:00"'),
        "ü": ("ü", "ÄÖÜ"),
        "long": ("long", "|"),
        "wrapped": ("wrapped", "this is"),
    }
    assert [underlined(text, mark) for mark in b.marks] == ["1", "{", '"x y"']
    assert [underlined(text, mark) for mark in web.marks] == ["one", "'two'"]
    assert underlined(text, nets.marks["b"][0]) == "'b'"
    assert boxes.marks["none"][1] == boxes.marks["none"][0], "an empty value shows its key"
    assert (boxes.mark.line, boxes.mark.col) == (5, 3)


def test_a_byte_order_mark_and_windows_line_ends_shift_nothing() -> None:
    """Files from other editors read alike and keep their columns."""
    data = source.parse(b"\xef\xbb\xbfname: shop\r\nother: 1\r\n", "t.yaml")
    assert data == {"name": "shop", "other": 1}
    assert data.marks["name"][0] == Mark("t.yaml", 1, 1, 5)
    assert data.marks["other"][1] == Mark("t.yaml", 2, 8, 9)


def test_merge_keys_complete_and_explicit_keys_win() -> None:
    """`<<` adds what the map does not say itself, the first of several bases wins, and places lead to the base."""
    data = parse("x-a: &a {p: 1, q: 1}\nx-b: &b {q: 2, r: 2}\nm: {q: 3, <<: [*a, *b]}\nn: {<<: *b, q: 4}\n")
    merged, other = data["m"], data["n"]
    assert merged == {"q": 3, "p": 1, "r": 2}
    assert other == {"q": 4, "r": 2}
    assert isinstance(merged, Map)
    assert (merged.marks["q"][1].line, merged.marks["r"][1].line) == (3, 2)


def test_a_quoted_merge_key_is_an_ordinary_key_of_no_meaning() -> None:
    """Only the plain << merges; in quotes it is text like any other."""
    assert parse('m: {"<<": 1}')["m"] == {"<<": 1}


def test_keys_are_text_as_written() -> None:
    """A number, a word or null as a key stays what the file shows."""
    assert list(parse("80: a\n0x50: b\nno: c\n~: d\n1.0: e\n")) == ["80", "0x50", "no", "~", "1.0"]


def test_aliases_share_what_they_repeat() -> None:
    """An alias costs no memory: it is the same map."""
    data = parse("a: &a {x: 1}\nb: *a\n")
    assert data["a"] is data["b"]


def test_a_key_can_be_anchored() -> None:
    """An anchor at a key repeats its text; a tag there is refused like any other."""
    assert parse("&k front: 1\nname: *k\n") == {"front": 1, "name": "front"}
    assert codes("!x front: 1\n") == ["yaml"]


def test_the_latest_anchor_of_a_name_counts() -> None:
    """YAML lets an anchor be set again."""
    assert parse("a: &x 1\nb: *x\nc: &x 2\nd: *x\n") == {"a": 1, "b": 1, "c": 2, "d": 2}


def test_everything_countable_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long list counts like an alias bomb, and a file has a size."""
    monkeypatch.setattr(source, "MAX_NODES", 100)
    assert codes("a: [" + "1, " * 100 + "]") == ["too-large"]
    assert parse("a: [" + "1, " * 90 + "]")
    monkeypatch.setattr(source, "MAX_FILE_BYTES", 10)
    assert codes("name: sho\n#") == ["too-large"]


def test_twenty_levels_are_allowed() -> None:
    """The limit of nesting is exact."""
    assert parse("a: " + "[" * 19 + "]" * 19)
    assert codes("a: " + "[" * 20 + "]" * 20) == ["too-large"]


def test_deep_flow_does_not_exhaust_the_stack() -> None:
    """A file of brackets ends in a diagnostic, not in a crash."""
    assert codes("[" * 100_000) == ["too-large"]


@pytest.mark.parametrize(
    ("content", "line", "col"),
    [(b"a: b\nc: \xff\n", 2, 4), (b"a: b\n\x00", 2, 1), (b"a: \xc3\xa4\xff", 1, 5), (b"\xff\xfea\x00", 1, 1)],
)
def test_what_is_no_text_is_refused_at_its_place(content: bytes, line: int, col: int) -> None:
    """Bytes that are not UTF-8, NUL and UTF-16 have a place like every other mistake."""
    with pytest.raises(TopologyError) as caught:
        source.parse(content, "t.yaml")
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "yaml"
    assert diagnostic.mark is not None
    assert (diagnostic.mark.line, diagnostic.mark.col) == (line, col)


def test_all_duplicates_and_tags_are_reported_together() -> None:
    """What does not stop the reading is collected."""
    assert codes("a: 1\na: !x 2\nb: {c: 1, c: 2}\nd: @\n") == [
        "duplicate-key",
        "yaml",
        "duplicate-key",
        "yaml",
    ]


def test_the_collector_runs_again_after_a_failure() -> None:
    """A broken file does not leave the garbage collector off."""
    assert gc.isenabled()
    codes("a: [")
    assert gc.isenabled()


def test_without_libyaml_the_tree_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyYAML in pure Python gives the same values at the same places."""
    text = "a: &x {b: [1, 'two', *y, ~]}\n".replace("*y", "no") + "c: *x\nd:\n  - e: |\n      f\n  -\n"
    fast = parse(text)
    monkeypatch.setattr(source, "_Loader", yaml.SafeLoader)
    slow = parse(text)
    assert slow == fast
    assert slow.marks == fast.marks
    assert isinstance(slow["d"], Seq)
    assert isinstance(fast["d"], Seq)
    assert slow["d"].marks == fast["d"].marks


_TEXT = st.text(max_size=12) | st.sampled_from(
    [
        "no",
        "12:34:56:10:20:30",
        "0x1f",
        "1e3",
        "~",
        "",
        " ",
        "a: b",
        "# c",
        "- d",
        "\n",
        "\u2028",
        "<<",
        "0o7",
    ]
)
_DATA = st.dictionaries(
    _TEXT.filter(lambda key: key != "<<"),
    st.recursive(
        _TEXT | st.integers(-(10**18), 10**18) | st.booleans() | st.none(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(_TEXT.filter(lambda k: k != "<<"), inner, max_size=3)
        ),
        max_leaves=8,
    ),
    min_size=1,
    max_size=4,
)


@given(_DATA)
def test_what_dump_writes_parse_reads(data: dict[str, object]) -> None:
    """Plain data survives being written and read, look-alikes of numbers and words included."""
    assert parse(source.dump(data)) == data


def test_dump_looks_like_a_file_that_a_person_writes() -> None:
    """MAC addresses are quoted, short lists stay on one line, and shared parts are written out."""
    shared = {"mtu": 1400}
    text = source.dump({"mac": "02:00:00:00:00:0a", "on": "no", "list": ["a", 1], "a": shared, "b": shared})
    assert text == (
        'mac: "02:00:00:00:00:0a"\n"on": "no"\nlist: [a, 1]\na:\n  mtu: 1400\nb:\n  mtu: 1400\n'.replace(
            '"no"', "'no'"
        ).replace('"on"', "'on'")
    )


def test_a_directory_gives_its_yaml_files_in_order(tmp_path: Path) -> None:
    """Both endings count, hidden files, folders and other files do not."""
    for name in ("b.yaml", "a.yml", ".#b.yaml", "note.txt", "c.yaml~"):
        (tmp_path / name).write_text("name: x\n")
    (tmp_path / "d.yaml").mkdir()
    assert source.collect([str(tmp_path)]) == (str(tmp_path / "a.yml"), str(tmp_path / "b.yaml"))


def test_patterns_and_repeated_files(tmp_path: Path) -> None:
    """A pattern gives its files sorted, and no file is read twice under two names."""
    for name in ("b.yaml", "a.yaml", "[x].yaml"):
        (tmp_path / name).write_text("name: x\n")
    (tmp_path / "link.yaml").symlink_to("a.yaml")
    assert source.collect([f"{tmp_path}/[ab].yaml"]) == (f"{tmp_path}/a.yaml", f"{tmp_path}/b.yaml")
    assert source.collect([f"{tmp_path}/link.yaml", f"{tmp_path}/a.yaml"]) == (f"{tmp_path}/link.yaml",)
    assert source.collect([f"{tmp_path}/[x].yaml"]) == (f"{tmp_path}/[x].yaml",), (
        "an existing file is no pattern"
    )
    assert source.collect(["-", "-"]) == ("-",)


@pytest.mark.parametrize("path", ["missing.yaml", "*.yaml", "empty", ""])
def test_a_path_that_names_nothing_is_a_wrong_command_line(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing file, an unmatched pattern and a folder without topologies name the path that was given."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=f"'{path}'".replace("*", r"\*")):
        source.collect([path])


def test_default_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder comes first, then topology files beside, and nothing at all says what was looked for."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"'topologies' nor a file '\*\.topo\.yaml'"):
        source.default_paths()
    (tmp_path / "b.topo.yaml").touch()
    (tmp_path / "a.topo.yaml").touch()
    assert source.default_paths() == ("a.topo.yaml", "b.topo.yaml")
    (tmp_path / "topologies").mkdir()
    assert source.default_paths() == ("topologies",)


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    """A FIFO, a device, a folder, a dangling link and a loop are refused at once, without waiting."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in (tmp_path / "fifo", Path("/dev/zero"), tmp_path, tmp_path / "dangling", tmp_path / "loop"):
        with pytest.raises(TopologyError) as caught:
            source.read(str(name))
        (diagnostic,) = caught.value.diagnostics
        assert diagnostic.code == "unreadable"
        assert f"'{name}'" in diagnostic.message


def test_a_linked_file_is_read(tmp_path: Path) -> None:
    """A symbolic link to a regular file is a topology like any other."""
    (tmp_path / "real.yaml").write_text("name: shop\n")
    (tmp_path / "link.yaml").symlink_to("real.yaml")
    assert source.read(str(tmp_path / "link.yaml")) == {"name": "shop"}


def test_standard_input_is_read_and_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """'-' reads what is piped in, up to the limit of a file."""
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"name: shop\n")))
    assert source.read("-") == {"name": "shop"}
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"#" * (source.MAX_FILE_BYTES + 1))))
    with pytest.raises(TopologyError, match="1 mistakes"):
        source.read("-")


def test_a_large_file_is_refused_before_it_is_understood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit holds for files on disk too."""
    monkeypatch.setattr(files, "MAX_FILE_BYTES", 100)
    (tmp_path / "big.yaml").write_text("#" * 101)
    with pytest.raises(TopologyError) as caught:
        files.read_bytes(str(tmp_path / "big.yaml"))
    assert [d.code for d in caught.value.diagnostics] == ["too-large"]
