"""Whatever the broker does to what is on its way, the checkpoint names nothing that it has not."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastream.errors import Unavailable
from datastream.metrics import ProducerMetrics
from datastream.slices import Slice
from producer import pipeline
from producer.publishing import PatientPublisher
from producer.settings import SliceLimits, Source
from producer.state import State
from producer.tailer import Tailer

#: What may happen to what is published at once, and how often.
FATES = ("all", "all", "some", "some refused", "lost", "killed")


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Back off for next to no time."""
    monkeypatch.setattr("datastream.retry.FIRST_WAIT", 0.0001)
    monkeypatch.setattr("datastream.retry.LONGEST_WAIT", 0.0001)


class Killed(Exception):
    """The process ended at once."""


class Broker:
    """Keeps lines in any order, confirms some of those, refuses, and ends sessions."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        #: By routing key: the stream and the offset of each line.
        self.kept: dict[str, dict[tuple[int, int], bytes]] = {"lake.test": {}, "clean.test": {}}

    @contextmanager
    def open(self) -> Iterator[Broker]:
        """Open a session."""
        yield self

    def publish_all(self, unconfirmed: list[tuple[str, Slice]]) -> None:
        """Do what chance says."""
        fate = self._chance.choice(FATES)
        order = list(unconfirmed)
        self._chance.shuffle(order)
        is_all = fate == "all"
        for addressed in order if is_all else order[: self._chance.randint(0, len(order))]:
            key, slice_ = addressed
            self.kept[key] |= {
                (slice_.stream.stream_id, at): line for at, line in slice_.numbered()
            }
            # What it keeps it may not be able to say any more.
            if is_all or fate == "some refused" or self._chance.random() < 0.7:
                unconfirmed.remove(addressed)
        if fate == "killed":
            raise Killed
        if unconfirmed:
            raise Unavailable("as told", "nack" if "some" in fate else "connection")

    def wait(self, _seconds: float) -> None:
        """Let no time pass."""


class Saved:
    """A checkpoint that is written now and then, and compared with what the broker keeps."""

    def __init__(
        self, broker: Broker, lines: dict[str, list[bytes]], chance: random.Random
    ) -> None:
        self._broker = broker
        self._lines = lines
        self._chance = chance
        self.state = State()

    def save_if_due(self, state: Callable[[], State]) -> None:
        """Write it, or not."""
        if self._chance.random() < 0.3:
            self.save(state())

    def save(self, state: State) -> None:
        """Write it, unless it names what the broker has not."""
        for entry in state.entries:
            offset = 0
            for line in self._lines[entry.path]:
                if offset < entry.position:
                    for kept in self._broker.kept.values():
                        assert kept.get((entry.stream_id, offset)) == line
                offset += len(line) + 1
        self.state = state


def published(_slices: Sequence[Slice]) -> None:
    """Count nothing."""


@given(
    st.lists(st.lists(st.integers(0, 99), max_size=60), min_size=1, max_size=4),
    st.integers(1, 3),
    st.integers(1, 40),
    st.randoms(use_true_random=False),
)
def test_the_checkpoint_names_only_what_the_broker_has_and_nothing_is_lost(
    logs: list[list[int]], slice_lines: int, window: int, chance: random.Random
) -> None:
    """Several logs at once, over refusals, lost sessions and kills, until all is read."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("producer.tailer.WINDOW_LINES", window)
        lines = {
            f"{folder}/{name}.log": [b"log %d" % name, *(b"%d" % number for number in numbers)]
            for name, numbers in enumerate(logs)
        }
        for path, content in lines.items():
            Path(path).write_bytes(b"".join(line + b"\n" for line in content))
        source = Source("test", "combined", SliceLimits(slice_lines, 1_000, 1_000), once=True)
        broker = Broker(chance)
        saved = Saved(broker, lines, chance)
        is_complete = False
        while not is_complete:
            metrics, stop = ProducerMetrics(), Event()
            publisher = PatientPublisher(broker.open, metrics, stop)
            before = saved.state
            with closing(Tailer([f"{folder}/*.log"], source, before)) as tailer:
                try:
                    is_complete = pipeline.run(tailer, publisher, saved, published, stop)
                except Killed:
                    # What pipeline.run() saves at its end a process that is killed does not.
                    saved.state = chance.choice([before, saved.state])

        for kept in broker.kept.values():
            sent: dict[int, list[tuple[int, bytes]]] = {}
            for (stream, at), line in sorted(kept.items()):
                sent.setdefault(stream, []).append((at, line))
            assert sorted([line for _, line in found] for found in sent.values()) == sorted(
                lines.values()
            )
