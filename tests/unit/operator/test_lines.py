"""The demo's own reading of a log, with which it checks the producer's."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from datastream_operator.lines import Extent, Missing, Unreadable, measure, numbered_lines


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", []),
        (b"\n", [(0, b"")]),
        (b"one\ntwo\n", [(0, b"one"), (4, b"two")]),
        (b"one\n\n\r\nno newline", [(0, b"one"), (4, b""), (5, b"\r"), (7, b"no newline")]),
        (b"\x00\xff\xfe\x85\x0b\x0c\nx", [(0, b"\x00\xff\xfe\x85\x0b\x0c"), (7, b"x")]),
    ],
)
def test_lines_end_with_a_newline_or_with_the_log(
    tmp_path: Path, content: bytes, lines: list[tuple[int, bytes]]
) -> None:
    """Nothing but a newline ends a line; the last line may have none."""
    log = tmp_path / "access.log"
    log.write_bytes(content)

    assert list(numbered_lines(log)) == lines
    assert measure(log) == Extent(lines=len(lines), end=len(content))


def test_a_line_over_the_limit_is_cut_and_the_next_offset_is_right(tmp_path: Path) -> None:
    """Of a long line the head is kept, whatever the length of the rest."""
    log = tmp_path / "access.log"
    for length in (9, 10, 11, 12, 3_000_000):
        log.write_bytes(b"a" * length + b"\nnext\n" + b"b" * length)

        assert list(numbered_lines(log, limit=10)) == [
            (0, b"a" * min(length, 10)),
            (length + 1, b"next"),
            (length + 6, b"b" * min(length, 10)),
        ]
        assert measure(log).lines == 3


def test_a_gzip_log_is_read_as_its_plain_text(tmp_path: Path) -> None:
    """Offsets and the end are those of the plain text."""
    log = tmp_path / "access.log.1.gz"
    log.write_bytes(gzip.compress(b"one\ntwo"))

    assert list(numbered_lines(log)) == [(0, b"one"), (4, b"two")]
    assert measure(log) == Extent(lines=2, end=7)


def test_gzip_is_told_by_the_name_and_the_content(tmp_path: Path) -> None:
    """As the producer tells it: neither is enough."""
    packed = gzip.compress(b"one\n")
    named, unnamed = tmp_path / "plain.gz", tmp_path / "access.log"
    named.write_bytes(b"plain\n")
    unnamed.write_bytes(packed)

    assert list(numbered_lines(named)) == [(0, b"plain")]
    assert b"\n".join(line for _, line in numbered_lines(unnamed)) == packed.removesuffix(b"\n")


def test_a_log_that_is_missing(tmp_path: Path) -> None:
    """It is told from one that is there and cannot be read."""
    with pytest.raises(Missing, match=r"access\.log cannot be read: No such file"):
        measure(tmp_path / "access.log")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """A folder is no log, and a pipe would hang."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (tmp_path, pipe):
        with pytest.raises(Unreadable, match="not a regular file"):
            measure(path)


def test_a_gzip_log_that_is_cut_short(tmp_path: Path) -> None:
    """It is said to be damaged, wherever that is found out."""
    log = tmp_path / "access.log.gz"
    log.write_bytes(gzip.compress(b"line\n" * 1000)[:-9])

    with pytest.raises(Unreadable, match="damaged or cut short"):
        measure(log)
