"""What a check found, for people and for programs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from datastream.parsing import Detected, compiled, marked
from datastream_operator.check.checking import Checked
from datastream_operator.text import printable


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


def show(log: Path, checked: Checked, detected: Detected | None) -> None:
    """Print it as tables."""
    console = Console(file=sys.stdout, markup=False, highlight=False, emoji=False)
    console.soft_wrap = True
    console.print(f"{printable(str(log))} as {printable(checked.format)}")
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
