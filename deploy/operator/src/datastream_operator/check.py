"""The command `datastream check`: what a log would become, without any server."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from itertools import chain, islice
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from datastream.arguments import add_config
from datastream.config import ConfigError, Environment
from datastream.format_setting import format_of, read_format
from datastream.how_many import how_many
from datastream.log_settings import LogSettings, read_logs, read_patterns
from datastream.parsing import (
    AUTO,
    SAMPLE_LINES,
    Detected,
    Entry,
    ErrorEvent,
    Event,
    Unparseable,
    about_rest,
    compiled,
    detect,
    entries,
    has_entries,
    marked,
    unsure,
)
from datastream.paths import expand
from datastream_operator.lines import (
    STANDARD_INPUT,
    Unreadable,
    numbered,
    opened,
    standard_input,
)
from datastream_operator.refused import EX_USAGE, Refused
from datastream_operator.text import printable

EX_REJECTS, EX_NOINPUT, EX_CONFIG = 1, 66, 78

#: The name of standard input among the arguments.
PIPED = Path("-")

DESCRIPTION = """\
Read a log by a format, without any server, and say how many lines fit, which fields go to which
columns, what the first line that fits becomes, and where the first lines that do not stop fitting.
"""
#: How lines that were stored by a wrong format are mended; check has no tables to find a stream in.
REPLAY = (
    "What is stored of such lines is read anew, once FORMAT fits them, by: "
    "datastream replay --rejected --stream STREAM --format FORMAT (STREAM: see datastream streams)"
)
EXIT_CODES = """\
exit codes: 0 every line fits; 1 some do not; 64 no LOG is named; 66 a log cannot be read; 78 the
format is invalid, or auto is not sure of it
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `datastream check`."""
    parser.description = DESCRIPTION
    parser.epilog = EXIT_CODES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.set_defaults(run=run)
    parser.add_argument(
        "log",
        type=Path,
        nargs="?",
        metavar="LOG",
        help="the log, plain or packed; - for what is piped in (default: every log of the settings,"
        " each as they say, one line each)",
    )
    parser.add_argument(
        "--format",
        metavar="FORMAT",
        help="a name, a log_format directive or the text of one, or nginx.conf:NAME, each with the "
        "name of a prefix in front or not; or auto (default: FORMAT of the environment or .env, "
        "else auto)",
    )
    parser.add_argument("--json", action="store_true", help="say it as JSON")
    add_config(parser)


def run(arguments: argparse.Namespace) -> int:
    """Check a log and report; return the exit code. Raises ConfigError."""
    if arguments.log is None:
        return _run_for_all(arguments)
    if arguments.format:
        form = format_of(arguments.format, "--format")
    else:
        form = _format_in(Environment.load(config=arguments.config), arguments.log)
    try:
        checked, detected = _checked(arguments.log, form)
    except Unreadable as error:
        sys.stderr.write(f"datastream: {error}\n")
        return EX_NOINPUT
    if arguments.json:
        found = as_object(arguments.log, checked, detected)
        sys.stdout.write(f"{json.dumps(found, indent=2)}\n")
    else:
        show(str(arguments.log), checked, detected)
    return _code(checked, detected)


def _format_in(env: Environment, log: Path) -> str:
    """Return the format that the settings have for a log, or AUTO. Raises ConfigError."""
    path = os.path.abspath(log)  # noqa: PTH100 - as the files are named
    for one in read_logs(env) if env.logs else ():
        if path in expand(one.pattern):
            return one.format
    return read_format(env)


def _checked(log: Path, form: str) -> tuple[Checked, Detected | None]:
    """Return what a log is by a format, and what was detected. Raises ConfigError, Unreadable."""
    detected = None
    with standard_input() if log == PIPED else opened(log) as file:
        lines = numbered(file)
        if form == AUTO:
            first = list(islice(lines, SAMPLE_LINES))
            detected = detect([line for _, line in first])
            if detected.refusal:
                raise ConfigError(f"{log}: {detected.refusal}")
            form, lines = detected.name, chain(first, lines)
        return check(lines, form), detected


def _code(checked: Checked, detected: Detected | None) -> int:
    if detected is not None and detected.lines and not detected.is_sure:
        return EX_CONFIG
    return EX_REJECTS if checked.rejected else 0


# --- every log of the settings

#: Characters that are shown of a format in a line with the result.
SHORT = 60


@dataclass(frozen=True, slots=True)
class Tried:
    """A log of the settings, and what it is by its format, or why that cannot be said."""

    log: str
    checked: Checked | None
    detected: Detected | None
    trouble: str
    code: int

    @property
    def words(self) -> str:
        """The result in one line."""
        if self.checked is None:
            return f"{self.log}: {self.trouble}"
        lines, form = self.checked.lines, self.checked.format
        if not lines:
            return f"{self.log}: there is no line"
        form = form if len(form) <= SHORT else f"{form[: SHORT - 1]}…"
        guess = ", which is a guess" if self.code == EX_CONFIG else ""
        fit = f"{lines - self.checked.rejected:,} of {how_many(lines, 'line')}"
        return f"{self.log}: {fit} fit {form}{guess}"


def _run_for_all(arguments: argparse.Namespace) -> int:
    """Check every log of the settings and report. Raises ConfigError, Refused."""
    if arguments.format is not None:
        raise Refused("--format is of one LOG: say which", EX_USAGE)
    env = Environment.load(config=arguments.config)
    if read_patterns(env) is None:
        raise Refused("say which LOG, or name logs in LOG_PATH or --config FILE", EX_USAGE)
    tried = [_tried(log, form) for log, form in _files(read_logs(env))]
    if arguments.json:
        sys.stdout.write(f"{json.dumps([_all_as_json(one) for one in tried], indent=2)}\n")
    else:
        sys.stdout.writelines(f"{printable(one.words)}\n" for one in tried)
        for one in tried:
            if one.checked is not None and one.code:
                sys.stdout.write("\n")
                show(one.log, one.checked, one.detected)
    return next((c for c in (EX_NOINPUT, EX_CONFIG, EX_REJECTS) if c in {t.code for t in tried}), 0)


def _files(logs: Iterable[LogSettings]) -> Iterator[tuple[str, str]]:
    """Yield each file that the settings name, with its format.

    Raises ConfigError where two tables name the same.
    """
    found: dict[str, LogSettings] = {}
    for log in logs:
        for path in expand(log.pattern) or [log.pattern]:
            first = found.setdefault(path, log)
            if first.place != log.place:
                second = log.place.rpartition(": ")[2]
                raise ConfigError(
                    f"{first.place} ({first.pattern}) and {second} ({log.pattern}) match {path}:"
                    " let one of them match it"
                )
    return ((path, log.format) for path, log in found.items())


def _tried(log: str, form: str) -> Tried:
    try:
        checked, detected = _checked(Path(log), form)
    except Unreadable as error:
        return Tried(log, None, None, str(error).removeprefix(f"{log} "), EX_NOINPUT)
    except ConfigError as error:
        return Tried(log, None, None, str(error).removeprefix(f"{log}: "), EX_CONFIG)
    return Tried(log, checked, detected, "", _code(checked, detected))


def _all_as_json(tried: Tried) -> dict[str, object]:
    if tried.checked is None:
        return {"log": tried.log, "trouble": tried.trouble}
    return as_object(Path(tried.log), tried.checked, tried.detected)


# --- reading

#: How many lines that do not fit are shown.
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
    #: How far it fits, in characters, and what should follow there.
    place: int
    expected: str


@dataclass(frozen=True, slots=True)
class Sample:
    """A line that fits, and what it becomes."""

    #: From 1.
    number: int
    text: str
    event: Event | ErrorEvent

    @property
    def columns(self) -> dict[str, object]:
        """The columns that are not NULL, by name, the client as the text of its address."""
        columns = {name: value for name, value in self.event._asdict().items() if value is not None}
        if self.event.client is not None:
            columns["client"] = str(ip_address(self.event.client))
        return columns


@dataclass(slots=True)
class Checked:
    """The result of reading a log."""

    format: str
    lines: int = 0
    parsed: int = 0
    #: Lines of an error log that go on with an entry.
    continued: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    first_rejected: list[Rejected] = field(default_factory=list)
    #: The first line that fits; None when none does.
    sample: Sample | None = None
    #: How long the parsing took.
    seconds: float = 0.0

    @property
    def rejected(self) -> int:
        """How many lines do not fit."""
        return self.lines - self.parsed - self.continued

    @property
    def lines_per_second(self) -> int:
        """How many lines were parsed in a second, reading the log included."""
        return round(self.lines / self.seconds) if self.seconds else 0


def check(lines: Iterable[tuple[int, bytes]], form: str) -> Checked:
    """Parse and count lines, each given with its byte offset."""
    compiled_form = compiled(form)
    parse = compiled_form.parse
    checked = Checked(form)
    began = time.perf_counter()
    for offset, line, continued in _entries(lines, form):
        number = checked.lines + 1
        checked.lines += 1 + len(continued)
        try:
            event = parse(line)
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
            if checked.sample is None:
                text = line.decode("utf-8", "backslashreplace")
                checked.sample = Sample(number, text, event)
        checked.continued += len(continued)
    checked.seconds = time.perf_counter() - began
    return checked


def _entries(lines: Iterable[tuple[int, bytes]], form: str) -> Iterator[Entry]:
    """Yield the entries of an error log, or each line by itself."""
    if has_entries(form):
        return entries(lines)
    return (Entry(offset, line, ()) for offset, line in lines)


# --- telling


def as_object(log: Path, checked: Checked, detected: Detected | None) -> dict[str, object]:
    """Return everything that was found, for JSON."""
    return {
        "log": str(log),
        "format": checked.format,
        "detected": None
        if detected is None
        else detected._asdict() | {"is_sure": detected.is_sure, "sureness": detected.sureness},
        "lines": checked.lines,
        "parsed": checked.parsed,
        **({"continued": checked.continued} if checked.continued else {}),
        "rejected": checked.rejected,
        "reasons": dict(checked.reasons.most_common()),
        "seconds": round(checked.seconds, 3),
        "lines_per_second": checked.lines_per_second,
        "doubts": compiled(checked.format).doubts,
        "remarks": compiled(checked.format).remarks,
        "fields": [
            destination._asdict() for destination in compiled(checked.format).destinations()
        ],
        "sample": None
        if checked.sample is None
        else {
            "line": checked.sample.number,
            "text": checked.sample.text,
            "columns": checked.sample.columns,
        },
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


def show(log: str, checked: Checked, detected: Detected | None) -> None:
    """Print the result as tables."""
    console = Console(file=sys.stdout, markup=False, highlight=False, emoji=False)
    console.soft_wrap = True
    if detected is not None and not (detected.fit or detected.half_way):
        # Tables of a format that no line fits would hide the answer.
        console.print(printable(unsure(detected, log)))
        return
    name = STANDARD_INPUT if log == str(PIPED) else log
    console.print(f"{printable(name)} as {printable(checked.format)}")
    if detected is not None and detected.is_sure:
        console.print(printable(f"which is {detected.sureness}: {detected}"))
    elif detected is not None:
        console.print(printable(f"Do not rely on it: {unsure(detected, log)}"))
    _show_checked(console, checked)


def _show_checked(console: Console, checked: Checked) -> None:
    for doubt in compiled(checked.format).doubts:
        console.print(f"In this format {printable(doubt)}.")
    for remark in compiled(checked.format).remarks:
        console.print(f"Note: {printable(remark)}.")
    console.print(_counts(checked))
    console.print(_fields(checked.format))
    if checked.sample is not None:
        console.print(f"Line {checked.sample.number:,}, the first that fits, becomes:")
        console.print(printable(checked.sample.text))
        console.print(_columns(checked.sample))
        if rest := about_rest(checked.format, [checked.sample.text.encode()]):
            console.print(printable(f"Note: {rest}"))
    else:
        console.print("No line fits.")
    if checked.first_rejected:
        console.print(f"The first {len(checked.first_rejected)} that do not fit:")
    for rejected in checked.first_rejected:
        console.print(
            f"line {rejected.number:,}, byte {rejected.offset:,}: {rejected.reason}; "
            f"expected is {rejected.expected}"
        )
        console.print(marked(rejected.text, rejected.place))
    if checked.first_rejected:
        console.print(REPLAY)


def _counts(checked: Checked) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column()
    fit = checked.parsed + checked.continued
    share = f"{_share(fit, checked.lines)} of the lines" if checked.lines else ""
    if checked.continued:
        share += f", with {checked.continued:,} that go on with another"
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in checked.reasons.most_common())
    table.add_row("lines", f"{checked.lines:,}", "")
    table.add_row("parsed", f"{checked.parsed:,}", share)
    table.add_row("rejected", f"{checked.rejected:,}", reasons)
    table.add_row("lines/s", f"{checked.lines_per_second:,}", "")
    return table


def _share(part: int, whole: int) -> str:
    """Return a percentage, which is 100 % only when the part is the whole."""
    hundredths = part * 10_000 // whole
    return f"{hundredths / 100:.2f} %"


def _fields(form: str) -> Table:
    table = Table("in the line", "is", "goes to", box=box.SIMPLE_HEAD)
    for destination in compiled(form).destinations():
        columns = ", ".join(destination.columns)
        table.add_row(destination.variable, destination.kind, columns)
    return table


def _columns(sample: Sample) -> Table:
    table = Table("column", "holds", box=box.SIMPLE_HEAD)
    for column, value in sample.columns.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        table.add_row(column, Text(printable(text)))
    return table
