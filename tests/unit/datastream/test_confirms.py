"""Many messages on their way at once: whatever the broker answers, it is known which are safe."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import pika
import pika.exceptions
import pika.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pika.spec import Basic

from datastream.errors import Unavailable
from datastream.rabbitmq.confirms import WRITE_BYTES, Confirms, Outgoing

#: Bytes of a body that fit into a frame.
MOST = 100


class Connection:
    """pika's connection, channel and the channel beneath it at once.

    Keeps what is written, and gives the answers that a test has put there when it is waited.
    """

    channel_number = 1
    _body_max_length = MOST

    def __init__(self) -> None:
        self._impl = self
        self.connection = self
        self.writes: list[bytes] = []
        self.answers: list[Callable[[], None]] = []

    def channel(self) -> Connection:
        """Open it."""
        return self

    def add_on_return_callback(self, callback: Callable[..., None]) -> None:
        """Keep it."""
        self._on_return = callback

    def confirm_delivery(
        self, on_answer: Callable[[Any], None], selected: Callable[[object], None]
    ) -> None:
        """Keep it, and answer."""
        self._on_answer = on_answer
        selected(None)

    def _raise_if_not_open(self) -> None:
        pass

    def _output_marshaled_frames(self, frames: list[bytes]) -> None:
        self.writes += frames

    def _flush_output(self, is_done: Callable[[], bool]) -> None:
        while not is_done():
            self.answers.pop(0)()

    def answer(self, kind: type[Any], number: int, *, multiple: bool = False) -> None:
        """Confirm or refuse."""
        method = kind(delivery_tag=number, multiple=multiple)
        self._on_answer(pika.frame.Method(1, method))

    def give_back(self, message: Outgoing) -> None:
        """Return a message."""
        method = SimpleNamespace(routing_key=message.routing_key)
        self._on_return(self, method, message.properties, message.body)

    def lose(self) -> None:
        """End the session."""
        raise pika.exceptions.ConnectionClosed(0, "as told")


def message_of(number: int, key: str = "lake.test", body: bytes = b"line") -> Outgoing:
    """Return a message."""
    return Outgoing("logs", key, pika.BasicProperties(message_id=str(number)), body)


def frames_of(data: bytes) -> Iterator[Any]:
    """Yield the frames of what was written."""
    while data:
        size, frame = pika.frame.decode_frame(data)
        yield frame
        data = data[size:]


def test_what_is_written_is_what_pika_would_write() -> None:
    """Each message is a method, its properties, and its body in frames of the broker's length."""
    connection = Connection()
    messages = [
        message_of(1, "lake.test", b"x" * (2 * MOST + 1)),
        message_of(2, "clean.test", b""),
    ]
    connection.answers = [lambda: connection.answer(Basic.Ack, 2, multiple=True)]

    Confirms(connection).publish(messages)

    frames = list(frames_of(b"".join(connection.writes)))
    methods = [frame.method for frame in frames if isinstance(frame, pika.frame.Method)]
    headers = [frame for frame in frames if isinstance(frame, pika.frame.Header)]
    parts = [frame.fragment for frame in frames if isinstance(frame, pika.frame.Body)]
    assert [(m.exchange, m.routing_key, m.mandatory) for m in methods] == [
        ("logs", "lake.test", True),
        ("logs", "clean.test", True),
    ]
    assert [(h.body_size, h.properties.message_id) for h in headers] == [(201, "1"), (0, "2")]
    assert parts == [b"x" * MOST, b"x" * MOST, b"x"]


def test_small_messages_are_written_together() -> None:
    """And a large one does not wait in memory for others."""
    connection = Connection()
    number = 3 * WRITE_BYTES // 1_000
    connection.answers = [lambda: connection.answer(Basic.Ack, number, multiple=True)]

    Confirms(connection).publish([message_of(n, body=b"x" * 1_000) for n in range(number)])

    assert 2 <= len(connection.writes) <= 4
    assert max(map(len, connection.writes)) < 2 * WRITE_BYTES


def test_one_slice_on_two_keys_is_encoded_once() -> None:
    """The properties are the same bytes."""
    connection = Connection()
    properties = pika.BasicProperties(message_id="1")
    body = b"line"
    connection.answers = [lambda: connection.answer(Basic.Ack, 2, multiple=True)]

    Confirms(connection).publish(
        [Outgoing("logs", key, properties, body) for key in ("lake.test", "clean.test")]
    )

    frames = list(frames_of(b"".join(connection.writes)))
    assert [type(frame).__name__ for frame in frames] == ["Method", "Header", "Body"] * 2


class Answering:
    """Answers a window as a broker may, and knows what is confirmed by that."""

    def __init__(self, connection: Connection, messages: list[Outgoing], fates: list[str]) -> None:
        self._connection = connection
        self._messages = messages
        #: By number in the window, from 1.
        self.open = dict(enumerate(fates, 1))
        self.safe: set[int] = set()

    def answer(self, number: int, *, several: bool, before: int) -> None:
        """Answer a message, and perhaps all that are open up to it; the numbers began `before`."""
        if number not in self.open:
            return  # it was answered with others
        is_nack = self.open[number] == "nack"
        upto = [n for n in self.open if n <= number]
        if not several or any((self.open[n] == "nack") != is_nack for n in upto):
            several, upto = False, [number]
        for n in upto:
            if self.open[n] == "return":
                self._connection.give_back(self._messages[n - 1])
            if self.open.pop(n) == "ack":
                self.safe.add(n)
        kind = Basic.Nack if is_nack else Basic.Ack
        self._connection.answer(kind, before + number, multiple=several)


FATES = st.lists(st.sampled_from(["ack", "ack", "nack", "return"]), min_size=1, max_size=12)


@given(FATES, st.randoms(use_true_random=False), st.integers(0, 24), st.integers(0, 3))
def test_what_is_safe_is_known_whatever_the_broker_answers(
    fates: list[str], chance: random.Random, lost_after: int, before: int
) -> None:
    """In any order, several at once, refused, returned, or the session lost in between."""
    connection = Connection()
    confirms = Confirms(connection)
    for number in range(1, before + 1):  # numbers go on from publish to publish
        connection.answers = [partial(connection.answer, Basic.Ack, number)]
        confirms.publish([message_of(-1)])
    messages = [message_of(number) for number in range(1, len(fates) + 1)]
    broker = Answering(connection, messages, fates)
    order = chance.sample(range(1, len(fates) + 1), len(fates))
    connection.answers = [
        partial(broker.answer, number, several=chance.random() < 0.5, before=before)
        for number in order
    ]
    connection.answers[lost_after:] = [connection.lose]

    reason = ""
    try:
        confirms.publish(messages)
    except Unavailable as error:
        reason = error.reason

    refused = {"ack": "", "nack": "nack", "return": "returned"}
    first = next((refused[fate] for fate in fates if fate != "ack"), "")
    assert reason in (first, "connection")
    assert (reason == "connection") == bool(broker.open)
    assert confirms.unconfirmed == [n for n in range(len(fates)) if n + 1 not in broker.safe]


def test_after_a_refusal_the_channel_goes_on() -> None:
    """What is published next has nothing of it."""
    connection = Connection()
    confirms = Confirms(connection)
    message = message_of(1)
    connection.answers = [
        lambda: connection.give_back(message),
        lambda: connection.answer(Basic.Ack, 1),
    ]
    with pytest.raises(Unavailable) as raised:
        confirms.publish([message])
    connection.answers = [lambda: connection.answer(Basic.Ack, 2)]

    confirms.publish([message])

    assert (raised.value.reason, confirms.unconfirmed) == ("returned", [])
