"""The engine that the tests of the containers share."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import pytest

from deploy import images


def test_whoever_started_it_stops_it_once_nobody_needs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes that find none: one starts it, and waits for the other's end."""
    steps: list[str] = []
    monkeypatch.setattr(images, "ENGINE_LOCK", tmp_path / "lock")
    monkeypatch.setattr(images, "ENGINE_DOOR", tmp_path / "door")
    monkeypatch.setattr("shutil.which", lambda _name: "/usr/bin/docker")

    def answers(*_command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], 0 if "start" in steps else 1)

    def start(*_command: object, check: bool) -> None:
        assert check
        if "start" not in steps:
            steps.append("start")

    monkeypatch.setattr(images, "run", answers)
    monkeypatch.setattr("subprocess.run", start)
    monkeypatch.setattr(images, "_stop", lambda: steps.append("stop"))
    is_in, may_leave = threading.Event(), threading.Event()

    def second() -> None:
        with images.engine():
            is_in.set()
            may_leave.wait()
            steps.append("second leaves")

    other = threading.Thread(target=second)
    leaving = threading.Thread(target=lambda: first.__exit__(None, None, None))
    first = images.engine()
    first.__enter__()
    try:
        other.start()
        assert is_in.wait(30)
        leaving.start()
        assert steps == ["start"]
    finally:
        may_leave.set()
    other.join(30)
    leaving.join(30)

    assert steps == ["start", "second leaves", "stop"]
