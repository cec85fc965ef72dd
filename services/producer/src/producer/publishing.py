"""Publishes through outages: the same slice and key again, never the next, until it is safe."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from threading import Event
from typing import Protocol

from datastream.errors import Unavailable
from datastream.metrics import ProducerMetrics
from datastream.retry import retrying
from datastream.slices import Slice

logger = logging.getLogger(__name__)

#: Seconds between two looks at what must not be missed, while the broker is waited for.
LOOK_EVERY = 0.2

#: The reasons after which a session goes on: the broker only refused the slice.
REFUSALS = frozenset({"nack", "returned", "locked"})


class Session(Protocol):
    """A session with the broker; datastream.rabbitmq.Publisher keeps it."""

    def publish(self, routing_key: str, piece: Slice) -> None:
        """Publish a slice and return once it is confirmed. Raises Unavailable."""

    def wait(self, seconds: float) -> None:
        """Let time pass, keeping the session alive. Raises Unavailable."""


class PatientPublisher:
    """A publisher that opens a session when it needs one and another when that was lost."""

    def __init__(
        self,
        open_session: Callable[[], AbstractContextManager[Session]],
        metrics: ProducerMetrics,
        stop: Event,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> None:
        """`meanwhile` is called again and again between the attempts of an outage."""
        self._open_session = open_session
        self._metrics = metrics
        self._stop = stop
        self._meanwhile = meanwhile
        self._context = ExitStack()
        self._session: Session | None = None
        #: Whether it was told that there is a session again.
        self._is_told = False

    def publish(self, routing_key: str, piece: Slice) -> None:
        """Publish a slice; return once the broker has confirmed it.

        Raises Unavailable only when the process is asked to stop before that.
        """
        self._until_it_works(lambda: self._opened().publish(routing_key, piece))

    def wait(self, seconds: float) -> None:
        """Let time pass, keeping the session alive, or opening one.

        Raises Unavailable only when the process is asked to stop before there is a session.
        """
        self._until_it_works(lambda: self._opened().wait(seconds))

    def close(self) -> None:
        """End the session; another is opened when it is needed."""
        self._session = None
        self._is_told = False
        self._context.close()

    def _until_it_works(self, action: Callable[[], None]) -> None:
        try:
            self._try(action)
        except Unavailable as error:
            self._try_again(action, error)
        self._metrics.answered("rabbitmq")
        if not self._is_told:
            # Not earlier: a session that opens may still refuse everything.
            self._is_told = True
            logger.info("Connected to RabbitMQ")

    def _try_again(self, action: Callable[[], None], failure: Unavailable) -> None:
        """Try until it works; the first attempt was made, since a policy takes its time."""
        first = [failure]

        def attempt() -> None:
            if first:
                raise first.pop()
            self._try(action)

        policy = retrying(
            "RabbitMQ",
            until=self._stop,
            wait=self._back_off,
            observe=lambda reason, lasted: self._metrics.failed("rabbitmq", reason, lasted),
        )
        policy(attempt)

    def _try(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Unavailable as error:
            if error.reason not in REFUSALS:
                self.close()
            raise

    def _opened(self) -> Session:
        if self._session is None:
            self._session = self._context.enter_context(self._open_session())
        return self._session

    def _back_off(self, seconds: float) -> None:
        """Wait before the next attempt; a session that is open is kept alive."""
        end = time.monotonic() + seconds
        while not self._stop.is_set():
            self._meanwhile()
            left = end - time.monotonic()
            if left <= 0:
                return
            self._let_pass(min(left, LOOK_EVERY))

    def _let_pass(self, seconds: float) -> None:
        """Let time pass; the session may be lost by that."""
        if self._session is None:
            self._stop.wait(seconds)
            return
        try:
            self._session.wait(seconds)
        except Unavailable:
            self.close()
