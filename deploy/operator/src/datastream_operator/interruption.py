"""Ctrl-C, SIGTERM and SIGHUP: the first ends what is being done, none disturbs the tidying up.

Whatever runs is stopped by the context managers that started it, as on any exception.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def interruptible() -> Iterator[None]:
    """Within the block the first of the signals raises KeyboardInterrupt; those after it nothing.

    A SIGHUP that was ignored before stays so: that is what nohup is for.
    """

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        ignore()
        raise KeyboardInterrupt

    before = {
        number: handler
        for number in SIGNALS
        if (handler := signal.getsignal(number)) != signal.SIG_IGN or number != signal.SIGHUP
    }
    for number in before:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore() -> None:
    """Let none of the signals do anything any more: tidying up has begun."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
