"""Publishing with confirms: many messages are on their way at once, until each is safe."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import takewhile
from typing import Any, NamedTuple

import pika
import pika.frame
import pika.spec

from datastream.errors import Unavailable
from datastream.rabbitmq.session import translated

#: Bytes that are handed to the socket at once. pika would write each frame by itself: three writes
#: for a message of one line, and as many packets.
WRITE_BYTES = 64 * 1024

_FRAME_HEAD = struct.Struct(">BHI")
_FRAME_END = bytes([pika.spec.FRAME_END])


class Outgoing(NamedTuple):
    """A message to publish."""

    exchange: str
    routing_key: str
    properties: Any
    body: bytes


class Confirms:
    """A channel that publishes messages, mandatory ones, and knows which of them are confirmed.

    pika's blocking channel waits for each confirm before it takes another message, so this drives
    the channel beneath it. The broker answers in any order, several at once where it can. What it
    returns it confirms as well, right after the return.
    """

    def __init__(self, connection: Any) -> None:
        """Open the channel. Raises Unavailable."""
        #: By the broker's number, in order: what it has not answered, and why it refused others.
        self._unanswered: dict[int, Outgoing] = {}
        self._refused: dict[int, Unavailable] = {}
        #: Routing key and message id: a return has no number.
        self._returned: set[tuple[str, str | None]] = set()
        #: The number of the first message of the last publish(), and of the next one.
        self._first = self._next = 1
        selected: list[object] = []
        with translated():
            #: For whatever is not publishing.
            self.channel = connection.channel()
            self._impl = self.channel._impl  # noqa: SLF001
            self._impl.add_on_return_callback(self._on_return)
            self._impl.confirm_delivery(self._on_answer, selected.append)
            self._wait(lambda: bool(selected))

    def publish(self, messages: Sequence[Outgoing]) -> None:
        """Publish messages and return once all are confirmed.

        Raises Unavailable: then `unconfirmed` says which may not be kept. The channel goes on when
        the broker refused some (reason `nack`) or no queue takes them (`returned`), after it has
        answered all; with any other reason the session has ended.
        """
        self._refused.clear()
        self._returned.clear()
        self._first = self._next
        self._next += len(messages)
        self._unanswered = dict(enumerate(messages, self._first))
        with translated():
            self._impl._raise_if_not_open()  # noqa: SLF001
            connection = self._impl.connection
            most = connection._body_max_length  # noqa: SLF001
            for data in _writes(self._impl.channel_number, messages, most):
                connection._output_marshaled_frames([data])  # noqa: SLF001
            self._wait(lambda: not self._unanswered)
        if self._refused:
            raise self._refused[min(self._refused)]

    @property
    def unconfirmed(self) -> list[int]:
        """Which of the messages of the last publish() may not be kept, counted from 0."""
        return sorted(number - self._first for number in self._unanswered.keys() | self._refused)

    def _wait(self, is_done: Callable[[], bool]) -> None:
        """Write and read until it is done. Raises what pika does when the session ends."""
        self.channel._flush_output(is_done)  # noqa: SLF001

    def _on_return(self, _channel: Any, method: Any, properties: Any, _body: bytes) -> None:
        self._returned.add((method.routing_key, properties.message_id))

    def _on_answer(self, frame: Any) -> None:
        """Note what the broker confirms or refuses: one message, or all up to one."""
        last = frame.method.delivery_tag
        numbers = [last]
        if frame.method.multiple:
            numbers = list(takewhile(lambda number: number <= last, self._unanswered))
        for number in numbers:
            message = self._unanswered.pop(number, None)
            if message is None:
                continue
            key = message.routing_key
            if isinstance(frame.method, pika.spec.Basic.Nack):
                self._refused[number] = Unavailable(
                    f"the queue behind {key} refuses: it is full, or has no leader", "nack"
                )
            elif self._returned and (key, message.properties.message_id) in self._returned:
                self._refused[number] = Unavailable(
                    f"no queue is bound for {key}: an operator must run `datastream topology`",
                    "returned",
                )


def _writes(channel: int, messages: Sequence[Outgoing], most: int) -> Iterator[bytes]:
    """Yield the frames of messages, many in one; `most` bytes of a body fit into a frame."""
    frames: list[bytes] = []
    size = 0
    header, before = b"", None
    for message in messages:
        exchange, routing_key, properties, body = message
        if before is None or before.properties is not properties or before.body is not body:
            # A slice goes out on two keys, one after the other.
            header = pika.frame.Header(channel, len(body), properties).marshal()
        before = message
        frames += (_publish(channel, exchange, routing_key), header)
        for start in range(0, len(body), most):
            part = body[start : start + most]
            frames += (_FRAME_HEAD.pack(pika.spec.FRAME_BODY, channel, len(part)), part, _FRAME_END)
        size += len(header) + len(body)
        if size >= WRITE_BYTES:
            yield b"".join(frames)
            frames.clear()
            size = 0
    if frames:
        yield b"".join(frames)


@lru_cache(maxsize=256)
def _publish(channel: int, exchange: str, routing_key: str) -> bytes:
    method = pika.spec.Basic.Publish(exchange=exchange, routing_key=routing_key, mandatory=True)
    return bytes(pika.frame.Method(channel, method).marshal())
