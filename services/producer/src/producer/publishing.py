"""Publishing through outages: slices are tried again on their keys until all are confirmed."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack
from threading import Event
from typing import Protocol

from datastream.errors import Unavailable
from datastream.metrics import ProducerMetrics
from datastream.retry import retrying
from datastream.slices import Slice

logger = logging.getLogger(__name__)

#: Seconds between two calls of `meanwhile` during an outage.
LOOK_EVERY = 0.2

#: Seconds for which --once goes on while the broker refuses the account: one that starts may not
#: know its accounts yet.
REFUSED_FOR = 30.0
#: Failures after which the session stays open: the broker only refused the slice.
REFUSALS = frozenset({"nack", "returned", "locked"})


class OpenPublisher(Protocol):
    """An open session with the broker; datastream.rabbitmq.Publisher is one."""

    def publish_all(self, unconfirmed: list[tuple[str, Slice]]) -> None:
        """Publish slices and return once all are confirmed, with the list empty.

        Raises Unavailable; then the list holds those that may not be kept.
        """

    def wait(self, seconds: float) -> None:
        """Wait, keeping the session alive. Raises Unavailable."""


class PatientPublisher:
    """A publisher that opens a session when it needs one, and a new one when that is lost."""

    def __init__(
        self,
        open_session: Callable[[], AbstractContextManager[OpenPublisher]],
        metrics: ProducerMetrics,
        stop: Event,
        meanwhile: Callable[[], None] = lambda: None,
        refused_for: float = float("inf"),
    ) -> None:
        """`meanwhile` is called every LOOK_EVERY seconds between the attempts of an outage.

        An account that is refused for `refused_for` seconds is not tried any more.
        """
        self._open_session = open_session
        self._metrics = metrics
        self._stop = stop
        self._meanwhile = meanwhile
        self._refused_for = refused_for
        self._context = ExitStack()
        self._session: OpenPublisher | None = None
        #: Whether it was logged that there is a session.
        self._is_told = False

    def publish(self, addressed: Iterable[tuple[str, Slice]]) -> None:
        """Publish slices, each under its routing key; return once the broker has confirmed all.

        Raises Unavailable only when stopped before that, or when the account stays refused.
        """
        unconfirmed = list(addressed)
        while unconfirmed:
            self._until_it_works(lambda: self._publish_some(unconfirmed))

    def wait(self, seconds: float) -> None:
        """Wait, keeping the session alive or opening one.

        Raises Unavailable only when stopped before there is a session, or as publish() does.
        """
        self._until_it_works(lambda: self._opened().wait(seconds))

    def close(self) -> None:
        """End the session; the next call opens another."""
        self._session = None
        self._is_told = False
        self._context.close()

    def _publish_some(self, unconfirmed: list[tuple[str, Slice]]) -> None:
        """Publish what is taken now. Raises Unavailable where that is nothing, or when stopped."""
        before = len(unconfirmed)
        try:
            self._opened().publish_all(unconfirmed)
        except Unavailable as error:
            # A full queue takes some whenever it is emptied a little: no outage that grows longer.
            is_some = error.reason in REFUSALS and len(unconfirmed) < before
            if not is_some or self._stop.is_set():
                raise

    def _until_it_works(self, action: Callable[[], None]) -> None:
        try:
            self._try(action)
        except Unavailable as error:
            self._try_again(action, error)
        self._metrics.answered("rabbitmq")
        if not self._is_told:
            # Not when it opens: it may still refuse everything.
            self._is_told = True
            logger.info("Connected to RabbitMQ")

    def _try_again(self, action: Callable[[], None], failure: Unavailable) -> None:
        """Retry until it works. The first attempt is made without the policy, which is slow."""
        first = [failure]

        def attempt() -> None:
            if first:
                raise first.pop()
            self._try(action)

        policy = retrying(
            "RabbitMQ",
            until=self._stop,
            refused_for=self._refused_for,
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

    def _opened(self) -> OpenPublisher:
        if self._session is None:
            self._session = self._context.enter_context(self._open_session())
        return self._session

    def _back_off(self, seconds: float) -> None:
        """Wait before the next attempt, keeping an open session alive."""
        end = time.monotonic() + seconds
        while not self._stop.is_set():
            self._meanwhile()
            left = end - time.monotonic()
            if left <= 0:
                return
            self._let_pass(min(left, LOOK_EVERY))

    def _let_pass(self, seconds: float) -> None:
        """Wait; an open session may be lost meanwhile."""
        if self._session is None:
            self._stop.wait(seconds)
            return
        try:
            self._session.wait(seconds)
        except Unavailable:
            self.close()
