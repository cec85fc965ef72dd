"""What is said of lines that do not fit their format."""

from __future__ import annotations

import pytest

from datastream.parsing.looks import is_misfit, looks_of, prefix_missed, shortened

COMBINED = b'192.0.2.7 - - [30/Nov/2026:00:29:32 +0000] "GET /a HTTP/1.1" 200 12 "-" "curl/8"'
SYSLOG = b"Nov 30 00:29:32 web nginx: "


@pytest.mark.parametrize(
    ("line", "words", "option"),
    [
        (COMBINED, "combined", "--format 'combined'"),
        (SYSLOG + COMBINED, "rfc3164 combined", "--format 'rfc3164 combined'"),
        (b'{"remote_addr":"192.0.2.7","status":200}', "JSON", "--format '…'"),
        (
            SYSLOG + b'{"remote_addr":"192.0.2.7","status":200,"ts":1795953600.25}',
            "rfc3164 JSON",
            """--format 'rfc3164 log_format json escape=json '"'"'{"remote_addr":"$remote_addr","""
            """"status":"$status","ts":"$msec"}'"'"';'""",
        ),
        (SYSLOG + b"a|b", "rfc3164 and an unknown format behind it", "--format '…'"),
        (b"a|b", "no format that has a name", "--format '…'"),
        (b"[1]", "no format that has a name", "--format '…'"),
        (
            b'INFO:     192.0.2.7:5000 - "GET / HTTP/1.1" 200 OK',
            "those of uvicorn, which has to write another format",
            "--format '…'",
        ),
    ],
)
def test_lines_are_named(line: bytes, words: str, option: str) -> None:
    """By a format where one fits, else by what shows of them."""
    found = looks_of([line] * 10)

    assert (found.words, found.option) == (words, option)


@pytest.mark.parametrize(
    ("rejected", "lines", "misfit"),
    [(10, 10, True), (9, 9, False), (50, 1_000, False), (51, 1_000, True)],
)
def test_a_few_odd_lines_are_no_misfit(rejected: int, lines: int, *, misfit: bool) -> None:
    """Ten rejects at least, and more than one line in twenty."""
    assert is_misfit(rejected, lines) is misfit


def test_a_prefix_that_the_format_does_not_name_is_seen() -> None:
    """Where such lines fit all the same, with their client in another column."""
    behind = [SYSLOG + COMBINED] * 10

    assert prefix_missed([COMBINED] * 10, "combined") is None
    assert prefix_missed(behind, "rfc3164 combined") is None
    assert prefix_missed([SYSLOG + b"a|b"] * 10, "combined") is None
    assert prefix_missed([], "combined") is None
    assert prefix_missed([COMBINED.replace(b"192.0.2.7", b"unix:")] * 10, "combined") is None
    assert prefix_missed([*behind[:5], *[COMBINED] * 5], "combined") is None
    found = prefix_missed(behind, "combined")
    assert found is not None
    assert found.words == "rfc3164 combined"


def test_a_long_format_is_cut() -> None:
    """A message is no place for a whole log_format."""
    assert shortened("x" * 60) == "x" * 60
    assert shortened("x" * 61) == "x" * 59 + "…"
