"""The log of a demo: its path, its format and its source's name."""

from __future__ import annotations

import os
import re
import shlex
import socket
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from rich.console import Console

from datastream import parsing
from datastream.config import ConfigError, Environment
from datastream.how_many import how_many
from datastream.parsing.looks import prefix_missed, shortened
from datastream.paths import log_path
from datastream_operator.lines import Missing, numbered_lines
from datastream_operator.text import printable
from datastream_operator.verify.command import files_of
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
    """A log or a pattern of logs, the format of its lines, and the name of its source."""

    #: A path or a pattern, absolute.
    log: Path
    format: str
    source: str
    #: Whether the truth about its lines is in a file beside it.
    is_sample: bool

    def files(self) -> list[Path]:
        """Return the files that it stands for now, the oldest of each log first.

        Raises Missing when a pattern stands for none.
        """
        return files_of([str(self.log)])


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
            f"Wrote a sample log: {how_many(summary.lines, 'line')}, {summary.bytes / 1e6:.1f} MB, "
            f"{summary.junk:,} of the lines junk"
        )
    return Subject(log, kind, source, is_sample=True)


def own_log(
    path: Path, source: str, log_format: str | None, console: Console, *, may_be_missing: bool
) -> Subject:
    """Return the user's own log, in the given format or the one that its first lines fit.

    A path that names no file may be a pattern of several. Raises Unreadable, and ConfigError when
    it is not sure which format they fit.
    """
    # The path is part of the lines' identity, and a link may be switched.
    log = Path(os.path.abspath(path.expanduser()))  # noqa: PTH100 - resolve() would follow links
    try:
        by_log = _first_lines(files_of([str(log)]))
    except Missing:
        if not may_be_missing:
            raise
        console.print(f"{printable(str(log))} does not exist yet: it is waited for")
        by_log = {}
    first_lines = list(chain.from_iterable(by_log.values()))
    if log_format is None:
        _refuse_several_formats(by_log)
        log_format = _fitting(first_lines, str(path), console, may_grow=may_be_missing)
    elif missed := prefix_missed(first_lines, log_format):
        console.print(
            f"FORMAT is {shortened(log_format)}, the lines look like {missed.words}: as it is, the "
            "client is put into another column.",
            style="yellow",
        )
    return Subject(log, log_format, source, is_sample=False)


def _first_lines(files: list[Path]) -> dict[str, list[bytes]]:
    """Return the first lines of each log's files, as many of each file. Raises Unreadable."""
    of_each = max(1, LOOKED_AT // len(files))
    found: dict[str, list[bytes]] = {}
    for file in files:
        lines = (line for _, line in islice(numbered_lines(file, LONGEST), of_each))
        found.setdefault(log_path(str(file)), []).extend(lines)
    return found


def _refuse_several_formats(by_log: dict[str, list[bytes]]) -> None:
    """Raise ConfigError where two logs are surely in different formats."""
    sure: dict[str, str] = {}
    for log, lines in by_log.items() if len(by_log) > 1 else ():
        found = parsing.detect(lines)
        if len(lines) >= parsing.FEWEST_LINES and found.is_sure:
            sure.setdefault(found.name, log)
    if len(sure) > 1:
        each = ", ".join(f"{printable(log)} is in {name}" for name, log in sure.items())
        raise ConfigError(
            f"here all logs are read in one format, and {each}. Name logs of one format: "
            f"LOG={shlex.quote(next(iter(sure.values())))}. A producer reads each in its own: see "
            "logs.example.toml"
        )


def _fitting(lines: list[bytes], log: str, console: Console, *, may_grow: bool) -> str:
    """Return the format that the lines fit surely, and say how well; AUTO when there is no line.

    Also when there are too few and may be more. Raises ConfigError.
    """
    found = parsing.detect(lines)
    is_short = may_grow and len(lines) < parsing.FEWEST_LINES and not found.is_plain
    if not lines or is_short:
        console.print("There are too few lines yet: the first ones tell the format")
        return parsing.AUTO
    if not found.is_sure:
        raise ConfigError(f"The format of its lines is not clear: {parsing.unsure(found, log)}")
    console.print(printable(f"Format: {found}"))
    if rest := parsing.about_rest(found.name, lines):
        console.print(printable(f"Note: {rest}"), style="yellow")
    return found.name
