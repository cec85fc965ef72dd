"""The end of a process."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from datastream.shutdown import stop_on_signals
from deployment import PATIENCE

BOTH = (signal.SIGTERM, signal.SIGINT)

# Those that are sent a signal after a word wait for it a moment at a time: it may come between the
# interpreter's last look for one and the wait, which it does not end then.
STOPPED = """
import sys, time
from datastream import shutdown
shutdown.GRACE = float(sys.argv[1])
with shutdown.stop_on_signals() as stop:
    print("running", flush=True)
    while not stop.wait(0.05):
        pass
    print("stopping", flush=True)
    time.sleep(float(sys.argv[2]))
print("done", flush=True)
"""


def stopped(grace: float, takes: float, signals: int) -> tuple[int, str]:
    """Return exit code and output of a process that is sent so many SIGTERMs."""
    with subprocess.Popen(
        [sys.executable, "-c", STOPPED, str(grace), str(takes)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        output = process.stdout.readline()
        for _ in range(signals):
            process.send_signal(signal.SIGTERM)
            output += process.stdout.readline()
        # Not communicate(), which knows nothing of what readline() has read ahead.
        output += process.stdout.read()
        return process.wait(timeout=PATIENCE), output


def test_the_first_signal_asks() -> None:
    """What is in hand is finished."""
    assert stopped(grace=PATIENCE, takes=0, signals=1) == (0, "running\nstopping\ndone\n")


@pytest.mark.parametrize("number", BOTH)
def test_work_that_is_cut_short_has_a_code_of_its_own(number: signal.Signals) -> None:
    """That of a process which the signal ended, whether or not it has to leave something behind."""
    code = """
import sys, threading
from datastream import shutdown
shutdown.GRACE = 0.1
with shutdown.stop_on_signals(has_end=True) as stop:
    print("running", flush=True)
    while not stop.wait(0.05):
        pass
    if sys.argv[1] == "hangs":
        threading.Event().wait()
sys.exit(stop.code)
"""
    codes = []
    for way in ("leaves", "hangs"):
        with subprocess.Popen([sys.executable, "-c", code, way], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            process.send_signal(number)
            codes.append(process.wait(timeout=PATIENCE))

    assert codes == [128 + number] * 2


def test_a_signal_that_comes_at_any_moment_is_heard() -> None:
    """A main thread that waits for the event holds its lock for a moment at a time."""
    code = f"""
import signal
from datastream import shutdown
with shutdown.stop_on_signals() as stop:
    with stop._cond:
        signal.raise_signal({int(signal.SIGTERM)})
    stop.wait()
"""
    done = subprocess.run([sys.executable, "-c", code], timeout=PATIENCE, check=False)

    assert done.returncode == 0


def test_the_second_signal_is_not_swallowed() -> None:
    """It ends the process as it would any other."""
    assert stopped(grace=PATIENCE, takes=PATIENCE, signals=2) == (
        -signal.SIGTERM,
        "running\nstopping\n",
    )


def test_what_hangs_is_left_behind() -> None:
    """After the grace the process leaves with 0: nothing is lost by that."""
    assert stopped(grace=0.1, takes=PATIENCE, signals=1) == (0, "running\nstopping\n")


@pytest.mark.parametrize("number", BOTH)
def test_a_signal_sets_the_event_and_gives_way(number: signal.Signals) -> None:
    """The handlers from before are back at once, for both signals."""
    before = [signal.getsignal(one) for one in BOTH]
    with stop_on_signals() as stop:
        asked_early = stop.is_set()
        signal.raise_signal(number)
        asked, handlers = stop.wait(PATIENCE), [signal.getsignal(one) for one in BOTH]

    assert not asked_early
    assert asked
    assert handlers == before


def test_the_end_of_the_work_is_the_end_of_the_handling() -> None:
    """Without a signal too: the handlers are back, and whoever waits for a stop goes on."""
    before = [signal.getsignal(one) for one in BOTH]
    with pytest.raises(ZeroDivisionError), stop_on_signals() as stop:
        raise ZeroDivisionError

    assert stop.is_set()
    assert [signal.getsignal(one) for one in BOTH] == before
