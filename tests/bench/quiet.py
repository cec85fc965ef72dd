"""Many logs that nothing is written to, beside a busy one: what they cost, and how soon they wake.

The other side is how the producer looked at them before (bench.former).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from itertools import cycle, islice
from pathlib import Path
from threading import Event, Thread

from bench.corpus import SEED
from bench.figures import quantile
from bench.former import share_of_a_core
from bench.installation import Running
from bench.results import Quiet
from bench.servers import Servers
from bench.tables import Tables
from bench.usage import Meter, of_processes
from datastream.topology import LAKE_QUEUE
from datastream_playground.sample.lines import generate
from deployment import PATIENCE, Deployment, eventually

LOGS = 1_000
#: How many of them get a line of their own, one after the other.
WOKEN = 30
#: So many logs there are when it is measured what a producer takes to be ready.
AT_START = (1, 250, 500, LOGS)
#: The busy log.
RATE = 1_000
WRITE_EVERY = 0.01
#: So often CPU time is counted, for so many seconds. And the seconds before that: a log is quiet
#: after one.
TIMES = 7
SECONDS = 5.0
SETTLING = 3.0
#: Seconds between two looks at the tables; up to as much is in each figure.
LOOK_EVERY = 0.005


def measure(deployment: Deployment, servers: Servers) -> Quiet:
    """Measure all of it, in one installation."""
    folder = deployment.folder
    lines = [line + b"\n" for line, _ in islice(generate(20_000, "combined", SEED), None)]
    starts = {str(count): _start(deployment, folder, lines, count) for count in AT_START}
    running = Running(deployment, servers)
    stopped = Event()
    writer = Thread(target=_write, args=(running.log, lines, stopped))
    writer.start()
    try:
        logs = _logs(folder / "quiet", lines, LOGS)
        pattern = str(folder / "quiet" / "*.log")
        # Beside the first one and of the same busy log: they differ in the quiet ones alone.
        other = {"SOURCE": "quiet", "STATE_DIR": str(folder / "quiet.state")}
        producer = deployment.start("producer", str(running.log), pattern, **other)
        eventually(lambda: _all_there(deployment))
        more = _difference(running.producer.process.pid, producer.process.pid)
        running.producer.terminate()
        waits = [1e3 * _wake(deployment, log, lines[0]) for log in _some(logs)]
        producer.terminate()
    finally:
        stopped.set()
        writer.join()
    running.stop()
    return Quiet(
        LOGS,
        more,
        min(share_of_a_core(logs, SECONDS) for _ in range(TIMES)),
        {"p50": quantile(waits, 0.5), "max": max(waits)},
        starts,
    )


def _logs(folder: Path, lines: Sequence[bytes], count: int) -> list[Path]:
    """Write logs of a line each."""
    folder.mkdir()
    logs = [folder / f"{number:04d}.log" for number in range(count)]
    for log, line in zip(logs, lines, strict=False):
        log.write_bytes(line)
    return logs


def _some(logs: Sequence[Path]) -> Sequence[Path]:
    return logs[:: len(logs) // WOKEN][:WOKEN]


def _start(deployment: Deployment, folder: Path, lines: Sequence[bytes], count: int) -> float:
    """Return the CPU seconds in which a new producer publishes the lines of so many logs."""
    name = f"start-{count}"
    _logs(folder / name, lines, count)
    pattern = str(folder / name / "*.log")
    before = deployment.queue_depth(LAKE_QUEUE)
    producer = deployment.start("producer", pattern, STATE_DIR=str(folder / f"{name}.state"))

    def is_done() -> None:
        # Of the queue, which holds a slice of each: to ask the producer would cost it time.
        assert deployment.queue_depth(LAKE_QUEUE) >= before + count

    meter = _meter(producer.process.pid, since_start=True)
    eventually(is_done)
    used = meter.cpu_us(1)["producer"] / 1e6
    producer.terminate()
    return used


def _difference(alone: int, with_them: int) -> float:
    """Return the share of a core that one process uses more than another, the median of TIMES.

    Both are counted over the same seconds: how fast the machine is just then hits both.
    """
    time.sleep(SETTLING)  # what is awaited is that time passes: logs are quiet after a second
    return quantile([_difference_once(alone, with_them) for _ in range(TIMES)], 0.5)


def _difference_once(alone: int, with_them: int) -> float:
    meters, begin = [_meter(alone), _meter(with_them)], time.monotonic()
    time.sleep(SECONDS)  # what is measured is a time in which nothing changes
    without, with_ = (meter.cpu_us(1)["producer"] / 1e6 for meter in meters)
    return (with_ - without) / (time.monotonic() - begin)


def _meter(pid: int, *, since_start: bool = False) -> Meter:
    return Meter({"producer": of_processes(lambda: [pid])}, since_start=since_start)


def _all_there(deployment: Deployment) -> None:
    [[streams]] = deployment.query("SELECT COUNT(*) FROM log_stream WHERE path LIKE '%%/quiet/%%'")
    assert streams == LOGS


def _wake(deployment: Deployment, log: Path, line: bytes) -> float:
    """Return the seconds from the writing of a line to a log until it is in both tables."""
    with closing(Tables(deployment, str(log))) as tables, log.open("ab", buffering=0) as file:
        assert tables.last() == 0
        begin = time.monotonic()
        file.write(line)

        while tables.last() == 0:
            time.sleep(LOOK_EVERY)  # short against what is measured, and said with it
            if time.monotonic() - begin > PATIENCE:
                raise TimeoutError(f"the line of {log} never came")
        return time.monotonic() - begin


def _write(path: Path, lines: Sequence[bytes], stopped: Event) -> None:
    """Write to the busy log until it is enough."""
    endless = cycle(lines)
    begin, done = time.monotonic(), 0
    with path.open("ab", buffering=0) as file:
        while not stopped.wait(WRITE_EVERY):
            due = int((time.monotonic() - begin) * RATE)
            file.write(b"".join(islice(endless, due - done)))
            done = due
