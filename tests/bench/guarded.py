"""What the regression guard counts: each pipeline as it is, over the same lines every time.

Runs as a process of its own, under callgrind or not: python -m bench.guarded LOG TIMES. Prints one
JSON object for each round, with the CPU seconds of each part, in the order of PARTS.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import producer.__main__ as producer_service
from clean_consumer.enrichment import enrichment
from clean_consumer.rows import parse
from clean_consumer.settings import EnrichmentSettings
from clean_consumer.store import Warehouse
from datastream.config import Environment, MysqlSettings
from datastream.mysql import Session
from datastream.slices import Slice, decode
from datastream.streams import Stream
from lake_consumer.store import Lake

PARTS = ("calibration", "producer", "lake", "clean")
#: Lines of a slice, and slices of a batch: as a producer that is behind makes them.
SLICE_LINES = 1_000
BATCH_SLICES = 4
#: The C function that callgrind begins a new count at.
MARK = "getppid"


@contextmanager
def counted(seconds: dict[str, float], part: str) -> Iterator[None]:
    """Count what the block costs under the name of a part."""
    begin = time.process_time()
    os.getppid()
    yield
    os.getppid()
    seconds[part] = time.process_time() - begin


def calibrate(lines: list[bytes]) -> None:
    """Do what pipelines in Python do, for ever the same: split, decode, look up, format, join."""
    seen: dict[str, int] = {}
    texts = []
    for line in lines:
        fields = line.decode("latin-1").split(" ")
        key = fields[0]
        seen[key] = seen.get(key, 0) + 1
        texts.append(f"({seen[key]},'{key}','{fields[-1].replace(chr(39), chr(34))}')")
    ",".join(texts)


def slices(log: Path, generation: int) -> list[tuple[dict[str, Any], bytes]]:
    """Return a log as the messages that it comes as; each generation is another stream."""
    lines = log.read_bytes().splitlines()
    stream = Stream(generation + 1, "guard", "host", str(log), "combined", generation)
    messages = []
    position = 0
    for start in range(0, len(lines), SLICE_LINES):
        part = lines[start : start + SLICE_LINES]
        slice_ = Slice(stream, position, b"\n".join(part), len(part), 0, read_at_ms=0)
        messages.append((slice_.headers(), slice_.body))
        position += len(slice_.body) + 1
    return messages


def store(
    messages: list[tuple[dict[str, Any], bytes]],
    prepare: Callable[[Slice], Any],
    add: Callable[[list[Any]], object],
) -> None:
    """Do what a consumer does with messages, on one thread."""
    for start in range(0, len(messages), BATCH_SLICES):
        batch = messages[start : start + BATCH_SLICES]
        add([prepare(decode(headers, body)) for headers, body in batch])


def publish(log: Path, state: Path) -> None:
    """Run the producer over a log that it has not seen, to its end."""
    changes = {"STATE_DIR": str(state), "LOG_LEVEL": "ERROR"}
    arguments = argparse.Namespace(paths=[str(log)], once=True)
    code = producer_service.run(arguments, Environment(dict(os.environ) | changes))
    if code:
        raise SystemExit(code)


def main() -> None:
    """Warm everything up, then count as many rounds as were asked for."""
    log, times = Path(sys.argv[1]), int(sys.argv[2])
    lines = log.read_bytes().splitlines()
    environment = Environment.load()
    added = enrichment(EnrichmentSettings.read(environment))
    with closing(Session(MysqlSettings.read(environment, "GUARD"), "guard")) as session:
        lake, warehouse = Lake(session), Warehouse(session, added)
        for turn in range(times + 1):
            messages = slices(log, turn)[: None if turn else BATCH_SLICES]
            seconds: dict[str, float] = {}
            begin = counted if turn else _uncounted
            with begin(seconds, "calibration"):
                calibrate(lines)
            with begin(seconds, "producer"):
                publish(log, Path(f"state-{turn}"))
            # A session that has been idle for long is opened anew; not within what is counted.
            lake.check()
            with begin(seconds, "lake"):
                store(messages, lambda slice_: slice_, lake.store)
            warehouse.check()
            with begin(seconds, "clean"):
                store(messages, partial(parse, enrichment=added), warehouse.store)
            if turn:
                sys.stdout.write(json.dumps(seconds) + "\n")


@contextmanager
def _uncounted(_seconds: dict[str, float], _part: str) -> Iterator[None]:
    yield


if __name__ == "__main__":
    main()
