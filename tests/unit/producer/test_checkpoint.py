"""The checkpoint on disk."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from producer.checkpoint import Checkpoint, StateError, StateInUse
from producer.files import Place

PLACE = Place(2**64 - 1, "/var/log/access.log", 0, 1, 2, 300, 100, "ab", "cd")


class Counts:
    """Counts what a checkpoint tells."""

    def __init__(self) -> None:
        self.saved = self.failed = 0

    def checkpointed(self) -> None:
        """Count."""
        self.saved += 1

    def checkpoint_failed(self) -> None:
        """Count."""
        self.failed += 1


class Opener:
    """Opens checkpoints, and closes them at the end of the test."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.counts = Counts()
        self._stack = stack

    def __call__(self, source: str = "test") -> Checkpoint:
        """Open the checkpoint of the folder."""
        opened = Checkpoint(self.folder, source, self.counts)
        self._stack.callback(opened.close)
        return opened

    def again(self, source: str = "test") -> Checkpoint:
        """Open it as the next process does, after this one has ended."""
        self._stack.close()
        return self(source)

    @property
    def file(self) -> Path:
        """The file."""
        return self.folder / "checkpoint.json"


@pytest.fixture
def opener(tmp_path: Path) -> Iterator[Opener]:
    """A folder that is not there yet."""
    with ExitStack() as stack:
        yield Opener(tmp_path / "deep" / "state", stack)


def test_places_are_found_again(opener: Opener) -> None:
    """What was saved is what the next process finds, with the time of it."""
    first = opener()
    first.save([PLACE])
    again = opener.again()

    assert (first.places, first.saved_at) == ([], 0.0)
    assert again.places == [PLACE]
    assert again.saved_at > 0
    assert opener.counts.saved == 1


def test_the_one_before_is_kept(opener: Opener) -> None:
    """A person can go back by one."""
    saved = opener()
    saved.save([PLACE])
    saved.save([])

    previous = json.loads((opener.folder / "checkpoint.previous.json").read_text())
    assert [entry["position"] for entry in previous["places"]] == [300]
    assert json.loads(opener.file.read_text())["places"] == []
    assert {path.name for path in opener.folder.iterdir()} == {
        "checkpoint.json",
        "checkpoint.previous.json",
        "lock",
    }


def test_nothing_new_is_not_written(opener: Opener) -> None:
    """An idle producer leaves the disk alone."""
    saved = opener()
    saved.save([PLACE])
    before = opener.file.stat().st_mtime_ns
    saved.save([PLACE])

    assert opener.file.stat().st_mtime_ns == before
    assert opener.counts.saved == 1


def test_at_most_once_a_second(opener: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two writes the places are not even asked for."""
    now = [100.0]
    monkeypatch.setattr("producer.checkpoint.time.monotonic", lambda: now[0])
    saved = opener()
    asked = []

    def places() -> list[Place]:
        asked.append(now[0])
        return [PLACE]

    for at in (100.0, 100.5, 100.99, 101.0, 101.5):
        now[0] = at
        saved.save_if_due(places)

    assert asked == [100.0, 101.0]


GOOD = json.dumps({"version": 1, "source": "test", "saved_at": 1.0, "places": []})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is not a checkpoint"),
        (GOOD[:-10], "is not a checkpoint"),
        ("\0" * 100, "is not a checkpoint"),
        ("[]", "is not a checkpoint"),
        ('{"version": 1, "source": "test", "saved_at": 1.0}', "is not a checkpoint"),
        (GOOD.replace("[]", '[{"stream_id": 1}]'), "is not a checkpoint"),
        (GOOD.replace("[]", "7"), "is not a checkpoint"),
        (GOOD.replace("1,", "2,", 1), "has version 2"),
        (GOOD.replace("test", "another"), "belongs to SOURCE 'another'"),
    ],
)
def test_what_is_no_checkpoint_of_ours(opener: Opener, content: str, words: str) -> None:
    """It is named with what to do about it: nothing ever starts at 0 because of that."""
    opener().save([PLACE])
    opener.file.write_text(content)

    with pytest.raises(StateError, match=words) as raised:
        opener.again()

    assert str(opener.file) in str(raised.value)
    assert opener.file.read_text() == content


def test_a_place_with_a_value_of_another_kind(opener: Opener) -> None:
    """It is not taken for a position."""
    opener().save([PLACE])
    opener.file.write_text(opener.file.read_text().replace('"position": 300', '"position": "300"'))

    with pytest.raises(StateError, match="is not a checkpoint"):
        opener.again()


def test_a_second_producer_is_refused(opener: Opener) -> None:
    """One folder, one producer; when that one has ended the folder is free."""
    opener()

    with pytest.raises(StateInUse, match="another producer"):
        opener()

    assert opener.again().places == []


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """It is named, with the reason."""
    (tmp_path / "file").touch()

    with pytest.raises(StateError, match="cannot be written: Not a directory"):
        Checkpoint(tmp_path / "file" / "state", "test", Counts())


def test_a_disk_that_is_full(
    opener: Opener, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told once and counted each time; the checkpoint from before stays, and it recovers."""
    caplog.set_level(logging.INFO)
    saved = opener()
    saved.save([])
    replace = Path.replace

    def fail(_self: Path, _target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    saved.save([PLACE])
    saved.save([PLACE])
    during = json.loads(opener.file.read_text())
    monkeypatch.setattr(Path, "replace", replace)
    saved.save([PLACE])

    assert during["places"] == []
    assert opener.counts.failed == 2
    assert [record.message for record in caplog.records] == [
        "Checkpoint cannot be written and is stale; publishing goes on",
        "Checkpoint is written again",
    ]
    assert opener.again().places == [PLACE]
