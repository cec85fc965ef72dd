"""Under which source, and as which format, each of several logs is read."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from datastream.config import ConfigError
from datastream.parsing import AUTO, compiled
from producer.detecting import detected_format
from producer.settings import Source, refuse_unseen
from producer.state import State

logger = logging.getLogger(__name__)


class Sources:
    """The source of each log: that of all, or of the one table whose path matches the log.

    What was found of a format, and the source of a log that has its own, outlives the process: the
    first says what its rows are, and the second is part of every line's identity.
    """

    def __init__(self, common: Source, own: Mapping[str, Source], state: State) -> None:
        """`own` is by pattern, in the order of the tables; empty: there are none."""
        #: That of every log without one of its own.
        self.common = common
        self._own = own
        #: By the log's name, as in State. Replaced and never mutated: a State holds it as it was.
        self.formats = state.formats
        self.names = state.sources
        #: The formats of which was said what to know of them.
        self._said: set[str] = set()

    def of(self, name: str, patterns: Collection[str], *, was_read: bool) -> Source:
        """Return the source of a log that some patterns match; its format may not be told yet.

        `was_read`: something of it has an entry. Raises ConfigError where two tables match, where
        the log belongs to another source, and where a format found before cannot be disguised.
        """
        matching = [pattern for pattern in self._own if pattern in patterns]
        if len(matching) > 1:
            tables = " and ".join(f"log {self._number(one)} ({one})" for one in matching)
            raise ConfigError(f"{tables} match {name}: let one of them match it")
        source = self._own[matching[0]] if matching else self.common
        former = self.names.get(name, self.common.name)
        if was_read and former != source.name:
            raise ConfigError(
                f"{name} is of source {former}, and cannot be of {source.name}: the source of a log"
                " is permanent"
            )
        self.names = _with(self.names, name, source.name, self.common.name)
        if source.format == AUTO:
            return replace(source, format=self._found_before(name)) if matching else source
        self.formats = _with(self.formats, name, "", "")
        if matching:
            self._say(name, source.format)
        return source

    @property
    def are_told(self) -> bool:
        """Whether the format of each log is told by itself."""
        return bool(self._own)

    def tell(self, name: str, files: Iterable[str], among: int) -> str | None:
        """Find out the format of a log from its files; None while there are too few lines.

        `among`: how many logs are told now. Raises ConfigError where the lines tell none.
        """
        common = self.common
        try:
            found = detected_format(
                files, once=common.once, may_quote=not common.is_disguised, among=among
            )
            self._refuse_unseen(found or "")
        except ConfigError as error:
            raise ConfigError(f"{name}: {error}") from error
        if found is not None:
            self.formats = _with(self.formats, name, found, "")
            self._say(name, found)
        return found

    def _found_before(self, name: str) -> str:
        """Return the format that was found of a log, or AUTO. Raises ConfigError."""
        found = self.formats.get(name, AUTO)
        try:
            self._refuse_unseen(found)
        except ConfigError as error:
            raise ConfigError(f"{name}: {error}") from error
        return found

    def _refuse_unseen(self, line_format: str) -> None:
        if self.common.is_disguised:
            refuse_unseen(line_format, "the format")

    def forget(self, names: Collection[str]) -> None:
        """Forget logs of which nothing is left."""
        for name in names:
            self.formats = _with(self.formats, name, "", "")
            self.names = _with(self.names, name, "", "")

    def _say(self, name: str, line_format: str) -> None:
        """Log once what every row of a format lacks."""
        if line_format in self._said:
            return
        self._said.add(line_format)
        form = compiled(line_format)
        for remark in (*form.doubts, *form.remarks):
            logger.warning("Format of %s: %s", name, remark)

    def _number(self, pattern: str) -> int:
        return list(self._own).index(pattern) + 1


def by_file(found: Mapping[str, Iterable[str]]) -> Mapping[str, list[str]]:
    """Return the patterns that match each file; `found` are the files of each pattern."""
    patterns = defaultdict(list)
    for pattern, files in found.items():
        for file in files:
            patterns[file].append(pattern)
    return patterns


def _with(noted: dict[str, str], name: str, value: str, default: str) -> dict[str, str]:
    """Return what is noted with a value that is not the default, or without it."""
    if noted.get(name, default) == value:
        return noted
    others = {other: text for other, text in noted.items() if other != name}
    return others if value == default else others | {name: value}
