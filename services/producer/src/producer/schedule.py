"""Which logs are looked at now: those with something to read each time, quiet ones less often."""

from __future__ import annotations

import time
from collections.abc import Collection
from os import SEEK_END, lseek

from producer.folders import Folders
from producer.log import Log

#: Seconds between two looks at logs that have been quiet for a second.
LOOK_AT_QUIET_EVERY = 0.1
QUIET_AFTER = 1.0


class Schedule:
    """Says which logs are due.

    A thousand quiet logs cost hardly more than a thousand questions for the length of a file: what
    else can change is asked once for all logs of a folder, and of each log once a second.
    """

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        #: The logs that have something to read, or have had it a moment ago, and until when they
        #: are looked at each time (monotonic).
        self._busy: dict[Log, float] = {}
        #: Of the others: by what to tell that there is nothing to do, and until when it will do.
        self._quiet: dict[Log, tuple[int, int, float]] = {}
        #: When the folders of quiet logs had last changed.
        self._changed: dict[tuple[str, ...], tuple[int, ...]] = {}
        self._looked_at = float("-inf")

    @property
    def is_decided(self) -> bool:
        """Whether it is known of every log what has become of its files."""
        return not any(log.is_undecided for log in self._busy)

    def keep_busy(self, log: Log) -> None:
        """Look at a log each time, for a while."""
        self._busy[log] = time.monotonic() + QUIET_AFTER
        self._quiet.pop(log, None)

    def drop(self, log: Log) -> None:
        """Look at a log no longer."""
        self._busy.pop(log, None)
        self._quiet.pop(log, None)

    def disturb(self) -> None:
        """Look at every log next time: something was done to them."""
        self._forget_quiet()
        self._looked_at = float("-inf")

    def due(self, logs: Collection[Log]) -> list[Log]:
        """Return which of all logs to look at now."""
        now = time.monotonic()
        if now - self._looked_at < LOOK_AT_QUIET_EVERY:
            return list(self._busy)
        self._looked_at = now
        self._busy = {log: until for log, until in self._busy.items() if until > now}
        self._wake(now)
        if len(self._busy) + len(self._quiet) == len(logs):
            return list(self._busy)
        quiet = self._quiet
        return [
            log
            for log in logs
            if log not in quiet and (log in self._busy or not self._is_still(log, now))
        ]

    def _wake(self, now: float) -> None:
        """Drop from the quiet logs those in which something may have changed."""
        if any(self._folders.changed(f) != changed for f, changed in self._changed.items()):
            self._forget_quiet()
        try:
            awake = [
                log
                for log, (descriptor, length, until) in self._quiet.items()
                if until <= now or (descriptor >= 0 and lseek(descriptor, 0, SEEK_END) != length)
            ]
        except OSError:
            self._forget_quiet()  # a log says itself why its file cannot be asked
            return
        for log in awake:
            del self._quiet[log]

    def _forget_quiet(self) -> None:
        """Ask every log itself whether it is quiet."""
        self._quiet.clear()
        self._changed.clear()

    def _is_still(self, log: Log, now: float) -> bool:
        still = log.still(now)
        if still is None:
            return False
        self._quiet[log] = still.descriptor, still.length, still.until
        self._changed[still.folders] = still.changed
        return True
