"""Several logs at once."""

from __future__ import annotations

import gzip
import os
from itertools import islice
from pathlib import Path

import pytest

from datastream.config import Environment
from datastream.paths import expand, log_path
from datastream.slices import TRUNCATED, Slice
from producer.files import LogFile
from producer.settings import ProducerSettings, SliceLimits, Source
from producer.state import Entry, State
from producer.tailer import NoInput, Tailer
from unit.producer.followed import all_lines

SLICE_LIMITS = SliceLimits(slice_lines=10, slice_bytes=65_536, line_bytes=65_536)
FOLLOW = Source("test", "combined", SLICE_LIMITS)
ONCE = Source("test", "combined", SLICE_LIMITS, once=True)


def log_of(folder: Path, name: str, *lines: bytes) -> Path:
    """Write a log."""
    path = folder / name
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def test_lists_and_patterns(tmp_path: Path) -> None:
    """Whatever they stand for is read, each log once, and what appears later as well."""
    log_of(tmp_path, "a.log", b"a")
    log_of(tmp_path, "b.log", b"b")
    tailer = Tailer([f"{tmp_path}/*.log", f"{tmp_path}/a.log"], FOLLOW, State())
    first = all_lines(tailer)
    log_of(tmp_path, "c.log", b"c")
    tailer._expanded_at = -1_000.0  # a second has passed
    all_lines(tailer)

    assert sorted(first) == [b"a", b"b"]
    assert {entry.path for entry in tailer.state().entries} == {
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

    assert all_lines(Tailer([f"{tmp_path}/access.log*"], ONCE, State())) == [b"1", b"2", b"3"]


def test_a_backlog_holds_up_nobody_else(tmp_path: Path) -> None:
    """A fresh line of one log comes after one slice of another, however much that one has."""
    log_of(tmp_path, "a.log", *[b"backlog"] * 10_000)
    log_of(tmp_path, "b.log", b"fresh")
    tailer = Tailer([f"{tmp_path}/*.log"], FOLLOW, State())

    first_two = list(islice(tailer.slices(), 2))

    assert sorted(slice_.body[:7] for slice_ in first_two if slice_) == [b"backlog", b"fresh"]
    assert tailer.behind_bytes == 10_000 * 8 + 6
    assert tailer.open_files == 2


@pytest.mark.parametrize("pattern", ["missing.log", "missing-*.log"])
def test_once_names_what_is_missing(tmp_path: Path, pattern: str) -> None:
    """What is there is read all the same; then the missing one is an error."""
    log_of(tmp_path, "a.log", b"a")
    tailer = Tailer([f"{tmp_path}/a.log", f"{tmp_path}/{pattern}"], ONCE, State())
    lines = []

    with pytest.raises(NoInput, match="missing"):
        for slice_ in tailer.slices():
            assert slice_ is not None
            lines.append(slice_.body)
            tailer.confirm()

    assert lines == [b"a"]


def test_places_of_other_logs_are_kept(tmp_path: Path) -> None:
    """A log that is not read this time is not forgotten."""
    other = Entry(5, "/var/log/other.log", 0, 1, 2, 300, 100, "ab", "cd")
    log_of(tmp_path, "a.log", b"a")
    tailer = Tailer([f"{tmp_path}/a.log"], ONCE, State([other], {other.path: 1.0}))
    all_lines(tailer)

    assert other in tailer.state().entries
    assert len(tailer.state().entries) == 2


def test_a_switched_symbolic_link(tmp_path: Path) -> None:
    """The link is the log: where it points to now is read after where it pointed before."""
    log_of(tmp_path, "monday", b"1")
    log_of(tmp_path, "tuesday", b"2")
    link = tmp_path / "current"
    link.symlink_to("monday")
    tailer = Tailer([str(link)], FOLLOW, State())
    first = all_lines(tailer)
    link.unlink()
    link.symlink_to("tuesday")

    assert (first, all_lines(tailer)) == ([b"1"], [b"2"])


def test_confirming_nothing_is_a_mistake(tmp_path: Path) -> None:
    """There is nothing to note before a slice was handed out."""
    with pytest.raises(ValueError, match="no slice"):
        Tailer([str(tmp_path / "a.log")], FOLLOW, State()).confirm()


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

    assert sorted(all_lines(Tailer([f"{tmp_path}/*"], ONCE, State()))) == [
        b"\x1f\x8b\x08 is how it begins",
        b"named like one, but is not",
    ]


def test_logs_take_turns(tmp_path: Path) -> None:
    """While one has a backlog, each line that another gets comes within its next turn."""
    log_of(tmp_path, "a.log", *[b"backlog"] * 1_000)
    other = log_of(tmp_path, "b.log")
    tailer = Tailer([f"{tmp_path}/*.log"], FOLLOW, State())
    handed_out = tailer.slices()
    waited = []
    for number in range(10):
        with other.open("ab") as file:
            file.write(b"fresh %d\n" % number)
        slices: list[Slice] = []
        while not slices or slices[-1].body != b"fresh %d" % number:
            slice_ = next(handed_out)
            assert slice_ is not None
            tailer.confirm()
            slices.append(slice_)
        waited.append(len(slices))

    assert max(waited) <= 2


def test_a_confirm_is_of_the_slice_handed_out_last(tmp_path: Path) -> None:
    """The state moves with it, and by nothing else."""
    log = log_of(tmp_path, "a.log", *[b"line"] * 15)
    tailer = Tailer([str(log)], FOLLOW, State())
    slices = tailer.slices()
    positions = []
    for _ in range(2):
        next(slices)
        positions.append([entry.position for entry in tailer.state().entries])
        tailer.confirm()
        positions.append([entry.position for entry in tailer.state().entries])

    assert positions == [[0], [50], [50], [75]]


def test_a_slice_that_was_not_confirmed_comes_again(tmp_path: Path) -> None:
    """The next process hands out the very same lines under the same keys."""
    log = log_of(tmp_path, "a.log", *[b"line"] * 15)
    first = Tailer([str(log)], FOLLOW, State())
    lost = next(first.slices())
    second = Tailer([str(log)], FOLLOW, first.state())
    again = next(second.slices())

    assert lost is not None
    assert again is not None
    assert (again.stream, again.position, again.body) == (lost.stream, lost.position, lost.body)


def test_once_names_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """With the reason; a folder is none either."""
    log_of(tmp_path, "a.log", b"a")
    (tmp_path / "b.log").mkdir()
    tailer = Tailer([str(tmp_path / "a.log"), str(tmp_path / "b.log")], ONCE, State())

    with pytest.raises(NoInput, match=r"b\.log: Not a regular file") as raised:
        list(tailer.slices())

    assert "a.log" not in str(raised.value)


def test_once_reads_what_is_there_and_ends(tmp_path: Path) -> None:
    """An empty log is read to its end at once; read again, there is nothing more."""
    log_of(tmp_path, "empty.log")
    log_of(tmp_path, "a.log", b"a")
    first = Tailer([f"{tmp_path}/*.log"], ONCE, State())
    lines = all_lines(first)
    again = Tailer([f"{tmp_path}/*.log"], ONCE, first.state())

    assert (lines, all_lines(again)) == ([b"a"], [])


def test_only_rotated_files_are_asked_for(tmp_path: Path) -> None:
    """They are read, and the live log is not."""
    log_of(tmp_path, "access.log", b"live")
    log_of(tmp_path, "access.log.1", b"rotated")
    tailer = Tailer([f"{tmp_path}/access.log.1"], ONCE, State())

    assert all_lines(tailer) == [b"rotated"]


def test_a_pattern_that_matches_nothing_yet(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told once, and what matches later is read from its beginning."""
    tailer = Tailer([f"{tmp_path}/*.log"], FOLLOW, State())
    nothing = []
    for _ in range(3):
        tailer._expanded_at = -1_000.0  # a second has passed
        nothing += all_lines(tailer)
    log_of(tmp_path, "a.log", b"a")
    tailer._expanded_at = -1_000.0

    assert nothing == []
    assert sum("No file matches" in record.message for record in caplog.records) == 1
    assert all_lines(tailer) == [b"a"]


def test_what_can_be_read_is_told(tmp_path: Path) -> None:
    """As long as one of the logs can be; a log that nobody waits for is behind by nothing."""
    tailer = Tailer([str(tmp_path / "a.log"), str(tmp_path / "b.log")], FOLLOW, State())
    all_lines(tailer)
    before = tailer.is_tailing, tailer.open_files, tailer.behind_bytes, tailer.behind_seconds
    log_of(tmp_path, "b.log", b"b")
    all_lines(tailer)

    assert before == (False, 0, 0, 0.0)
    assert (tailer.is_tailing, tailer.open_files, tailer.once) == (True, 1, False)


def test_two_logs_that_begin_alike(tmp_path: Path) -> None:
    """They are two streams: the path is a part of the name."""
    log_of(tmp_path, "a.log", b"header", b"1")
    log_of(tmp_path, "b.log", b"header", b"1")
    tailer = Tailer([f"{tmp_path}/*.log"], ONCE, State())
    all_lines(tailer)

    assert len({entry.stream_id for entry in tailer.state().entries}) == 2


def test_closed_files(tmp_path: Path) -> None:
    """At the end nothing stays open."""
    log_of(tmp_path, "a.log", b"a")
    before = len(list(Path("/proc/self/fd").iterdir()))
    tailer = Tailer([f"{tmp_path}/*.log"], FOLLOW, State())
    all_lines(tailer)
    during = len(list(Path("/proc/self/fd").iterdir()))
    tailer.close()

    assert during == before + 1
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def noted_reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list to which every read of a file will add how many bytes it gave."""
    reads: list[int] = []
    read = LogFile.read

    def note(file: LogFile, offset: int, length: int) -> bytes:
        data = read(file, offset, length)
        reads.append(len(data))
        return data

    monkeypatch.setattr(LogFile, "read", note)
    return reads


@pytest.mark.parametrize(
    "line", [b"x" * 251, b"", b"x" * 100 * 1024**2], ids=["usual", "empty", "huge"]
)
def test_a_turn_is_bounded_in_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: bytes
) -> None:
    """With the limits that are the default: what the page on guarantees reckons with."""
    limits = ProducerSettings.read(Environment({"SOURCE": "test"}), [], once=False).source.limits
    backlog = tmp_path / "a.log"
    backlog.write_bytes((line + b"\n") * (8 * 1024**2 // (len(line) + 1) or 1))
    other = log_of(tmp_path, "b.log")
    tailer = Tailer([f"{tmp_path}/*.log"], Source("test", "combined", limits), State())
    reads = noted_reads(monkeypatch)
    slices = tailer.slices()
    others = 0
    for number in range(12):
        with other.open("ab") as file:
            file.write(b"fresh %d\n" % number)
        reads.clear()
        slice_ = next(slices)
        assert slice_ is not None
        if slice_.stream.path == str(backlog):
            assert slice_.lines <= 1_000
            assert len(slice_.body) <= (256 if len(line) < 1_000 else 1_024) * 1024
        others += slice_.stream.path == str(other)
        assert sum(reads) <= (1 if len(line) < 1_000 else 20) * 1024**2
        tailer.confirm()

    assert others >= 5


def test_a_turn_inside_a_compressed_line_is_bounded_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that cannot grow any more gives way to others as well."""
    packed = tmp_path / "a.log.1.gz"
    packed.write_bytes(gzip.compress(b"x" * 100 * 1024**2 + b"\n", compresslevel=1))
    other = log_of(tmp_path, "b.log")
    tailer = Tailer([str(packed), str(other)], FOLLOW, State())
    slices = tailer.slices()
    head = next(slices)
    assert head is not None
    assert head.flags == TRUNCATED
    reads = noted_reads(monkeypatch)
    for number in range(2):
        tailer.confirm()
        with other.open("ab") as file:
            file.write(b"fresh %d\n" % number)
        reads.clear()
        slice_ = next(slice_ for slice_ in slices if slice_ is not None)
        assert slice_.body == b"fresh %d" % number
        assert sum(reads) <= 20 * 1024**2
