"""The checkpoint: how far each stream is confirmed, on disk."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from producer.places import Place, State

logger = logging.getLogger(__name__)

VERSION = 1
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
    """The state of a source's logs, in one file that is replaced whole.

    `checkpoint.json` in the state folder, with the one before beside it. The folder is locked for
    as long as the process lives.
    """

    def __init__(self, folder: Path, source: str, observer: Observer) -> None:
        """Lock the folder and read what is there.

        Raises StateInUse, and StateError when the folder cannot be written or the file is not a
        checkpoint of this version and source: a producer never starts at 0 because of that.
        """
        self._folder = folder
        self._source = source
        self._observer = observer
        self._file = folder / "checkpoint.json"
        self._previous = folder / "checkpoint.previous.json"
        self._lock = self._take_lock()
        self._saved: list[Place] | None = None
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
        """Write the state, when its places differ from those that are there.

        A folder that cannot be written is logged, once, and counted; publishing may go on, since
        what is read again after a crash changes no row.
        """
        self._attempted_at = time.monotonic()
        if state.places == self._saved:
            return
        try:
            self._replace(state)
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
        self._saved = state.places
        self._observer.checkpointed()

    def close(self) -> None:
        """Unlock the folder."""
        os.close(self._lock)

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
        try:
            state = json.loads(self._file.read_text(encoding="utf-8"))
            version = state["version"]
            if version != VERSION:
                raise StateError(
                    f"{self._file} has version {version}, this producer writes {VERSION}: "
                    "run the producer that wrote it, or move the file away to read the log again"
                )
            source = state["source"]
            if source != self._source:
                raise StateError(
                    f"{self._file} belongs to SOURCE {source!r}, not {self._source!r}: "
                    "set SOURCE as it was, or give this source a STATE_DIR of its own"
                )
            return State(
                places=[_place(entry) for entry in state["places"]],
                seen={path: float(at) for path, at in state["seen"].items()},
            )
        except FileNotFoundError:
            return State()
        except OSError as error:
            raise StateError(f"{self._file} cannot be read: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StateError(
                f"{self._file} is not a checkpoint: copy {self._previous.name} over it, or move "
                "both away to read the log again from its beginning (no line is stored twice)"
            ) from error

    def _replace(self, state: State) -> None:
        content = {"version": VERSION, "source": self._source} | asdict(state)
        temporary = self._folder / "checkpoint.json.tmp"
        with temporary.open("w", encoding="utf-8") as file:
            file.write(json.dumps(content) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(OSError):  # the one before is for people; not every file system has links
            self._previous.unlink(missing_ok=True)
            os.link(self._file, self._previous)
        temporary.replace(self._file)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


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
