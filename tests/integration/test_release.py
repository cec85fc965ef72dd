"""`make release`, but for the images: those are in tests/deploy."""

from __future__ import annotations

from pathlib import Path

import pytest

from datastream import __version__
from releasing import Copy, assert_released


@pytest.mark.slow
def test_wheels_are_made_and_tried_and_the_commit_is_tagged(tmp_path: Path) -> None:
    """Every command runs from them, a line goes through the pipeline; and it is done once."""
    copy = Copy(tmp_path / "checkout")

    released = copy.release(IMAGES="no")

    assert released.returncode == 0, released.stdout + released.stderr
    assert_released(copy)
    for command in ("producer", "lake-consumer", "clean-consumer", "datastream"):
        assert f"  {command} {__version__}, parser " in released.stdout
    again = copy.release(IMAGES="no")
    assert again.returncode == 2
    assert f"the tag v{__version__} is there already" in again.stderr
