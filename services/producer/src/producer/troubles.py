"""Which files of a log cannot be read, and why: logged once, and until they can be read."""

from __future__ import annotations

import logging
from collections.abc import Mapping

logger = logging.getLogger(__name__)


class Troubles:
    """The files of one log that cannot be read, by path, each with the reason in words."""

    def __init__(self, live: str, *, once: bool) -> None:
        """`live` is the path of the log itself; with `once` nothing is tried again."""
        self._live = live
        self._once = once
        self.words: dict[str, str] = {}
        #: Those that can be found, and fail when they are opened or read.
        self._failing: set[str] = set()

    def fails(self, path: str) -> bool:
        """Say whether a file fails when it is opened or read."""
        return path in self._failing

    def found(self, troubles: Mapping[str, OSError]) -> None:
        """Take what a look could not read; whatever else was in trouble before is readable."""
        for path, error in troubles.items():
            self._tell(path, error)
        for path in self.words.keys() - troubles.keys() - self._failing:
            self._end(path)

    def fail(self, path: str, error: OSError) -> None:
        """Note that opening or reading a file failed, until succeed()."""
        self._failing.add(path)
        self._tell(path, error)

    def give_up(self, path: str, error: OSError) -> str:
        """Like fail(), for the caller to log; return why."""
        self._failing.add(path)
        self.words[path] = error.strerror or str(error)
        return self.words[path]

    def succeed(self, path: str) -> None:
        """Note that a file was opened or read."""
        if path in self._failing:
            self._failing.discard(path)
            self._end(path)

    def _tell(self, path: str, error: OSError) -> None:
        trouble = error.strerror or str(error)
        if trouble == self.words.get(path):
            return
        self.words[path] = trouble
        is_live = path == self._live
        words = "Log cannot be read" if is_live else "Rotated files cannot be read"
        if not self._once:
            words += ", waiting for it" if is_live else ", trying again"
        logger.warning(words, extra={"path": path, "error": trouble})

    def _end(self, path: str) -> None:
        if self.words.pop(path, "") and path == self._live:
            logger.info("Log can be read now", extra={"path": path})
