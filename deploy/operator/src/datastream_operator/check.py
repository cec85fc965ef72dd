"""The command `datastream check`: what a log would become, without any server."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from datastream.config import Environment
from datastream.format_setting import format_of, read_format
from datastream.parsing import AUTO, SAMPLE_LINES, Detected, Unparseable, compiled, detect, marked
from datastream_operator.lines import (
    STANDARD_INPUT,
    Unreadable,
    numbered,
    opened,
    standard_input,
)
from datastream_operator.text import printable

EX_REJECTS, EX_NOINPUT = 1, 66

#: As which standard input is given.
PIPED = Path("-")

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
    parser.set_defaults(run=run)
    parser.add_argument(
        "log", type=Path, metavar="LOG", help="the log, plain or packed; - for what is piped in"
    )
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
    is_piped = arguments.log == PIPED
    detected = None
    try:
        with standard_input() if is_piped else opened(arguments.log) as file:
            lines = numbered(file)
            if form == AUTO:
                first = list(islice(lines, SAMPLE_LINES))
                detected = detect([line for _, line in first])
                form, lines = detected.name, chain(first, lines)
            checked = check(lines, form)
    except Unreadable as error:
        sys.stderr.write(f"datastream: {error}\n")
        return EX_NOINPUT
    if arguments.json:
        sys.stdout.write(f"{as_json(arguments.log, checked, detected)}\n")
    else:
        show(STANDARD_INPUT if is_piped else str(arguments.log), checked, detected)
    return EX_REJECTS if checked.rejected else 0


# --- reading

#: Lines that do not fit and are shown.
SHOWN = 10


@dataclass(frozen=True, slots=True)
class Rejected:
    """A line that does not fit."""

    #: From 1.
    number: int
    #: Where it begins in the log, in bytes.
    offset: int
    reason: str
    text: str
    #: Up to where it fits, in characters, and what should follow there.
    place: int
    expected: str


@dataclass(slots=True)
class Checked:
    """What a log came to."""

    format: str
    lines: int = 0
    parsed: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    first_rejected: list[Rejected] = field(default_factory=list)
    #: How long the parsing took.
    seconds: float = 0.0

    @property
    def rejected(self) -> int:
        """How many lines do not fit."""
        return self.lines - self.parsed

    @property
    def lines_per_second(self) -> int:
        """How many lines were parsed in a second, reading the log included."""
        return round(self.lines / self.seconds) if self.seconds else 0


def check(lines: Iterable[tuple[int, bytes]], form: str) -> Checked:
    """Parse each line, which comes with its offset, and count."""
    compiled_form = compiled(form)
    parse = compiled_form.parse
    checked = Checked(form)
    began = time.perf_counter()
    for number, (offset, line) in enumerate(lines, 1):
        checked.lines = number
        try:
            parse(line)
        except Unparseable as error:
            checked.reasons[error.reason] += 1
            if len(checked.first_rejected) < SHOWN:
                found = compiled_form.misfit(line)
                text = line.decode("utf-8", "backslashreplace")
                checked.first_rejected.append(
                    Rejected(number, offset, error.reason, text, found.offset, found.expected)
                )
        else:
            checked.parsed += 1
    checked.seconds = time.perf_counter() - began
    return checked


# --- telling


def as_json(log: Path, checked: Checked, detected: Detected | None) -> str:
    """Return everything that was found as a JSON object."""
    found = {
        "log": str(log),
        "format": checked.format,
        "detected": None
        if detected is None
        else detected._asdict() | {"is_sure": detected.is_sure, "sureness": detected.sureness},
        "lines": checked.lines,
        "parsed": checked.parsed,
        "rejected": checked.rejected,
        "reasons": dict(checked.reasons.most_common()),
        "seconds": round(checked.seconds, 3),
        "lines_per_second": checked.lines_per_second,
        "fields": [
            destination._asdict() for destination in compiled(checked.format).destinations()
        ],
        "first_rejected": [
            {
                "line": rejected.number,
                "offset": rejected.offset,
                "reason": rejected.reason,
                "place": rejected.place,
                "expected": rejected.expected,
                "text": rejected.text,
            }
            for rejected in checked.first_rejected
        ],
    }
    return json.dumps(found, indent=2)


def show(log: str, checked: Checked, detected: Detected | None) -> None:
    """Print it as tables."""
    console = Console(file=sys.stdout, markup=False, highlight=False, emoji=False)
    console.soft_wrap = True
    console.print(f"{printable(log)} as {printable(checked.format)}")
    if detected is not None:
        console.print(f"which is {detected.sureness}: {detected}")
    console.print(_counts(checked))
    console.print(_fields(checked.format))
    if checked.first_rejected:
        console.print(f"The first {len(checked.first_rejected)} that do not fit:")
    for rejected in checked.first_rejected:
        console.print(
            f"line {rejected.number:,}, byte {rejected.offset:,}: {rejected.reason}; "
            f"expected is {rejected.expected}"
        )
        console.print(marked(rejected.text, rejected.place))


def _counts(checked: Checked) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column()
    share = f"{_share(checked.parsed, checked.lines)} of the lines" if checked.lines else ""
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in checked.reasons.most_common())
    table.add_row("lines", f"{checked.lines:,}", "")
    table.add_row("parsed", f"{checked.parsed:,}", share)
    table.add_row("rejected", f"{checked.rejected:,}", reasons)
    table.add_row("lines/s", f"{checked.lines_per_second:,}", "")
    return table


def _share(part: int, whole: int) -> str:
    """Return a percentage, which is 100 % only if it is all of them."""
    hundredths = part * 10_000 // whole
    return f"{hundredths / 100:.2f} %"


def _fields(form: str) -> Table:
    table = Table("in the line", "is", "goes to", box=box.SIMPLE_HEAD)
    for destination in compiled(form).destinations():
        columns = ", ".join(destination.columns)
        table.add_row(destination.variable, destination.kind, columns)
    return table
