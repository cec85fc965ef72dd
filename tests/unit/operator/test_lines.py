"""The demo's own reading of a log, with which it checks the producer's."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from datastream_operator.lines import (
    Extent,
    Missing,
    OtherPacking,
    Unreadable,
    measure,
    numbered_lines,
    plain_size,
)

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


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


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstd.compress])
def test_a_packed_log_is_read_as_its_plain_text(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    """Offsets and the end are those of the plain text, whatever the file is called."""
    for name in ("access.log", "access.log.1.gz", "access.log.1.xz"):
        log = tmp_path / name
        log.write_bytes(pack(b"one\ntw") + pack(b"o"))

        assert list(numbered_lines(log)) == [(0, b"one"), (4, b"two")]
        assert measure(log) == Extent(lines=2, end=7)
        assert plain_size(log) == 7


def test_a_plain_log_may_be_named_as_a_packed_one(tmp_path: Path) -> None:
    """What is in it counts."""
    log = tmp_path / "plain.gz"
    log.write_bytes(b"plain\n")

    assert list(numbered_lines(log)) == [(0, b"plain")]
    assert plain_size(log) == 6


def test_a_log_packed_in_another_way_is_named(tmp_path: Path) -> None:
    """It is never taken for text, and the words say what to do."""
    log = tmp_path / "access.log.1.lz4"
    log.write_bytes(b"\x04\x22\x4d\x18\x64\x40\xa7")

    with pytest.raises(OtherPacking, match=r"lz4 is packed by lz4, which is not read: unpack it"):
        measure(log)


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


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstd.compress])
def test_a_packed_log_that_is_cut_short_or_damaged(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    """It is said which of the two, wherever that is found out."""
    log = tmp_path / "access.log.gz"
    packed = pack(b"".join(b"line %d\n" % number for number in range(1_000)))
    log.write_bytes(packed[:-9])
    with pytest.raises(Unreadable, match="cannot be read: Cut short: "):
        measure(log)

    log.write_bytes(packed + b"and more")
    with pytest.raises(Unreadable, match="cannot be read: Damaged: "):
        list(numbered_lines(log))
