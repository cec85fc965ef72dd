"""What the demo is about: which log, in which format, under which name."""

from __future__ import annotations

import argparse
import os
import re
import socket
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from rich.console import Console

from datastream import parsing
from datastream.config import Environment
from datastream_operator import sample
from datastream_operator.demo.verify import opened

#: The checkout this command was installed from, and what the demo keeps there, ignored by git.
CHECKOUT = Path(__file__).resolve().parents[5]
FOLDER = CHECKOUT / ".run" / "demo"

SAMPLE_SEED = 1
#: Lines looked at to find out the format.
LOOKED_AT = 1_000
LONGEST = 64 * 1024


class NoLog(Exception):
    """The log cannot be read; the message says why."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A log, the format of its lines, and the name it is known by."""

    log: Path
    format: str
    source: str
    #: Whether the truth about its lines is beside it.
    is_sample: bool


def choose(
    arguments: argparse.Namespace, env: Environment, console: Console, *, waits: bool
) -> Subject:
    """Return what the arguments and the settings say, or make a sample.

    With `waits` a log that is not there yet is no error. Raises NoLog and ConfigError.
    """
    source = _source(env, console)
    if arguments.log is None:
        wanted = arguments.format or env.choice("FORMAT", "combined", sample.FORMATS)
        kind = next(name for name in sample.FORMATS if name == wanted)
        return Subject(_sample(arguments, kind, console), kind, source, is_sample=True)
    # Not resolved: the path is part of the lines' identity, and a link may be switched.
    log = Path(os.path.abspath(arguments.log))  # noqa: PTH100
    lines = _first_lines(log, waits=waits)
    chosen = arguments.format
    if chosen is None and env.find("FORMAT") is not None:
        chosen = env.choice("FORMAT", "combined", tuple(parsing.FORMATS))
    if chosen is None:
        chosen = _fitting(lines, console)
    return Subject(log, chosen, source, is_sample=False)


def _source(env: Environment, console: Console) -> str:
    """Return SOURCE; the first time, make one up and write it down for ever."""
    written = env.find("SOURCE")
    if written is not None:
        return written
    made = re.sub(r"[^A-Za-z0-9.-]+", "-", socket.gethostname()).strip("-.")[:64] or "web"
    dotenv = Path(".env")
    before = dotenv.read_text(encoding="utf-8") if dotenv.exists() else ""
    text = (
        f"# The name the log is known by, for ever: part of every line's identity.\nSOURCE={made}\n"
    )
    separator = "" if not before or before.endswith("\n") else "\n"
    dotenv.touch(mode=0o600)  # passwords may follow
    with dotenv.open("a", encoding="utf-8") as file:
        file.write(separator + text)
    console.print(f"Wrote SOURCE={made} to .env: the name this machine's logs are known by")
    return made


def _sample(arguments: argparse.Namespace, chosen: sample.Format, console: Console) -> Path:
    folder: Path = arguments.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    log = folder / f"sample-{chosen}-{arguments.lines}-{SAMPLE_SEED}.log"
    if not log.exists():
        summary = sample.write(log, arguments.lines, chosen, SAMPLE_SEED)
        console.print(
            f"Wrote a sample log: {summary.lines:,} lines, {summary.bytes / 1e6:.1f} MB, "
            f"{summary.junk:,} of the lines junk"
        )
    return log


def _first_lines(log: Path, *, waits: bool) -> list[bytes]:
    try:
        with opened(log) as file:
            lines = iter(lambda: file.readline(LONGEST), b"")
            return [line.removesuffix(b"\n") for line in islice(lines, LOOKED_AT)]
    except (OSError, EOFError) as error:
        if waits and isinstance(error, FileNotFoundError):
            return []
        reason = getattr(error, "strerror", None) or str(error)
        raise NoLog(f"{log} cannot be read: {reason}") from error


def _fitting(lines: list[bytes], console: Console) -> str:
    """Return the format that the lines fit best, and say how well."""
    if not lines:
        return "combined"
    name, fit = parsing.best_format(lines)
    console.print(f"Format {name}: {fit:,} of the first {len(lines):,} lines fit")
    if fit < len(lines) / 2:
        console.print(
            f"[yellow]Most lines fit no format that is known ({', '.join(parsing.FORMATS)}): they "
            "will be kept in raw_log and rejected_log. FORMAT=… chooses another.[/]"
        )
    return name
