"""FORMAT=auto: the format of the logs, by their first lines."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import chain, islice

from datastream import parsing
from datastream.config import ConfigError
from datastream.paths import expand, log_path
from producer.files import LogFile
from producer.folders import rotated_files

logger = logging.getLogger(__name__)

#: Bytes of a file in which lines are looked for.
_LOOKED_AT = 1024**2
#: The most lines of each log that are compared with those of others.
_COMPARED = 100
#: Seconds between two searches, while there are too few lines.
SEARCH_EVERY = 1.0
#: After a search that took long, as one of a thousand logs does, nothing is searched for so many
#: times its CPU time, nor for longer than this (seconds): a new log waits that long.
_REST = 20
_LONGEST_REST = 10.0


class Pace:
    """Keeps what is searched for again and again from taking much of the machine."""

    def __init__(self) -> None:
        self._due_at = float("-inf")

    @property
    def is_due(self) -> bool:
        """Whether the last search was long enough ago for what it took."""
        return time.monotonic() >= self._due_at

    @contextmanager
    def searching(self) -> Iterator[None]:
        """Note how long the block takes."""
        began = time.thread_time()
        yield
        rest = min(_REST * (time.thread_time() - began), _LONGEST_REST)
        if rest > SEARCH_EVERY:
            self._due_at = time.monotonic() + rest


class FormatSearch:
    """Finds the format of logs, as soon as there are lines to tell it by."""

    def __init__(self, patterns: Iterable[str], *, once: bool, may_quote: bool = True) -> None:
        """With `once` there will be no more lines than there are.

        `may_quote`: parts of lines may be logged.
        """
        self._patterns = list(patterns)
        self._once = once
        self._may_quote = may_quote
        self._searched_at = float("-inf")
        self._pace = Pace()
        self._is_told = False

    def __call__(self) -> str | None:
        """Return the format; None while there are too few lines, and until the next search is due.

        Raises ConfigError as detected_format() does.
        """
        if time.monotonic() - self._searched_at < SEARCH_EVERY or not self._pace.is_due:
            return None
        with self._pace.searching():
            found = detected_format(self._patterns, once=self._once, may_quote=self._may_quote)
        self._searched_at = time.monotonic()
        if found is None and not (self._once or self._is_told):
            self._is_told = True
            logger.info(
                "FORMAT=auto waits for lines to tell by",
                extra={"at_most": parsing.FEWEST_LINES},
            )
        return found


def detected_format(
    patterns: Iterable[str], *, once: bool = False, may_quote: bool = True, among: int = 1
) -> str | None:
    """Return the format of the logs' first lines; None while there are too few to tell by.

    With `once` a few do, since there will be no more. What is left of a line without a name is
    logged if `may_quote`. `among`: how many logs are told now, one by one: of many, fewer lines of
    each are looked at. Raises ConfigError when they fit no format surely, and when two logs are in
    different ones.
    """
    logs = _first_lines(patterns, once=once, among=among)
    lines = list(chain.from_iterable(logs.values()))
    if not lines:
        return None
    _compare(logs)
    found = parsing.detect(lines)
    if len(lines) < parsing.FEWEST_LINES and not once and not found.is_plain:
        return None
    name = next(iter(logs)) if len(logs) == 1 else "the logs"
    if not found.is_sure:
        raise ConfigError(f"FORMAT=auto cannot tell the format: {parsing.unsure(found, name)}")
    if may_quote and (rest := parsing.about_rest(found.name, lines)):
        logger.warning("FORMAT: %s", rest)
    logger.info(
        "FORMAT=auto is %s, which is %s: %s. It stays so; FORMAT names another",
        found.name,
        found.sureness,
        str(found),
    )
    return found.name


def _compare(logs: Mapping[str, list[bytes]]) -> None:
    """Raise ConfigError when the first lines of two logs are surely in different formats."""
    sure: dict[str, str] = {}
    for path, lines in logs.items() if len(logs) > 1 else ():
        found = parsing.detect(lines[:_COMPARED])
        if len(lines) >= parsing.FEWEST_LINES and found.is_sure:
            sure.setdefault(found.name, path)
    if len(sure) > 1:
        each = ", ".join(f"{path} is in {name}" for name, path in sure.items())
        raise ConfigError(
            f"FORMAT=auto finds more than one format: {each}. Give each a table of its own in the "
            "file that DATASTREAM_CONFIG names (see logs.example.toml), or name the FORMAT"
        )


def _first_lines(patterns: Iterable[str], *, once: bool, among: int) -> dict[str, list[bytes]]:
    """Return the first lines of each log that has some: of its live file, then of rotated ones.

    Of many logs fewer of each. With `once` a last line without its newline is one.
    """
    paths = list(dict.fromkeys(path for pattern in patterns for path in expand(pattern)))
    most = max(parsing.FEWEST_LINES, parsing.SAMPLE_LINES // max(among, len(paths)))
    logs = {path: list(islice(_lines_of_log(path, once=once), most)) for path in paths}
    return {path: lines for path, lines in logs.items() if lines}


def _lines_of_log(path: str, *, once: bool) -> Iterator[bytes]:
    yield from _lines_of(path, once=once)
    if log_path(path) == path:
        for rotated in reversed(rotated_files(path)):
            yield from _lines_of(rotated, once=once)


def _lines_of(path: str, *, once: bool) -> list[bytes]:
    try:
        with closing(LogFile(path)) as file:
            head = file.read(0, _LOOKED_AT)
    except OSError:
        return []  # the tailer reports it
    *lines, last = head.split(b"\n")
    # The beginning of one very long line tells no less than none at all.
    is_line = len(head) < _LOOKED_AT or not lines
    return [*lines, last] if last and once and is_line else lines
