"""The command `datastream replay`: parses lines of raw_log once more."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import NamedTuple

from datastream.arguments import add_config, moment, stream_number
from datastream.config import Environment, MysqlSettings, RabbitSettings
from datastream.errors import Unavailable
from datastream.format_setting import format_of
from datastream.how_many import how_many
from datastream.mysql import Session
from datastream.parsing import AUTO
from datastream.rabbitmq import Publisher
from datastream.slices import Slice
from datastream.streams import Stream
from datastream.topology import CLEAN_KEY, CLEAN_QUEUE, routing_key
from datastream_operator import raw
from datastream_operator.interruption import interruptible
from datastream_operator.progress import bar
from datastream_operator.refused import EX_USAGE, Refused

INTERRUPTED = 130

DESCRIPTION = """\
Parse lines once more: they are read from raw_log and sent only to the clean side. Rows of an older
parser are replaced, rejects that now fit move over, each batch in one transaction; rows of the same
parser stay as they are, unless --format says how to read the lines instead. The services go on
meanwhile.

It waits while queue-data-clean holds many slices. Cut short, it says how to go on.
"""

EXIT_CODES = """\
exit codes: 0 done; 2 or 64 the command is wrong; 66 no such stream; 69 the broker or the database
is away; 78 a setting is wrong; 130 interrupted
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `datastream replay`."""
    parser.description = DESCRIPTION
    parser.epilog = EXIT_CODES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.set_defaults(run=run)
    parser.add_argument("--all", action="store_true", help="every line")
    parser.add_argument("--rejected", action="store_true", help="only lines in rejected_log")
    parser.add_argument(
        "--since", type=moment, metavar="TIME", help="only lines that were stored since"
    )
    parser.add_argument("--stream", type=stream_number, metavar="ID", help="only of this stream")
    parser.add_argument(
        "--format",
        metavar="FORMAT",
        help="read them as this (what the setting FORMAT may be, but auto); for whole streams (no "
        "--rejected, no --since) log_stream says so from then on. A producer that still runs with "
        "another FORMAT must be changed as well",
    )
    parser.add_argument(
        "--lines-per-second", type=int, metavar="N", help="no faster than this (default: no limit)"
    )
    parser.add_argument(
        "--from",
        dest="begin",
        type=_position,
        default=FIRST,
        metavar="POSITION",
        help="go on where it was cut short (default: the beginning)",
    )
    add_config(parser)


def run(arguments: argparse.Namespace) -> int:
    """Send the lines; return the exit code. Raises ConfigError, Refused and Unavailable."""
    narrowed = arguments.rejected or arguments.since or arguments.stream is not None
    if bool(arguments.all) == bool(narrowed):
        raise Refused("say which lines: --rejected, --since, --stream, or --all", EX_USAGE)
    if arguments.lines_per_second is not None and arguments.lines_per_second < 1:
        raise Refused("--lines-per-second must be above 0", EX_USAGE)
    choice = Choice(
        arguments.stream,
        arguments.rejected,
        arguments.since or BEGINNING,
        arguments.begin,
        _format(arguments.format),
    )
    env = Environment.load(config=arguments.config)
    rabbit, mysql = RabbitSettings.read(env, "OPERATOR"), MysqlSettings.read(env, "OPERATOR")
    return _Replay(choice).run(rabbit, mysql, arguments.lines_per_second)


def _format(text: str | None) -> str | None:
    """Return the format as slices carry it. Raises ConfigError and Refused."""
    found = format_of(text, "--format") if text else None
    if found == AUTO:
        raise Refused("--format: stored lines are of a format that you say, not auto", EX_USAGE)
    return found


class _Replay:
    """One run, which knows how far it has got."""

    def __init__(self, choice: Choice) -> None:
        self._choice = choice
        self._at = choice.begin

    def run(self, rabbit: RabbitSettings, mysql: MysqlSettings, rate: int | None) -> int:
        with ExitStack() as stack:
            session = stack.enter_context(closing(Session(mysql, "datastream replay")))
            found = parts(session, self._choice)
            if not found and self._choice.stream is not None:
                raise Refused(f"raw_log has no stream {self._choice.stream:016x}", 66)
            try:
                with interruptible():
                    publisher = stack.enter_context(Publisher.open(rabbit, "datastream replay"))
                    sender = Sender(publisher, rate, _tell)
                    self._send(session, sender, found)
            except KeyboardInterrupt:
                self._say_how_to_go_on()
                return INTERRUPTED
            except Unavailable:
                self._say_how_to_go_on()
                raise
        sys.stdout.write(
            f"{how_many(sender.lines, 'line')} of {how_many(len(found), 'stream')}"
            " sent to be parsed\n"
        )
        return 0

    def _send(self, session: Session, sender: Sender, found: list[Part]) -> None:
        done = 0
        with bar("Replaying", sum(part.last for part in found)) as show:
            for part in found:
                if self._choice.format is not None and self._choice.is_of_whole_streams:
                    set_format(session, part.stream, self._choice.format)
                for group in groups(session, self._choice, part):
                    sender.send(piece_of(session, self._choice, part, group))
                    self._at = Position(part.stream.stream_id, group[-1].offset + 1)
                    show(done + group[-1].offset)
                done += part.last

    def _say_how_to_go_on(self) -> None:
        _tell(f"to go on, the same command with --from {self._at}")


def _position(text: str) -> Position:
    match = re.fullmatch(r"([0-9a-f]{16})-(\d{1,18})", text)
    if match is None:
        raise argparse.ArgumentTypeError(
            f"not a position: {text!r}; take it from what a replay says when it is cut short"
        )
    return Position(int(match[1], 16), int(match[2]))


def _tell(text: str) -> None:
    sys.stderr.write(f"datastream: {text}\n")


# --- which lines

STREAMS = """
    SELECT stream_id, source, host, path, format, generation FROM log_stream ORDER BY stream_id
