"""The producer cuts an error log into slices so that each entry is in one of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clean_consumer.rows import parse
from datastream.slices import Slice
from datastream.streams import Stream
from producer.files import LogFile
from producer.reader import StreamReader
from producer.settings import SliceLimits

STREAM = Stream(1, "test", "host", "/var/log/error.log", "error", 0)
HEAD = b"2026/11/29 17:57:46 [error] 31#31: *7 "
FIELDS = b', client: 192.0.2.7, server: www.example.com, request: "GET / HTTP/1.1"'
WIDE = SliceLimits(slice_lines=1_000, slice_bytes=65_536, line_bytes=65_536)


@dataclass(frozen=True)
class Written:
    """An entry as nginx writes it."""

    message: list[bytes]
    has_client: bool

    @property
    def text(self) -> bytes:
        """Its lines, with their newlines."""
        return HEAD + b"\n".join(self.message) + FIELDS * self.has_client + b"\n"


MESSAGES = st.lists(
    st.sampled_from(
        [b"stack traceback:", b"\t[C]: in ?", b"", b"x" * 300, b"a, client: 192.0.2.9"]
    ),
    min_size=1,
    max_size=6,
).map(lambda lines: [b"m", *lines[:-1], lines[-1] + b"."])
ENTRIES = st.lists(st.builds(Written, MESSAGES | st.just([b"m"]), st.just(True)), max_size=30)


def slices_of(path: Path, limits: SliceLimits, stream: Stream = STREAM) -> list[Slice]:
    """Return the slices of a whole file, read to its end."""
    reader = StreamReader(LogFile(str(path)), limits, stream)
    slices = []
    while (slice_ := reader.next()) is not None:
        slices.append(slice_)
        reader.confirm()
    return slices


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ENTRIES, st.integers(7, 40), st.integers(2_400, 9_000))
def test_each_entry_is_a_row_and_each_line_is_in_one_row(
    tmp_path: Path, written: list[Written], slice_lines: int, slice_bytes: int
) -> None:
    """Whatever the limits of a slice, if the largest entry fits."""
    path = tmp_path / "error.log"
    path.write_bytes(b"".join(entry.text for entry in written))
    parsed = [parse(one) for one in slices_of(path, SliceLimits(slice_lines, slice_bytes, 65_536))]

    rows = [row for one in parsed for row in one.errors]
    assert [row.message.encode() for row in rows] == [
        b"\n".join(entry.message) for entry in written
    ]
    assert {row.client for row in rows} <= {bytes([192, 0, 2, 7])}
    rejected = [row for one in parsed for row in one.rejected]
    assert {row.reason for row in rejected} <= {"continued"}
    lines = [offset for one in parsed for offset, _ in one.slice.numbered()]
    offsets = [row.line_offset for row in rows] + [row.line_offset for row in rejected]
    assert sorted(offsets) == lines
    assert b"\n".join(one.slice.body for one in parsed) == path.read_bytes()[:-1]


@pytest.mark.parametrize(
    "seen", [len(HEAD) + 3, len(HEAD) + 9, len(HEAD) + len(b"m\none\n") + len(FIELDS) + 2]
)
def test_an_entry_that_is_being_written_is_waited_for(tmp_path: Path, seen: int) -> None:
    """A look may see the first part of what is written at once."""
    path = tmp_path / "error.log"
    first = Written([b"m", b"one"], has_client=True).text
    whole = first + Written([b"m", b"two"], has_client=True).text
    path.write_bytes(whole[:seen])
    reader = StreamReader(LogFile(str(path)), WIDE, STREAM)

    assert reader.next(may_pause=True) is None
    path.write_bytes(whole)
    slice_ = reader.next(may_pause=True)

    assert slice_ is not None
    assert slice_.body == whole[:-1]


def test_it_is_waited_for_once(tmp_path: Path) -> None:
    """What nobody goes on writing is sent as far as it is whole."""
    path = tmp_path / "error.log"
    path.write_bytes(HEAD + b"m\none")
    reader = StreamReader(LogFile(str(path)), WIDE, STREAM)

    assert reader.next(may_pause=True) is None
    assert reader.is_paused
    slice_ = reader.next(may_pause=True)

    assert slice_ is not None
    assert slice_.body == HEAD + b"m"
    reader.confirm()
    assert reader.next(may_pause=True) is None
    rest = reader.rest()
    assert rest is not None
    assert rest.body == b"one"


def test_no_other_log_is_waited_for(tmp_path: Path) -> None:
    """Nor is an error log that is read once."""
    path = tmp_path / "access.log"
    path.write_bytes(HEAD + b"m\none")
    access = Stream(1, "test", "host", "/var/log/access.log", "combined", 0)

    assert StreamReader(LogFile(str(path)), WIDE, access).next(may_pause=True) is not None
    assert StreamReader(LogFile(str(path)), WIDE, STREAM).next() is not None
    path.write_bytes(HEAD + b"m\n" + HEAD)
    assert StreamReader(LogFile(str(path)), WIDE, STREAM).next(may_pause=True) is not None


def test_an_entry_larger_than_a_slice_is_cut_all_the_same(tmp_path: Path) -> None:
    """The limits of a slice hold."""
    path = tmp_path / "error.log"
    path.write_bytes(HEAD + b"m\n" + b"one\n" * 5 + HEAD + b"x\n")
    found = slices_of(path, SliceLimits(slice_lines=2, slice_bytes=65_536, line_bytes=65_536))

    assert [one.lines for one in found] == [2, 2, 2, 1]


def test_lines_of_an_access_log_are_cut_at_the_limit(tmp_path: Path) -> None:
    """Even where they look like entries."""
    path = tmp_path / "access.log"
    path.write_bytes((HEAD + b"x\ny\n") * 3)
    limits = SliceLimits(slice_lines=3, slice_bytes=65_536, line_bytes=65_536)
    access = Stream(1, "test", "host", "/var/log/access.log", "combined", 0)

    assert [one.lines for one in slices_of(path, limits, access)] == [3, 3]
    assert [one.lines for one in slices_of(path, limits)] == [2, 2, 2]
