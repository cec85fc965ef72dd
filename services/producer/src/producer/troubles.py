"""What cannot be read of one log, and why."""

from __future__ import annotations

import logging

logger = logging.getLogger(__name__)


class Troubles:
    """Why files cannot be read, by their paths; each is told once, until it is another one."""

    def __init__(self, live: str, *, once: bool) -> None:
        """`live` is the path of the log itself; `once`: nothing is waited for."""
        self._live = live
        self._once = once
        self._words: dict[str, str] = {}

    def tell(self, path: str, error: OSError) -> None:
        """Note why something cannot be read, and log it unless it was told before."""
        before = self.of(path)
        trouble = self.note(path, error)
        if trouble != before:
            words = "Log cannot be read" if path == self._live else "Rotated files cannot be read"
            if not self._once:
                words += ", waiting for it" if path == self._live else ", trying again"
            logger.warning(words, extra={"path": path, "error": trouble})

    def note(self, path: str, error: OSError) -> str:
        """Note why something cannot be read, and return it in words."""
        self._words[path] = error.strerror or str(error)
        return self._words[path]

    def end(self, path: str) -> bool:
        """Note that something can be read; return whether it could not."""
        return self._words.pop(path, "") != ""

    def of(self, path: str) -> str:
        """Return why something cannot be read; empty when it can."""
        return self._words.get(path, "")

    def all(self) -> dict[str, str]:
        """Return every trouble there is, by path."""
        return dict(self._words)
