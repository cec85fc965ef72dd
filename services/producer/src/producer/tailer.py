"""Follows logs: through growth, rotation, truncation and restarts."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from pathlib import Path

from datastream.paths import expand, log_path, logs_rotated_to, printable
from datastream.slices import Slice
from producer.files import Identity
from producer.folders import Folders
from producer.log import Log, Source
from producer.reader import StreamReader
from producer.schedule import Schedule
from producer.state import Entry, Generations, State

logger = logging.getLogger(__name__)

#: Seconds between two looks at what the patterns stand for.
EXPAND_EVERY = 1.0
#: Looks in a row that a log may take to be decided about before others get their turn.
LOOKS_AT_ONCE = 10
#: Seconds between two looks at whether files of logs are left that no pattern names any more.
FORGET_EVERY = 60.0
#: So many replaced files may be open before look() opens no more, and so many files in all before
#: it takes up no new logs: what is deleted meanwhile keeps its room on the disk until it is read.
OPEN_AT_MOST = 256


class NoInput(Exception):
    """There is something to read once that cannot be read: it is missing, or closed to us."""


class Tailer:
    """Reads the logs that some paths and patterns stand for, in turn, a slice of each.

    `confirm` after each slice, once it is safe; `state` is how far that has come.
    """

    def __init__(self, patterns: Iterable[str], source: Source, state: State) -> None:
        """Take up the logs where an earlier state says."""
        self._patterns = list(patterns)
        self._source = source
        self._found = state
        self._generations = Generations(state.generations)
        self._folders = Folders()
        self._logs: dict[str, Log] = {}
        self._schedule = Schedule(self._folders)
        self._expanded_at = float("-inf")
        self._forgot_at = time.monotonic()
        self._unmatched: set[str] = set()
        #: The files that were found for each log, and what that came of.
        self._grouped: dict[str, list[str]] = {}
        self._asked_for = self._grouped
        self._grouped_by: tuple[list[str], list[str]] = ([], [])
        #: Paths of files that another log is read from already.
        self._doubles: set[str] = set()
        #: Places of logs that are not read now.
        self._others = list(state.entries)
        self._handed: tuple[Log, StreamReader] | None = None
        self._is_first = True
        self._expand()
        self._is_first = False

    def slices(self) -> Iterator[Slice | None]:
        """Yield slices as they can be had, and None whenever there is no more for now.

        With Source.once it ends once all is read, and raises NoInput when something could not be.
        """
        looks = 0
        while True:
            is_idle = True
            for piece in self._round():
                is_idle = False
                yield piece
            is_decided = self._schedule.is_decided
            looks = 0 if is_decided or not is_idle else looks + 1
            if not is_idle or 0 < looks < LOOKS_AT_ONCE:
                continue
            looks = 0
            if self._source.once and is_decided:
                self._raise_if_unread()
                return
            yield None

    def _round(self) -> Iterator[Slice]:
        """Yield the next slice of each log that has one, after a look at what there is."""
        self._folders.begin_round()
        if not self._source.once:
            self._expand()
        logs = self._logs.values()
        for log in list(logs) if self._source.once else self._schedule.due(logs):
            if self._logs.get(log.path) is not log:
                continue  # it was dropped while a slice of another one was in hand
            handed = log.next()
            if handed is not None or log.is_undecided:
                self._schedule.keep_busy(log)
            if handed is not None:
                self._handed = (log, handed[0])
                yield handed[1]

    def confirm(self) -> None:
        """Note that the slice handed out last is safe."""
        if self._handed is None:
            raise ValueError("no slice was handed out")
        log, reader = self._handed
        reader.confirm()
        log.note(reader)

    @property
    def prefix_length(self) -> int:
        """How many bytes the file of the slice handed out last is known by."""
        if self._handed is None:
            raise ValueError("no slice was handed out")
        return self._handed[1].prefix_length

    def look(self) -> None:
        """Open what is there now, so that it can be read later even when it is deleted.

        For whoever has to wait before confirm(): slices() looks by itself. Not with Source.once,
        and no further than OPEN_AT_MOST allows; those are found later, if they still exist.
        """
        if self._source.once:
            return
        self._schedule.disturb()
        # Two looks: nothing is decided by one.
        for _ in range(2):
            self._folders.begin_round()
            logs = list(self._logs.values())
            replaced = sum(max(0, len(log.readers) - 1) for log in logs)
            for log in logs:
                if replaced >= OPEN_AT_MOST:
                    return
                before = len(log.readers)
                log.look()
                replaced += len(log.readers) - before
        if self.open_files < OPEN_AT_MOST:
            self._expand()

    def state(self) -> State:
        """Return how far all is confirmed, also of the logs that are not read now."""
        logs = list(self._logs.values())
        sighted = {log.name for log in logs if log.is_sighted and log.is_followed}
        known = self._found.logs | sighted
        if known != self._found.logs or self._others is not self._found.entries:
            seen = {name: at for name, at in self._found.seen.items() if name not in known}
            self._found = replace(self._found, logs=known, seen=seen, entries=self._others)
        return State(
            entries=self._others + [entry for log in logs for entry in log.entries()],
            seen=self._found.seen,
            logs=self._found.logs,
            # Not before it is known what was there already.
            patterns=(
                frozenset(self._patterns)
                if all(log.is_sighted or not log.is_followed for log in logs)
                else self._found.patterns
            ),
            generations=self._generations.highest,
        )

    def close(self) -> None:
        """Close every file."""
        for log in self._logs.values():
            log.close()

    @property
    def open_files(self) -> int:
        """How many files are open."""
        return sum(len(log.readers) for log in list(self._logs.values()))

    @property
    def once(self) -> bool:
        """Whether to read to the end and no further."""
        return self._source.once

    @property
    def is_tailing(self) -> bool:
        """Whether any log can be read now."""
        return any(not log.trouble for log in list(self._logs.values()))

    @property
    def behind_bytes(self) -> int:
        """How many bytes of the logs are not confirmed."""
        return sum(log.behind_bytes for log in list(self._logs.values()))

    @property
    def behind_seconds(self) -> float:
        """For how long the log that waits longest has had bytes that are not confirmed."""
        return max((log.behind_seconds for log in list(self._logs.values())), default=0.0)

    # Which logs there are.

    def _expand(self) -> None:
        """Take up the logs that the patterns stand for and that are new."""
        now = time.monotonic()
        if now - self._expanded_at < EXPAND_EVERY:
            return
        self._expanded_at = now
        found = {pattern: self._folders.matches(pattern, self._logs) for pattern in self._patterns}
        self._tell_unmatched({pattern for pattern, files in found.items() if not files})
        files = list(dict.fromkeys(chain.from_iterable(found.values())))
        logs = self._files_by_log(files)
        new = [path for path in logs if path not in self._logs]
        if new:
            self._take_up_new(new, logs)
        self._ask_for(logs, are_new=bool(new))
        for path in self._logs.keys() - logs.keys():
            if not self._logs[path].readers and not os.path.lexists(path):
                self._drop(path, self._logs[path])
        self._look_at([self._logs[path] for path in new if path in self._logs])
        if now - self._forgot_at >= FORGET_EVERY:
            self._forgot_at = now
            self._forget()

    def _ask_for(self, logs: dict[str, list[str]], *, are_new: bool) -> None:
        """Let each log read the files that were found for it; some logs may be new."""
        if logs is self._asked_for and not are_new:
            return
        self._asked_for = logs
        for path, files in logs.items():
            if path in self._logs and self._logs[path].ask_for(files):
                self._schedule.keep_busy(self._logs[path])

    def _files_by_log(self, files: list[str]) -> dict[str, list[str]]:
        """Return the files of each log; worked out anew only when there are others."""
        if self._grouped_by != (files, list(self._logs)):
            self._grouped_by = files, list(self._logs)
            self._grouped = {}
            for file, path in self._logs_of(files).items():
                self._grouped.setdefault(path, []).append(file)
        return self._grouped

    def _logs_of(self, files: list[str]) -> dict[str, str]:
        """Return the log that each file belongs to: a rotated one to that beside it, if it is."""
        there = {*files, *self._logs}
        homes = {}
        for file in files:
            log = file
            while beside := _log_beside(log, there):
                log = beside  # of a rotated file that is packed it is not yet the log
            homes[file] = log if log != file else log_path(file)
        return homes

    def _take_up_new(self, new: list[str], logs: dict[str, list[str]]) -> None:
        """Take up logs, but none that is the file of another one under another name."""
        entries: dict[str, list[Entry]] = {}
        for entry in self._others:
            entries.setdefault(entry.path, []).append(entry)
        files: dict[Identity, str] = {
            reader.file.identity: log.path for log in self._logs.values() for reader in log.readers
        }
        # Of two names the one that was read goes first.
        for path in sorted(new, key=lambda path: printable(path) not in entries):
            identity = None
            with suppress(OSError):
                status = Path(path).stat()
                identity = status.st_dev, status.st_ino
            if identity is not None and files.setdefault(identity, path) != path:
                if path not in self._doubles:
                    self._doubles.add(path)
                    logger.warning(
                        "Log is the file of another one under another name, and is read once",
                        extra={"path": path, "log": files[identity]},
                    )
                continue
            self._take_up(path, logs[path], entries)

    def _look_at(self, logs: list[Log]) -> None:
        """Look at new logs, until it is decided what is there now: what comes then is new."""
        for _ in range(LOOKS_AT_ONCE):
            self._folders.begin_round()
            logs = [log for log in logs if log.is_undecided]
            for log in logs:
                log.look()

    def _take_up(self, path: str, files: list[str], entries: dict[str, list[Entry]]) -> None:
        """Take up a log, of which these files were found."""
        is_followed = path in files
        if not is_followed and not self._source.once:
            logger.info(
                "Only rotated files match: they are read, and what is written to them",
                extra={"path": path},
            )
        # Those of files that are rotated ones of this log, and were taken for logs of their own.
        names = dict.fromkeys([printable(path), *(printable(file) for file in files)])
        known = [entry for name in names for entry in entries.get(name, ())]
        if known:
            taken = {entry.stream_id for entry in known}
            self._others = [entry for entry in self._others if entry.stream_id not in taken]
        log = self._logs[path] = Log(
            path,
            self._source,
            known,
            is_followed=is_followed,
            is_new=self._is_new(path),
            changed_since=self._changed_since(printable(path)),
            generations=self._generations,
            folders=self._folders,
        )
        self._schedule.keep_busy(log)

    def _is_new(self, path: str) -> bool:
        """Say whether no file of a log was there when logs were looked for the last time."""
        if printable(path) in self._found.logs or not self._is_first:
            return True
        return any(path in expand(pattern) for pattern in self._found.patterns)

    def _changed_since(self, name: str) -> float | None:
        """Return what a checkpoint of version 1 knows of a log (Unix time)."""
        seen = self._found.seen
        return seen.get(name, max(seen.values())) if seen else None

    def _drop(self, path: str, log: Log) -> None:
        """Read a log no longer: no pattern names it, and it is gone."""
        log.close()
        self._others = self._others + log.entries()
        self._found = replace(self._found, logs=self._found.logs - {log.name})
        del self._logs[path]
        self._schedule.drop(log)

    def _forget(self) -> None:
        """Forget the streams of logs that no pattern names, and of which no file is left.

        Only in folders in which a log is read, of the same disk: another one is not mounted,
        perhaps.
        """
        folders = {
            str(Path(log.path).parent): reader.file.identity[0]
            for log in self._logs.values()
            for reader in log.readers
        }
        left = [entry for entry in self._others if not self._is_gone(entry, folders)]
        if len(left) < len(self._others):
            gone = {entry.path for entry in self._others} - {entry.path for entry in left}
            names = {log.name for log in self._logs.values()}
            self._found = replace(self._found, logs=self._found.logs - (gone - names))
            self._others = left

    def _is_gone(self, entry: Entry, folders: dict[str, int]) -> bool:
        folder, name = os.path.split(entry.path)
        if folders.get(folder) != entry.device:
            return False
        try:
            rotated = self._folders.rotated(folder, name, is_fresh=True)
        except OSError:
            return False
        return not (
            rotated or os.path.lexists(entry.path) or (entry.file and os.path.lexists(entry.file))
        )

    def _tell_unmatched(self, unmatched: set[str]) -> None:
        for pattern in sorted(unmatched - self._unmatched if not self.once else ()):
            logger.warning("No file matches, waiting for one", extra={"pattern": pattern})
        self._unmatched = unmatched

    def _raise_if_unread(self) -> None:
        troubles = [
            f"{path}: {trouble}"
            for log in self._logs.values()
            for path, trouble in log.unread.items()
        ]
        troubles += [f"{pattern}: no file matches" for pattern in sorted(self._unmatched)]
        if troubles:
            raise NoInput("; ".join(troubles))


def _log_beside(file: str, there: set[str]) -> str | None:
    """Return the log, or other file, that a file may be a rotated one of; None without one."""
    folder, name = os.path.split(file)
    logs = (os.path.join(folder, log) for log in logs_rotated_to(name))  # noqa: PTH118
    return next((log for log in logs if log in there and log != file), None)
