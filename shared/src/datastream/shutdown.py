"""Stopping: at leisure on the first signal, at once on the second."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from types import FrameType

logger = logging.getLogger(__name__)

#: Seconds from the request to stop until the process ends, whatever it waits for. Below the 10
#: seconds that container engines grant.
GRACE = 8.0


class Stop(threading.Event):
    """Is set when the process is asked to stop."""

    #: The signal that asked, 0 for none.
    signal = 0

    @property
    def code(self) -> int:
        """The exit code of a process that was stopped before its work was done: 128 + signal."""
        return 128 + self.signal if self.signal else 0


@contextmanager
def stop_on_signals(*, has_end: bool = False) -> Iterator[Stop]:
    """Yield an event that SIGTERM or SIGINT sets; end the process within GRACE seconds of it.

    On the first signal a thread sets the event and the earlier handlers are restored, so that a
    second one ends the process at once. A dependency that hangs cannot hold the process back: what
    is unconfirmed or unacknowledged then is sent or delivered again at the next start. Such a
    process ends with 0, or, where its work has an end (`has_end`) not yet reached, with
    128 + signal.
    """
    stop = Stop()
    # An event has a lock, which the thread that a signal interrupts may hold: it would wait for
    # itself. A SimpleQueue may be written to at any moment.
    asked: SimpleQueue[int] = SimpleQueue()
    done = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def ask_to_stop(number: int, _frame: FrameType | None) -> None:
        asked.put(number)
        restore()

    def leave_in_time() -> None:
        stop.signal = asked.get()
        stop.set()
        if not done.wait(GRACE):
            logger.warning(
                "A dependency hangs, leaving without it; what it has not confirmed is sent again",
                extra={"grace_s": GRACE},
            )
            logging.shutdown()
            os._exit(stop.code if has_end else 0)

    for number in before:
        signal.signal(number, ask_to_stop)
    threading.Thread(target=leave_in_time, name="leave-in-time", daemon=True).start()
    try:
        yield stop
    finally:
        done.set()
        asked.put(0)
        stop.set()
        restore()
