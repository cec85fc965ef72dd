"""The producer's settings, and how FORMAT=auto is resolved."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from threading import Event

from datastream import parsing
from datastream.config import ConfigError, Environment
from datastream.format_setting import read_format
from datastream.paths import expand, log_path
from datastream.privacy import LineDisguise
from datastream.privacy_settings import PrivacySettings, is_before_lake
from datastream.slices import HEADER_LIMITS, MOST_BYTES, MOST_LINES
from producer.files import LogFile
from producer.folders import rotated_files

logger = logging.getLogger(__name__)

KIB = 1024
#: Variables whose values are query strings or addresses but do not look like them.
_UNSEEN = re.compile(r"\$\{?(?:args|query_string|arg_\w+|binary_remote_addr)\b", re.IGNORECASE)
#: Bytes of a file in which FORMAT=auto looks for lines.
_LOOKED_AT = 1024**2
#: Seconds until it looks again at logs that have too few lines.
_LOOK_AGAIN = 1.0


@dataclass(frozen=True, slots=True)
class SliceLimits:
    """How large a slice may become while the producer is behind, and how long a line may be."""

    slice_lines: int
    slice_bytes: int
    line_bytes: int


@dataclass(frozen=True, slots=True)
class Source:
    """What is read: a permanent name, the format of the lines, and the limits."""

    name: str
    format: str
    limits: SliceLimits
    #: Read to the end and stop; a last line without its newline is sent as it is.
    once: bool = False
    #: Lines are disguised before they are published, so that a stream id must not be derived from
    #: an address in the first line.
    is_disguised: bool = False
    #: The folder that rotated files are moved to, relative to that of the log; empty: none.
    rotated_dir: str = ""


@dataclass(frozen=True)
class ProducerSettings:
    """What to read, under which name, and where to keep the checkpoint."""

    patterns: list[str]
    source: Source
    state_dir: Path
    #: How each line is disguised before it is published; None: not at all.
    disguise: LineDisguise | None = None

    @classmethod
    def read(cls, env: Environment, patterns: list[str], *, once: bool) -> ProducerSettings:
        """Return the settings; `patterns` and `once` override LOG_PATH and ONCE.

        Raises ConfigError.
        """
        listed = env.text("LOG_PATH", "web-server-nginx.log").split(",")
        paths = patterns or [path.strip() for path in listed if path.strip()]
        if not paths:
            raise ConfigError("LOG_PATH names no log")
        for path in paths:
            limit = HEADER_LIMITS["path"]
            if len(os.path.abspath(path)) > limit:  # noqa: PTH100 - as the files are named
                raise ConfigError(
                    f"LOG_PATH has a path of more than {limit} characters, which no table can hold:"
                    f" {path[:60]}…"
                )
        once_set = env.flag("ONCE")
        source = env.text("SOURCE")
        if not source.isprintable() or "#" in source or len(source.encode()) > 100:
            # It is part of routing keys, which AMQP limits to 255 bytes.
            raise ConfigError("SOURCE must be up to 100 bytes of printable text without #")
        disguise = _disguise(env)
        return cls(
            patterns=paths,
            source=Source(
                name=source,
                format=read_format(env),
                limits=SliceLimits(
                    slice_lines=env.number("MAX_SLICE_LINES", 1000, 1, MOST_LINES),
                    # Half the limit of a single line: many parsed lines take more memory than one.
                    slice_bytes=env.number("MAX_SLICE_BYTES", 256 * KIB, KIB, MOST_BYTES // 2),
                    line_bytes=env.number("MAX_LINE_BYTES", MOST_BYTES, 64, MOST_BYTES),
                ),
                once=once or once_set,
                is_disguised=disguise is not None,
                rotated_dir=env.text("ROTATED_DIR", ""),
            ),
            state_dir=Path(env.text("STATE_DIR", "state")),
            disguise=disguise,
        )


def _disguise(env: Environment) -> LineDisguise | None:
    """Return how lines are disguised with PRIVACY_BEFORE=lake. Raises ConfigError."""
    if not is_before_lake(env):
        return None
    settings = PrivacySettings.read(env)
    if settings.line_disguise is None:
        raise ConfigError(
            "PRIVACY_BEFORE is lake, but PRIVACY_ADDRESSES is full and PRIVACY_QUERIES is keep"
        )
    found = _UNSEEN.search(read_format(env))
    if found is not None:
        raise ConfigError(
            f"FORMAT has {found[0]}, which PRIVACY_BEFORE=lake cannot find in a line: take it out "
            "of the log_format"
        )
    return settings.line_disguise


def detected_format(patterns: Iterable[str], stop: Event, *, once: bool) -> str | None:
    """Return the format of the logs' first lines; None when stopped before there are enough.

    With `once` it does not wait for lines. Raises ConfigError when the lines fit no format surely.
    """
    patterns = list(patterns)
    is_waiting = False
    while not stop.is_set():
        lines = list(islice(_first_lines(patterns), parsing.SAMPLE_LINES))
        if len(lines) >= parsing.FEWEST_LINES or (once and lines):
            found = parsing.detect(lines)
            if not found.is_sure:
                raise ConfigError(
                    f"FORMAT=auto cannot tell the format. The best guess: {found}. Set FORMAT"
                )
            logger.info(
                "FORMAT=auto is %s, which is %s: %s", found.name, found.sureness, str(found)
            )
            return found.name
        if once:
            raise ConfigError("FORMAT=auto cannot tell the format: there is no line. Set FORMAT")
        if not is_waiting:
            logger.info(
                "FORMAT=auto waits for lines to tell by", extra={"at_least": parsing.FEWEST_LINES}
            )
            is_waiting = True
        stop.wait(_LOOK_AGAIN)
    return None


def _first_lines(patterns: Iterable[str]) -> Iterator[bytes]:
    """Yield the first whole lines of each log: of its live file, then of rotated ones."""
    for path in dict.fromkeys(path for pattern in patterns for path in expand(pattern)):
        yield from _lines_of(path)
        if log_path(path) == path:
            for rotated in reversed(rotated_files(path)):
                yield from _lines_of(rotated)


def _lines_of(path: str) -> list[bytes]:
    try:
        with closing(LogFile(path)) as file:
            head = file.read(0, _LOOKED_AT)
    except OSError:
        return []  # the tailer reports it
    return head.split(b"\n")[:-1]
