"""How a file is cut into slices."""

from __future__ import annotations

import gzip
from pathlib import Path
from unittest.mock import ANY

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from datastream.packed import packing_of
from datastream.slices import TRUNCATED, UNTERMINATED, Slice
from datastream.streams import Stream
from producer.files import LogFile, Relation
from producer.reader import StreamReader, Truncated
from producer.settings import SliceLimits
from producer.state import Entry

STREAM = Stream(1, "test", "host", "/var/log/access.log", "combined", 0)
WIDE = SliceLimits(slice_lines=1_000, slice_bytes=65_536, line_bytes=65_536)


def reader_of(path: Path, limits: SliceLimits = WIDE, entry: Entry | None = None) -> StreamReader:
    """Return a reader of a file."""
    return StreamReader(LogFile(str(path)), limits, STREAM, entry)


def read(reader: StreamReader) -> list[Slice]:
    """Hand out and confirm everything that is there."""
    slices = []
    while (slice_ := reader.next()) is not None:
        slices.append(slice_)
        reader.confirm()
    return slices


def written(path: Path, content: bytes) -> Path:
    """Write a file."""
    path.write_bytes(content)
    return path


def test_whole_lines_become_one_slice(tmp_path: Path) -> None:
    """What is there is handed out at once, without its last newline."""
    reader = reader_of(written(tmp_path / "log", b"one\n\nthree\n"))

    (slice_,) = read(reader)

    assert (slice_.position, slice_.body, slice_.lines, slice_.flags) == (0, b"one\n\nthree", 3, 0)
    assert reader.position == 11


def test_a_slice_ends_at_the_limit_of_lines(tmp_path: Path) -> None:
    """Empty lines count as well."""
    limits = SliceLimits(slice_lines=2, slice_bytes=65_536, line_bytes=65_536)
    slices = read(reader_of(written(tmp_path / "log", b"a\n\n\nd\ne\n"), limits))

    assert [(p.position, p.body, p.lines) for p in slices] == [
        (0, b"a\n", 2),
        (3, b"\nd", 2),
        (6, b"e", 1),
    ]


def test_a_slice_ends_before_the_limit_of_bytes(tmp_path: Path) -> None:
    """It holds whole lines only; a line that is longer is alone in its slice."""
    limits = SliceLimits(slice_lines=100, slice_bytes=8, line_bytes=100)
    content = b"123\n456\n7\na line longer than a slice\nx\n"
    slices = read(reader_of(written(tmp_path / "log", content), limits))

    assert [(p.position, p.body) for p in slices] == [
        (0, b"123\n456"),
        (8, b"7"),
        (10, b"a line longer than a slice"),
        (37, b"x"),
    ]


@pytest.mark.parametrize("slice_bytes", [4, 10, 1_000])
def test_a_line_over_the_limit_is_its_head(tmp_path: Path, slice_bytes: int) -> None:
    """It is flagged and alone, its rest is skipped, and the next line is at its own offset."""
    limits = SliceLimits(slice_lines=100, slice_bytes=slice_bytes, line_bytes=10)
    content = b"before\n" + b"x" * 35 + b"\nafter\n" + b"y" * 10 + b"\n"
    reader = reader_of(written(tmp_path / "log", content), limits)
    slices = read(reader)

    lines = [(offset, line, p.flags) for p in slices for offset, line in p.numbered()]
    assert lines == [
        (0, b"before", 0),
        (7, b"x" * 10, TRUNCATED),
        (43, b"after", 0),
        (49, b"y" * 10, 0),
    ]
    assert reader.position == len(content)


def test_the_head_of_a_line_over_the_limit_does_not_wait_for_more(tmp_path: Path) -> None:
    """Not even behind lines that are handed out first; until then the file is not drained."""
    limits = SliceLimits(slice_lines=1, slice_bytes=1_000, line_bytes=10)
    reader = reader_of(written(tmp_path / "log", b"one\n" + b"x" * 11), limits)

    assert [reader.next()] == [Slice(STREAM, 0, b"one", 1, 0, ANY)]
    reader.confirm()
    assert not reader.is_drained
    assert [reader.next()] == [Slice(STREAM, 4, b"x" * 10, 1, TRUNCATED, ANY)]
    reader.confirm()
    assert reader.next() is None
    assert reader.is_drained


