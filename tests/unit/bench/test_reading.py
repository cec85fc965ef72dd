"""Which lines are asked for when one line after the other is read by its key."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import reading
from bench.corpus import write


def test_lines_are_from_the_whole_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with its own offset, as many as are wanted; of a short log all."""
    monkeypatch.setattr(reading, "KEYS", 10)
    log = write(tmp_path / "long.log", 200)
    content = log.path.read_bytes()

    found = reading.some(log)

    assert len(found) == 10
    assert found[0].offset == 0
    assert found[-1].offset > len(content) * 0.8
    for offset, text in found:
        assert content[offset:].startswith(text + b"\n")
    assert len(reading.some(write(tmp_path / "short.log", 3))) == 3
