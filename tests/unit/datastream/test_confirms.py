"""Many messages on their way at once: whatever the broker answers, it is known which are safe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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


@st.composite
def windows(draw: st.DrawFn) -> tuple[list[str], list[int], list[bool], bool]:
    """Draw what becomes of each message, the order of the answers, and whether all come."""
    fates = draw(st.lists(st.sampled_from(["ack", "nack", "return"]), min_size=1, max_size=12))
    order = draw(st.permutations(range(1, len(fates) + 1)))
    together = draw(st.lists(st.booleans(), min_size=len(fates), max_size=len(fates)))
    return fates, order, together, draw(st.booleans())


@given(windows(), st.integers(0, 12), st.integers(0, 3))
def test_what_is_safe_is_known_whatever_the_broker_answers(
    window: tuple[list[str], list[int], list[bool], bool], lost_after: int, before: int
) -> None:
    """In any order, several at once, refused, returned, or the session lost in between."""
    fates, order, together, is_lost = window
    connection = Connection()
    confirms = Confirms(connection)
    for number in range(before):  # numbers go on from publish to publish
        connection.answers = [lambda n=number: connection.answer(Basic.Ack, n + 1)]
        confirms.publish([message_of(-1)])
    messages = [message_of(n) for n in range(1, len(fates) + 1)]
    open_ones = dict(enumerate(fates, 1))
    safe: set[int] = set()

    def answer(number: int, *, several: bool) -> None:
        fate = open_ones.get(number)
        if fate is None:
            return  # within one that was of several
        upto = [n for n in open_ones if n <= number] if several else [number]
        if several and {open_ones[n] == "nack" for n in upto} != {fate == "nack"}:
            upto, several = [number], False
        for n in upto:
            if open_ones[n] == "return":
                connection.give_back(messages[n - 1])
            if open_ones.pop(n) == "ack":
                safe.add(n)
        kind = Basic.Nack if fate == "nack" else Basic.Ack
        connection.answer(kind, before + number, multiple=several)

    answers: list[Callable[[], None]] = [
        lambda n=n, s=s: answer(n, several=s) for n, s in zip(order, together, strict=True)
    ]
    will_be_lost = is_lost and lost_after < len(answers)
    if will_be_lost:
        answers[lost_after:] = [connection.lose]
    connection.answers = answers

    try:
        confirms.publish(messages)
    except Unavailable as error:
        was_lost = error.reason not in ("nack", "returned")
        if not was_lost:
            first = min(n for n, fate in enumerate(fates, 1) if fate != "ack")
            assert error.reason == {"nack": "nack", "return": "returned"}[fates[first - 1]]
    else:
        assert set(fates) == {"ack"}
    assert confirms.unconfirmed == [n - 1 for n in range(1, len(fates) + 1) if n not in safe]


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