"""
LAST = "SELECT MAX(line_offset) FROM raw_log WHERE stream_id = %s"

LINES = """
    SELECT line_offset, flags, {length}, {begins} FROM raw_log
    WHERE stream_id = %s AND line_offset BETWEEN %s AND %s AND stored_at >= %s
    ORDER BY line_offset LIMIT %s
""".replace("{length}", raw.LENGTH).replace("{begins}", raw.BEGINS)
REJECTED_LINES = """
    SELECT rejected_log.line_offset, raw_log.flags, {length}, {begins}
    FROM rejected_log STRAIGHT_JOIN raw_log
        ON raw_log.stream_id = rejected_log.stream_id
        AND raw_log.line_offset = rejected_log.line_offset
    WHERE rejected_log.stream_id = %s AND rejected_log.line_offset BETWEEN %s AND %s
    AND rejected_log.reason <> 'continued' AND raw_log.stored_at >= %s
    ORDER BY rejected_log.line_offset LIMIT %s
""".replace("{length}", raw.LENGTH).replace("{begins}", raw.BEGINS)

SET_FORMAT = "UPDATE log_stream SET format = %s WHERE stream_id = %s"

BEGINNING = datetime(1970, 1, 2, tzinfo=UTC)


class Position(NamedTuple):
    """A line among all lines; they are sent in this order."""

    stream: int
    offset: int

    def __str__(self) -> str:
        return f"{self.stream:016x}-{self.offset}"


FIRST = Position(0, 0)


@dataclass(frozen=True, slots=True)
class Choice:
    """The lines that are asked for."""

    #: Only of this stream.
    stream: int | None = None
    #: Only those in rejected_log.
    rejected: bool = False
    #: Only those that were stored since then.
    since: datetime = BEGINNING
    #: From this line on.
    begin: Position = FIRST
    #: Read as this format; None: as they were read.
    format: str | None = None

    @property
    def is_of_whole_streams(self) -> bool:
        """Whether every line of each stream is among them."""
        return not self.rejected and self.since == BEGINNING


@dataclass(frozen=True, slots=True)
class Part:
    """A stream, and the offset of its last line."""

    stream: Stream
    last: int


def parts(session: Session, choice: Choice) -> list[Part]:
    """Return the streams with lines that are asked for, in order. Raises Unavailable."""
    with session.transaction() as transaction:
        streams = [Stream(*row) for row in transaction.select(STREAMS)]
        found = []
        for stream in streams:
            if (
                choice.stream in (None, stream.stream_id)
                and stream.stream_id >= choice.begin.stream
            ):
                [(last,)] = transaction.select(LAST, (stream.stream_id,))
                if last is not None:
                    found.append(Part(stream, last))
    return found


def groups(session: Session, choice: Choice, part: Part) -> Iterator[list[raw.Line]]:
    """Yield the lines of a stream that are asked for, in groups of a slice. Raises Unavailable."""
    number = part.stream.stream_id
    first = choice.begin.offset if number == choice.begin.stream else 0
    statement = REJECTED_LINES if choice.rejected else LINES
    since = f"{choice.since.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"
    return raw.groups(raw.lines(session, number, first, part.last, statement, since))


def piece_of(session: Session, choice: Choice, part: Part, group: list[raw.Line]) -> Slice:
    """Return a group of lines as a slice. Raises Unavailable."""
    stream = part.stream
    slice_ = raw.slice_of(session, stream.stream_id, stream, group)
    if choice.format is None:
        return slice_
    return replace(slice_, stream=replace(stream, format=choice.format), reformat=True)


def set_format(session: Session, stream: Stream, line_format: str) -> None:
    """Store the format of a stream, for later readers of it. Raises Unavailable."""
    with session.transaction() as transaction:
        transaction.execute(SET_FORMAT, (line_format, stream.stream_id))


# --- sending them, no faster than the clean side takes them

#: Slices in the queue at which it waits: new lines must not queue behind a history.
MOST_WAITING = 50
LOOK_EVERY = 0.1
#: Seconds of waiting after which it says so.
TELL_AFTER = 30.0


class Sender:
    """Publishes one slice after another on the clean side's key, and waits where it must."""

    def __init__(
        self, publisher: Publisher, lines_per_second: int | None, say: Callable[[str], None]
    ) -> None:
        self._publisher = publisher
        self._rate = lines_per_second
        self._say = say
        self._began = time.monotonic()
        #: Lines sent.
        self.lines = 0

    def send(self, slice_: Slice) -> None:
        """Publish a slice; return once it is confirmed. Raises Unavailable."""
        if self._rate is not None:
            self._wait_until(self._began + self.lines / self._rate)
        self._wait_for_room()
        self._publisher.publish(routing_key(CLEAN_KEY, slice_.stream.source), slice_)
        self.lines += slice_.lines

    def _wait_for_room(self) -> None:
        tell_at = time.monotonic() + TELL_AFTER
        while (waiting := self._publisher.depth(CLEAN_QUEUE)) >= MOST_WAITING:
            if time.monotonic() >= tell_at:
                self._say(
                    f"{CLEAN_QUEUE} holds {how_many(waiting, 'slice')}:"
                    " waiting until there are fewer"
                )
                tell_at = float("inf")
            self._publisher.wait(LOOK_EVERY)

    def _wait_until(self, due: float) -> None:
        while (left := due - time.monotonic()) > 0:
            self._publisher.wait(min(left, LOOK_EVERY))
