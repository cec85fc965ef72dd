"""The log of a demo: its path, its format and its source's name."""

from __future__ import annotations

import glob
import os
import re
import socket
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from rich.console import Console

from datastream import parsing
from datastream.config import Environment
from datastream_operator.lines import Missing, Unreadable, numbered_lines
from datastream_operator.text import printable
from datastream_playground import sample

#: The checkout this command was installed from, and what the demo keeps in it, ignored by git.
CHECKOUT = Path(__file__).resolve().parents[5]
FOLDER = CHECKOUT / ".run" / "demo"
DOTENV = CHECKOUT / ".env"

SAMPLE_SEED = 1
#: Lines read to detect the format, and bytes of each at most.
LOOKED_AT = 1_000
LONGEST = 64 * 1024


@dataclass(frozen=True, slots=True)
class Subject:
    """A log, the format of its lines, and the name of its source."""

    log: Path
    format: str
    source: str
    #: Whether the truth about its lines is in a file beside it.
    is_sample: bool


def source_name(env: Environment, console: Console, dotenv: Path = DOTENV) -> str:
    """Return SOURCE; the first time, choose a name and append it to `dotenv`.

    Raises ConfigError, and OSError when the name cannot be written.
    """
    written = env.find("SOURCE")
    if written is not None:
        return written
    made = re.sub(r"[^A-Za-z0-9.-]+", "-", socket.gethostname()).strip("-.")[:64] or "web"
    before = dotenv.read_text(encoding="utf-8") if dotenv.exists() else ""
    separator = "" if not before or before.endswith("\n") else "\n"
    dotenv.touch(mode=0o600)  # passwords may follow
    with dotenv.open("a", encoding="utf-8") as file:
        file.write(
            f"{separator}# The permanent name of the log: part of every line's identity.\n"
            f"SOURCE={made}\n"
        )
    console.print(f"Wrote SOURCE={made} to .env: the name this machine's logs are known by")
    return made


def sample_log(folder: Path, source: str, lines: int, log_format: str, console: Console) -> Subject:
    """Return a sample of that many lines in `folder`; an existing one is used again."""
    kind = next(name for name in sample.FORMATS if name == log_format)
    log = folder / f"sample-{kind}-{lines}-{SAMPLE_SEED}.log"
    if not (log.exists() and sample.truth_path(log).exists()):
        summary = sample.write(log, lines, kind, SAMPLE_SEED)
        console.print(
            f"Wrote a sample log: {summary.lines:,} lines, {summary.bytes / 1e6:.1f} MB, "
            f"{summary.junk:,} of the lines junk"
        )
    return Subject(log, kind, source, is_sample=True)


def own_log(
    path: Path, source: str, log_format: str | None, console: Console, *, may_be_missing: bool
) -> Subject:
    """Return the user's own log, in the given format or the one that its first lines fit.

    Raises Unreadable.
    """
    # The path is part of the lines' identity, and a link may be switched.
    log = Path(os.path.abspath(path.expanduser()))  # noqa: PTH100 - resolve() would follow links
    try:
        head = numbered_lines(log, LONGEST)
        first_lines = [line for _, line in islice(head, LOOKED_AT)]
    except Missing:
        if glob.has_magic(path.name):
            raise Unreadable(f"{path} names no file: one file is taken here, no pattern") from None
        if not may_be_missing:
            raise
        console.print(f"{printable(str(log))} does not exist yet: it is waited for")
        first_lines = []
    return Subject(log, log_format or _fitting(first_lines, console), source, is_sample=False)


def _fitting(lines: list[bytes], console: Console) -> str:
    """Return the format that the lines fit best, and say how well."""
    if not lines:
        console.print("Format combined, as there is no line yet; FORMAT=NAME chooses another")
        return "combined"
    found = parsing.detect(lines)
    console.print(f"Format: {found}")
    if not found.is_sure:
        console.print(
            f"That is not sure: the formats known by name are {', '.join(parsing.NAMES)}. Lines "
            "that do not fit are kept all the same, in raw_log, and in rejected_log with a reason. "
            "FORMAT= takes another one, or the log_format directive of your nginx.conf.",
            style="yellow",
        )
    return found.name
