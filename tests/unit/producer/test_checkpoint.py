"""The checkpoint on disk."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from producer.checkpoint import AT_ONCE, Checkpoint, StateError, StateInUse
from producer.state import Entry, State

ENTRY = Entry(2**64 - 1, "/var/log/access.log", 0, 1, 2, 300, 100, "ab", "cd")
STATE = State([ENTRY], {ENTRY.path: 1_000_000.5})


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
    """What was saved is what the next process finds."""
    first = opener()
    first.save(STATE)
    again = opener.again()

    assert first.found == State()
    assert again.found == STATE
    assert opener.counts.saved == 1


FULL = State(
    [ENTRY, replace(ENTRY, stream_id=2, finished=True, length=7, skipped=True, file="/old.1")],
    {ENTRY.path: 7.5},
    logs=frozenset({ENTRY.path, "/b.log"}),
    patterns=frozenset({"/var/log/*.log", "/b.log"}),
    generations={2**64 - 1: 3, 5: 1},
    format="main",
)


def test_everything_that_is_known_is_found_again(opener: Opener) -> None:
    """Of a entry also what is seldom another value than the usual one, which is left out."""
    opener().save(FULL)
    usual, other = json.loads(opener.file.read_text())["places"]

    assert opener.again().found == FULL
    assert other.keys() - usual.keys() == {"finished", "length", "skipped", "file"}


@pytest.mark.parametrize(
    "many",
    [
        State(logs=frozenset(map(str, range(AT_ONCE + 1)))),
        State(generations=dict.fromkeys(range(AT_ONCE + 1), 1)),
        State([replace(ENTRY, stream_id=number) for number in range(AT_ONCE + 1)]),
    ],
    ids=["logs", "generations", "places"],
)
def test_of_a_long_state_nothing_is_written_when_nothing_has_changed(
    opener: Opener, many: State
) -> None:
    """Whatever it is long of; what has changed is written, and counted, once."""
    saved = opener()
    counts = []
    for state in (many, many, replace(many, entries=[ENTRY]), replace(many, entries=[ENTRY])):
        saved.save(state)
        counts.append(opener.counts.saved)

    assert counts == [1, 1, 2, 2]
    assert opener.again().found == replace(many, entries=[ENTRY])


def test_a_state_that_becomes_short_again_has_no_history(opener: Opener) -> None:
    """Nor is what it was when it was long found again."""
    saved = opener()
    saved.save(State([replace(ENTRY, stream_id=number) for number in range(AT_ONCE + 1)]))
    saved.save(STATE)
    saved.save(State([replace(ENTRY, stream_id=number) for number in range(AT_ONCE)]))

    assert not (opener.folder / "history.json").exists()
    assert len(opener.again().found.entries) == AT_ONCE


def test_the_lock_is_the_producer_s_alone(opener: Opener) -> None:
    """Nobody else can hold it, and keep the producer from starting."""
    opener()

    assert (opener.folder / "lock").stat().st_mode & 0o777 == 0o600


def test_the_one_before_is_kept(opener: Opener) -> None:
    """A person can go back by one."""
    saved = opener()
    saved.save(STATE)
    saved.save(State())

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
    saved.save(STATE)
    before = opener.file.stat().st_mtime_ns
    saved.save(STATE)

    assert opener.file.stat().st_mtime_ns == before
    assert opener.counts.saved == 1


def test_at_most_once_a_second(opener: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two writes the entries are not even asked for."""
    now = [100.0]
    monkeypatch.setattr("producer.checkpoint.time.monotonic", lambda: now[0])
    saved = opener()
    asked = []

    def state() -> State:
        asked.append(now[0])
        return STATE

    for at in (100.0, 100.5, 100.99, 101.0, 101.5):
        now[0] = at
        saved.save_if_due(state)

    assert asked == [100.0, 101.0]


GOOD = json.dumps({"version": 1, "source": "test", "seen": {}, "places": []})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is not a checkpoint"),
        (GOOD[:-10], "is not a checkpoint"),
        ("\0" * 100, "is not a checkpoint"),
        ("[]", "is not a checkpoint"),
        ('{"version": 1, "source": "test", "seen": {}}', "is not a checkpoint"),
        (GOOD.replace("[]", '[{"stream_id": 1}]'), "is not a checkpoint"),
        (GOOD.replace("[]", "7"), "is not a checkpoint"),
        (GOOD.replace("1,", "2,", 1), "is not a checkpoint"),
        (GOOD.replace("1,", "3,", 1), "has version 3"),
        (GOOD.replace("test", "another"), "belongs to SOURCE 'another'"),
    ],
)
def test_what_is_no_checkpoint_of_ours(opener: Opener, content: str, words: str) -> None:
    """It is named with what to do about it: nothing ever starts at 0 because of that."""
    opener().save(STATE)
    opener.file.write_text(content)

    with pytest.raises(StateError, match=words) as raised:
        opener.again()

    assert str(opener.file) in str(raised.value)
    assert opener.file.read_text() == content


