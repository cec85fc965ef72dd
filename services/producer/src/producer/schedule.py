"""Which logs are looked at now: busy ones always, quiet ones less often."""

from __future__ import annotations

import time
from collections.abc import Collection
from os import SEEK_END, lseek

from producer.folders import Folders
from producer.log import Log
from producer.open_files import Still

#: Seconds between two looks at quiet logs, and seconds without a slice that make a log quiet.
LOOK_AT_QUIET_EVERY = 0.1
QUIET_AFTER = 1.0


class Schedule:
    """Which logs are looked at now: busy ones always, quiet ones every LOOK_AT_QUIET_EVERY.

    A thousand quiet logs cost hardly more than asking a thousand times for the length of a file.
    """

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        #: The busy logs, and until when they are (monotonic).
        self._busy: dict[Log, float] = {}
        #: The quiet ones, by what it is told that nothing has changed, and that of their folders.
        self._quiet: dict[Log, Still] = {}
        self._changed: dict[tuple[str, ...], tuple[int, ...]] = {}
        self._looked_at = float("-inf")

    @property
    def is_decided(self) -> bool:
        """Whether it is decided for every log which files are read."""
        return not any(log.files.is_undecided for log in self._busy)

    def keep_busy(self, log: Log) -> None:
        """Look at a log each time, for QUIET_AFTER."""
        self._busy[log] = time.monotonic() + QUIET_AFTER
        self._quiet.pop(log, None)

    def drop(self, log: Log) -> None:
        """Forget a log."""
        self._busy.pop(log, None)
        self._quiet.pop(log, None)

    def disturb(self) -> None:
        """Look at every log next time, since files were opened or closed."""
        self._quiet.clear()
        self._changed.clear()
        self._looked_at = float("-inf")

    def due(self, logs: Collection[Log]) -> list[Log]:
        """Return which of all logs to look at now."""
        now = time.monotonic()
        if now - self._looked_at < LOOK_AT_QUIET_EVERY:
            return list(self._busy)
        if any(self._folders.changed(f) != changed for f, changed in self._changed.items()):
            self.disturb()
        self._looked_at = now
        self._busy = {log: until for log, until in self._busy.items() if until > now}
        for log in self._awake(now):
            self._quiet.pop(log, None)
        if len(self._busy) + len(self._quiet) == len(logs):
            return list(self._busy)
        for log in logs:
            if log not in self._busy and log not in self._quiet:
                self._calm(log)
        return [log for log in logs if log not in self._quiet]

    def _awake(self, now: float) -> list[Log]:
        """Return the quiet logs in which something changed."""
        try:
            awake = [
                log
                for log, still in self._quiet.items()
                if still.length >= 0 and lseek(still.descriptor, 0, SEEK_END) != still.length
            ]
        except OSError:
            return list(self._quiet)  # a log reports itself why its file cannot be asked
        for log, still in self._quiet.items():
            if still.until <= now:
                again = log.files.still_as(still)
                if again is None:
                    awake.append(log)
                else:
                    self._quiet[log] = again
        return awake

    def _calm(self, log: Log) -> None:
        """Make a log a quiet one, if there is nothing to do."""
        still = log.files.still()
        if still is not None:
            self._quiet[log] = still
            self._changed[still.folders] = still.changed
