"""Sends slices to the clean side, no faster than it takes them."""

from __future__ import annotations

import time
from collections.abc import Callable

from datastream.rabbitmq import Publisher
from datastream.slices import Slice
from datastream.topology import CLEAN_KEY, CLEAN_QUEUE, routing_key

#: Slices in the queue at which it is waited: what arrives just now must not stand behind a history.
MOST_WAITING = 50
LOOK_EVERY = 0.1
#: Seconds of waiting after which it is told.
TELL_AFTER = 30.0


class Sender:
    """Publishes one slice after another on the clean side's key, and waits where it must."""

    def __init__(
        self, publisher: Publisher, lines_per_second: int | None, say: Callable[[str], None]
    ) -> None:
        self._publisher = publisher
        self._rate = lines_per_second
        self._say = say
        self._began = time.monotonic()
        #: How many lines were sent.
        self.lines = 0

    def send(self, piece: Slice) -> None:
        """Return once a slice is confirmed. Raises Unavailable."""
        if self._rate is not None:
            self._wait_until(self._began + self.lines / self._rate)
        self._wait_for_room()
        self._publisher.publish(routing_key(CLEAN_KEY, piece.stream.source), piece)
        self.lines += piece.lines

    def _wait_for_room(self) -> None:
        tell_at = time.monotonic() + TELL_AFTER
        while (waiting := self._publisher.depth(CLEAN_QUEUE)) >= MOST_WAITING:
            if time.monotonic() >= tell_at:
                self._say(f"{CLEAN_QUEUE} holds {waiting:,} slices: waiting until there are fewer")
                tell_at = float("inf")
            self._publisher.wait(LOOK_EVERY)

    def _wait_until(self, due: float) -> None:
        while (left := due - time.monotonic()) > 0:
            self._publisher.wait(min(left, LOOK_EVERY))
