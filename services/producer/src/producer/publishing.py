"""Publishes through outages: the same slice and key again, never the next, until it is safe."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from threading import Event
from typing import Protocol

from datastream.errors import Unavailable
from datastream.metrics import ProducerMetrics
from datastream.retry import retrying
from datastream.slices import Slice

logger = logging.getLogger(__name__)

#: The reasons after which a session goes on: the broker only refused the slice.
REFUSALS = frozenset({"nack", "returned"})


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
    ) -> None:
        self._open_session = open_session
        self._metrics = metrics
        self._stop = stop
        self._context: AbstractContextManager[Session] | None = None
        self._session: Session | None = None

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
        """End the session."""
        context, self._context, self._session = self._context, None, None
        if context is not None:
            context.__exit__(None, None, None)

    def _until_it_works(self, action: Callable[[], None]) -> None:
        policy = retrying(
            "RabbitMQ",
            until=self._stop,
            wait=self._back_off,
            observe=lambda reason: self._metrics.failed("rabbitmq", reason),
        )
        policy(self._try, action)
        self._metrics.answered("rabbitmq")

    def _try(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Unavailable as error:
            if error.reason not in REFUSALS:
                self._end(error)
            raise

    def _opened(self) -> Session:
        if self._session is None:
            context = self._open_session()
            self._session = context.__enter__()
            self._context = context
            logger.info("Connected to RabbitMQ")
        return self._session

    def _end(self, error: Unavailable) -> None:
        if self._session is not None:
            logger.warning(
                "Session with RabbitMQ ended, nothing is lost, opening another",
                extra={"reason": error.reason, "error": str(error)},
            )
        self.close()

    def _back_off(self, seconds: float) -> None:
        """Wait before the next attempt; a session that is open is kept alive."""
        end = time.monotonic() + seconds
        while self._session is not None and not self._stop.is_set():
            left = end - time.monotonic()
            if left <= 0:
                return
            try:
                self._session.wait(min(left, 0.2))
            except Unavailable as error:
                self._end(error)
        self._stop.wait(max(0.0, end - time.monotonic()))