def test_a_line_over_the_limit_that_still_grows(tmp_path: Path) -> None:
    """Its head goes out; the entry stays at its beginning until its end is there."""
    limits = SliceLimits(slice_lines=100, slice_bytes=16, line_bytes=10)
    log = written(tmp_path / "log", b"x" * 30)
    reader = reader_of(log, limits)
    (head,) = read(reader)
    entry = reader.entry
    with log.open("ab") as file:
        file.write(b"x" * 30 + b"\nnext\n")

    (after,) = read(reader)

    assert (head.body, head.flags) == (b"x" * 10, TRUNCATED)
    assert entry.position == 0
    assert (after.position, after.body) == (61, b"next")
    (again, _) = read(reader_of(log, limits, entry))
    assert again == Slice(STREAM, 0, b"x" * 10, 1, TRUNCATED, again.read_at_ms)


def test_a_partial_line_waits(tmp_path: Path) -> None:
    """A line is handed out once, when its newline is there."""
    log = written(tmp_path / "log", b"whole\npar")
    reader = reader_of(log)
    first = read(reader)
    with log.open("ab") as file:
        file.write(b"tial\n")

    second = read(reader)

    assert [p.body for p in first] == [b"whole"]
    assert [(p.position, p.body) for p in second] == [(6, b"partial")]


def test_the_rest_of_a_file_is_flagged(tmp_path: Path) -> None:
    """A last line without its newline is handed out once, and again when it has grown whole."""
    log = written(tmp_path / "log", b"whole\npar")
    reader = reader_of(log)
    read(reader)
    rest, again = reader.rest(), reader.rest()
    reader.confirm()
    entry = reader.entry
    with log.open("ab") as file:
        file.write(b"tial\n")
    (whole,) = read(reader)

    assert rest is not None
    assert (rest.position, rest.body, rest.flags) == (6, b"par", UNTERMINATED)
    assert again is None
    assert entry.position == 6
    assert (whole.position, whole.body, whole.flags) == (6, b"partial", 0)


@pytest.mark.parametrize(
    "content", [b"", b"other\n", b"other\nlines that are longer than before\n"]
)
def test_a_truncated_file_is_noticed(tmp_path: Path, content: bytes) -> None:
    """Shorter, or grown past the position again: what is there now is not this stream's."""
    log = written(tmp_path / "log", b"first\nsecond\n")
    reader = reader_of(log)
    read(reader)
    log.write_bytes(content)

    with pytest.raises(Truncated):
        reader.next()


def test_a_place_is_known_again_by_content(tmp_path: Path) -> None:
    """Wherever the file is moved, and not in a file that only begins alike."""
    log = written(tmp_path / "log", b"first\nsecond\nthird\n")
    limits = SliceLimits(slice_lines=2, slice_bytes=65_536, line_bytes=65_536)
    reader = reader_of(log, limits)
    reader.next()
    reader.confirm()
    entry = reader.entry
    moved = LogFile(str(log.rename(tmp_path / "log.1")))
    with gzip.open(tmp_path / "log.2.gz", "wb") as file:
        file.write(b"first\nsecond\nthird\nfourth\n")
    packed = LogFile(str(tmp_path / "log.2.gz"))
    other = LogFile(str(written(tmp_path / "log", b"first\nSECOND\nthird\n")))
    shorter = LogFile(str(written(tmp_path / "log.3", b"first\n")))

    assert moved.relation(entry) is Relation.HOLDS
    assert packed.relation(entry) is Relation.HOLDS
    assert other.relation(entry) is not Relation.HOLDS
    assert shorter.relation(entry) is not Relation.HOLDS
    (rest,) = read(StreamReader(packed, WIDE, STREAM, entry))
    assert (rest.position, rest.body) == (13, b"third\nfourth")


def test_what_is_not_confirmed_is_behind(tmp_path: Path) -> None:
    """What was only read does not move the entry."""
    reader = reader_of(written(tmp_path / "log", b"first\n"))
    reader.next()

    assert (reader.entry.position, reader.behind_bytes) == (0, 6)
    reader.confirm()
    assert (reader.entry.position, reader.behind_bytes) == (6, 0)


