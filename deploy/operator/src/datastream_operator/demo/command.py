"""The commands `datastream demo` and `datastream follow`: what is said and returned."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from rich.console import Console

from datastream.config import ConfigError, Environment
from datastream.errors import Unavailable
from datastream.parsing import FORMATS
from datastream_operator.demo import live, report
from datastream_operator.demo.progress import Stalled, publish_once
from datastream_operator.demo.running import running
from datastream_operator.demo.services import ServiceFailed
from datastream_operator.demo.subject import FOLDER, NoLog, Subject, choose
from datastream_operator.demo.verify import verify
from datastream_operator.local.errors import CannotServe, DidNotStart, FolderInUse

EX_NOINPUT, EX_UNAVAILABLE, EX_CONFIG, INTERRUPTED = 66, 69, 78, 130


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of both commands."""
    parser.add_argument("--log", type=Path, metavar="FILE", help="a log of your own, plain or gzip")
    parser.add_argument(
        "--format",
        choices=tuple(FORMATS),
        help="the format of its lines; by default FORMAT, else the one that its first lines fit",
    )
    parser.add_argument(
        "--lines",
        type=_positive,
        default=100_000,
        metavar="N",
        help="without --log: the lines of the sample (default: 100000)",
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=FOLDER,
        help="where the servers keep their data (default: .run/demo in the checkout)",
    )


def demo(arguments: argparse.Namespace) -> int:
    """Put a log through the pipeline once and report; 0 only if every count is exact."""
    return _guarded(arguments, _demo)


def follow(arguments: argparse.Namespace) -> int:
    """Do the same, and follow the log with a live view until Ctrl-C."""
    return _guarded(arguments, _follow)


def _demo(subject: Subject, folder: Path, console: Console) -> int:
    with running(subject, folder, console) as pipeline:
        run = publish_once(pipeline, console)
        findings = verify(pipeline, run)
    report.show(console, subject, run, findings)
    return 0 if findings.is_exact else 1


def _follow(subject: Subject, folder: Path, console: Console) -> int:
    with running(subject, folder, console) as pipeline:
        live.follow(pipeline, console)
    return 0


def _guarded(
    arguments: argparse.Namespace, command: Callable[[Subject, Path, Console], int]
) -> int:
    console = Console(highlight=False)
    try:
        with _interruptible():
            subject = choose(arguments, Environment.load(), console, waits=command is _follow)
            return command(subject, arguments.folder.absolute(), console)
    except KeyboardInterrupt:
        console.print("\nInterrupted. Everything that was started is stopped.")
        return INTERRUPTED
    except NoLog as error:
        return _failed(error, EX_NOINPUT)
    except ConfigError as error:
        return _failed(error, EX_CONFIG)
    except (CannotServe, DidNotStart, FolderInUse, Unavailable) as error:
        return _failed(error, EX_UNAVAILABLE)
    except (ServiceFailed, Stalled) as error:
        return _failed(error, 1)


def _failed(error: Exception, code: int) -> int:
    sys.stderr.write(f"{error}\n")
    return code


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


@contextmanager
def _interruptible() -> Iterator[None]:
    """Turn the first of Ctrl-C, SIGTERM and SIGHUP into KeyboardInterrupt, and ignore the rest.

    What is running then is stopped in order; a second Ctrl-C must not leave half of it behind.
    """
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
