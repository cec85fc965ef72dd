"""The producer in the order of the data: slices are read, disguised, published and confirmed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from threading import Event
from typing import Protocol

from datastream.privacy import LineDisguise
from datastream.slices import DISGUISED, INCOMPLETE, MOST_BYTES, TRUNCATED, Slice
from datastream.topology import CLEAN_KEY, LAKE_KEY, routing_key
from producer.state import State

#: A slice under a routing key.
Addressed = tuple[str, Slice]

#: Seconds between two looks at logs that have nothing new.
LOOK_EVERY = 0.02


class Slices(Protocol):
    """Where slices come from; producer.tailer.Tailer is one."""

    def slices(self) -> Iterator[Slice | None]:
        """Yield slices, and None whenever there is nothing to read for now."""

    def more(self) -> list[Slice]:
        """Return slices that may be on their way together with the last one."""

    def confirm(self) -> None:
        """Note that the last slice is safe, and what more() has added to it."""

    def prefix_lengths(self) -> dict[int, int]:
        """Return how many first bytes are known of each stream that these slices are of."""

    def state(self) -> State:
        """Return how far every stream is confirmed."""


class Publisher(Protocol):
    """Where slices go; producer.publishing.PatientPublisher is one."""

    def publish(self, addressed: Iterable[Addressed]) -> None:
        """Publish slices; return once all are safe. Raises Unavailable when stopped before that."""

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
    published: Callable[[Sequence[Slice]], None],
    stop: Event,
    disguise: LineDisguise | None = None,
) -> bool:
    """Publish every slice on both keys; return whether all was read and confirmed.

    Ends when the slices do, or soon after `stop` is set. `published` is called with the slices that
    are confirmed, and with none when there is nothing to read. The state is saved at the end,
    whatever it is. Raises Unavailable when stopped during an outage.
    """
    # Before the first slice, which may wait long: the files that exist now are recognised later.
    noted = _save(tailer, checkpoint)
    try:
        if stop.is_set():
            return False
        for slice_ in tailer.slices():
            if stop.is_set():
                return False
            window = [slice_, *tailer.more()] if slice_ is not None else []
            if window:
                if not tailer.prefix_lengths().items() <= noted.items():
                    # After a crash at any later point the file must be recognised: a small one by
                    # all of it that is read, since another file may begin alike.
                    noted = _save(tailer, checkpoint)
                publisher.publish(addressed(window, disguise))
                # All or none: what lies between the checkpoint and a crash is sent again.
                tailer.confirm()
            published(window)
            checkpoint.save_if_due(tailer.state)
            if not window:
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


def addressed(slices: Iterable[Slice], disguise: LineDisguise | None = None) -> list[Addressed]:
    """Return slices, disguised if they have to be, each under both of its routing keys."""
    if disguise is not None:
        slices = [part for slice_ in slices for part in disguised(slice_, disguise)]
    # Both at once: what a slice is on the wire is made once for them.
    return [
        (routing_key(side, slice_.stream.source), slice_)
        for slice_ in slices
        for side in (LAKE_KEY, CLEAN_KEY)
    ]


def _save(tailer: Slices, checkpoint: Checkpoint) -> dict[int, int]:
    """Save the state; return how many first bytes of each stream's file it knows."""
    state = tailer.state()
    checkpoint.save(state)
    return {entry.stream_id: entry.prefix_length for entry in state.entries}
