"""The command `datastream streams`: what the tables hold of each log."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import LiteralString

from datastream.how_many import how_many
from datastream_operator.place import add_folder, place_of
from datastream_operator.reading import Failed, Reader
from datastream_operator.refused import Refused
from datastream_operator.text import printable

DESCRIPTION = """\
Say of each stream in the tables, which is one generation of one log file: its source, path, id and
format, how far it is stored, how many of its lines are parsed and how many rejected, and the time
in the last one. The id is shown as SQL shows it, and in hexadecimal digits; --stream of other
commands takes both.

It takes the account READER_MYSQL_* (or OPERATOR_MYSQL_*, or MYSQL_*). Of raw_log it reads one row
for each stream, of clean_log and error_log the whole index on time, some 30 bytes for each parsed
line, and all of rejected_log; so it takes a while where there are hundreds of millions of lines. No
query has a time limit; Ctrl-C ends it.
"""

EXIT_CODES = """\
exit codes: 0 done; 1 the tables cannot be read: the message has the server's number and words; 66
there are no tables in FOLDER; 69 the database is away; 78 a setting is wrong; 130 interrupted
"""

#: Each log's streams in their order.
STREAMS = """
    SELECT stream_id, source, path, format, generation FROM log_stream
    ORDER BY source, path, first_seen, generation
"""
#: Where the last stored line ends; a line without a newline ends with its last byte. One look into
#: the primary key.
END: LiteralString = """
    SELECT line_offset + OCTET_LENGTH(line) + (flags & 1 = 0) FROM raw_log
    WHERE stream_id = {stream} ORDER BY line_offset DESC LIMIT 1
"""
#: The index on time holds the primary key too: 9 MB for 300,000 rows, without a text of any.
PARSED: LiteralString = """
    SELECT stream_id, COUNT(*), MAX(time) FROM {table} FORCE INDEX (time) GROUP BY stream_id
"""
REJECTED = """
    SELECT stream_id, COUNT(*), SUM(reason = 'continued') FROM rejected_log GROUP BY stream_id
"""
PARSED_TABLES = ("clean_log", "error_log")


@dataclass(slots=True)
class Held:
    """What the tables hold of one stream."""

    stream_id: int
    source: str
    path: str
    format: str
    generation: int
    #: The offset at which its last line ends, by the length that is stored of it; 0 without one.
    bytes: int = 0
    #: Lines in clean_log, and those of the entries in error_log.
    parsed: int = 0
    rejected: int = 0
    #: The time in its last line, UTC; None where no line has one.
    last: str | None = None

    @property
    def lines(self) -> int:
        """How many lines are parsed or rejected."""
        return self.parsed + self.rejected

    def add(self, parsed: int, last: str | None) -> None:
        """Count lines that are parsed, the last of which has this time."""
        self.parsed += parsed
        self.last = max(filter(None, (self.last, last)), default=None)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `datastream streams`."""
    parser.description = DESCRIPTION
    parser.epilog = EXIT_CODES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.set_defaults(run=run)
    parser.add_argument("--json", action="store_true", help="a JSON array, for programs")
    add_folder(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print what the tables hold; return 0. Raises Refused, ConfigError and Unavailable."""
    with (
        place_of(arguments, "READER") as place,
        closing(Reader(place.mysql, "datastream streams")) as reader,
    ):
        try:
            found = held(reader)
        except Failed as error:
            raise Refused(str(error)) from error
    if arguments.json:
        rows = [{**asdict(one), "hexadecimal": f"{one.stream_id:016x}"} for one in found]
        sys.stdout.write(f"{json.dumps(rows, indent=1)}\n")
    else:
        sys.stdout.writelines(line for one in found for line in told(one))
        if not found:
            sys.stdout.write("The tables hold no log yet\n")
    return 0


def held(reader: Reader) -> list[Held]:
    """Return what the tables hold of each stream, in the order of the logs.

    Raises Failed and Unavailable.
    """
    found = {}
    for number, source, path, line_format, generation in _rows(reader, STREAMS):
        found[number] = Held(int(number), source, path, line_format, int(generation))
    for one in found.values():
        one.bytes = sum(int(end) for (end,) in _rows(reader, END.format(stream=one.stream_id)))
    # A stream that is not among them began since the first query.
    for table in PARSED_TABLES:
        for number, lines, last in _rows(reader, PARSED.format(table=table)):
            if number in found:
                found[number].add(int(lines), last)
    for number, lines, continued in _rows(reader, REJECTED):
        if number in found:
            found[number].add(int(continued), None)
            found[number].rejected = int(lines) - int(continued)
    return list(found.values())


def told(one: Held) -> Iterator[str]:
    """Yield what is said of a stream, line by line."""
    yield f"{printable(one.path)}\n"
    yield (
        f"  source {one.source}, generation {one.generation}, "
        f"stream {one.stream_id} ({one.stream_id:016x})\n"
    )
    yield f"  format {printable(one.format)}\n"
    last = f"; the last of {one.last} UTC" if one.last else ""
    yield (
        f"  {how_many(one.lines, 'line')}: {one.parsed:,} parsed, {one.rejected:,} rejected; "
        f"{how_many(one.bytes, 'byte')} stored{last}\n"
    )


def _rows(reader: Reader, statement: str) -> Iterator[tuple[str, ...]]:
    return reader.ask(statement).rows  # type: ignore[return-value]  # no column but time is NULL