def test_a_place_with_a_value_of_another_kind(opener: Opener) -> None:
    """It is not taken for a position."""
    opener().save(STATE)
    opener.file.write_text(opener.file.read_text().replace('"position": 300', '"position": "300"'))

    with pytest.raises(StateError, match="is not a checkpoint"):
        opener.again()


def test_a_second_producer_is_refused(opener: Opener) -> None:
    """One folder, one producer; when that one has ended the folder is free."""
    opener()

    with pytest.raises(StateInUse, match="another producer"):
        opener()

    assert opener.again().found == State()


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
    saved.save(State())
    replace = Path.replace

    def fail(_self: Path, _target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    saved.save(STATE)
    saved.save(STATE)
    during = json.loads(opener.file.read_text())
    monkeypatch.setattr(Path, "replace", replace)
    saved.save(STATE)
    told = [record.message for record in caplog.records]
    monkeypatch.setattr(Path, "replace", fail)
    saved.save(State())
    monkeypatch.setattr(Path, "replace", replace)
    saved.save(STATE)

    assert during["places"] == []
    assert opener.counts.failed == 3
    assert told == [
        "Checkpoint cannot be written and is stale; publishing goes on",
        "Checkpoint is written again",
    ]
    assert [record.message for record in caplog.records] == told * 2
    assert opener.again().found == STATE


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("position", -1),
        ("position", 1.5),
        ("position", True),
        ("position", None),
        ("stream_id", "1"),
        ("path", 7),
        ("finished", 0),
        ("marker", None),
        ("unheard_of", 1),
    ],
)
def test_a_field_of_a_place_that_cannot_be(opener: Opener, field: str, value: object) -> None:
    """Each is looked at: a position that is none would be a line left out."""
    opener().save(STATE)
    content = json.loads(opener.file.read_text())
    content["places"][0][field] = value
    opener.file.write_text(json.dumps(content))

    with pytest.raises(StateError, match="is not a checkpoint"):
        opener.again()


@pytest.mark.parametrize("seen", [[], 7, None, {"log": "yesterday"}, {"log": None}])
def test_a_time_that_cannot_be(opener: Opener, seen: object) -> None:
    """Neither is one taken for the time of the last look."""
    opener().save(STATE)
    content = json.loads(opener.file.read_text())
    opener.file.write_text(json.dumps(content | {"seen": seen}))

    with pytest.raises(StateError, match="is not a checkpoint"):
        opener.again()


def test_bytes_that_are_no_text(opener: Opener) -> None:
    """A checkpoint of a disk that failed is named like any other that is none."""
    opener().save(STATE)
    opener.file.write_bytes(b"\xff\xfe{}")

    with pytest.raises(StateError, match=r"copy checkpoint\.previous\.json over it"):
        opener.again()


def test_a_checkpoint_that_cannot_be_read(opener: Opener) -> None:
    """It is not taken for none."""
    opener.folder.mkdir(parents=True)
    opener.file.mkdir()

    with pytest.raises(StateError, match="cannot be read: Is a directory"):
        opener()


def test_a_refused_checkpoint_leaves_the_folder_free(opener: Opener) -> None:
    """A person can put the one before back, and start again."""
    saved = opener()
    saved.save(STATE)
    saved.save(State())
    opener.file.write_text("")
    with pytest.raises(StateError):
        opener.again()
    (opener.folder / "checkpoint.previous.json").replace(opener.file)

    assert opener().found == STATE


def test_a_write_that_was_cut_short(opener: Opener) -> None:
    """What a crash left beside the checkpoint is not read, and is in nobody's way."""
    opener().save(State())
    leftover = opener.folder / "checkpoint.json.tmp"
    leftover.write_text('{"version": 1, "sou')
    again = opener.again()
    again.save(STATE)

    assert again.found == State()
    assert opener.again().found == STATE
    assert not leftover.exists()


