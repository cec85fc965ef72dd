"""The checkpoint: how far each stream is confirmed, on disk."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any, Protocol

from producer.places import Place, State

logger = logging.getLogger(__name__)

VERSION = 2
#: Written by producers that told new files by their time: read, and not written any more.
FORMER_VERSION = 1
#: So many places are written whole each time, and so many may differ from those of the history.
AT_ONCE = 100
#: Seconds between two writes: what is read again after a crash costs less than an fsync a slice.
SAVE_EVERY = 1.0


class StateError(Exception):
    """The state folder cannot be used; the message says why and what to do. Nothing was read."""


class StateInUse(Exception):
    """Another producer uses the state folder."""


class Observer(Protocol):
    """What is told of checkpoints."""

    def checkpointed(self) -> None:
        """Count a checkpoint that is safe on disk."""

    def checkpoint_failed(self) -> None:
        """Count a checkpoint that could not be written."""


class Checkpoint:
    """The state of a source's logs, in files that are each replaced whole.

    `checkpoint.json` is what is written once a second; the one before is kept beside it. Where it
    would be long, of many rotated files or logs, it holds the places alone that have changed since
    `history.json` was written, which holds all. The folder is locked for as long as the process
    lives.
    """

    def __init__(self, folder: Path, source: str, observer: Observer) -> None:
        """Lock the folder and read what is there.

        Raises StateInUse, and StateError when the folder cannot be written or the files are not a
        checkpoint of a known version and this source: a producer never starts at 0 because of that.
        """
        self._folder = folder
        self._source = source
        self._observer = observer
        self._file = folder / "checkpoint.json"
        self._previous = folder / "checkpoint.previous.json"
        self._history = folder / "history.json"
        self._lock = self._take_lock()
        #: What was written: all of it, or what the history holds and the places that differ.
        self._whole: State | None = None
        self._history_of: State | None = None
        self._places: dict[int, Place] = {}
        self._changed: dict[int, Place] | None = None
        self._attempted_at = float("-inf")
        self._failing = False
        #: What was found.
        self.found = State()
        try:
            self.found = self._load()
        except StateError:
            self.close()
            raise

    def save_if_due(self, state: Callable[[], State]) -> None:
        """Write the state, but at most once a second."""
        if time.monotonic() - self._attempted_at >= SAVE_EVERY:
            self.save(state())

    def save(self, state: State) -> None:
        """Write what has changed of the state.

        A folder that cannot be written is logged, once, and counted; publishing may go on, since
        what is read again after a crash changes no row.
        """
        self._attempted_at = time.monotonic()
        try:
            is_written = self._write(state)
        except OSError as error:
            self._observer.checkpoint_failed()
            if not self._failing:
                self._failing = True
                logger.warning(
                    "Checkpoint cannot be written and is stale; publishing goes on",
                    extra={"file": str(self._file), "error": error.strerror},
                )
            return
        if self._failing:
            self._failing = False
            logger.info("Checkpoint is written again", extra={"file": str(self._file)})
        if is_written:
            self._observer.checkpointed()

    def close(self) -> None:
        """Unlock the folder."""
        os.close(self._lock)

    def _write(self, state: State) -> bool:
        """Write what differs from what is there; return whether anything did. Raises OSError."""
        if max(len(state.places), len(state.logs), len(state.generations)) > AT_ONCE:
            return self._write_changes(state)
        if state == self._whole:
            return False
        self._whole = self._history_of = None  # until it is certain
        self._replace_checkpoint(_content(state))
        self._history.unlink(missing_ok=True)
        self._whole = state
        return True

    def _write_changes(self, state: State) -> bool:
        known = self._places
        changed = {
            place.stream_id: place
            for place in state.places
            if (noted := known.get(place.stream_id)) is not place and noted != place
        }
        before = self._history_of
        is_same_history = (
            before is not None
            and len(changed) <= AT_ONCE
            and len(state.places) - len(changed.keys() - known.keys()) == len(known)
            and (state.logs, state.patterns, state.generations, state.seen)
            == (before.logs, before.patterns, before.generations, before.seen)
        )
        if is_same_history and changed == self._changed:
            return False
        self._whole = self._changed = None  # until it is certain
        if not is_same_history:
            # Before the checkpoint: at no moment is a place in neither.
            self._history_of = None
            self._replace(self._history, _content(state))
            self._history_of = state
            self._places = {place.stream_id: place for place in state.places}
            changed = {}
        places = [_entry(place) for place in changed.values()]
        self._replace_checkpoint({"places": places, "history": self._history.name})
        self._changed = changed
        return True

    def _replace_checkpoint(self, content: dict[str, Any]) -> None:
        with suppress(OSError):  # the one before is for people; not every file system has links
            self._previous.unlink(missing_ok=True)
            os.link(self._file, self._previous)
        self._replace(self._file, content)

    def _take_lock(self) -> int:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StateError(
                f"STATE_DIR {self._folder} cannot be written: {error.strerror}"
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if not isinstance(error, BlockingIOError):
                raise StateError(
                    f"STATE_DIR {self._folder} cannot be locked: {error.strerror}"
                ) from error
            raise StateInUse(
                f"another producer uses STATE_DIR {self._folder}; give each its own"
            ) from error
        return descriptor

    def _load(self) -> State:
        checkpoint = self._read(self._file)
        if checkpoint is None:
            return State()  # a history alone is of a process that ended there, or of one before
        if "history" not in checkpoint:
            with self._damaged(self._file):
                return _state(checkpoint)
        history = self._read(self._history)
        if history is None:
            raise StateError(
                f"{self._history} is missing: put it back, or move {self._file.name} away too to "
                "read the log again from its beginning (no line is stored twice)"
            )
        with self._damaged(self._file):
            changed = {place.stream_id: place for place in map(_place, checkpoint["places"])}
        with self._damaged(self._history):
            state = _state(history)
        places = {place.stream_id: place for place in state.places} | changed
        return replace(state, places=list(places.values()))

    def _read(self, file: Path) -> dict[str, Any] | None:
        """Return the content of a file of this source and a known version; None without one."""
        try:
            text = file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StateError(f"{file} cannot be read: {error.strerror}") from error
        with self._damaged(file):
            content: dict[str, Any] = json.loads(text)
            version = content["version"]
            if version not in (VERSION, FORMER_VERSION):
                raise StateError(
                    f"{file} has version {version}, this producer writes {VERSION}: "
                    "run the producer that wrote it, or move the file away to read the log again"
                )
            source = content["source"]
            if source != self._source:
                raise StateError(
                    f"{file} belongs to SOURCE {source!r}, not {self._source!r}: "
                    "set SOURCE as it was, or give this source a STATE_DIR of its own"
                )
        return content

    @contextmanager
    def _damaged(self, file: Path) -> Iterator[None]:
        """Say what can be done about a file whose content is not what it should be."""
        try:
            yield
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            put_back = (
                f"copy {self._previous.name} over it, or move both away"
                if file == self._file
                else f"move it and {self._file.name} away"
            )
            raise StateError(
                f"{file} is not a checkpoint: {put_back} to read the log again from its beginning "
                "(no line is stored twice)"
            ) from error

    def _replace(self, file: Path, content: dict[str, Any]) -> None:
        """Put a file in the place of another one, whole or not at all. Raises OSError."""
        temporary = file.with_name(f"{file.name}.tmp")
        with temporary.open("w", encoding="utf-8") as opened:
            json.dump({"version": VERSION, "source": self._source} | content, opened)
            opened.write("\n")
            opened.flush()
            os.fsync(opened.fileno())
        temporary.replace(file)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _content(state: State) -> dict[str, Any]:
    """Return a state as it is written."""
    return {
        "places": [_entry(place) for place in state.places],
        "seen": state.seen,
        "logs": sorted(state.logs),
        "patterns": sorted(state.patterns),
        "generations": {str(number): highest for number, highest in state.generations.items()},
    }


def _state(content: dict[str, Any]) -> State:
    """Return the state that is written. Raises KeyError, TypeError, ValueError, AttributeError."""
    is_former = content["version"] == FORMER_VERSION
    content = {"logs": [], "patterns": [], "generations": {}} | content if is_former else content
    return State(
        places=[_place(entry) for entry in content["places"]],
        seen={path: float(at) for path, at in content["seen"].items()},
        logs=frozenset(map(_text, content["logs"])),
        patterns=frozenset(map(_text, content["patterns"])),
        generations={int(number): int(g) for number, g in content["generations"].items()},
    )


def _entry(place: Place) -> dict[str, Any]:
    """Return a place as it is written: a value that is the default is left out."""
    return {
        f.name: value
        for f in fields(place)
        if (value := getattr(place, f.name)) != f.default or f.default is MISSING
    }


def _place(entry: dict[str, Any]) -> Place:
    """Return the place that an entry describes. Raises TypeError and ValueError."""
    place = Place(**entry)
    for name, kind in Place.__annotations__.items():
        value = getattr(place, name)
        if type(value).__name__ != kind:
            raise TypeError(f"{name} is no {kind}")
        if kind == "int" and value < 0:
            raise ValueError(f"{name} is below 0")
    return place


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value
