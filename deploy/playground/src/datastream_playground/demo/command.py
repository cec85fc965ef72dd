"""The commands `datastream demo` and `datastream follow`: arguments, messages and exit codes."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pymysql
from rich.console import Console

from datastream.arguments import whole_number, with_exit_code
from datastream.config import EX_CONFIG, ConfigError, Environment
from datastream.errors import Unavailable
from datastream.format_setting import format_of, read_format
from datastream.parsing import AUTO
from datastream_operator.interruption import interruptible
from datastream_operator.lines import Missing, Unreadable, plain_size
from datastream_operator.refused import EX_UNAVAILABLE
from datastream_operator.text import printable
from datastream_playground.demo import live, report, room
from datastream_playground.demo.progress import Stalled, parse_again, publish_once
from datastream_playground.demo.running import DatabaseFailed, running
from datastream_playground.demo.services import ServiceFailed
from datastream_playground.demo.subject import (
    DOTENV,
    FOLDER,
    own_log,
    sample_log,
    source_name,
)
from datastream_playground.demo.verify import verify
from datastream_playground.local.errors import CannotServe, DidNotStart, FolderInUse
from datastream_playground.sample import FORMATS as SAMPLE_FORMATS

EX_FAILED, EX_NOINPUT, INTERRUPTED = 1, 66, 130

DEMO = """\
Put a log through the whole pipeline on this machine, without Docker, and report.

A private RabbitMQ and a private MySQL-compatible server are started on free loopback ports, from
this system's packages, which are installed where that is allowed (root or sudo). The tables and
queues are made, the three services run as processes, and the log is published once. Then the
tables are compared with the log itself: every line, byte for byte; and, for the sample log that
is made when no other is given, with the truth about it.

Everything that was started is stopped at the end, on Ctrl-C and on failure alike. The data stays:
a second run on the same log adds no row. Of a log that is being written to, what it held at the
start is compared. With another FORMAT than before, its lines are parsed again.
"""

FOLLOW = """\
Put a log through the whole pipeline on this machine, without Docker, and follow it with a live
view until Ctrl-C: rates, lag, queues, the last rejects.

Servers, services and data are those of `datastream demo`. A log that does not exist yet is
waited for. The next run reads on where this one ended. A service that ends is started again.
"""

EXIT_CODES = """\
exit codes: 0 all counts are exact, whether the lines fit their format or not (follow: ended by
Ctrl-C); 1 they are not, or a service or the database failed; 66 the log cannot be read; 69 the
servers cannot be had or do not start, or have no room; 78 a setting is wrong; 130 interrupted
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `datastream demo`."""
    _describe(parser, DEMO)
    parser.set_defaults(run=demo)
    parser.add_argument(
        "--log",
        type=Path,
        metavar="FILE",
        help="a log of your own, plain or packed, or a pattern (default: a sample)",
    )
    parser.add_argument(
        "--lines",
        type=whole_number(1),
        default=100_000,
        metavar="N",
        help="without --log: how many lines the sample has (default: 100000)",
    )
    _add_common_arguments(parser)


def add_follow_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `datastream follow`."""
    _describe(parser, FOLLOW)
    parser.set_defaults(run=follow)
    parser.add_argument(
        "--log", type=Path, metavar="FILE", required=True, help="the log, or a pattern"
    )
    _add_common_arguments(parser)


def demo(arguments: argparse.Namespace) -> int:
    """Put a log through the pipeline once and report; return 0 only if every count is exact.

    Nothing is started for a log that is empty.
    """
    return _guarded(arguments, _demo)


def follow(arguments: argparse.Namespace) -> int:
    """Follow a log with a live view until Ctrl-C; return the exit code."""
    return _guarded(arguments, _follow)


