"""The producer in the order of the data: a slice is read, published on both keys, remembered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from threading import Event
from typing import Protocol

from datastream.slices import Slice
from datastream.topology import CLEAN_KEY, LAKE_KEY, routing_key
from producer.places import State

#: Seconds between two looks at logs that have nothing new. No notification can be missed by that.
LOOK_EVERY = 0.02


class Slices(Protocol):
    """Where slices come from; producer.tailer.Tailer keeps it."""

    def slices(self) -> Iterator[Slice | None]:
        """Yield slices, and None whenever there is no more for now."""

    def confirm(self) -> None:
        """Note that the slice yielded last is safe."""

    @property
    def prefix_length(self) -> int:
        """How many bytes the file of the slice yielded last is known by."""

    def state(self) -> State:
        """Return how far every stream is confirmed."""


class Publisher(Protocol):
    """Where slices go."""

    def publish(self, routing_key: str, piece: Slice) -> None:
        """Return once the slice is safe. Raises Unavailable when asked to stop before that."""

    def wait(self, seconds: float) -> None:
        """Let time pass."""


class Checkpoint(Protocol):
    """Where it is remembered how far every stream is confirmed."""

    def save_if_due(self, state: Callable[[], State]) -> None:
        """Write the state, if the last time is long enough ago."""

    def save(self, state: State) -> None:
        """Write the state."""


def _save(tailer: Slices, checkpoint: Checkpoint) -> dict[int, int]:
    """Write the state; return by how many bytes each stream's file is known by it.

    Where it cannot be written, that is told, and tried again once it is due.
    """
    state = tailer.state()
    checkpoint.save(state)
    return {place.stream_id: place.prefix_length for place in state.places}


def _publish(publisher: Publisher, source: str, parts: Sequence[Slice]) -> None:
    """Publish what a slice is published as, on both keys. Raises Unavailable."""
    for side in (LAKE_KEY, CLEAN_KEY):
        for part in parts:
            publisher.publish(routing_key(side, source), part)


def as_it_is(piece: Slice) -> Sequence[Slice]:
    """Return the one slice that a slice is published as."""
    return (piece,)


def run(
    tailer: Slices,
    publisher: Publisher,
    checkpoint: Checkpoint,
    published: Callable[[Slice | None], None],
    stop: Event,
    prepare: Callable[[Slice], Sequence[Slice]] = as_it_is,
) -> bool:
    """Publish slice after slice until there is no more or `stop` is set; return whether all is.

    `published` is told each slice that is safe, and None while there is nothing to read. The
    state is remembered whatever happens. `prepare` gives the slices, one as a rule, as which a
    slice is published. Raises Unavailable when stopped during an outage.
    """
    # Before the first slice, which may wait long: what is there now is known as that from now on.
    noted = _save(tailer, checkpoint)
    try:
        if stop.is_set():
            return False
        for piece in tailer.slices():
            if stop.is_set():
                return False
            if piece is not None:
                if noted.get(piece.stream.stream_id) != tailer.prefix_length:
                    # Whatever happens from here on, the stream's file is known again: a small one
                    # by all that is read of it, since what begins like it may be another one.
                    noted = _save(tailer, checkpoint)
                _publish(publisher, piece.stream.source, prepare(piece))
                tailer.confirm()
            published(piece)
            checkpoint.save_if_due(tailer.state)
            if piece is None:
                publisher.wait(LOOK_EVERY)
        return True
    finally:
        checkpoint.save(tailer.state())
