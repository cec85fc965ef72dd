"""Follows logs: through growth, rotation, truncation and restarts."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from itertools import chain

from datastream.paths import expand, log_path, printable
from datastream.slices import Slice
from producer.log import Log, Source
from producer.places import State
from producer.reader import StreamReader

logger = logging.getLogger(__name__)

#: Seconds between two looks at what the patterns stand for.
EXPAND_EVERY = 1.0
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
        #: A log that is not in the state is new since the patterns were last looked at.
        self._since = max(state.seen.values(), default=time.time())
        self._logs: dict[str, Log] = {}
        self._expanded_at = float("-inf")
        self._unmatched: set[str] = set()
        self._handed: tuple[Log, StreamReader] | None = None
        self._expand()

    def slices(self) -> Iterator[Slice | None]:
        """Yield slices as they can be had, and None whenever there is no more for now.

        With Source.once it ends instead, and raises NoInput when something could not be read.
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

    def look(self) -> None:
        """Open what is there now, so that it can be read later even when it is deleted.

        For whoever has to wait before confirm(): slices() looks by itself. Not with Source.once,
        and no further than OPEN_AT_MOST allows; those are found later, if they still exist.
        """
        if self._source.once:
            return
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
        logs = {log.name: log for log in self._logs.values()}
        others = [place for place in self._found.places if place.path not in logs]
        return State(
            places=others + [place for log in logs.values() for place in log.places()],
            seen=self._found.seen | {name: log.seen_at for name, log in logs.items()},
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

    def _expand(self) -> None:
        """Take up the logs that the patterns stand for and that are new."""
        now = time.monotonic()
        if now - self._expanded_at < EXPAND_EVERY:
            return
        self._expanded_at = now
        found = {pattern: expand(pattern) for pattern in self._patterns}
        self._tell_unmatched({pattern for pattern, files in found.items() if not files})
        logs: dict[str, list[str]] = {}
        for file in dict.fromkeys(chain.from_iterable(found.values())):
            logs.setdefault(log_path(file), []).append(file)
        for path, files in logs.items():
            self._take_up(path, files)

    def _take_up(self, path: str, files: list[str]) -> None:
        """Take up a log, of which these files were found."""
        is_followed = path in files
        if log := self._logs.get(path):
            if is_followed:
                log.follow()
            return
        if not is_followed and not self._source.once:
            logger.info(
                "Only rotated files match: they are read to their end, the log is not followed",
                extra={"path": path},
            )
        name = printable(path)
        places = [place for place in self._found.places if place.path == name]
        log = Log(path, self._source, places, is_followed=is_followed)
        log.take_up(self._found.seen.get(name, self._since), listed=files)
        self._logs[path] = log

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
