"""The order of the producer's steps, and what is remembered when one of them fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from threading import Event

import pytest

from datastream.errors import Unavailable
from datastream.privacy import LineDisguise, hashed
from datastream.slices import MOST_BYTES, Slice
from datastream.streams import Stream
from producer import pipeline
from producer.state import PREFIX_BYTES, Entry, State

STREAM = Stream(1, "test", "host", "/var/log/access.log", "combined", 0)
ENTRY = Entry(1, STREAM.path, 0, 1, 2, 0, PREFIX_BYTES, "ab", "cd")
ONE, TWO = (Slice(STREAM, position, b"line", 1, 0, read_at_ms=0) for position in (0, 5))


class Steps:
    """Tailer, publisher and checkpoint at once: notes each step, and fails at the one it is told.

    The logs hold the items; one that is an exception is raised.
    """

    def __init__(
        self, *items: Slice | Exception | None, fail_at: str = "", is_begun: bool = True
    ) -> None:
        self.steps: list[str] = []
        self._is_begun = is_begun
        self._items = items
        self._fail_at = fail_at

    def slices(self) -> Iterator[Slice | None]:
        """Yield the items."""
        for item in self._items:
            if isinstance(item, Exception):
                raise item
            yield item

    def confirm(self) -> None:
        """Note."""
        self._note("confirm")

    #: By so many bytes the file is known of which the slice is.
    prefix_length = PREFIX_BYTES

    def state(self) -> State:
        """Note."""
        self._note("state")
        return State([ENTRY] if self._is_begun else [])

    def publish(self, routing_key: str, slice_: Slice) -> None:
        """Note, or fail."""
        self._note(f"{routing_key} {slice_.position}")

    def wait(self, seconds: float) -> None:
        """Note."""
        self._note(f"wait {seconds}")

    def save_if_due(self, _state: Callable[[], State]) -> None:
        """Note; nothing is ever due."""
        self._note("save if due")

    def save(self, _state: State) -> None:
        """Note."""
        self._note("save")

    def published(self, slice_: Slice | None) -> None:
        """Note."""
        self._note("published" if slice_ else "idle")

    def run(self, stop: Event | None = None) -> bool:
        """Run the pipeline on these."""
        return pipeline.run(self, self, self, self.published, stop or Event())

    def _note(self, step: str) -> None:
        self.steps.append(step)
        if step == self._fail_at:
            raise Unavailable("as told")


def test_a_slice_is_published_twice_confirmed_counted_and_remembered() -> None:
    """In that order, and the next one is not touched before."""
    steps = Steps(ONE, TWO)

    assert steps.run()

    assert steps.steps[2:] == [
        *["lake.test 0", "clean.test 0", "confirm", "published", "save if due"],
        *["lake.test 5", "clean.test 5", "confirm", "published", "save if due"],
        *["state", "save"],
    ]


def test_nothing_to_read_is_told_before_the_wait() -> None:
    """The session is kept alive by the wait, and what is confirmed is remembered meanwhile."""
    steps = Steps(None)

    steps.run()

    assert steps.steps[2:] == [
        *["idle", "save if due", f"wait {pipeline.LOOK_EVERY}"],
        *["state", "save"],
    ]


@pytest.mark.parametrize(
    ("fail_at", "before"),
    [
        ("lake.test 5", ["lake.test 5"]),
        ("clean.test 5", ["lake.test 5", "clean.test 5"]),
    ],
)
def test_a_slice_that_is_not_on_both_keys_is_not_confirmed(fail_at: str, before: list[str]) -> None:
    """What was confirmed before it is remembered all the same."""
    steps = Steps(ONE, TWO, fail_at=fail_at)

    with pytest.raises(Unavailable):
        steps.run()

    assert steps.steps[7:] == [*before, "state", "save"]


def test_a_log_that_fails_loses_nothing_of_what_was_confirmed() -> None:
    """Whatever ends the reading, the state is remembered, and the failure gets out."""
    steps = Steps(ONE, RuntimeError("a log that cannot be read"))

    with pytest.raises(RuntimeError, match="a log that cannot be read"):
        steps.run()

    assert steps.steps[4:] == ["confirm", "published", "save if due", "state", "save"]


def test_a_stop_during_a_wait() -> None:
    """The state is remembered as well when there was nothing to publish."""
    steps = Steps(None, None, fail_at=f"wait {pipeline.LOOK_EVERY}")

    with pytest.raises(Unavailable):
        steps.run()

    assert steps.steps[-2:] == ["state", "save"]


def test_a_stop_before_the_first_slice() -> None:
    """Nothing is published that was not asked for any more."""
    stop = Event()
    stop.set()
    steps = Steps(ONE)

    assert not steps.run(stop)

    assert steps.steps == ["state", "save"] * 2


def test_no_log_and_a_stop_is_not_the_end_of_the_logs() -> None:
    """Whoever was asked to stop before it knew what to read has not read it."""
    stop = Event()
    stop.set()

    assert not Steps().run(stop)


def test_what_there_is_at_the_start_is_remembered_before_anything_is_published() -> None:
    """After a crash in an outage at the first start, a log rotated meanwhile is still asked for."""
    steps = Steps(ONE, fail_at="lake.test 0")

    with pytest.raises(Unavailable):
        steps.run()

    assert steps.steps[:3] == ["state", "save", "lake.test 0"]


def test_a_stream_is_remembered_before_its_first_line_is_published() -> None:
    """After a crash its file is known again, whatever has become of it and of others by then."""
    steps = Steps(ONE, is_begun=False)

    steps.run()

    assert steps.steps[:5] == ["state", "save", "state", "save", "lake.test 0"]


def test_a_small_file_is_remembered_by_all_that_is_read_of_it() -> None:
    """Before each slice by which it is known by more, and not again where it is known by that."""

    class Small(Steps):
        """A log of few bytes, of which each slice but the last shows more."""

        lengths = iter((10, 20, 20))

        def slices(self) -> Iterator[Slice | None]:
            for item in super().slices():
                self.prefix_length = next(self.lengths)
                yield item

        def state(self) -> State:
            self._note("state")
            return State([replace(ENTRY, prefix_length=self.prefix_length)])

    steps = Small(ONE, TWO, TWO)
    steps.prefix_length = 10

    steps.run()

    until_published = [step for step in steps.steps if step in ("save", "published")]
    assert until_published == ["save", "published", "save", "published", "published", "save"]


def test_a_slice_may_be_published_as_several() -> None:
    """Both sides get all of them before the slice is confirmed."""
    addresses = b"192.0.2.1 " * (MOST_BYTES // 20)
    steps = Steps(Slice(STREAM, 0, b"\n".join([addresses] * 2), 2, 0, read_at_ms=0))
    disguise = LineDisguise(hashed("a key"), drops_queries=False)

    pipeline.run(steps, steps, steps, steps.published, Event(), disguise)

    second = len(addresses) + 1
    assert steps.steps[2:7] == [
        *["lake.test 0", f"lake.test {second}"],
        *["clean.test 0", f"clean.test {second}"],
        "confirm",
    ]
