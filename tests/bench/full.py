"""The scenarios of `make bench-full`: more consumers, more rows, every format, the least slices."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench import backlog
from bench.ceiling import TABLES
from bench.corpus import SAMPLED, write
from bench.installation import installed
from bench.results import Backlog
from bench.rows import export, load
from bench.servers import Servers
from bench.targets import ROWS
from datastream.parsing import ERROR

#: Lines of each scenario, and of the one in which each line is a message.
LINES = 200_000
SINGLE_LINES = 20_000
#: Of the scenarios that are compared with one another to a tenth.
COMPARED_LINES = 600_000
#: Rows that are put into the tables at a time, and how often.
PORTION = 100_000
PORTIONS = {ROWS[0]: 0, "100,000 rows there": 1, "1,000,000 rows there": 10, ROWS[1]: 200}


def scenarios(servers: Servers, folder: Path) -> Iterator[tuple[str, Backlog]]:
    """Measure one scenario after the other, each in an installation of its own, and name it."""
    log = write(folder / "part.log", LINES)
    for count in (1, 2, 4):
        with installed(servers, folder) as deployment:
            found = backlog.measure(deployment, servers, log, clean=count)
        yield f"{count} clean consumer{'s' if count > 1 else ''}", found

    for form in (*SAMPLED, ERROR):
        formatted = write(folder / f"{form}.log", LINES, form=form)
        with installed(servers, folder) as deployment:
            found = backlog.measure(deployment, servers, formatted, FORMAT=form)
        yield f"format {form}", found

    single = write(folder / "single.log", SINGLE_LINES)
    with installed(servers, folder) as deployment:
        found = backlog.measure(deployment, servers, single, MAX_SLICE_LINES="1")
    yield "slices of one line", found

    earlier = write(folder / "earlier.log", PORTION)
    with installed(servers, folder) as deployment:
        backlog.measure(deployment, servers, earlier)
        portion = {
            table: export(servers.database, deployment.mysql.database, table) for table in TABLES
        }
    log = write(folder / "compared.log", COMPARED_LINES, skip=PORTION)
    for name, portions in PORTIONS.items():
        with installed(servers, folder) as deployment:
            for generation in range(1, portions + 1):
                for table, file in portion.items():
                    schema = deployment.mysql.database
                    load(servers.database, schema, table, file, generation=generation)
            found = backlog.measure(deployment, servers, log)
        yield name, found
