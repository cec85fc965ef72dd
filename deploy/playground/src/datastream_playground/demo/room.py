"""Whether the disk has room for what a run writes, asked before anything is started."""

from __future__ import annotations

import shutil
from pathlib import Path

from datastream_playground.local.errors import CannotServe

#: Bytes that the two servers take before the first line: a database's own files and logs above all,
#: and what a broker wants to stay free.
SERVERS = 400_000_000
#: Bytes of rows and queues for each byte of a log, a fourth more than was seen.
PER_LOG_BYTE = 4
#: Bytes for each line of a sample: the line, its truth, its rows.
PER_SAMPLE_LINE = 1_800


def require(folder: Path, data: int) -> None:
    """Raise CannotServe unless the servers and `data` bytes have room in the data folder.

    What is in it already counts: a second run on the same log adds no row.
    """
    there = sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())
    needed = SERVERS + data
    free = shutil.disk_usage(folder).free
    if free + there < needed:
        raise CannotServe(
            f"{folder} needs about {_mb(needed - there)} MB and {_mb(free)} MB are free: make room "
            "there, or choose another folder: datastream demo --folder"
        )


def _mb(count: int) -> str:
    return f"{count / 1e6:,.0f}"
