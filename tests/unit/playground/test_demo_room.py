"""Whether there is room for the demo's data."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from datastream_playground.demo import room
from datastream_playground.local.errors import CannotServe

MB = 1_000_000


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk with 1,000 MB free."""
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1_000 * MB))


@pytest.mark.usefixtures("disk")
def test_a_log_that_fits_is_taken(tmp_path: Path) -> None:
    """Its rows take some times its size."""
    room.require(tmp_path, 600 * MB)


@pytest.mark.usefixtures("disk")
def test_what_a_larger_log_needs_is_told_beside_what_is_free(tmp_path: Path) -> None:
    """Before anything is started."""
    with pytest.raises(CannotServe, match=r"needs about 1,600 MB and 1,000 MB are free"):
        room.require(tmp_path, 1_200 * MB)


@pytest.mark.usefixtures("disk")
def test_what_is_there_already_takes_no_room_again(tmp_path: Path) -> None:
    """A second run on the same log adds no row."""
    with (tmp_path / "data").open("wb") as file:
        file.truncate(700 * MB)

    room.require(tmp_path, 1_200 * MB)