LINES = st.lists(
    st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"|")), min_size=1, max_size=40
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=LINES,
    slice_lines=st.integers(1, 5),
    slice_bytes=st.integers(1, 40),
    line_bytes=st.integers(1, 15),
    restart_after=st.integers(0, 5),
)
def test_every_line_once_whatever_the_limits(
    tmp_path_factory: pytest.TempPathFactory,
    lines: list[bytes],
    slice_lines: int,
    slice_bytes: int,
    line_bytes: int,
    restart_after: int,
) -> None:
    """Each line comes at its offset, whole or as its head, also over a restart from an entry."""
    content = b"".join(line + b"\n" for line in lines)
    assume(packing_of(content) is None)  # what begins like a packed file is told as one
    log = written(tmp_path_factory.mktemp("any") / "log", content)
    limits = SliceLimits(slice_lines, slice_bytes, line_bytes)
    reader = reader_of(log, limits)
    slices = []
    for _ in range(restart_after):
        slice_ = reader.next()
        if slice_ is None:
            break
        slices.append(slice_)
        reader.confirm()
    slices += read(reader_of(log, limits, reader.entry))

    found: dict[int, tuple[bytes, int]] = {}
    for slice_ in slices:
        assert slice_.lines <= slice_lines
        assert len(slice_.body) <= max(slice_bytes, line_bytes)
        for offset, line in slice_.numbered():
            assert found.setdefault(offset, (line, slice_.flags)) == (line, slice_.flags)
    expected = {}
    offset = 0
    for line in lines:
        flags = TRUNCATED if len(line) > line_bytes else 0
        expected[offset] = (line[:line_bytes], flags)
        offset += len(line) + 1
    assert found == expected


def test_what_was_read_before_a_truncation_is_handed_out(tmp_path: Path) -> None:
    """Whole lines are the stream's all the same; only the part of a line after them is not."""
    limits = SliceLimits(slice_lines=1, slice_bytes=65_536, line_bytes=65_536)
    log = written(tmp_path / "log", b"first\nsecond\nthird\npar")
    reader = reader_of(log, limits)
    first = reader.next()
    reader.confirm()
    log.write_bytes(b"tial, and other lines\n")
    others = [reader.next(), reader.next()]

    assert first is not None
    assert [(p.position, p.body) for p in others if p] == [(6, b"second"), (13, b"third")]
    with pytest.raises(Truncated):
        reader.next()
    assert reader.partial_line == b"par"


def test_a_log_that_was_filled_with_zeros(tmp_path: Path) -> None:
    """Bytes that a crash of the machine left are a part of the line that they are in."""
    (slice_,) = read(reader_of(written(tmp_path / "log", b"\0\0\0one\n\0\n\r\n\xff\xfe\n")))

    assert list(slice_.numbered()) == [(0, b"\0\0\0one"), (7, b"\0"), (9, b"\r"), (11, b"\xff\xfe")]


def test_a_line_over_the_limit_takes_many_reads(tmp_path: Path) -> None:
    """Its head goes out once, nothing goes out while its rest comes, and the next line is whole."""
    limits = SliceLimits(slice_lines=100, slice_bytes=8, line_bytes=10)
    log = written(tmp_path / "log", b"a\n" + b"x" * 11)
    reader = reader_of(log, limits)
    slices = read(reader)
    for part in (b"x" * 5, b"x" * 500, b"\nn", b"ext\n"):
        with log.open("ab") as file:
            file.write(part)
        slices += read(reader)

    assert [(p.position, p.body, p.flags) for p in slices] == [
        (0, b"a", 0),
        (2, b"x" * 10, TRUNCATED),
        (519, b"next", 0),
    ]
    assert reader.entry.position == reader.file.size()
    assert reader.file.relation(reader.entry) is Relation.HOLDS


def test_the_end_of_a_file_inside_a_line_over_the_limit(tmp_path: Path) -> None:
    """Its head is all that goes out of it: the rest is no line of its own."""
    limits = SliceLimits(slice_lines=100, slice_bytes=8, line_bytes=10)
    reader = reader_of(written(tmp_path / "log", b"x" * 100), limits)
    slices = read(reader)

    assert [(p.position, p.flags) for p in slices] == [(0, TRUNCATED)]
    assert reader.rest() is None
    assert (reader.entry.position, reader.behind_bytes) == (0, 100)


def test_a_file_that_is_truncated_inside_a_line_over_the_limit(tmp_path: Path) -> None:
    """It is noticed there as well."""
    limits = SliceLimits(slice_lines=100, slice_bytes=8, line_bytes=10)
    log = written(tmp_path / "log", b"x" * 100)
    reader = reader_of(log, limits)
    read(reader)
    log.write_bytes(b"y" * 200 + b"\nnext\n")

    with pytest.raises(Truncated):
        reader.next()


