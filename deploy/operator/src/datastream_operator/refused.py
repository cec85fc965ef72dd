"""What a command answers that cannot do what it was asked."""

from __future__ import annotations


class Refused(Exception):
    """The command cannot be done as it stands; the message says why, `code` is the exit code."""

    def __init__(self, words: str, code: int = 1) -> None:
        super().__init__(words)
        self.code = code
