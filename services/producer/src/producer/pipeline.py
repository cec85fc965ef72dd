"""The producer in the order of the data: a slice is read, disguised, published and confirmed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from threading import Event
from typing import Protocol

from datastream.privacy import LineDisguise
from datastream.slices import DISGUISED, INCOMPLETE, MOST_BYTES, TRUNCATED, Slice
from datastream.topology import CLEAN_KEY, LAKE_KEY, routing_key
from producer.state import State

#: Seconds between two looks at logs that have nothing new.
LOOK_EVERY = 0.02


class Slices(Protocol):
    """Where slices come from; producer.tailer.Tailer is one."""

    def slices(self) -> Iterator[Slice | None]:
        """Yield slices, and None whenever there is nothing to read for now."""

    def confirm(self) -> None:
        """Note that the last slice is safe."""

    @property
    def prefix_length(self) -> int:
        """How many first bytes of the last slice's file are known."""

    def state(self) -> State:
        """Return how far every stream is confirmed."""


class Publisher(Protocol):
    """Where slices go; producer.publishing.PatientPublisher is one."""

    def publish(self, routing_key: str, slice_: Slice) -> None:
        """Publish a slice; return once it is safe. Raises Unavailable when stopped before that."""

    def wait(self, seconds: float) -> None:
        """Wait. Raises Unavailable when stopped during an outage."""


class Checkpoint(Protocol):
    """Where the state is kept; producer.checkpoint.Checkpoint is one."""

    def save_if_due(self, state: Callable[[], State]) -> None:
        """Write the state, but not at each call."""

    def save(self, state: State) -> None:
        """Write the state. A failure is reported, and not raised."""


def run(
    tailer: Slices,
    publisher: Publisher,
    checkpoint: Checkpoint,
    published: Callable[[Slice | None], None],
    stop: Event,
    disguise: LineDisguise | None = None,
) -> bool:
    """Publish every slice on both keys; return whether all was read and confirmed.

    Ends when the slices do, or soon after `stop` is set. `published` is called with each confirmed
    slice, and with None when there is nothing to read. The state is saved at the end, whatever it
    is. Raises Unavailable when stopped during an outage.
    """
    # Before the first slice, which may wait long: the files that exist now are recognised later.
    noted = _save(tailer, checkpoint)
    try:
        if stop.is_set():
            return False
        for slice_ in tailer.slices():
            if stop.is_set():
                return False
            if slice_ is not None:
                if noted.get(slice_.stream.stream_id) != tailer.prefix_length:
                    # After a crash at any later point the file must be recognised: a small one by
                    # all of it that is read, since another file may begin alike.
                    noted = _save(tailer, checkpoint)
                parts = disguised(slice_, disguise) if disguise else (slice_,)
                _publish(publisher, slice_.stream.source, parts)
                tailer.confirm()
            published(slice_)
            checkpoint.save_if_due(tailer.state)
            if slice_ is None:
                publisher.wait(LOOK_EVERY)
        return True
    finally:
        checkpoint.save(tailer.state())


def disguised(slice_: Slice, disguise: LineDisguise) -> list[Slice]:
    """Return a slice with its lines disguised and flagged, with the keys of the original lines.

    Several slices, in order, if one would be too large; a single line that is, is cut off.
    """
    is_cut = bool(slice_.flags & INCOMPLETE)
    before = slice_.body.split(b"\n")
    lines = [disguise(line, is_cut=is_cut) for line in before]
    body, lengths = b"\n".join(lines), tuple(map(len, before))
    if len(body) > MOST_BYTES and slice_.lines > 1:
        return [part for half in slice_.halves() for part in disguised(half, disguise)]
    return [
        replace(
            slice_,
            body=body[:MOST_BYTES],
            flags=slice_.flags | DISGUISED | (TRUNCATED if len(body) > MOST_BYTES else 0),
            lengths=None if lengths == tuple(map(len, lines)) else lengths,
        )
    ]


def _publish(publisher: Publisher, source: str, parts: Sequence[Slice]) -> None:
    """Publish the parts of a slice on both keys. Raises Unavailable."""
    for side in (LAKE_KEY, CLEAN_KEY):
        for part in parts:
            publisher.publish(routing_key(side, source), part)


def _save(tailer: Slices, checkpoint: Checkpoint) -> dict[int, int]:
    """Save the state; return how many first bytes of each stream's file it knows."""
    state = tailer.state()
    checkpoint.save(state)
    return {entry.stream_id: entry.prefix_length for entry in state.entries}
