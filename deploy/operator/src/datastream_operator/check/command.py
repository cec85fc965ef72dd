"""The command `datastream check`: what is asked for, and what is returned."""

from __future__ import annotations

import argparse
import sys
from itertools import islice
from pathlib import Path

from datastream.config import Environment
from datastream.format_setting import format_of, read_format
from datastream.parsing import AUTO, MOST_LINES, detect
from datastream_operator.check import report
from datastream_operator.check.checking import check
from datastream_operator.lines import Unreadable, numbered_lines

EX_REJECTS, EX_NOINPUT = 1, 66

DESCRIPTION = """\
Read a log by a format, without any server, and say how many lines fit, which fields go to which
columns, and where the first lines that do not fit stop fitting.
"""
EXIT_CODES = """\
exit codes: 0 every line fits; 1 some do not; 66 the log cannot be read; 78 the format is none
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `datastream check`."""
    parser.description = DESCRIPTION
    parser.epilog = EXIT_CODES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("log", type=Path, metavar="LOG", help="the log, plain or packed")
    parser.add_argument(
        "--format",
        metavar="FORMAT",
        help="a name, a log_format directive or the text of one, nginx.conf:NAME, or auto "
        "(default: FORMAT of the environment or .env, else auto)",
    )
    parser.add_argument("--json", action="store_true", help="say it as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Check a log and report; return the exit code. Raises ConfigError."""
    if arguments.format is not None:
        form = format_of(arguments.format, "--format")
    else:
        form = read_format(Environment.load(), default=AUTO)
    detected = None
    try:
        if form == AUTO:
            lines = [line for _, line in islice(numbered_lines(arguments.log), MOST_LINES)]
            detected = detect(lines)
            form = detected.name
        checked = check(numbered_lines(arguments.log), form)
    except Unreadable as error:
        sys.stderr.write(f"datastream: {error}\n")
        return EX_NOINPUT
    if arguments.json:
        sys.stdout.write(f"{report.as_json(arguments.log, checked, detected)}\n")
    else:
        report.show(arguments.log, checked, detected)
    return EX_REJECTS if checked.rejected else 0
