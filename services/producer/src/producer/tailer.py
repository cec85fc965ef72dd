"""Follows logs: through growth, rotation, truncation and restarts."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from datastream.slices import Slice
from producer.files import Place, expand, log_path
from producer.log import Log, Source
from producer.reader import StreamReader

#: Seconds between two looks at what the patterns stand for.
EXPAND_EVERY = 1.0


class NoInput(Exception):
    """There is nothing to read once: a log that is missing or closed to us."""


class Tailer:
    """Reads the logs that some paths and patterns stand for, in turn, a slice of each.

    `confirm` after each slice, once it is safe; `places` is how far that has come.
    """

    def __init__(
        self, patterns: Iterable[str], source: Source, places: Iterable[Place], saved_at: float
    ) -> None:
        """Take up the logs where `places`, noted at `saved_at` (Unix time), say."""
        self._patterns = list(patterns)
        self._source = source
        self._places = list(places)
        self._saved_at = saved_at
        self._logs: dict[str, Log] = {}
        self._expanded_at = 0.0
        self._handed: tuple[Log, StreamReader] | None = None
        self._expand()

    def slices(self) -> Iterator[Slice | None]:
        """Yield slices as they can be had, and None whenever there is no more for now.

        With Source.once it ends instead, and raises NoInput when a log cannot be read at all.
        """
        while True:
            if not self._source.once:
                self._expand()
            idle = True
            for log in list(self._logs.values()):
                handed = log.next()
                if handed is not None:
                    idle = False
                    self._handed = (log, handed[0])
                    yield handed[1]
            if idle and self._source.once:
                self._raise_if_unread()
                return
            if idle:
                yield None

    def confirm(self) -> None:
        """Note that the slice handed out last is safe."""
        if self._handed is None:
            raise ValueError("no slice was handed out")
        log, reader = self._handed
        reader.confirm()
        log.note(reader)

    def places(self) -> list[Place]:
        """Return how far every stream is confirmed, those of logs that are not read now too."""
        others = [place for place in self._places if place.path not in self._logs]
        return others + [place for log in self._logs.values() for place in log.places()]

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

    def _expand(self) -> None:
        """Take up the logs that the patterns stand for and that are new."""
        now = time.monotonic()
        first = not self._logs
        if not first and now - self._expanded_at < EXPAND_EVERY:
            return
        self._expanded_at = now
        files = [path for pattern in self._patterns for path in expand(pattern)]
        for path in dict.fromkeys(map(log_path, files)):
            is_followed = path in files
            if path in self._logs or not (first or is_followed):
                continue
            places = [place for place in self._places if place.path == path]
            log = Log(path, self._source, places, is_followed=is_followed)
            log.take_up(self._saved_at, listed=[f for f in files if log_path(f) == path])
            self._logs[path] = log

    def _raise_if_unread(self) -> None:
        troubles = [f"{log.path}: {log.trouble}" for log in self._logs.values() if log.trouble]
        matched = [p for p in self._patterns if expand(p)]
        troubles += [f"{p}: no file matches" for p in self._patterns if p not in matched]
        if troubles:
            raise NoInput("; ".join(troubles))
