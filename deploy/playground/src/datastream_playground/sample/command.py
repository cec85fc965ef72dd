"""The command `datastream sample`."""

from __future__ import annotations

import argparse
import math
import os
import sys
from pathlib import Path

from datastream.arguments import whole_number, with_exit_code
from datastream.how_many import how_many
from datastream.shutdown import stop_on_signals
from datastream_playground.sample.files import Summary, UnfinishedLine, truth_path, write
from datastream_playground.sample.lines import FORMATS

#: Lines a second: one in a quarter of an hour.
SLOWEST = 0.001

USAGE_ERROR = 2
INTERRUPTED = 130

DESCRIPTION = """\
Write a realistic access log, and beside it the truth about each of its lines.

The same seed gives the same bytes, and a longer log begins with the shorter one. Addresses and
domains are the ones kept for documentation.

It holds two kinds of junk. A junk request (a TLS handshake, a scanner's probe, nothing at all)
stands in a well-formed line: the line parses, with method and URL null and the text in "extra". A
junk line (torn, empty, of another format, with an impossible date) is about one in 200: a parser
must reject it. The truth, OUTPUT.truth.jsonl, says which: one JSON object a line, in order, with
"offset", "reject" (null, "empty", "format" or "time") and the fields of the event.
"""

EXIT_CODES = """\
exit codes: 0 done; 2 the command is wrong, or OUTPUT cannot be the sample's; 74 OUTPUT cannot be
written; 130 interrupted
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the arguments of `datastream sample`, and its description."""
    parser.description = DESCRIPTION
    parser.epilog = EXIT_CODES
    parser.set_defaults(run=run)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--lines",
        type=whole_number(1),
        default=100_000,
        metavar="N",
        help="how many lines (default: 100000)",
    )
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default="combined",
        help="the log's format (default: combined)",
    )
    parser.add_argument(
        "--rate",
        type=_rate,
        metavar="LINES_PER_SECOND",
        help="append to OUTPUT at this pace, until N lines or Ctrl-C (default: replace it at once)",
    )
    parser.add_argument(
        "--seed", type=int, default=1, metavar="S", help="which sample (default: 1)"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("sample.log"),
        metavar="PATH",
        help="the log (default: sample.log)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the sample that was asked for; return the exit code."""
    path: Path = arguments.output
    try:
        if not path.parent.is_dir():
            return _fail(f"there is no folder {path.parent}", USAGE_ERROR)
        if path.exists() and not path.is_file():
            return _fail(f"{path} is not a regular file", USAGE_ERROR)
        summary = _write(path, arguments)
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)
    except UnfinishedLine as error:
        return _fail(str(error), USAGE_ERROR)
    except OSError as error:
        return _fail(f"{path}: {error.strerror}", os.EX_IOERR)
    sys.stdout.write(_report(summary, path))
    return 0


def _write(path: Path, arguments: argparse.Namespace) -> Summary:
    lines, log_format, seed = arguments.lines, arguments.format, arguments.seed
    if arguments.rate is None:
        return write(path, lines, log_format, seed)
    # Stopped between two bursts, so that lines and truth both end whole.
    with stop_on_signals() as stop:
        return write(path, lines, log_format, seed, arguments.rate, stopping=stop.is_set)


def _report(summary: Summary, path: Path) -> str:
    return (
        f"Wrote {how_many(summary.lines, 'line')} ({_size(summary.bytes)}, "
        f"{summary.junk:,} of them junk) to {path}, the truth to {truth_path(path)}\n"
    )


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1_000_000 else f"{count / 1e3:.1f} kB"


def _fail(message: str, code: int) -> int:
    sys.stderr.write(with_exit_code(f"datastream sample: {message}", code, EXIT_CODES))
    return code


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0
    if not SLOWEST <= rate < math.inf:
        raise argparse.ArgumentTypeError(
            f"not a number of lines a second from {SLOWEST} on: {text}"
        )
    return rate
