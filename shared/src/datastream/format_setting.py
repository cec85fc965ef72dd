"""The setting FORMAT: what it may be, and what it comes to."""

from __future__ import annotations

import re
from pathlib import Path

from datastream.config import ConfigError, Environment
from datastream.parsing import AUTO, FormatError, canonical, in_configuration
from datastream.slices import HEADER_LIMITS

#: `/etc/nginx/nginx.conf:main`: a file, and the name of a log_format in it.
_IN_FILE = re.compile(r"(?P<path>[^\s$;]*[/.][^\s$;]*):(?P<name>[^\s$;:/]+)")


def read_format(env: Environment, default: str = "combined") -> str:
    """Return the format of the lines as slices carry it, or AUTO. Raises ConfigError."""
    return format_of(env.text("FORMAT", default), "FORMAT")


def format_of(text: str, asked_by: str) -> str:
    """Return the format that a text names or is, as slices carry it, or AUTO.

    Raises ConfigError, which names `asked_by` and shows the place.
    """
    if text.strip() == AUTO:
        return AUTO
    try:
        if found := _IN_FILE.fullmatch(text.strip()):
            text = in_configuration(_content(Path(found["path"]), asked_by), found["name"])
        form = canonical(text)
    except FormatError as error:
        raise ConfigError(f"{asked_by}: {error.marked}") from None
    limit = HEADER_LIMITS["format"]
    if len(form) > limit:
        raise ConfigError(f"{asked_by} has {len(form):,} characters; a format has up to {limit:,}")
    return form


def _content(path: Path, asked_by: str) -> str:
    try:
        return path.expanduser().read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise ConfigError(f"{asked_by} names {path}, which cannot be read: {error}") from error
