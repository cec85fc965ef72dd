"""The command `datastream verify`: its arguments, output and exit code."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Container, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from datastream.how_many import how_many
from datastream.log_settings import read_sources
from datastream.mysql import Session
from datastream.paths import expand, logs_rotated_to
from datastream.privacy import LineDisguise
from datastream.privacy_settings import PrivacySettings, is_before_lake
from datastream_operator.lines import Extent, Missing, Unreadable, measure, opened
from datastream_operator.place import Place, add_folder, place_of
from datastream_operator.progress import bar
from datastream_operator.text import printable, printable_bytes
from datastream_operator.verify.compare import Difference, differences
from datastream_operator.verify.fit import Misfit, misfit_of
from datastream_operator.verify.stored import Double, Stored, StreamRow, doubles, find_streams

EX_OK, EX_DIFFERENT, EX_NOINPUT, EX_TEMPFAIL = 0, 1, 66, 75

DESCRIPTION = """\
Compare logs with the tables: raw_log must hold each line once, byte for byte, in order, and
clean_log and rejected_log together one row for each. Of a log that is being written to, what it
held at the start is compared. Rotated files are streams of their own: 'access.log*' is a history.
It also reports a stream that belongs to none of the files and holds the same lines as one of them.
Where all is stored and more than one line in twenty was rejected, or something in front of the
lines put the client into another column, it says so, what the lines look like, and what parses them
again.

It reads SOURCE, with --config also the source of each log, and the account OPERATOR_MYSQL_* (or
MYSQL_*), which needs only SELECT. The path must be the one under which the producer read the log.
Where rotated files are in a folder of their own it needs ROTATED_DIR, and with PRIVACY_BEFORE=lake
the producer's PRIVACY_*: lines are compared as they may be kept.
"""

EXIT_CODES = """\
exit codes: 0 exact, whether the lines fit their format or not; 1 there are differences, of which
the first is shown, or lines are stored twice; 66 a log cannot be read or unpacked: the others are
compared; 75 try again: what is stored is exact, but lines at the end are not stored yet, or a file
was rotated meanwhile; 69 the database is away; 78 a setting is wrong
"""

#: Bytes shown of a line, and how many before the first that differs.
SHOWN, SHOWN_BEFORE = 160, 40
#: The suffixes of packed copies.
_SUFFIXES = (".gz", ".xz", ".bz2", ".zst")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `datastream verify`."""
    parser.description = DESCRIPTION
    parser.epilog = EXIT_CODES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.set_defaults(run=run)
    parser.add_argument(
        "logs", nargs="+", metavar="LOG", help="a log file, plain or packed, or a pattern"
    )
    add_folder(parser)


def run(arguments: argparse.Namespace) -> int:
    """Compare the logs with the tables; return the exit code.

    Raises ConfigError, Unavailable and Refused.
    """
    with place_of(arguments, "OPERATOR") as place:
        return _compare(arguments.logs, place)


def _compare(patterns: list[str], place: Place) -> int:
    env = place.env
    disguise = PrivacySettings.read(env).line_disguise if is_before_lake(env) else None
    logs = Logs(read_sources(env), env.text("ROTATED_DIR", ""), disguise)
    codes: set[int] = set()
    taken: set[StreamRow] = set()
    with closing(Session(place.mysql, "datastream verify")) as session:
        try:
            files = files_of(patterns, logs.rotated_dir)
        except Missing as error:
            files = []
            codes.add(_refuse(error))
        for log in files:
            try:
                codes.add(_verify(session, logs, log, taken))
            except Unreadable as error:
                codes.add(_refuse(error))
        for source in logs.sources:
            for double in doubles(session, source, taken):
                codes.add(EX_DIFFERENT)
                _tell_double(double)
    return next(code for code in (EX_DIFFERENT, EX_NOINPUT, EX_TEMPFAIL, EX_OK) if code in codes)


def _refuse(error: Unreadable) -> int:
    sys.stderr.write(f"datastream: {printable(str(error))}\n")
    return EX_NOINPUT


def _verify(session: Session, logs: Logs, log: Path, taken: set[StreamRow]) -> int:
    """Compare one file, print what was found, and return the exit code."""
    name = printable(str(log))
    look = Look.at(log)
    extent = look.extent
    stream = stream_of(session, logs, log, extent, taken)
    if stream is not None:
        taken.add(stream)
    elif extent.lines:
        _say(
            f"{name}: NOT exact: of {how_many(extent.lines, 'line')} none is stored; no stream"
            f" of SOURCE {' or '.join(logs.sources)} and this path begins like it, but for those of"
            " the files before"
        )
        _say("  if it was rotated before the producer's first start, `producer --once` reads it")
        return EX_DIFFERENT
    with bar(log.name, extent.end) as seen:
        stored = Stored(session, stream)
        found = _Found(differences(stored, log, extent, seen=seen, disguise=logs.disguise))
    if look.is_over():
        _say(f"{name}: rotated or truncated while it was compared: verify it again")
        return EX_TEMPFAIL
    misfit = None
    if found.is_exact and stream is not None:
        misfit = misfit_of(session, stream, extent.end)
    code = _tell(name, found, extent, misfit)
    if code != EX_OK and stream is not None:
        _say(f"  stream {stream.number:016x}, generation {stream.generation}")
    return code


