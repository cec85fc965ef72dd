"""The file that DATASTREAM_CONFIG names: TOML, with `.env`'s settings and a table for each log.

    source = "web-1"
    rabbit_port = 5671

    [[log]]
    path = "/var/log/nginx/shop.access.log"
    format = "main"

A setting is called as in `.env`, in small letters; a log has the keys of LogTable.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection
from dataclasses import dataclass, fields
from difflib import get_close_matches


@dataclass(frozen=True, slots=True)
class LogTable:
    """What the file says of a log. The fields are the keys."""

    #: A file or a pattern.
    path: str
    #: As FORMAT is written; empty: what FORMAT says for all.
    format: str = ""
    #: The permanent name of this log; empty: SOURCE.
    source: str = ""


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """The settings by their names, as the environment would hold them, and the logs in order."""

    settings: dict[str, str]
    logs: tuple[LogTable, ...] = ()


class Malformed(Exception):
    """The text is no such file; the message is one line that names the line or the key."""


_KEYS = tuple(field.name for field in fields(LogTable))


def parse(text: str, names: Collection[str]) -> ConfigFile:
    """Return what a file says; `names` are those of the settings. Raises Malformed."""
    try:
        found = tomllib.loads(text.removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError as error:
        raise Malformed(str(error)) from None
    tables = found.pop("log", [])
    if not (isinstance(tables, list) and all(isinstance(table, dict) for table in tables)):
        raise Malformed("log: each log is a table of its own, under [[log]]")
    known = {name.lower() for name in names}
    known |= {f"{name}_file" for name in known}
    for key in found:
        if key not in known:
            raise Malformed(f"{key} is no setting{_near(key, {*known, 'log'})}")
    settings = {key.upper(): _text(value, key) for key, value in found.items()}
    return ConfigFile(settings, _logs(tables, known))


def _logs(tables: list[dict[str, object]], settings: Collection[str]) -> tuple[LogTable, ...]:
    logs: dict[str, LogTable] = {}
    for number, table in enumerate(tables, 1):
        try:
            log = _log(table, settings)
        except Malformed as error:
            raise Malformed(f"log {number}: {error}") from None
        if log.path in logs:
            first = list(logs).index(log.path) + 1
            raise Malformed(f"log {number}: path is that of log {first}, {log.path}: keep one")
        logs[log.path] = log
    return tuple(logs.values())


def _log(table: dict[str, object], settings: Collection[str]) -> LogTable:
    values = {"path": ""}
    for key, value in table.items():
        if key not in _KEYS:
            words = _near(key, _KEYS) or f": it has {', '.join(_KEYS)}"
            if key in settings:
                words = ": a setting stands above the first [[log]]"
            raise Malformed(f"{key} is no key of a log{words}")
        if not isinstance(value, str):
            raise Malformed(f"{key} must be a text in quotes")
        values[key] = _text(value, key)
    if not values["path"]:
        raise Malformed("path is missing: the file, or a pattern")
    return LogTable(**values)


def _near(key: str, known: Collection[str]) -> str:
    near = get_close_matches(key.lower(), sorted(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _text(value: object, key: str) -> str:
    """Return a value as the environment would hold it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, str):
        raise Malformed(f"{key} must be a text in quotes, a whole number, true or false")
    if "\0" in value:
        raise Malformed(f"{key}: no setting holds a NUL")
    return value
