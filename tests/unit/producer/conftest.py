"""What the tests of the producer share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from producer.files import LogFile


@pytest.fixture(autouse=True)
def close_files(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close every file that a test has opened."""
    opened: list[LogFile] = []
    initialise = LogFile.__init__

    def note(self: LogFile, path: str) -> None:
        initialise(self, path)
        opened.append(self)

    monkeypatch.setattr(LogFile, "__init__", note)
    yield
    for file in opened:
        file.close()
