"""Failures, named by what to do about them."""

from __future__ import annotations

import traceback


class Unavailable(Exception):
    """A dependency is away. Keep what is in hand and try again later.

    `reason` is one word of a bounded set, fit for a metric label.
    """

    def __init__(self, message: str, reason: str = "connection") -> None:
        super().__init__(message)
        self.reason = reason


class NotASlice(Exception):
    """A message that will never be a slice of a log. Quarantine it; trying again cannot help."""


class Broken(Exception):
    """Slice after slice crashes the program: the build is at fault. End, acknowledge nothing."""


class RowRefused(Exception):
    """The database refuses the data of a row. Find the row, store the others, quarantine it."""


def release(error: BaseException) -> None:
    """Free what the frames in the tracebacks of an error, and of its causes, hold.

    An error that is kept would keep them: a batch and its statements, megabytes each.
    """
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))  # an error raised twice may be its own cause
        traceback.clear_frames(cause.__traceback__)
        cause = cause.__cause__ or cause.__context__
