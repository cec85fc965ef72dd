"""Which files are compared, in which order, and whether each was one file all the time."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from datastream_operator.lines import Missing, Unreadable
from datastream_operator.verify.command import Look, files_of


def test_the_oldest_first_and_no_file_twice(tmp_path: Path) -> None:
    """Not the copy that is being packed either; a file that is named and missing stays in."""
    names = ["b.log", "access.log", "access.log.1", "access.log.1.gz", "access.log.2.gz"]
    for age, name in enumerate(names):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1_000 - age, 1_000 - age))

    found = files_of([f"{tmp_path}/*", str(tmp_path / "access.log"), str(tmp_path / "no.log")])

    assert [file.name for file in found] == [
        "access.log.2.gz",
        "access.log.1",
        "access.log",
        "b.log",
        "no.log",
    ]
    with pytest.raises(Missing, match="no file matches"):
        files_of([f"{tmp_path}/c*"])


def test_a_file_that_grows_is_the_same_one(tmp_path: Path) -> None:
    """One that was replaced, truncated or removed is not."""
    log = tmp_path / "access.log"
    log.write_bytes(b"one\ntwo\n")
    look = Look.at(log)
    assert (look.extent.lines, look.is_over()) == (2, False)
    with log.open("ab") as file:
        file.write(b"three\n")
    assert not look.is_over()

    os.truncate(log, 4)
    assert look.is_over()

    look = Look.at(log)
    log.rename(tmp_path / "access.log.1")
    assert look.is_over()
    log.write_bytes(b"one\ntwo\n")
    assert look.is_over()


def test_a_packed_file_is_as_long_as_its_text(tmp_path: Path) -> None:
    """Its size on disk says nothing."""
    log = tmp_path / "access.log.1.gz"
    log.write_bytes(gzip.compress(b"line\n" * 1_000))

    assert not Look.at(log).is_over()
    with pytest.raises(Unreadable):
        Look.at(tmp_path)
