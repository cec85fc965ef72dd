"""The lines that `make bench` and `make bench-parse` are run on."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from bench.corpus import SAMPLED, sample, write
from datastream.parsing import ERROR, Unparseable, parser_for

LINES = 2_000


def parses(form: str, line: bytes) -> bool:
    """Return whether a line fits a format."""
    try:
        parser_for(form)(line)
    except Unparseable:
        return False
    return True


@pytest.mark.parametrize("form", [*SAMPLED, ERROR])
def test_lines_fit_their_format(form: str) -> None:
    """Each line of a sample without junk does."""
    assert all(parses(form, line) for line in islice(sample(form, junk=False), LINES))


@pytest.mark.parametrize("form", [*SAMPLED, ERROR])
def test_some_lines_are_junk(form: str) -> None:
    """A log has lines that are rejected, as real ones have, and they are few."""
    rejected = sum(not parses(form, line) for line in islice(sample(form), LINES))

    assert 0 < rejected < LINES / 50


@pytest.mark.parametrize("form", [*SAMPLED, ERROR])
def test_a_log_is_the_same_bytes_every_time(form: str, tmp_path: Path) -> None:
    """A part of it that is written alone is, too."""
    whole = write(tmp_path / "whole.log", LINES, form=form)
    part = write(tmp_path / "part.log", LINES - 500, form=form, skip=500)

    content = whole.path.read_bytes()
    assert content.endswith(part.path.read_bytes())
    assert content.count(b"\n") == LINES
    assert content.rindex(b"\n", 0, -1) + 1 == whole.last