def test_it_is_on_the_disk_before_it_takes_its_name(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut at any moment leaves one that is whole: no zeros, no half, no missing name."""
    saved = opener()
    steps = []
    fsync, replace = os.fsync, Path.replace

    def note_fsync(descriptor: int) -> None:
        fsync(descriptor)
        file = Path(f"/proc/self/fd/{descriptor}").readlink()
        steps.append(("on the disk", file.name, file.read_text() if file.is_file() else ""))

    def note_replace(temporary: Path, file: Path) -> Path:
        steps.append(("takes its name", temporary.name, temporary.read_text()))
        return replace(temporary, file)

    monkeypatch.setattr("producer.checkpoint.os.fsync", note_fsync)
    monkeypatch.setattr(Path, "replace", note_replace)
    saved.save(STATE)
    content = opener.file.read_text()

    assert steps == [
        ("on the disk", "checkpoint.json.tmp", content),
        ("takes its name", "checkpoint.json.tmp", content),
        ("on the disk", opener.folder.name, ""),
    ]


def test_a_failure_is_tried_again_when_it_is_due(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second later, not at each slice; what did not get to the disk does not count as saved."""
    now = [100.0]
    monkeypatch.setattr("producer.checkpoint.time.monotonic", lambda: now[0])
    saved = opener()
    fsync = os.fsync

    def fail(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("producer.checkpoint.os.fsync", fail)
    for now[0] in (100.0, 100.5, 101.0):
        saved.save_if_due(lambda: STATE)
    failed = opener.counts.failed
    monkeypatch.setattr("producer.checkpoint.os.fsync", fsync)
    now[0] = 102.0
    saved.save_if_due(lambda: STATE)

    assert (failed, opener.counts.saved) == (2, 1)
    assert opener.again().found == STATE


def test_a_file_system_without_links(opener: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkpoint is written there as well; only the one before is not kept."""

    def refuse(_source: Path, _target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("producer.checkpoint.os.link", refuse)
    saved = opener()
    saved.save(State())
    saved.save(STATE)

    assert opener.counts.failed == 0
    assert opener.again().found == STATE


def test_a_version_that_has_nothing_in_common(opener: Opener) -> None:
    """Its number is enough to say what to do."""
    opener()
    opener.file.write_text('{"version": 7}')

    with pytest.raises(StateError, match="has version 7, this producer writes 2"):
        opener.again()


#: More entries than are written whole each time.
MANY = [replace(ENTRY, stream_id=number, inode=number) for number in range(600)]


def test_of_many_places_only_what_changed_is_written(opener: Opener) -> None:
    """A second's work is as small as its changes, however many rotated files are known."""
    history = opener.folder / "history.json"
    saved = opener()
    saved.save(State(MANY, logs=frozenset({ENTRY.path})))
    before = history.stat()
    moved = [replace(MANY[0], position=4_000), *MANY[1:]]
    saved.save(State(moved, logs=frozenset({ENTRY.path})))

    assert history.stat().st_mtime_ns == before.st_mtime_ns
    assert history.stat().st_ino == before.st_ino
    assert opener.file.stat().st_size * 50 < before.st_size
    assert opener.again().found == State(moved, logs=frozenset({ENTRY.path}))


def test_a_history_that_is_missing(opener: Opener) -> None:
    """It is named: the entries that it held are not taken for ones that never were."""
    opener().save(State(MANY))
    history = opener.folder / "history.json"
    kept = history.read_bytes()
    history.unlink()

    with pytest.raises(StateError, match="is missing: put it back") as raised:
        opener.again()

    assert str(history) in str(raised.value)
    history.write_bytes(kept)
    assert opener().found == State(MANY)


def test_the_one_before_is_put_back_beside_a_history(opener: Opener) -> None:
    """It goes with the history that is there: only the last second is read again."""
    saved = opener()
    saved.save(State(MANY))
    before = [replace(MANY[0], position=4_000), *MANY[1:]]
    saved.save(State(before))
    saved.save(State([replace(MANY[0], position=5_000), *MANY[1:]]))
    opener.file.write_text("")
    with pytest.raises(StateError, match=r"copy checkpoint\.previous\.json over it"):
        opener.again()
    (opener.folder / "checkpoint.previous.json").replace(opener.file)

    assert opener().found == State(before)


def test_many_places_of_version_1(opener: Opener) -> None:
    """They are all read, and found again once they are written as version 2."""
    names = "stream_id path generation device inode position prefix_length prefix marker finished"
    entries = [{name: getattr(entry, name) for name in names.split()} for entry in MANY]
    content = {"version": 1, "source": "test", "seen": {ENTRY.path: 7.5}, "places": entries}
    opener.folder.mkdir(parents=True)
    opener.file.write_text(json.dumps(content))
    first = opener()
    first.save(first.found)

    assert first.found == State(MANY, {ENTRY.path: 7.5}, format=None)
    assert opener.again().found == first.found
    assert json.loads(opener.file.read_text())["version"] == 2
