"""FORMAT=auto: the format of logs, found out from their first lines."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import islice
from threading import Event

from datastream.config import ConfigError
from datastream.parsing import FEWEST_LINES, MOST_LINES, detect
from datastream.paths import expand, log_path
from producer.files import LogFile
from producer.folders import rotated_files

logger = logging.getLogger(__name__)

#: How much of a file is looked at, in bytes.
_LOOKED_AT = 1024**2
#: Seconds between two looks at logs that have too few lines.
_LOOK_AGAIN = 1.0


def detected_format(patterns: Iterable[str], stop: Event, *, once: bool) -> str | None:
    """Return the format of the logs' first lines, waiting for them; None when asked to stop.

    With `once` nothing is waited for. Raises ConfigError when the lines do not tell.
    """
    patterns = list(patterns)
    is_waiting = False
    while not stop.is_set():
        lines = list(islice(_first_lines(patterns), MOST_LINES))
        if len(lines) >= FEWEST_LINES or (once and lines):
            found = detect(lines)
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
            logger.info("FORMAT=auto waits for lines to tell by", extra={"at_least": FEWEST_LINES})
            is_waiting = True
        stop.wait(_LOOK_AGAIN)
    return None


def _first_lines(patterns: Iterable[str]) -> Iterator[bytes]:
    """Yield the first whole lines of each log, of its live file and then of its rotated ones."""
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
        return []  # the tailer says so
    return head.split(b"\n")[:-1]
