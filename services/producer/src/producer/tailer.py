"""Follows logs: through growth, rotation, truncation and restarts."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from pathlib import Path

from datastream.config import ConfigError
from datastream.parsing import AUTO, compiled
from datastream.paths import expand, path_text
from datastream.slices import Slice
from producer.detecting import FormatSearch, Pace
from producer.files import Identity
from producer.folders import Folders, files_by_log
from producer.log import Log
from producer.open_files import OpenFiles
from producer.reader import StreamReader
from producer.schedule import Schedule
from producer.settings import Source, refuse_unseen
from producer.sources import Sources, by_file
from producer.state import Entry, Generations, State

logger = logging.getLogger(__name__)

#: Seconds between two matchings of the patterns.
EXPAND_EVERY = 1.0
#: Looks in a row that a log may take to be decided before others get their turn.
LOOKS_AT_ONCE = 10
#: Seconds between two searches for logs that no pattern matches and no file is left of.
FORGET_EVERY = 60.0
#: With this many replaced files open, look() opens no more, and with this many files open in all
#: it takes up no new logs: a deleted file occupies its disk space until it is closed.
OPEN_AT_MOST = 256


class NoInput(Exception):
    """With --once, a log is missing or cannot be read; the message says which and why."""


class Tailer:
    """Reads the logs that some paths and patterns stand for, in turn, a slice of each.

    confirm() must follow each slice, once it is safe; state() is how far that has come.
    """

    def __init__(
        self,
        patterns: Iterable[str],
        source: Source,
        state: State,
        own: Mapping[str, Source] | None = None,
    ) -> None:
        """Take up the logs where a state says.

        With the format AUTO nothing is read before it is found, but files are opened; then
        slices() raises ConfigError where it cannot be told. Raises ConfigError for a log that
        belonged to another source. `own` are the sources of patterns that have each its own: then
        a log for which either is so, or that two of them match, is passed over.
        """
        self._patterns = list(patterns)
        self._search = FormatSearch(
            self._patterns, once=source.once, may_quote=not source.is_disguised
        )
        self._source = source
        self._sources = Sources(source, own or {}, state)
        #: Logs whose format is not told yet, and those that are not read, each with the reason.
        self._untold: set[str] = set()
        self._passed_over: dict[str, str] = {}
        self._pace = Pace()
        if source.format != AUTO and not own:
            self._check(source.format)
        self._found = state
        self._generations = Generations(state.generations)
        self._folders = Folders()
        self._logs: dict[str, Log] = {}
        self._schedule = Schedule(self._folders)
        self._expanded_at = float("-inf")
        self._forgot_at = time.monotonic()
        self._unmatched: set[str] = set()
        #: The files of each log, and by which files and logs they were grouped.
        self._grouped: dict[str, list[str]] = {}
        self._grouped_by: tuple[list[str], list[str]] = ([], [])
        #: Paths of files that are read as another log already.
        self._doubles: set[str] = set()
        #: Entries of logs that are not read now.
        self._others = list(state.entries)
        self._handed: tuple[Log, StreamReader] | None = None
        self._is_first = True
        self._expand()
        self._is_first = False

    def slices(self) -> Iterator[Slice | None]:
        """Yield slices, and None whenever there is nothing to read for now.

        With Source.once it ends once everything is read, or raises NoInput if something cannot be.
        """
        looks = 0
        while True:
            is_idle = True
            for slice_ in self._round():
                is_idle = False
                yield slice_
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
        """Yield the next slice of each log that is due and has one."""
        self._folders.begin_round()
        if not self._source.once:
            self._expand()
        self._find_format()
        logs = self._logs.values()
        for log in list(logs) if self._source.once else self._schedule.due(logs):
            if self._logs.get(log.files.path) is not log:
                continue  # it was dropped while a slice of another one was published
            handed = self._next_of(log)
            if handed is not None or log.files.is_undecided:
                self._schedule.keep_busy(log)
            if handed is not None:
                self._handed = (log, handed[0])
                yield handed[1]

    def _next_of(self, log: Log) -> tuple[StreamReader, Slice] | None:
        if log.files.source.format == AUTO:
            log.files.look()  # without a format no line can be sent
            if log.files.path in self._passed_over:
                log.files.let_go()
            return None
        return log.next()

    def _find_format(self) -> None:
        """Read all logs by one format, if none is named and it is found now."""
        if self._source.format != AUTO or self._sources.are_told:
            return
        line_format = self._search()
        if line_format is None:
            return
        self._check(line_format)
        self._source = self._sources.common = replace(self._source, format=line_format)
        self._found = replace(self._found, format=line_format)
        for log in self._logs.values():
            log.files.read_as(line_format)
            self._schedule.keep_busy(log)

    def _check(self, line_format: str) -> None:
        """Log what a person should know before lines are read by a format. Raises ConfigError."""
        if self._source.is_disguised:
            refuse_unseen(line_format)
        form = compiled(line_format)
        for remark in (*form.doubts, *form.remarks):
            logger.warning("FORMAT: %s", remark)

    def confirm(self) -> None:
        """Note that the last slice is safe. Raises ValueError if there was none."""
        log, reader = self._last_handed()
        reader.confirm()
        log.files.note(reader)

    @property
    def prefix_length(self) -> int:
        """How many first bytes of the last slice's file are known. Raises ValueError."""
        return self._last_handed()[1].prefix_length

    def _last_handed(self) -> tuple[Log, StreamReader]:
        if self._handed is None:
            raise ValueError("no slice was handed out")
        return self._handed

    def look(self) -> None:
        """Open what is there now, so that it can be read later even if it is deleted.

        To be called while confirm() has to wait; otherwise slices() looks. Does nothing with
        Source.once, and no more than OPEN_AT_MOST allows.
        """
        if self._source.once:
            return
        self._schedule.disturb()
        # Two looks, since one decides nothing.
        for _ in range(2):
            self._folders.begin_round()
            logs = [log.files for log in self._logs.values()]
            replaced = sum(max(0, len(files.readers) - 1) for files in logs)
            for files in logs:
                if replaced >= OPEN_AT_MOST:
                    return
                before = len(files.readers)
                files.look()
                replaced += len(files.readers) - before
        if self.open_files < OPEN_AT_MOST:
            self._expand()

    def state(self) -> State:
        """Return how far all logs are confirmed, including those not read now."""
        logs = [log.files for log in self._logs.values()]
        sighted = {log.name for log in logs if log.is_sighted and log.is_followed}
        known = self._found.logs | sighted
        if known != self._found.logs or self._others is not self._found.entries:
            seen = {name: at for name, at in self._found.seen.items() if name not in known}
            self._found = replace(self._found, logs=known, seen=seen, entries=self._others)
        return State(
            entries=self._others + [entry for log in logs for entry in log.known.entries()],
            seen=self._found.seen,
            logs=self._found.logs,
            # Not before it is known which files existed already.
            patterns=(
                frozenset(self._patterns)
                if all(log.is_sighted or not log.is_followed for log in logs)
                else self._found.patterns
            ),
            generations=self._generations.highest,
            formats=self._sources.formats,
            sources=self._sources.names,
            format=self._found.format,
        )

    def close(self) -> None:
        """Close every file."""
        for log in self._logs.values():
            log.files.close()

    @property
    def open_files(self) -> int:
        """How many files are open."""
        return sum(len(log.files.readers) for log in list(self._logs.values()))

    @property
    def once(self) -> bool:
        """Whether to read to the end and stop."""
        return self._source.once

    @property
    def is_tailing(self) -> bool:
        """Whether any log can be read now."""
        return any(not log.files.trouble for log in self._read_logs())

    @property
    def behind_bytes(self) -> int:
        """How many bytes of the logs are not confirmed."""
        return sum(log.behind_bytes for log in self._read_logs())

    @property
    def behind_seconds(self) -> float:
        """For how long there have been unconfirmed bytes, in the log where that is longest."""
        return max((log.behind_seconds for log in self._read_logs()), default=0.0)

    @property
    def passed_over(self) -> int:
        """How many logs are not read, because it is not clear how."""
        return len(self._passed_over)

    def _read_logs(self) -> list[Log]:
        """Return the logs that are read, and those whose format may still be told."""
        passed_over = self._passed_over
        return [log for path, log in list(self._logs.items()) if path not in passed_over]

    # Which logs there are.

    def _expand(self) -> None:
        """Take up the logs that the patterns stand for and that are new."""
        now = time.monotonic()
        if now - self._expanded_at < EXPAND_EVERY:
            return
        self._expanded_at = now
        found = {pattern: expand(pattern, self._logs) for pattern in self._patterns}
        self._tell_unmatched({pattern for pattern, files in found.items() if not files})
        logs = self._files_by_log(list(dict.fromkeys(chain.from_iterable(found.values()))))
        new = [path for path in logs if path not in self._logs]
        if new:
            self._take_up_new(new, logs, by_file(found))
        self._tell_formats(logs)
        for path, files in logs.items():
            log = self._logs.get(path)
            if log is not None and log.files.ask_for(files):
                self._schedule.keep_busy(log)
        self._drop_gone(logs.keys())
        self._look_at([self._logs[path].files for path in new if path in self._logs])
        if now - self._forgot_at >= FORGET_EVERY:
            self._forgot_at = now
            self._forget()

    def _drop_gone(self, logs: Collection[str]) -> None:
        """Drop logs that no pattern matches now and of which nothing is left."""
        for path in self._passed_over.keys() - logs - self._logs.keys():
            del self._passed_over[path]
        for path in self._logs.keys() - logs:
            if not self._logs[path].files.readers and not os.path.lexists(path):
                self._drop(path, self._logs[path])

    def _files_by_log(self, files: list[str]) -> dict[str, list[str]]:
        """Group files by log; anew only if they or the logs are others than the last time."""
        if self._grouped_by != (files, list(self._logs)):
            self._grouped_by = files, list(self._logs)
            self._grouped = files_by_log(*self._grouped_by)
        return self._grouped

    def _take_up_new(
        self, new: list[str], logs: dict[str, list[str]], patterns: Mapping[str, list[str]]
    ) -> None:
        """Take up logs, except those that are the file of another one under another name."""
        entries: dict[str, list[Entry]] = {}
        for entry in self._others:
            entries.setdefault(entry.path, []).append(entry)
        files: dict[Identity, str] = {
            reader.file.identity: path
            for path, log in self._logs.items()
            for reader in log.files.readers
        }
        # Of two names, the one that was read before goes first.
        for path in sorted(new, key=lambda path: path_text(path) not in entries):
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
            matching = {pattern for file in logs[path] for pattern in patterns[file]}
            self._take_up(path, logs[path], entries, matching)

    def _look_at(self, logs: list[OpenFiles]) -> None:
        """Look at new logs until it is decided which files exist now: any other is new."""
        for _ in range(LOOKS_AT_ONCE):
            self._folders.begin_round()
            logs = [log for log in logs if log.is_undecided]
            for log in logs:
                log.look()

    def _tell_formats(self, logs: dict[str, list[str]]) -> None:
        """Find out the formats of logs that are read by what their first lines say."""
        if not self._pace.is_due:
            return
        untold = sorted(self._untold & self._logs.keys() - self._passed_over.keys())
        with self._pace.searching():
            for path in untold:
                self._tell_format(path, logs.get(path, [path]), len(untold))

    def _tell_format(self, path: str, files: list[str], among: int) -> None:
        log = self._logs[path]
        try:
            found = self._sources.tell(log.files.name, [path] if path in files else files, among)
        except ConfigError as error:
            self._pass_over(path, error)
            return
        if found is not None:
            log.files.read_as(found)
            self._schedule.keep_busy(log)
            self._untold.discard(path)

    def _pass_over(self, path: str, error: ConfigError) -> None:
        """Say once why a log is not read; the others go on, now and after the next start."""
        if path not in self._passed_over:
            logger.error("Log is not read", extra={"path": path, "error": str(error)})
        self._passed_over[path] = str(error)

    def _take_up(
        self,
        path: str,
        files: list[str],
        entries: dict[str, list[Entry]],
        patterns: set[str],
    ) -> None:
        """Take up a log, of which these files were found by these patterns."""
        # A rotated file of this log may have been taken for a log of its own.
        names = dict.fromkeys([path_text(path), *(path_text(file) for file in files)])
        known = [entry for name in names for entry in entries.get(name, ())]
        try:
            source = self._sources.of(path_text(path), patterns, was_read=bool(known))
        except ConfigError as error:
            if self._is_first and not self._sources.are_told:
                raise  # what is wrong is of all logs
            self._pass_over(path, error)
            return
        self._passed_over.pop(path, None)
        is_followed = path in files
        if not is_followed and not self._source.once:
            logger.info(
                "Only rotated files match: they are read, and what is written to them",
                extra={"path": path},
            )
        if known:
            taken = {entry.stream_id for entry in known}
            self._others = [entry for entry in self._others if entry.stream_id not in taken]
        log = self._logs[path] = Log(
            OpenFiles(
                path,
                source,
                known,
                generations=self._generations,
                folders=self._folders,
                is_followed=is_followed,
                is_new=self._is_new(path),
                changed_since=self._changed_since(path_text(path)),
            )
        )
        self._schedule.keep_busy(log)
        if source.format == AUTO and self._sources.are_told:
            self._untold.add(path)

    def _is_new(self, path: str) -> bool:
        """Say whether a log did not exist, with any file, when its pattern was last matched."""
        if path_text(path) in self._found.logs or not self._is_first:
            return True
        return any(path in expand(pattern) for pattern in self._found.patterns)

    def _changed_since(self, name: str) -> float | None:
        """Return what a checkpoint of version 1 knows of a log (Unix time)."""
        seen = self._found.seen
        return seen.get(name, max(seen.values())) if seen else None

    def _drop(self, path: str, log: Log) -> None:
        """Stop reading a log that no pattern matches and that is gone."""
        log.files.close()
        self._others = self._others + log.files.known.entries()
        self._found = replace(self._found, logs=self._found.logs - {log.files.name})
        del self._logs[path]
        self._untold.discard(path)
        self._passed_over.pop(path, None)
        self._schedule.drop(log)

    def _forget(self) -> None:
        """Forget the streams of logs that no pattern matches and no file is left of.

        Only in folders in which a log is read, on the same disk: another disk may not be mounted.
        """
        folders = {
            str(Path(path).parent): reader.file.identity[0]
            for path, log in self._logs.items()
            for reader in log.files.readers
        }
        left = [entry for entry in self._others if not self._is_gone(entry, folders)]
        if len(left) < len(self._others):
            gone = {entry.path for entry in self._others} - {entry.path for entry in left}
            gone -= {log.files.name for log in self._logs.values()}
            self._sources.forget(gone)
            self._found = replace(self._found, logs=self._found.logs - gone)
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
            for path, trouble in log.files.unread.items()
        ]
        troubles += [f"{pattern}: no file matches" for pattern in sorted(self._unmatched)]
        troubles += self._passed_over.values()
        if troubles:
            raise NoInput("; ".join(troubles))
