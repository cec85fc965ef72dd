"""Ctrl-C, SIGTERM and SIGHUP: the first ends the work, none disturbs the tidying up.

The context managers that started something stop it, as on any exception.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def interruptible() -> Iterator[None]:
    """In the block the first of the signals raises KeyboardInterrupt; later ones do nothing.

    A SIGHUP that was ignored before stays ignored: that is what nohup is for.
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
    """Ignore all of the signals from now on: tidying up has begun."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