def _tell(name: str, found: _Found, extent: Extent, misfit: Misfit | None) -> int:
    """Print what was found of one file, and return the exit code."""
    if found.first is not None:
        _say(f"{name}: NOT exact")
        _show(found.first)
        if found.others:
            _say(f"  {how_many(found.others, 'more difference')}")
    elif found.lag is not None:
        _say(f"{name}: exact so far, but not all is stored yet")
    elif misfit is not None:
        _say(f"{name}: exact, but {misfit}")
        _say(f"  to parse them again: {misfit.command}")
        return EX_OK
    else:
        _say(f"{name}: exact: {how_many(extent.lines, 'line')}, each stored once, byte for byte")
        return EX_OK
    if found.lag is not None:
        _show(found.lag)
    return EX_DIFFERENT if found.first else EX_TEMPFAIL


def _tell_double(double: Double) -> None:
    stream, other = double.stream, double.other
    _say(
        f"{stream.path}: doubled: stream {stream.number:016x}, generation {stream.generation}, "
        f"holds {how_many(double.lines, 'line')}, each of which stream {other.number:016x}, "
        f"generation {other.generation}, holds as well\n"
        "  they are counted twice; what to do is in docs/runbook.md, Lines stored twice"
    )


class _Found:
    """The first difference, the first lag, and how many more differences there are."""

    def __init__(self, found: Iterable[Difference]) -> None:
        self.first: Difference | None = None
        self.lag: Difference | None = None
        self.others = -1
        for difference in found:
            if difference.is_lag:
                self.lag = self.lag or difference
                continue
            self.others += 1
            # Missing lines are reported once the next one is found: others may come before.
            if self.first is None or difference.offset < self.first.offset:
                self.first = difference

    @property
    def is_exact(self) -> bool:
        return self.first is None and self.lag is None


def _show(difference: Difference) -> None:
    _say(f"  {difference}")
    in_file, stored = difference.in_file, difference.stored
    at = 0
    if in_file is not None and stored is not None:
        shared = zip(in_file, stored, strict=False)
        at = next((i for i, (a, b) in enumerate(shared) if a != b), min(len(in_file), len(stored)))
        _say(f"    they differ from byte {at:,} of the line on")
    for what, line in (("in the file", in_file), ("stored", stored)):
        if line is not None:
            _say(f"    {what + ':':<12} {_excerpt(line, at)}")


def _excerpt(line: bytes, at: int) -> str:
    begin = max(0, at - SHOWN_BEFORE)
    shown = printable_bytes(line[begin : begin + SHOWN])
    before, behind = "…" if begin else "", "…" if len(line) > begin + SHOWN else ""
    return f"{before}{shown}{behind}" or "(empty)"


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


# --- several files of one log are one history: each is a stream of its own


@dataclass(frozen=True, slots=True)
class Logs:
    """The producer's settings for its logs."""

    sources: Sequence[str]
    #: The folder of rotated files, relative to that of each log; empty: the same.
    rotated_dir: str
    #: What it did to lines flagged as disguised.
    disguise: LineDisguise | None


def files_of(patterns: Iterable[str], rotated_dir: str = "") -> list[Path]:
    """Return the files that paths and patterns stand for, the oldest of each log first.

    Leaves out the packed copy of a file that is there as well. With ROTATED_DIR, logs of one name
    are sorted together, whatever their folders. Raises Missing when there is none.
    """
    found: dict[str, None] = {}
    for pattern in patterns:
        files = expand(pattern)
        if not files:
            raise Missing(f"{printable(pattern)}: no file matches")
        found |= dict.fromkeys(files)
    copies = {path + suffix for path in found for suffix in _SUFFIXES}

    def order(log: Path) -> tuple[str, str, float]:
        folder = "" if rotated_dir else str(log.parent)
        return folder, min(logs_rotated_to(log.name), key=len), _modified_at(log)

    return sorted(map(Path, found.keys() - copies), key=order)


def stream_of(
    session: Session,
    logs: Logs,
    log: Path,
    extent: Extent,
    taken: Container[StreamRow],
) -> StreamRow | None:
    """Return the stream of a file: of those that begin alike, the one that agrees furthest.

    Streams in `taken` belong to other files. Raises Unreadable, Unavailable.
    """
    with session.transaction() as transaction:
        found = [
            stream
            for source in logs.sources
            for stream in find_streams(transaction, source, log, logs.rotated_dir)
        ]
    streams = [stream for stream in found if stream not in taken]
    if len(streams) < 2:
        return next(iter(streams), None)
    return _furthest(session, log, extent, streams, logs.disguise)


def _furthest(
    session: Session,
    log: Path,
    extent: Extent,
    streams: Sequence[StreamRow],
    disguise: LineDisguise | None,
) -> StreamRow:
    def agreement(stream: StreamRow) -> float:
        found = differences(Stored(session, stream), log, extent, patience=0, disguise=disguise)
        first = next(found, None)
        return float("inf") if first is None else first.offset

    return max(streams, key=agreement)  # of several the oldest: files come oldest first too


@dataclass(frozen=True, slots=True)
class Look:
    """A file as it was at the first look: which one, and what it held."""

    log: Path
    extent: Extent
    #: Bytes on disk.
    size: int
    device: int
    inode: int

    @classmethod
    def at(cls, log: Path) -> Look:
        """Look at a file now. Raises Unreadable."""
        with opened(log):
            status = log.stat()
        return cls(log, measure(log), status.st_size, status.st_dev, status.st_ino)

    def is_over(self) -> bool:
        """Return whether the path now has another file, or less of this one."""
        with suppress(OSError):
            status = self.log.stat()
            is_shorter = status.st_size < self.size
            return is_shorter or (status.st_dev, status.st_ino) != (self.device, self.inode)
        return True


def _modified_at(log: Path) -> float:
    with suppress(OSError):  # reading it reports what is wrong
        return log.stat().st_mtime
    return 0.0
