"""Dead letters: what each is, why it is there and since when; and those that wait."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from datastream.consuming import Message
from datastream.errors import NotASlice
from datastream.rabbitmq import Box
from datastream.slices import Slice, decode
from datastream.topology import CLEAN_QUEUE, LAKE_QUEUE, dead_letter_queue
from datastream_operator.text import printable


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter."""

    #: A name for people: a hash of what it is. Equal messages share it.
    id: str
    #: The queue that it came from, to which it can go back.
    queue: str
    reason: str
    #: When it was put there; None when nobody wrote that down.
    since: datetime | None
    message: Message
    #: The slice that it is; None when it is none.
    slice: Slice | None
    #: Why it is no slice.
    fault: str = ""


def letter(queue: str, message: Message, put_at: float | None) -> Letter:
    """Return what a message on the dead-letter queue of `queue` is."""
    headers = message.headers
    death = _death(headers)
    reason = headers.get("x-reason") or death.get("reason") or "unknown"
    since = death.get("time")
    if put_at is not None:
        since = datetime.fromtimestamp(put_at, UTC)
    elif isinstance(since, datetime):
        since = since.replace(tzinfo=UTC)
    else:
        since = None
    try:
        slice_, fault = decode(headers, message.body), ""
    except NotASlice as error:
        slice_, fault = None, str(error)
    words = printable(str(reason))
    return Letter(_id(queue, words, message), queue, words, since, message, slice_, fault)


def as_it_was(message: Message) -> Message:
    """Return a message without what it got on its way to the dead-letter queue."""
    return Message(own_headers(message.headers), message.body)


def own_headers(headers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the headers that are not the broker's or the quarantine's."""
    return {name: value for name, value in headers.items() if not name.startswith("x-")}


def _death(headers: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the broker wrote when it put the message there by itself: at the limit."""
    deaths = headers.get("x-death")
    return deaths[0] if isinstance(deaths, list) and deaths and isinstance(deaths[0], dict) else {}


def _id(queue: str, reason: str, message: Message) -> str:
    digest = blake2b(digest_size=6)
    headers = sorted((name, repr(value)) for name, value in own_headers(message.headers).items())
    for part in (queue, reason, repr(headers)):
        digest.update(part.encode(errors="surrogateescape") + b"\0")
    digest.update(message.body)
    return digest.hexdigest()


# --- those that wait on the broker

IDENTITY_CONFLICT = "identity_conflict"


def letters_in(box: Box, *queues: str) -> Iterator[tuple[int, Letter]]:
    """Yield the dead letters of some queues, or all, each with the number to remove it by.

    To be gone through to its end: then those that are left go back. Raises Unavailable.
    """
    for queue in queues or (LAKE_QUEUE, CLEAN_QUEUE):
        for number, message, put_at in box.take(dead_letter_queue(queue)):
            yield number, letter(queue, message, put_at)


def conflicts_in(box: Box) -> Iterator[tuple[int, Letter, Slice]]:
    """Yield the identity conflicts, which the lake consumer alone can see. Raises Unavailable."""
    for number, found in letters_in(box, LAKE_QUEUE):
        if found.reason == IDENTITY_CONFLICT and found.slice is not None:
            yield number, found, found.slice
