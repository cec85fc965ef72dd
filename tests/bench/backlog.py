"""The backlog: a log that was there before anybody read it, from the file to both tables."""

from __future__ import annotations

import os
import time
from contextlib import closing

from bench.corpus import Log
from bench.installation import Running
from bench.results import Backlog
from bench.servers import Servers
from bench.tables import Tables
from deployment import Deployment, eventually

#: Seconds in which a backlog of any size must be stored.
PATIENCE = 3600.0
LOOK_EVERY = 0.02


def measure(
    deployment: Deployment, servers: Servers, log: Log, *, clean: int = 1, **producer: str
) -> Backlog:
    """Let services that are ready find a log, and wait until each line is in both tables."""
    rows_before = deployment.count("raw_log")
    running = Running(deployment, servers, clean=clean, **producer)
    meter = running.meter()
    seconds = store(running, deployment, log)
    result = Backlog(
        log.lines / seconds,
        meter.cpu_us(log.lines),
        meter.peak_mb() | {"clean": meter.largest_mb("clean")},
        sum(
            int(s.metric("datastream_retries_total", dependency="mysql", reason="lock"))
            for s in (running.lake, *running.clean)
        ),
    )
    running.stop()
    assert deployment.count("raw_log") == rows_before + log.lines
    return result


def store(running: Running, deployment: Deployment, log: Log) -> float:
    """Let services find a log; return how many seconds it took until each line was stored."""
    with closing(Tables(deployment)) as tables:
        begin = time.monotonic()
        os.link(log.path, running.log)
        while tables.last_parsed() < log.last:
            running.check()
            if time.monotonic() - begin > PATIENCE:
                raise TimeoutError(f"not stored within {PATIENCE:.0f} s")
            time.sleep(LOOK_EVERY)

        def stored() -> None:
            # The lake may be behind, and of several clean consumers one that had other lines.
            assert running.lines_stored() == (log.lines, log.lines)

        eventually(stored)
        return time.monotonic() - begin
