"""How much a consumer holds, on a real broker: by lines and bytes, whatever a message is."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pika
import pytest

from datastream.consuming import Preparation
from datastream.rabbitmq import BATCH_LINES, GROWN_PREFETCH, PREFETCH, Queue, connect
from datastream.slices import MOST_BYTES, Slice
from datastream.streams import Stream
from datastream.topology import EXCHANGE, LAKE_QUEUE
from deployment import Deployment, eventually

STREAM = Stream(7, "test", "host", "/var/log/access.log", "combined", 0)
AS_IT_IS: Preparation[Slice] = Preparation(lambda slice_: slice_)


class Watched(Queue[Slice]):
    """A queue that notes how many bytes it holds at the most."""

    most_held = 0
    most_messages = 0

    def _on_message(self, *arrived: Any) -> None:  # noqa: ANN401  # the driver's
        super()._on_message(*arrived)
        self.most_held = max(self.most_held, self._held_bytes)
        self.most_messages = max(self.most_messages, self._held)

    def fill(self, waiting: int) -> None:
        """Serve the broker until all is here that it may send, as beside a slow store."""

        def is_full() -> None:
            at_limit = self._held - self._held_before == self._prefetch
            assert at_limit or self._held == waiting

        with ThreadPoolExecutor(1) as other:
            self.serve_until(other.submit(eventually, is_full))


def published(deployment: Deployment, *bodies: bytes) -> None:
    """Publish slices that follow on one another to the lake; returns when all are there."""
    position = 0

    def is_there() -> None:
        assert deployment.queue_depth(LAKE_QUEUE) == len(bodies)

    with connect(deployment.rabbit, "test") as connection:
        channel = connection.channel()
        for body in bodies:
            slice_ = Slice(STREAM, position, body, body.count(b"\n") + 1, 0, 0)
            properties = pika.BasicProperties(headers=slice_.headers(), delivery_mode=2)
            channel.basic_publish(EXCHANGE, "lake.test", body, properties)
            position += len(body) + 1
        eventually(is_there)  # before the channel closes: there are no confirms


def test_small_slices_make_large_batches(deployment: Deployment) -> None:
    """A backlog of slices of a line each is stored in batches far larger than a prefetch."""
    number = 3_000
    published(deployment, *(b"line %d" % n for n in range(number)))
    lake = deployment.start("lake_consumer")

    def stored() -> None:
        assert deployment.count("raw_log") == number
        assert lake.metric("datastream_lines_stored_total") == number

    eventually(stored)
    assert lake.metric("datastream_store_seconds_count") < number / (4 * PREFETCH)
    assert lake.metric("datastream_redeliveries_total") == 0


@pytest.mark.parametrize("lines", [1, 4])
def test_it_holds_more_of_small_slices_and_few_of_the_largest_ones(
    deployment: Deployment, lines: int
) -> None:
    """When the largest suddenly follow, what is on its way goes back, and nothing is lost."""
    # Enough for the doubling, one full batch and one more.
    small = [b"\n".join([b"line"] * lines)] * (2 * GROWN_PREFETCH + BATCH_LINES // lines)
    large = [b"x" * MOST_BYTES] * 40
    published(deployment, *small, *large)
    seen: Counter[int] = Counter()
    sizes: list[int] = []
    returned = 0

    with Watched.open(deployment.rabbit, LAKE_QUEUE, AS_IT_IS) as queue:
        for batch in queue.batches(Event()):
            queue.fill(len(small) + len(large) - len(seen))
            for one in batch:
                seen[one.prepared[0].position] += 1
                returned = max(returned, one.returned)
            sizes.append(sum(one.lines for one in batch))
            queue.ack(batch)
            if len(seen) == len(small) + len(large):
                break

    assert max(sizes) >= BATCH_LINES
    # What was held when the limit grew for the last time, and the limit.
    assert 30 * PREFETCH < queue.most_messages <= GROWN_PREFETCH + BATCH_LINES
    assert queue.most_held <= (PREFETCH + 1) * MOST_BYTES
    assert returned <= 2
    assert set(seen.values()) == {1}
