"""Reading a stream of the lake back: its packs by the operator's commands, its lines by SQL.

PYTHONPATH=tests .venv/bin/python -m bench.reading_packs
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.corpus import write
from bench.guarded import BATCH_SLICES, slices
from bench.installation import installed
from bench.servers import Servers, running
from bench.usage import Meter, Reader, of_processes
from datastream.mysql import Session
from datastream.slices import decode
from datastream_operator import raw
from deployment import Deployment
from lake_consumer.store import Lake

LINES = 200_000
ROUNDS = 3
LOOKS = 100
SCAN = "SELECT SUM(LENGTH(line)) FROM raw_log WHERE stream_id = %s"
KEY = "SELECT line FROM raw_log WHERE stream_id = %s AND line_offset = %s"
RANGE = "SELECT line FROM raw_log WHERE stream_id = %s AND line_offset BETWEEN %s AND %s"
JOIN = """
    SELECT raw_log.line FROM rejected_log r JOIN raw_log
        ON raw_log.stream_id = r.stream_id AND raw_log.line_offset = r.line_offset
        AND raw_log.pack = (
            SELECT MAX(line_offset) FROM raw_pack
            WHERE stream_id = r.stream_id AND line_offset <= r.line_offset
        )
"""


def measure(deployment: Deployment, servers: Servers, folder: Path, lines: int = LINES) -> None:
    """Print what reading a stream takes here and in the server: the least CPU of some rounds."""
    log = write(folder / "reading.log", lines)
    sent = [decode(*message) for message in slices(log.path, 0)]
    stream = sent[0].stream.stream_id
    server = of_processes(lambda: servers.database.pids)
    with closing(Session(deployment.mysql, "bench")) as session:
        lake = Lake(session)
        for at in range(0, len(sent), BATCH_SLICES):
            lake.store(sent[at : at + BATCH_SLICES])
        offsets = [line.offset for line in raw.lines(session, stream)]
        step = len(offsets) // LOOKS
        some = offsets[::step][:LOOKS]

        def read() -> None:
            assert sum(1 for _ in raw.lines(session, stream)) == lines

        def ask(statement: str, *keys: tuple[int, ...]) -> None:
            for key in keys:
                with session.transaction() as transaction:
                    list(transaction.select(statement, key))

        ours = _least("packs, read by the commands", lines, read, server)
        scan = _least("the view, scanned by SQL", lines, lambda: ask(SCAN, (stream,)), server)
        sys.stdout.write(f"read / scanned: {ours / scan:.2f}\n")
        keys = [(stream, offset) for offset in some]
        _least("a line by its key", LOOKS, lambda: ask(KEY, *keys), server)
        wide = [(stream, offset, offset + 10_000) for offset in some[:3]]
        _least("10 kB of lines, no pack named", 3, lambda: ask(RANGE, *wide), server)
        near = [(*key, max(key[1] - 1024**2, 0), key[2]) for key in wide]
        _least(
            "the same, packs named",
            3,
            lambda: ask(f"{RANGE} AND pack BETWEEN %s AND %s", *near),
            server,
        )
        with session.transaction() as transaction:
            for key in keys:
                transaction.execute("INSERT INTO rejected_log VALUES (%s, %s, 1, 0, 'format')", key)
        _least("a rejected line by the join", LOOKS, lambda: ask(JOIN, ()), server)


def _least(what: str, units: int, do: Callable[[], None], server: Reader) -> float:
    """Print and return the least CPU time of a unit, here and in the server, microseconds."""
    costs = []
    for _ in range(ROUNDS):
        meter = Meter({"server": server})
        wall, own = time.monotonic(), time.thread_time()
        do()
        own, wall = time.thread_time() - own, time.monotonic() - wall
        costs.append((own + meter.cpu_us(1)["server"] / 1e6, own, wall))
    both, own, wall = (cost / units * 1e6 for cost in min(costs))
    sys.stdout.write(
        f"{what}: {both:,.2f} us of CPU ({own:,.2f} here), {1e6 / wall:,.0f} a second\n"
    )
    return both


def main() -> None:
    """Measure on a private MariaDB."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        with running("mariadb", folder) as servers, installed(servers, folder) as deployment:
            measure(deployment, servers, folder)


if __name__ == "__main__":
    main()
