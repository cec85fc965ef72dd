"""Both private servers, side by side."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from datastream_playground.local.broker import Broker
from datastream_playground.local.database import Database
from datastream_playground.local.packages import Programs

__all__ = ["Broker", "Database", "both"]


@contextmanager
def both(folder: Path, programs: Programs) -> Iterator[tuple[Broker, Database]]:
    """Run a broker and a database in `folder` during the block.

    They start at the same time and stop in the reverse order; neither is left running, also on an
    exception. Raises `FolderInUse` and `DidNotStart`.
    """
    broker = Broker(folder / "rabbitmq", programs)
    database = Database(folder / "database", programs)
    with ExitStack() as started:
        for server in (broker, database):
            server.launch()
            started.callback(server.stop)
        for server in (database, broker):
            server.wait_until_ready()
        yield broker, database
