"""The parser against the truth of the samples, which knows nothing of the parser."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import settings

from datastream.parsing import Event, Unparseable
from datastream_playground import sample
from datastream_playground.sample import FORMATS, Expected, Format
from parsed import access_parser

LINES = 200 * settings().max_examples


def parsed(line: bytes, log_format: Format) -> tuple[str | None, dict[str, object]]:
    """Return the reason to reject a line, or what it says, in the form of the truth."""
    try:
        event = access_parser(log_format)(line)
    except Unparseable as rejected:
        return rejected.reason, {}
    client = event.client and str(ip_address(event.client))
    return None, event._asdict() | {"client": client}


def test_the_truth_names_the_fields_of_an_event() -> None:
    """Each field of the truth is a column, by the same name and in the same order."""
    assert Expected._fields == Event._fields


@pytest.mark.parametrize("log_format", FORMATS)
def test_the_parser_finds_the_truth(log_format: Format) -> None:
    """Each line is rejected for the true reason, or says in every field what is true."""
    for line, (_, reject, event) in sample.generate(LINES, log_format, seed=11):
        expected = {} if event is None else event._asdict()
        assert parsed(line, log_format) == (reject, expected), line


@pytest.mark.parametrize("log_format", FORMATS)
def test_no_parser_takes_the_lines_of_another_format(log_format: Format) -> None:
    """A log that is read with the wrong format is rejected, not misread."""
    for line, truth in sample.generate(500, log_format, seed=11):
        if truth.event is not None:
            for other in set(FORMATS) - {log_format}:
                assert parsed(line, other) == ("format", {}), line
