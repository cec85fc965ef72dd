"""Several logs at once."""

from __future__ import annotations

import gzip
import os
from itertools import islice
from pathlib import Path

import pytest

from producer.files import Place, expand, log_path
from producer.log import Source
from producer.reader import Limits
from producer.tailer import NoInput, Tailer

LIMITS = Limits(slice_lines=10, slice_bytes=65_536, line_bytes=65_536)
FOLLOW = Source("test", "combined", LIMITS)
ONCE = Source("test", "combined", LIMITS, once=True)


def all_lines(tailer: Tailer) -> list[bytes]:
    """Hand out and confirm everything, until there is no more for now."""
    lines = []
    for piece in tailer.slices():
        if piece is None:
            break
        tailer.confirm()
        lines += piece.body.split(b"\n")
    return lines


def log_of(folder: Path, name: str, *lines: bytes) -> Path:
    """Write a log."""
    path = folder / name
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def test_lists_and_patterns(tmp_path: Path) -> None:
    """Whatever they stand for is read, each log once, and what appears later as well."""
    log_of(tmp_path, "a.log", b"a")
    log_of(tmp_path, "b.log", b"b")
    tailer = Tailer([f"{tmp_path}/*.log", f"{tmp_path}/a.log"], FOLLOW, [], 0.0)
    first = all_lines(tailer)
    log_of(tmp_path, "c.log", b"c")
    tailer._expanded_at = -1_000.0  # a second has passed
    all_lines(tailer)

    assert sorted(first) == [b"a", b"b"]
    assert {place.path for place in tailer.places()} == {
        str(tmp_path / name) for name in ("a.log", "b.log", "c.log")
    }


def test_history_is_read_oldest_first(tmp_path: Path) -> None:
    """A pattern over rotated files, packed ones among them, is one log in order."""
    for age, (name, line) in enumerate(
        [("access.log", b"3"), ("access.log.1", b"2"), ("access.log.2.gz", b"1")]
    ):
        path = log_of(tmp_path, name, line)
        if name.endswith(".gz"):
            path.write_bytes(gzip.compress(line + b"\n"))
        os.utime(path, (1_000_000 - age, 1_000_000 - age))

    assert all_lines(Tailer([f"{tmp_path}/access.log*"], ONCE, [], 0.0)) == [b"1", b"2", b"3"]


def test_a_backlog_holds_up_nobody_else(tmp_path: Path) -> None:
    """A fresh line of one log comes after one slice of another, however much that one has."""
    log_of(tmp_path, "a.log", *[b"backlog"] * 10_000)
    log_of(tmp_path, "b.log", b"fresh")
    tailer = Tailer([f"{tmp_path}/*.log"], FOLLOW, [], 0.0)

    first_two = list(islice(tailer.slices(), 2))

    assert sorted(piece.body[:7] for piece in first_two if piece) == [b"backlog", b"fresh"]
    assert tailer.behind_bytes == 10_000 * 8 + 6
    assert tailer.open_files == 2


@pytest.mark.parametrize("pattern", ["missing.log", "missing-*.log"])
def test_once_names_what_is_missing(tmp_path: Path, pattern: str) -> None:
    """What is there is read all the same; then the missing one is an error."""
    log_of(tmp_path, "a.log", b"a")
    tailer = Tailer([f"{tmp_path}/a.log", f"{tmp_path}/{pattern}"], ONCE, [], 0.0)
    lines = []

    with pytest.raises(NoInput, match="missing"):
        lines += [piece.body for piece in tailer.slices() if piece]

    assert [place.position for place in tailer.places()] == [] or lines


def test_places_of_other_logs_are_kept(tmp_path: Path) -> None:
    """A log that is not read this time is not forgotten."""
    other = Place(5, "/var/log/other.log", 0, 1, 2, 300, 100, "ab", "cd")
    log_of(tmp_path, "a.log", b"a")
    tailer = Tailer([f"{tmp_path}/a.log"], ONCE, [other], 1.0)
    all_lines(tailer)

    assert other in tailer.places()
    assert len(tailer.places()) == 2


def test_a_switched_symbolic_link(tmp_path: Path) -> None:
    """The link is the log: where it points to now is read after where it pointed before."""
    log_of(tmp_path, "monday", b"1")
    log_of(tmp_path, "tuesday", b"2")
    link = tmp_path / "current"
    link.symlink_to("monday")
    tailer = Tailer([str(link)], FOLLOW, [], 0.0)
    first = all_lines(tailer)
    link.unlink()
    link.symlink_to("tuesday")

    assert (first, all_lines(tailer)) == ([b"1"], [b"2"])


def test_confirming_nothing_is_a_mistake(tmp_path: Path) -> None:
    """There is nothing to note before a slice was handed out."""
    with pytest.raises(ValueError, match="no slice"):
        Tailer([str(tmp_path / "a.log")], FOLLOW, [], 0.0).confirm()


@pytest.mark.parametrize(
    ("name", "log"),
    [
        ("access.log", "access.log"),
        ("access.log.1", "access.log"),
        ("access.log.12.gz", "access.log"),
        ("access.log.gz", "access.log"),
        ("access.log-20261124", "access.log"),
        ("access.log-20261124.gz", "access.log"),
        ("access.log-20261124-1764000000.gz", "access.log"),
        ("access.log.2026-11-24", "access.log"),
        ("web-server-nginx.log", "web-server-nginx.log"),
        ("site-2.log", "site-2.log"),
        ("v1.2.log", "v1.2.log"),
    ],
)
def test_rotated_files_count_as_their_log(name: str, log: str) -> None:
    """Whatever logrotate and its kin append to a name."""
    assert log_path(f"/var/log/{name}") == f"/var/log/{log}"


def test_a_name_with_the_characters_of_a_pattern(tmp_path: Path) -> None:
    """A path that exists is itself."""
    odd = log_of(tmp_path, "odd[1]*.log", b"x")

    assert expand(str(odd)) == [str(odd)]
    assert expand(str(tmp_path / "none-*.log")) == []


def test_a_plain_log_that_begins_like_gzip(tmp_path: Path) -> None:
    """Only a file that is named like one is taken for one."""
    log_of(tmp_path, "a.log", b"\x1f\x8b\x08 is how it begins")
    log_of(tmp_path, "b.log.gz", b"named like one, but is not")

    assert sorted(all_lines(Tailer([f"{tmp_path}/*"], ONCE, [], 0.0))) == [
        b"\x1f\x8b\x08 is how it begins",
        b"named like one, but is not",
    ]
