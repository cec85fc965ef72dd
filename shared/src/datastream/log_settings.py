"""Which logs there are to read, each with its format and source: LOG_PATH or DATASTREAM_CONFIG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from datastream.config import ConfigError, Environment, read_source
from datastream.format_setting import format_of, read_format

#: What is read where no log is named.
DEFAULT = "web-server-nginx.log"


@dataclass(frozen=True, slots=True)
class LogSettings:
    """How the logs that a path or a pattern stands for are read."""

    pattern: str
    #: As slices carry it, or AUTO.
    format: str
    #: The permanent name.
    source: str
    #: What a person calls the place where this is said; for messages.
    place: str


def read_patterns(env: Environment) -> list[str] | None:
    """Return the paths and patterns of logs that are named, or None. Raises ConfigError."""
    if env.logs:
        return [log.path for log in env.logs]
    listed = env.find("LOG_PATH")
    if listed is None:
        return None
    return [path.strip() for path in listed.split(",") if path.strip()]


def read_sources(env: Environment) -> list[str]:
    """Return SOURCE and every other source that a log has. Raises ConfigError."""
    return list(dict.fromkeys([read_source(env), *(log.source for log in env.logs if log.source)]))


def read_logs(env: Environment, paths: Sequence[str] = ()) -> list[LogSettings]:
    """Return what there is to read; `paths` go before LOG_PATH. Raises ConfigError."""
    source = _source(read_source(env), "SOURCE")
    if not env.logs:
        form = read_format(env)
        named = read_patterns(env)
        patterns = paths or ([DEFAULT] if named is None else named)
        if not patterns:
            raise ConfigError("LOG_PATH names no log")
        return [LogSettings(pattern, form, source, "LOG_PATH") for pattern in patterns]
    for is_set, words in ((paths, "the command"), (env.find("LOG_PATH"), "LOG_PATH")):
        if is_set:
            raise ConfigError(f"{words} names logs, and so does {env.config}: keep one of them")
    return list(_of_tables(env, source))


def _of_tables(env: Environment, source: str) -> Iterator[LogSettings]:
    form = read_format(env)
    for number, log in enumerate(env.logs, 1):
        place = f"{env.config}: log {number}"
        yield LogSettings(
            log.path,
            format_of(log.format, f"{place}: format") if log.format.strip() else form,
            _source(log.source, f"{place}: source") if log.source else source,
            place,
        )


def _source(text: str, asked_by: str) -> str:
    """Return the name of a source. Raises ConfigError if it cannot be one."""
    if not text.isprintable() or "#" in text or len(text.encode()) > 100:
        # It is part of routing keys, which AMQP limits to 255 bytes.
        raise ConfigError(f"{asked_by} must be up to 100 bytes of printable text without #")
    return text
