"""Parsers of access logs, for tests."""

from __future__ import annotations

from collections.abc import Callable

from datastream.parsing import Event, compiled
from datastream.parsing.access_log import AccessFormat


def access_format(text: str) -> AccessFormat:
    """Return the compiled format that a text names or is."""
    form = compiled(text)
    assert isinstance(form, AccessFormat)
    return form


def access_parser(text: str) -> Callable[[bytes], Event]:
    """Return the parser of an access log's format."""
    return access_format(text).parse
