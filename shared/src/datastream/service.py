"""How every service starts, keeps a session with the broker, and ends."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from threading import Event
from typing import Generic, Protocol, TypeVar

from tenacity import Retrying

from datastream.config import EX_CONFIG, EX_SOFTWARE, ConfigError, Environment, RabbitSettings
from datastream.consuming import Outcome, Preparation, consume
from datastream.errors import Broken, Unavailable, release
from datastream.metrics import ConsumerMetrics, ServiceMetrics
from datastream.rabbitmq import CONSUMER_TIMEOUT, Queue
from datastream.retry import retrying

logger = logging.getLogger(__name__)

Opened = TypeVar("Opened")
T = TypeVar("T")

#: Seconds after a message's delivery from which no attempt to store it begins, and the rest of the
#: broker's time for the last one to end: its connections and statements may all hang.
LAST_ATTEMPT = 5 * 60.0
PATIENCE = CONSUMER_TIMEOUT - LAST_ATTEMPT

#: Seconds between two sessions: one that ends as soon as it is used must not use up the deliveries
#: of its messages in a moment.
PAUSE = 1.0


def start(name: str, run: Callable[[Environment], int], config: Path | None = None) -> int:
    """Run a service on the settings of this process and return its exit code.

    `config` goes before DATASTREAM_CONFIG.

    A wrong setting gives one line that names it, and exit code 78 (EX_CONFIG). A build that
    crashes on slice after slice gives 70 (EX_SOFTWARE).
    """
    try:
        return run(Environment.load(config=config))
    except ConfigError as error:
        sys.stderr.write(f"{name}: {error}\n")
        return EX_CONFIG
    except Broken as error:
        logger.critical(
            "The program is broken, ending; what is in hand goes back to the queue",
            extra={"error": str(error)},
        )
        return EX_SOFTWARE


def keep_session(
    open_session: Callable[[], AbstractContextManager[Opened]],
    use: Callable[[Opened], None],
    metrics: ServiceMetrics,
    stop: Event,
) -> None:
    """Open a session with the broker and use it; when it ends, open another, until `stop` is set.

    Returns when `use` does. Waits and tries again after every Unavailable.
    """
    policy = retrying(
        "RabbitMQ",
        until=stop,
        observe=lambda reason, lasted: metrics.failed("rabbitmq", reason, lasted),
    )
    while not stop.is_set():
        try:
            with ExitStack() as stack:
                session = policy(_enter, stack, open_session)
                metrics.answered("rabbitmq")
                logger.info("Connected to RabbitMQ")
                use(session)
                return
        except Unavailable as error:
            if not stop.is_set():
                metrics.failed("rabbitmq", error.reason)
                logger.warning(
                    "Session ended, nothing is lost, opening another",
                    extra={"reason": error.reason, "error": str(error)},
                )
                release(error)
                stop.wait(PAUSE)


def _enter(stack: ExitStack, open_session: Callable[[], AbstractContextManager[Opened]]) -> Opened:
    return stack.enter_context(open_session())


class Store(Protocol[T]):
    """What a consumer needs of its store."""

    def check(self) -> None:
        """Raise Unavailable unless the database has what the store needs."""

    def store(self, items: list[T]) -> Outcome:
        """Commit a batch. Raises Unavailable; then the same batch must be stored again."""


def run_consumer(
    queue: str,
    preparation: Preparation[T],
    store: Store[T],
    rabbit: RabbitSettings,
    metrics: ConsumerMetrics,
    stop: Event,
) -> None:
    """Consume a queue into a store until `stop` is set, through every outage of either side.

    While the database is away the session and the batch are kept, and storing the batch is retried;
    PATIENCE seconds after their delivery messages go back to the queue, and none is taken before
    the database answers. So an outage costs a message one delivery at most. Raises Broken.
    """
    patient = _PatientStore(store, metrics, stop)

    @contextmanager
    def open_queue() -> Iterator[Queue[T]]:
        patient.check()
        with Queue.open(rabbit, queue, preparation, metrics.alive) as session:
            yield session

    def consume_queue(session: Queue[T]) -> None:
        consume(session, patient.store, metrics, stop)

    keep_session(open_queue, consume_queue, metrics, stop)


class _PatientStore(Generic[T]):
    """A store that waits until the database is back, for as long as the broker lets it."""

    def __init__(self, store: Store[T], metrics: ConsumerMetrics, stop: Event) -> None:
        self._store = store
        self._metrics = metrics
        self._stop = stop

    def check(self) -> None:
        """Return once the database has what the store needs. Raises Unavailable after a stop."""
        self._retrying(float("inf"))(self._store.check)
        self._metrics.answered("mysql")

    def store(self, items: list[T], since: float) -> Outcome:
        """Commit a batch, delivered at `since` by the monotonic clock. Raises Unavailable."""
        left = since + PATIENCE - time.monotonic()
        if left <= 0:
            # The batches before took that long. An attempt might not end in the broker's time.
            raise Unavailable("held for too long, given back before it takes it", "held")
        with self._metrics.store_seconds.time():
            outcome = self._retrying(left)(self._store_or_halve, items)
        self._metrics.answered("mysql")
        return outcome

    def _store_or_halve(self, items: list[T]) -> Outcome:
        try:
            return self._store.store(items)
        except Unavailable as error:
            if error.reason != "timeout" or len(items) < 2:
                raise
            # The whole batch would take as long again: the server may be slow rather than away.
            middle = len(items) // 2
            return self._store.store(items[:middle]) + self._store.store(items[middle:])

    def _retrying(self, give_up_after: float) -> Retrying:
        return retrying(
            "MySQL",
            until=self._stop,
            give_up_after=give_up_after,
            observe=lambda reason, lasted: self._metrics.failed("mysql", reason, lasted),
        )
