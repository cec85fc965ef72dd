"""The signals that end the demo."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from datastream_operator.interruption import SIGNALS, ignore, interruptible


@pytest.fixture(autouse=True)
def _nothing_ignored() -> Iterator[None]:
    """Whoever runs the tests under nohup has SIGHUP ignored."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_interrupts_and_the_others_do_nothing(number: signal.Signals) -> None:
    """So the tidying up that follows is not cut short."""
    tidied = False
    with pytest.raises(KeyboardInterrupt), interruptible():
        try:
            os.kill(os.getpid(), number)
            signal.pause()
        finally:
            for other in SIGNALS:
                os.kill(os.getpid(), other)
            tidied = True

    assert tidied


def test_the_handlers_from_before_are_back_afterwards() -> None:
    """Whether there was a signal or not."""
    before = [signal.getsignal(number) for number in SIGNALS]

    with interruptible():
        ignore()
        os.kill(os.getpid(), signal.SIGTERM)

    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_what_nohup_ignores_stays_ignored() -> None:
    """A person who closes the terminal then means the demo to go on."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
