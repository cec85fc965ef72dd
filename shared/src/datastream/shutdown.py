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

#: Seconds from the request to stop until the process leaves whatever it waits for. Below the 10
#: seconds that container engines grant.
GRACE = 8.0


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """Give an event that SIGTERM or SIGINT sets; leave within GRACE seconds of it.

    The first signal asks: a thread sets the event, and the handlers from before are back, so that a
    second one ends the process at once. A dependency that hangs cannot hold the process
    back: what is unconfirmed or unacknowledged then is sent or delivered again at the next start.
    """
    stop = threading.Event()
    # An event has a lock, which the thread that a signal interrupts may hold just then: it would
    # wait for itself. A SimpleQueue may be written to at any moment.
    asked: SimpleQueue[None] = SimpleQueue()
    done = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def ask_to_stop(_number: int, _frame: FrameType | None) -> None:
        asked.put(None)
        restore()

    def leave_in_time() -> None:
        asked.get()
        stop.set()
        if not done.wait(GRACE):
            logger.warning(
                "A dependency hangs, leaving without it; what it has not confirmed is sent again",
                extra={"grace_s": GRACE},
            )
            logging.shutdown()
            os._exit(0)

    for number in before:
        signal.signal(number, ask_to_stop)
    threading.Thread(target=leave_in_time, name="leave-in-time", daemon=True).start()
    try:
        yield stop
    finally:
        done.set()
        asked.put(None)
        stop.set()
        restore()
