"""The producer's settings."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from datastream.config import ConfigError, Environment, read_source
from datastream.format_setting import read_format
from datastream.log_settings import LogSettings, read_logs
from datastream.privacy import LineDisguise
from datastream.privacy_settings import PrivacySettings, is_before_lake
from datastream.slices import HEADER_LIMITS, MOST_BYTES, MOST_LINES

KIB = 1024
#: Variables whose values are query strings or addresses but do not look like them.
_UNSEEN = re.compile(r"\$\{?(?:args|query_string|arg_\w+|binary_remote_addr)\b", re.IGNORECASE)


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
    #: What holds for all of them; the checkpoint is its.
    source: Source
    state_dir: Path
    #: How each line is disguised before it is published; None: not at all.
    disguise: LineDisguise | None = None
    #: By pattern, where the file that DATASTREAM_CONFIG names has a table for each.
    own: Mapping[str, Source] = field(default_factory=dict)
    #: Whether FORMAT is set, be it to auto, which matters only to a checkpoint of before.
    has_format: bool = field(default=False, compare=False)

    @classmethod
    def read(cls, env: Environment, patterns: list[str], *, once: bool) -> ProducerSettings:
        """Return the settings; `patterns` and `once` override LOG_PATH and ONCE.

        Raises ConfigError.
        """
        logs = read_logs(env, patterns)
        for log in logs:
            limit = HEADER_LIMITS["path"]
            if len(os.path.abspath(log.pattern)) > limit:  # noqa: PTH100 - as the files are named
                raise ConfigError(
                    f"{log.place} has a path of more than {limit} characters, which no table can"
                    f" hold: {log.pattern[:60]}…"
                )
        once_set = env.flag("ONCE")
        disguise = _disguise(env, logs)
        source = Source(
            name=read_source(env),
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
        )
        own = {log.pattern: replace(source, name=log.source, format=log.format) for log in logs}
        return cls(
            patterns=[log.pattern for log in logs],
            source=source,
            state_dir=Path(env.text("STATE_DIR", "state")),
            disguise=disguise,
            own=own if env.logs else {},
            has_format=bool((env.find("FORMAT") or "").strip()),
        )


def _disguise(env: Environment, logs: Iterable[LogSettings]) -> LineDisguise | None:
    """Return how lines are disguised with PRIVACY_BEFORE=lake. Raises ConfigError."""
    if not is_before_lake(env):
        return None
    settings = PrivacySettings.read(env)
    if settings.line_disguise is None:
        raise ConfigError(
            "PRIVACY_BEFORE is lake, but PRIVACY_ADDRESSES is full and PRIVACY_QUERIES is keep"
        )
    for log in logs:
        refuse_unseen(log.format, f"{log.place}: format" if env.logs else "FORMAT")
    return settings.line_disguise


def refuse_unseen(line_format: str, asked_by: str = "FORMAT") -> None:
    """Raise ConfigError for a format of whose values some cannot be disguised in a line."""
    found = _UNSEEN.search(line_format)
    if found is not None:
        raise ConfigError(
            f"{asked_by} has {found[0]}, which PRIVACY_BEFORE=lake cannot find in a line: take it"
            " out of the log_format"
        )
