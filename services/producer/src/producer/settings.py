"""The producer's settings."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from datastream.config import ConfigError, Environment
from datastream.format_setting import read_format
from datastream.privacy import LineDisguise
from datastream.privacy_settings import PrivacySettings, is_before_lake
from datastream.slices import LIMITS, MOST_BYTES, MOST_LINES
from producer.log import Source
from producer.reader import Limits

KIB = 1024
#: Variables whose values are query strings or addresses and do not look it.
_UNSEEN = re.compile(r"\$\{?(?:args|query_string|arg_\w+|binary_remote_addr)\b", re.IGNORECASE)


@dataclass(frozen=True)
class ProducerSettings:
    """What to read, under which name, and where to remember how far."""

    patterns: list[str]
    source: Source
    state_dir: Path
    #: What is done to each line before it is published; None: it is published as it is.
    disguise: LineDisguise | None = None

    @classmethod
    def read(cls, env: Environment, patterns: list[str], *, once: bool) -> ProducerSettings:
        """Return the settings; paths and `once` of the command line go before LOG_PATH and ONCE.

        Raises ConfigError.
        """
        listed = env.text("LOG_PATH", "web-server-nginx.log").split(",")
        paths = patterns or [path.strip() for path in listed if path.strip()]
        if not paths:
            raise ConfigError("LOG_PATH names no log")
        for path in paths:
            if len(os.path.abspath(path)) > LIMITS["path"]:  # noqa: PTH100 - as the files are named
                raise ConfigError(
                    f"LOG_PATH has a path of more than {LIMITS['path']} characters, which no table "
                    f"can hold: {path[:60]}…"
                )
        once_set = env.flag("ONCE")
        source = env.text("SOURCE")
        if not source.isprintable() or "#" in source or len(source.encode()) > 100:
            # It stands in routing keys, of which the broker takes 255 bytes.
            raise ConfigError("SOURCE must be up to 100 bytes of printable text without #")
        disguise = _disguise(env)
        return cls(
            patterns=paths,
            source=Source(
                name=source,
                format=read_format(env),
                limits=Limits(
                    slice_lines=env.number("MAX_SLICE_LINES", 1000, 1, MOST_LINES),
                    # Half of what a single line may have: parsed, many lines take more memory.
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
    """Return what is done to each line with PRIVACY_BEFORE=lake. Raises ConfigError."""
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
