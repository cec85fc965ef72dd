"""The checkpoint: how far each stream is confirmed, on disk."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from producer.files import Place

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
    """The places of a source's streams, in one file that is replaced whole.

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
        self._saved_text = ""
        self._attempted_at = 0.0
        self._failing = False
        #: When the checkpoint that was found was written, as a Unix time; 0 when there was none.
        self.saved_at = 0.0
        #: What was found, in the order of writing.
        self.places: list[Place] = self._load()

    def save_if_due(self, places: Callable[[], Iterable[Place]]) -> None:
        """Write the places, but at most once a second."""
        if time.monotonic() - self._attempted_at >= SAVE_EVERY:
            self.save(places())

    def save(self, places: Iterable[Place]) -> None:
        """Write the places, when they differ from what is there.

        A folder that cannot be written is logged, once, and counted; publishing may go on, since
        what is read again after a crash changes no row.
        """
        self._attempted_at = time.monotonic()
        text = json.dumps([asdict(place) for place in places])
        if text == self._saved_text:
            return
        try:
            self._replace(text)
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
        self._saved_text = text
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
            raise StateInUse(
                f"another producer uses STATE_DIR {self._folder}; give each its own"
            ) from error
        return descriptor

    def _load(self) -> list[Place]:
        try:
            text = self._file.read_text(encoding="utf-8")
            state = json.loads(text)
            version, source = state["version"], state["source"]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StateError(f"{self._file} cannot be read: {error.strerror}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise self._corrupt() from error
        if version != VERSION:
            raise StateError(
                f"{self._file} has version {version}, this producer writes {VERSION}: "
                "run the producer that wrote it, or move the file away to read the log again"
            )
        if source != self._source:
            raise StateError(
                f"{self._file} belongs to SOURCE {source!r}, not {self._source!r}: "
                "set SOURCE as it was, or give this source a STATE_DIR of its own"
            )
        try:
            self.saved_at = float(state["saved_at"])
            return [_place(entry) for entry in state["places"]]
        except (ValueError, KeyError, TypeError) as error:
            raise self._corrupt() from error

    def _corrupt(self) -> StateError:
        return StateError(
            f"{self._file} is not a checkpoint: copy {self._previous.name} over it, or move both "
            "away to read the log again from its beginning (no line is stored twice)"
        )

    def _replace(self, places: str) -> None:
        state = (
            f'{{"version": {VERSION}, "source": {json.dumps(self._source)}, '
            f'"saved_at": {time.time():.3f}, "places": {places}}}\n'
        )
        temporary = self._folder / "checkpoint.json.tmp"
        with temporary.open("w", encoding="utf-8") as file:
            file.write(state)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileNotFoundError):
            self._previous.unlink()
        with suppress(FileNotFoundError):
            os.link(self._file, self._previous)
        temporary.replace(self._file)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _place(entry: dict[str, Any]) -> Place:
    place = Place(**entry)
    for name, kind in Place.__annotations__.items():
        if type(getattr(place, name)).__name__ != kind:
            raise TypeError(f"{name} is no {kind}")
    return place
