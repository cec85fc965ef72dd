"""The setting FORMAT: what it may be, and the format that it means."""

from __future__ import annotations

import re
from pathlib import Path

from datastream.config import ConfigError, Environment
from datastream.format_file import format_in, names_in
from datastream.parsing import AUTO, FormatError, canonical, split_prefixes
from datastream.slices import HEADER_LIMITS

#: `/etc/nginx/nginx.conf:main`: a file, and the name of a log_format in it; trusted proxies may
#: follow.
_IN_FILE = re.compile(
    r"(?P<path>[^\s$;]*[/.][^\s$;]*):(?P<name>[^\n$;:/]+?)(?P<trusted>\s+set_real_ip_from\s[^$]*;)?"
)
_FILE = re.compile(r"[^\s$;:%]*(?:/[^\s$;:%]*|\.conf)")


def read_format(env: Environment) -> str:
    """Return the format of the lines as slices carry it; AUTO when none is named.

    Raises ConfigError.
    """
    return format_of(env.text("FORMAT", AUTO), "FORMAT")


def format_of(text: str, asked_by: str) -> str:
    """Return the format that a text names or is, as slices carry it, or AUTO, as of a blank text.

    Raises ConfigError, which names `asked_by` and marks the error in the text.
    """
    if text.strip() in ("", AUTO):
        return AUTO
    _refuse_more_than_auto(text, asked_by)
    try:
        prefixes, text = split_prefixes(text)
        _refuse_file(text.strip(), asked_by)
        if found := _IN_FILE.fullmatch(text.strip()):
            form = _in_file(Path(found["path"]), found["name"].strip(), asked_by)
            text = form + (found["trusted"] or "")
        form = canonical(" ".join([*prefixes, text]))
    except FormatError as error:
        raise ConfigError(f"{asked_by}: {error.marked}") from None
    limit = HEADER_LIMITS["format"]
    if len(form) > limit:
        raise ConfigError(f"{asked_by} has {len(form):,} characters; a format has up to {limit:,}")
    return form


def _refuse_more_than_auto(text: str, asked_by: str) -> None:
    """Raise ConfigError when other words stand beside auto."""
    words = text.split()
    if words[0] == AUTO and len(words) == 2:
        raise ConfigError(
            f"{asked_by}: after auto nothing may stand, as it takes times without a zone for UTC. "
            f"Name the format that `datastream check LOG` finds, and behind it the zone, as in "
            f"error {words[1]}"
        )
    if len(words) > 1 and words[-1] == AUTO:
        raise ConfigError(
            f"{asked_by}: in front of auto nothing may stand: it finds {' '.join(words[:-1])} as "
            "well. Write auto alone"
        )


def _refuse_file(text: str, asked_by: str) -> None:
    """Raise ConfigError when a text is the path of a file, without the name of a log_format."""
    text = text.removesuffix(":")
    if not _FILE.fullmatch(text):
        return
    try:
        names = names_in(Path(text).expanduser())
    except (OSError, FormatError) as error:
        raise ConfigError(f"{asked_by} names {text}, which cannot be read: {error}") from error
    if not names:
        raise ConfigError(
            f"{asked_by} names {text}, which has no log_format: nginx then writes combined"
        )
    raise ConfigError(
        f"{asked_by} names {text}, but not which log_format of it: {', '.join(names)}. Write "
        f"{text}:{names[0]}, say"
    )


def _in_file(path: Path, name: str, asked_by: str) -> str:
    try:
        return format_in(path.expanduser(), name)
    except OSError as error:
        raise ConfigError(f"{asked_by} names {path}, which cannot be read: {error}") from error
