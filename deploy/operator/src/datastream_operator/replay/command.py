"""The command `datastream replay`: what is asked for, said and returned."""

from __future__ import annotations

import argparse
import re
import sys
from contextlib import ExitStack, closing

from datastream.arguments import moment, stream_number
from datastream.config import Environment, MysqlSettings, RabbitSettings
from datastream.errors import Unavailable
from datastream.format_setting import format_of
from datastream.mysql import Session
from datastream.parsing import AUTO
from datastream.rabbitmq import Publisher
from datastream_operator.interruption import interruptible
from datastream_operator.progress import bar
from datastream_operator.refused import Refused
from datastream_operator.replay.choice import (
    BEGINNING,
    FIRST,
    Choice,
    Part,
    Position,
    groups,
    parts,
    piece_of,
    set_format,
)
from datastream_operator.replay.sending import Sender

EX_USAGE, EX_UNAVAILABLE, INTERRUPTED = 64, 69, 130

DESCRIPTION = """\
Parse lines once more: they are read from raw_log and sent to the clean side alone. Rows of an older
parser are replaced, rejects that fit now move over, each batch in one transaction; rows of the same
parser stay as they are, unless --format says how the lines are to be read instead. The services go
on meanwhile.

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
    parser.add_argument("--all", action="store_true", help="every line")
    parser.add_argument("--rejected", action="store_true", help="only lines in rejected_log")
    parser.add_argument(
        "--since", type=moment, metavar="TIME", help="only lines that were stored since"
    )
    parser.add_argument("--stream", type=stream_number, metavar="ID", help="only of this stream")
    parser.add_argument(
        "--format",
        metavar="FORMAT",
        help="read them as this (what the setting FORMAT may be, but auto); of whole streams (no "
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
        help="go on where it was cut short",
    )


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
    env = Environment.load()
    rabbit, mysql = RabbitSettings.read(env, "OPERATOR"), MysqlSettings.read(env, "OPERATOR")
    return _Replay(choice).run(rabbit, mysql, arguments.lines_per_second)


def _format(text: str | None) -> str | None:
    """Return the format as slices carry it. Raises ConfigError and Refused."""
    found = None if text is None else format_of(text, "--format")
    if found == AUTO:
        raise Refused("--format: stored lines are of a format that you say, not auto", EX_USAGE)
    return found


class _Replay:
    """One run, which knows how far it has come."""

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
        sys.stdout.write(f"{sender.lines:,} lines of {len(found):,} streams sent to be parsed\n")
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
            f"not a position: {text!r}; it is said when it is cut short"
        )
    return Position(int(match[1], 16), int(match[2]))


def _tell(text: str) -> None:
    sys.stderr.write(f"datastream: {text}\n")
