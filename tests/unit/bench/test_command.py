"""Where a command of the bench works, and how it ends."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from bench import command
from bench.command import end, workplace
from bench.revisions import CannotBuild


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_no_folder(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nor does a second one while the folder is removed: a build and its servers' data are big."""
    monkeypatch.setattr(command, "OUTPUT", tmp_path)
    before = signal.getsignal(number)

    with pytest.raises(KeyboardInterrupt), workplace("bench") as folder:
        try:
            (folder / "file").touch()
            os.kill(os.getpid(), number)
        finally:
            os.kill(os.getpid(), number)

    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(number) == before


def test_what_cannot_be_built_is_told_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """And without a traceback."""

    def main() -> int:
        raise CannotBuild("'v7': the repository has no such revision")

    with pytest.raises(SystemExit) as ended:
        end(main)

    assert ended.value.code == "bench: 'v7': the repository has no such revision"
    assert capsys.readouterr().err == ""