def _demo(arguments: argparse.Namespace, folder: Path, console: Console) -> int:
    env = Environment.load(DOTENV)
    source = source_name(env, console)
    if arguments.log is None:
        wanted = "combined" if arguments.format in (None, "", AUTO) else arguments.format
        if wanted not in SAMPLE_FORMATS:
            known = ", ".join(SAMPLE_FORMATS)
            raise ConfigError(f"a sample is made in one of {known}; for {wanted!r} name a --log")
        room.require(folder, room.PER_SAMPLE_LINE * arguments.lines)
        subject = sample_log(folder, source, arguments.lines, wanted, console)
    else:
        line_format = _format(arguments, env)
        subject = own_log(arguments.log, source, line_format, console, may_be_missing=False)
        size = sum(map(plain_size, subject.files()))
        if not size:
            log = printable(str(subject.log))
            console.print(f"{log} is empty: there is nothing to show yet.")
            console.print(f"To wait for its lines:  make follow LOG={log}")
            return 0
        room.require(folder, room.PER_LOG_BYTE * size)
    with running(subject, folder, console) as pipeline:
        parse_again(pipeline, console)
        run = publish_once(pipeline, console)
        with pipeline.tables(run.extents) as tables:
            found = verify(tables, run.extents, is_sample=subject.is_sample)
        report.show(console, pipeline, run, found)
    console.print("Everything that was started is stopped.", style="dim")
    return 0 if found.is_exact else EX_FAILED


def _follow(arguments: argparse.Namespace, folder: Path, console: Console) -> int:
    env = Environment.load(DOTENV)
    source, line_format = source_name(env, console), _format(arguments, env)
    subject = own_log(arguments.log, source, line_format, console, may_be_missing=True)
    size = 0
    with suppress(Missing):
        size = sum(map(plain_size, subject.files()))
    room.require(folder, room.PER_LOG_BYTE * size)
    with running(subject, folder, console) as pipeline:
        parse_again(pipeline, console)
        live.follow(pipeline, console)
    console.print("Everything that was started is stopped.", style="dim")
    return 0


def _format(arguments: argparse.Namespace, env: Environment) -> str | None:
    """Return the format of the arguments or the settings; None to detect it.

    Raises ConfigError.
    """
    found = format_of(arguments.format, "--format") if arguments.format else read_format(env)
    return None if found == AUTO else found


def _guarded(
    arguments: argparse.Namespace, command: Callable[[argparse.Namespace, Path, Console], int]
) -> int:
    console = _console()
    try:
        with interruptible():
            folder: Path = arguments.folder.absolute()
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            return command(arguments, folder, console)
    except KeyboardInterrupt:
        console.print("\nInterrupted. Everything that was started is stopped.")
        return INTERRUPTED
    except Unreadable as error:
        return _failed(error, EX_NOINPUT)
    except ConfigError as error:
        return _failed(error, EX_CONFIG)
    except (CannotServe, DidNotStart, FolderInUse, Unavailable) as error:
        return _failed(error, EX_UNAVAILABLE)
    except (ServiceFailed, Stalled, DatabaseFailed) as error:
        return _failed(error, EX_FAILED)
    except OSError as error:
        return _failed(
            f"{error.filename}: {error.strerror}" if error.filename else error, EX_FAILED
        )
    except pymysql.MySQLError as error:
        return _failed(f"The database: {error}", EX_FAILED)


def _console() -> Console:
    """Return a console on standard output that prints texts as they are, without markup."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    # With the file given rich looks at its encoding: not every terminal has a box character.
    console = Console(file=sys.stdout, markup=False, highlight=False, emoji=False)
    console.soft_wrap = not console.is_terminal
    return console


def _failed(error: Exception | str, code: int) -> int:
    sys.stderr.write(with_exit_code(error, code, EXIT_CODES))
    return code


def _describe(parser: argparse.ArgumentParser, description: str) -> None:
    parser.description = description
    parser.epilog = EXIT_CODES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter


def _add_common_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--format",
        metavar="FORMAT",
        help="the format of its lines: a name, a log_format directive or nginx.conf:NAME, each "
        "with the name of a prefix in front or not; or auto (default: FORMAT of the environment or "
        ".env, else auto: the one that its first lines fit; of a sample combined)",
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=FOLDER,
        metavar="FOLDER",
        help="where the data is kept (default: .run/demo in the checkout)",
    )
