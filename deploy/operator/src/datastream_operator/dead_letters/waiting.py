"""The dead letters that wait on the broker."""

from __future__ import annotations

from collections.abc import Iterator

from datastream.rabbitmq import Box
from datastream.slices import Slice
from datastream.topology import CLEAN_QUEUE, LAKE_QUEUE, dead_letter_queue
from datastream_operator.dead_letters.letters import Letter, letter

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
        if found.reason == IDENTITY_CONFLICT and found.piece is not None:
            yield number, found, found.piece
