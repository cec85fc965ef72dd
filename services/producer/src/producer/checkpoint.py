"""The checkpoint: the producer's state on disk, and how it is set back to read logs again."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Protocol

from producer.files import Identity, LogFile, Relation
from producer.folders import rotated_files
from producer.state import MARKER_BYTES, Entry, State, fingerprint

logger = logging.getLogger(__name__)

VERSION = 2
#: Written by producers that recognised new files by their time: still read, never written.
FORMER_VERSION = 1
#: Up to this many entries are written whole each time, and as many may differ from history.json.
AT_ONCE = 100
#: Seconds between two writes: reading a second's lines again is cheaper than an fsync per slice.
SAVE_EVERY = 1.0


class StateError(Exception):
    """The state folder cannot be used; the message says why and what to do. Nothing was read."""


class StateInUse(Exception):
    """Another producer uses the state folder."""


class CheckpointMetrics(Protocol):
    """Counts writes of the checkpoint; datastream.metrics.ProducerMetrics is one."""

    def checkpointed(self) -> None:
        """Count a checkpoint that is safe on disk."""

    def checkpoint_failed(self) -> None:
        """Count a checkpoint that could not be written."""


class Checkpoint:
    """The state of a source's logs in a folder, which is locked until close().

    `checkpoint.json` is replaced at most once a second; its predecessor is kept beside it. With
    many rotated files or logs it would be long: then it holds only the entries that have changed
    since `history.json`, which holds everything, was written.
    """

    def __init__(self, folder: Path, source: str, metrics: CheckpointMetrics) -> None:
        """Lock the folder and read its state into `found`.

        Raises StateInUse, and StateError when the folder cannot be written or its files are not a
        checkpoint of a known version and this source: a damaged one must not mean starting at 0.
        """
        self._folder = folder
        self._source = source
        self._metrics = metrics
        self._file = folder / "checkpoint.json"
        self._previous = folder / "checkpoint.previous.json"
        self._history = folder / "history.json"
        self._lock = self._take_lock()
        #: What is certainly on disk: in all, and in history.json. None while that is uncertain.
        self._written: State | None = None
        self._in_history: State | None = None
        self._attempted_at = float("-inf")
        self._failing = False
        #: The state as it was when the folder was opened.
        self.found = State()
        try:
            self.found = self._load()
        except StateError:
            self.close()
            raise

    def save_if_due(self, state: Callable[[], State]) -> None:
        """Write the state if the last attempt is at least SAVE_EVERY ago."""
        if time.monotonic() - self._attempted_at >= SAVE_EVERY:
            self.save(state())

    def save(self, state: State) -> None:
        """Write the state if it has changed.

        A failure is counted, and logged once. Publishing may go on: whatever is read again after a
        crash changes no row.
        """
        self._attempted_at = time.monotonic()
        try:
            is_written = self._write(state)
        except OSError as error:
            self._metrics.checkpoint_failed()
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
            self._metrics.checkpointed()

    def close(self) -> None:
        """Unlock the folder."""
        os.close(self._lock)

    def _write(self, state: State) -> bool:
        """Write a state; return whether it differs from what was written. Raises OSError."""
        if state == self._written:
            return False
        self._written = None
        if max(len(state.entries), len(state.logs), len(state.generations)) <= AT_ONCE:
            self._in_history = None
            self._replace_checkpoint(_content(state))
            self._history.unlink(missing_ok=True)
        else:
            changed = self._changes(state)
            if changed is None:
                # Before the checkpoint: every entry is in one of the two at any moment.
                self._in_history = None
                self._replace(self._history, _content(state))
                self._in_history, changed = state, []
            entries = [_values(entry) for entry in changed]
            self._replace_checkpoint({"places": entries, "history": self._history.name})
        self._written = state
        return True

    def _changes(self, state: State) -> list[Entry] | None:
        """Return the entries that differ from history.json; None if that must be written anew."""
        history = self._in_history
        if history is None or replace(history, entries=[]) != replace(state, entries=[]):
            return None
        known = {entry.stream_id: entry for entry in history.entries}
        changed = [
            entry
            for entry in state.entries
            if (noted := known.get(entry.stream_id)) is not entry and noted != entry
        ]
        is_lacking = known.keys() - {entry.stream_id for entry in state.entries}
        return None if is_lacking or len(changed) > AT_ONCE else changed

    def _replace_checkpoint(self, content: dict[str, object]) -> None:
        with suppress(OSError):  # a convenience for people; not every file system has hard links
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
            return State()  # history.json alone is left over from a crash during the first write
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
            changed = {entry.stream_id: entry for entry in map(_entry, checkpoint["places"])}
        with self._damaged(self._history):
            state = _state(history)
        entries = {entry.stream_id: entry for entry in state.entries} | changed
        return replace(state, entries=list(entries.values()))

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
        """Turn the errors of a malformed file into a StateError that says what to do."""
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

    def _replace(self, file: Path, content: dict[str, object]) -> None:
        """Replace a file atomically and durably. Raises OSError."""
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


def _content(state: State) -> dict[str, object]:
    """Return a state as JSON."""
    return {
        "places": [_values(entry) for entry in state.entries],
        "seen": state.seen,
        "logs": sorted(state.logs),
        "patterns": sorted(state.patterns),
        "generations": {str(number): highest for number, highest in state.generations.items()},
        **({"formats": state.formats} if state.formats else {}),
        **({"sources": state.sources} if state.sources else {}),
        **({} if state.format is None else {"format": state.format}),
    }


def _state(content: dict[str, Any]) -> State:
    """Return a state from JSON. Raises KeyError, TypeError, ValueError, AttributeError."""
    is_former = content["version"] == FORMER_VERSION
    content = {"logs": [], "patterns": [], "generations": {}} | content if is_former else content
    return State(
        entries=[_entry(values) for values in content["places"]],
        seen={path: float(at) for path, at in content["seen"].items()},
        logs=frozenset(map(_text, content["logs"])),
        patterns=frozenset(map(_text, content["patterns"])),
        generations={int(number): int(g) for number, g in content["generations"].items()},
        formats={path: _text(form) for path, form in content.get("formats", {}).items()},
        sources={path: _text(name) for path, name in content.get("sources", {}).items()},
        format=_text(content["format"]) if "format" in content else None,
    )


def _values(entry: Entry) -> dict[str, object]:
    """Return an entry as JSON, without the values that are defaults."""
    return {
        f.name: value
        for f in fields(entry)
        if (value := getattr(entry, f.name)) != f.default or f.default is MISSING
    }


def _entry(values: dict[str, Any]) -> Entry:
    """Return an entry from JSON. Raises TypeError and ValueError."""
    entry = Entry(**values)
    for name, kind in Entry.__annotations__.items():
        value = getattr(entry, name)
        if type(value).__name__ != kind:
            raise TypeError(f"{name} is no {kind}")
        if kind == "int" and value < 0:
            raise ValueError(f"{name} is below 0")
    return entry


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


class NotThere(Exception):
    """There is no such stream, or no line begins there; the message says which."""


class RaiseOnFailure:
    """The metrics of a checkpoint that must be written."""

    def checkpointed(self) -> None:
        """Do nothing."""

    def checkpoint_failed(self) -> None:
        """Raise StateError."""
        raise StateError("the checkpoint cannot be written: nothing is changed")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to read again; by default everything."""

    #: Only this stream, from this byte on, where a line must begin.
    stream: int | None = None
    position: int = 0
    #: Only files that have changed since then (Unix time).
    since: float = 0.0
    #: Read the file of `stream` as another stream: the next generation.
    as_new: bool = False