@pytest.mark.parametrize("read_before", [b"", b"first\n"])
def test_a_file_that_changes_between_a_restart_and_the_first_look(
    tmp_path: Path, read_before: bytes
) -> None:
    """Other lines are not taken for the stream of an entry, also of one at the very beginning."""
    log = written(tmp_path / "log", b"first\nsecond\n")
    limits = SliceLimits(slice_lines=1, slice_bytes=65_536, line_bytes=65_536)
    reader = reader_of(log, limits)
    reader.first_line(is_complete=False)
    if read_before:
        reader.next()
        reader.confirm()
    again = reader_of(log, limits, reader.entry)
    log.write_bytes(b"other lines\nand more of them\n")
    slices = []

    with pytest.raises(Truncated):
        while (slice_ := again.next()) is not None:
            slices.append(slice_)
            again.confirm()
    assert again.is_truncated()
    assert [p.body for p in slices] == [b"first", b"second"][len(read_before) // 6 :]


def test_a_restart_without_a_line_between_forgets_nothing(tmp_path: Path) -> None:
    """The entry at the beginning of a file still says how the file begins."""
    log = written(tmp_path / "log", b"first\nsecond\n")
    reader = reader_of(log)
    reader.first_line(is_complete=False)

    assert reader.entry.prefix_length == 13
    assert reader_of(log, entry=reader.entry).entry == reader.entry


@pytest.mark.parametrize("is_complete", [False, True])
def test_the_first_line_says_which_stream_it_is(
    tmp_path: Path,
    is_complete: bool,
) -> None:
    """It is cut like any line; without its newline it counts only at the end of a file."""
    limits = SliceLimits(slice_lines=100, slice_bytes=4, line_bytes=10)

    def first_line(content: bytes) -> bytes | None:
        reader = StreamReader(LogFile(str(written(tmp_path / "log", content))), limits)
        return reader.first_line(is_complete=is_complete)

    assert first_line(b"") is None
    assert first_line(b"par") == (b"par" if is_complete else None)
    assert first_line(b"\nsecond\n") == b""
    assert first_line(b"0123456789\n") == first_line(b"0123456789ABC") == b"0123456789"


def test_a_stream_that_is_not_known(tmp_path: Path) -> None:
    """To ask for it, or for an entry in it, is a mistake."""
    reader = StreamReader(LogFile(str(written(tmp_path / "log", b"first\n"))), WIDE)

    with pytest.raises(ValueError, match="not known"):
        reader.entry  # noqa: B018 - it raises
    reader.begin(STREAM)
    assert reader.is_known
    assert reader.entry.position == 0


def test_what_is_behind_in_a_packed_file_is_what_is_read(tmp_path: Path) -> None:
    """Its size is not told."""
    path = written(tmp_path / "log.1.gz", gzip.compress(b"first\n"))
    reader = reader_of(path)
    before = reader.behind_bytes
    reader.next()

    assert (before, reader.behind_bytes) == (0, 6)
    reader.confirm()
    assert reader.behind_bytes == 0


def test_a_last_line_that_grows_without_its_newline_is_sent_again_as_it_is(tmp_path: Path) -> None:
    """Whole at last: what was sent of it is a beginning, and the same key."""
    log = written(tmp_path / "log", b"one\ntw")
    reader = reader_of(log)
    read(reader)

    first = reader.rest()
    reader.confirm()
    with log.open("ab") as file:
        file.write(b"o and more")
    again = reader.next()
    second = reader.rest()

    assert (first and first.body, again, reader.rest()) == (b"tw", None, None)
    assert second
    assert (second.position, second.body, second.flags) == (4, b"two and more", UNTERMINATED)


def test_a_file_that_lacks_the_end_of_what_was_read_is_told_from_another(tmp_path: Path) -> None:
    """It begins like the stream as far as that is fingerprinted, and ends before its position."""
    content = b"".join(b"line %d\n" % number for number in range(500))
    reader = reader_of(written(tmp_path / "log", content))
    read(reader)
    half = LogFile(str(written(tmp_path / "log.1", content[:2_000])))
    other = LogFile(str(written(tmp_path / "log.2", content[:2_000] + b"x" * len(content))))

    assert half.relation(reader.entry) is Relation.ENDS
    assert other.relation(reader.entry) is Relation.DIFFERS