@dataclass(slots=True)
class Rewound:
    """The state to write, and what happened to each entry, in words."""

    state: State
    words: list[str] = field(default_factory=list)


def rewind(state: State, wanted: Wanted, rotated_dir: str = "") -> Rewound:
    """Return a state in which the wanted streams are read again, under the same stream ids.

    For after the exchange, a queue or rows were lost: what is stored already changes no row.
    Removing the checkpoint instead would lose the generation of each file. The entry of a stream
    whose file is gone stays as it is. `rotated_dir` is the folder of rotated files, relative to
    that of each log. Raises NotThere.
    """
    if wanted.stream is not None and all(e.stream_id != wanted.stream for e in state.entries):
        raise NotThere(f"the checkpoint knows no stream {wanted.stream:016x}")
    new = {entry.stream_id: entry for entry in state.entries}
    words = []
    with ExitStack() as stack:
        files = {
            path: [stack.enter_context(closing(file)) for file in _files_of(path, rotated_dir)]
            for path in {entry.path for entry in state.entries}
        }
        for entry, file in _matched(state.entries, files):
            name = f"stream {entry.stream_id:016x}, generation {entry.generation}, {entry.path}"
            if wanted.stream not in (None, entry.stream_id):
                continue
            if entry.skipped and wanted.stream is None:
                continue  # it was never configured to be read
            if file is None:
                words.append(f"{name}: its file is gone, nothing can be read again")
            elif file.modified_at() < wanted.since:
                words.append(f"{name}: {file.path} has not changed since, left alone")
            elif wanted.as_new:
                # Without a marker no file holds the stream, so the file is a new one.
                new[entry.stream_id] = replace(entry, marker="", finished=True)
                words.append(f"{name}: {file.path} is read from its beginning as another stream")
            else:
                new[entry.stream_id] = _set_back(entry, file, wanted.position)
                words.append(f"{name}: {file.path} is read again from byte {wanted.position:,} on")
    return Rewound(replace(state, entries=list(new.values())), words)


def _files_of(log: str, rotated_dir: str) -> Iterator[LogFile]:
    """Open the files of a log; those that are still being packed come last."""
    with suppress(OSError):
        yield LogFile(log)
    for file in rotated_files(log, rotated_dir):
        with suppress(OSError):
            yield LogFile(file)


def _matched(
    entries: list[Entry], files: dict[str, list[LogFile]]
) -> Iterator[tuple[Entry, LogFile | None]]:
    """Yield each entry with the file that holds its stream, preferably the one it was last in."""
    there = {file.identity for found in files.values() for file in found}
    taken: set[Identity] = set()
    for entry in sorted(entries, key=lambda entry: entry.identity not in there):
        holding = [
            f
            for f in files[entry.path]
            if f.identity not in taken and f.relation(entry) is Relation.HOLDS
        ]
        holding.sort(key=lambda file: file.identity != entry.identity)
        if holding:
            taken.add(holding[0].identity)
        yield entry, holding[0] if holding else None


def _set_back(entry: Entry, file: LogFile, position: int) -> Entry:
    """Return an entry with an earlier position. Raises NotThere if no line begins there."""
    before = file.read(max(0, position - MARKER_BYTES), min(MARKER_BYTES, position))
    if position > entry.position or (position and not before.endswith(b"\n")):
        raise NotThere(f"no line that was read begins at byte {position:,} of {file.path}")
    device, inode = file.identity
    return replace(
        entry,
        device=device,
        inode=inode,
        position=position,
        marker=fingerprint(before),
        finished=False,
        skipped=False,
    )
