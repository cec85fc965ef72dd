"""Log lines."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator

import pytest

from datastream import logs


@pytest.fixture
def root() -> Iterator[None]:
    """The loggers are as they were, after a test that configures them."""
    top, pika = logging.getLogger(), logging.getLogger("pika")
    handlers, levels = top.handlers[:], (top.level, pika.level)
    top.handlers[:] = []  # configure() closes what it finds
    yield
    top.handlers[:] = handlers
    top.setLevel(levels[0])
    pika.setLevel(levels[1])


def formatted(**facts: object) -> str:
    """Return the line of a record with these facts."""
    record = logging.makeLogRecord(
        {"msg": "Said", "levelname": "INFO", "created": 1_700_000_000.25, "msecs": 250.0, **facts}
    )
    return logs.Formatter("lake").format(record)


def test_a_log_line_is_one_line() -> None:
    """A sentence and the facts; what a terminal would obey is quoted."""
    stream = io.StringIO()
    record = logging.LogRecord("x", logging.WARNING, "", 0, "Slice %s", ("lost",), None)
    record.__dict__ |= {"path": "/var/log/a b", "odd": "x\n\x1b[31m", "lines": 3, "took_s": 0.12345}

    line = logs.Formatter("producer").format(record)

    stream.write(line)
    assert line.split(" ", 1)[1] == (
        "WARNING producer: Slice lost (path='/var/log/a b', odd='x\\n\\x1b[31m', lines=3,"
        " took_s=0.123)"
    )


def test_a_line_starts_with_the_time_in_utc() -> None:
    """To the millisecond, whatever the machine's own zone."""
    assert formatted() == "2023-11-14T22:13:20.250Z INFO lake: Said"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a\r\nb", "'a\\r\\nb'"),
        ("\x00", "'\\x00'"),
        ("\x9b31m", "'\\x9b31m'"),
        ("\u2028", "'\\u2028'"),
        ("\u202etxt", "'\\u202etxt'"),
        ("\udcff", "'\\udcff'"),
        ("Zürich", "Zürich"),
        (True, "True"),
        (None, "None"),
    ],
)
def test_a_fact_stays_on_its_line(value: object, shown: str) -> None:
    """No byte of a log that is read can forge or hide a line of the log that is written."""
    assert formatted(fact=value).endswith(f"Said (fact={shown})")


def test_a_traceback_follows_its_line() -> None:
    """Below it, whole."""
    with pytest.raises(ZeroDivisionError) as raised:
        divmod(1, 0)

    lines = formatted(exc_info=(raised.type, raised.value, raised.tb)).splitlines()

    assert lines[0].endswith("Said")
    assert lines[1] == "Traceback (most recent call last):"
    assert lines[-1] == f"ZeroDivisionError: {raised.value}"


@pytest.mark.usefixtures("root")
def test_a_service_logs_from_its_level_up() -> None:
    """One line a record, and the client's chatter about connections not at all."""
    stream = io.StringIO()
    logs.configure("producer", "INFO", stream)
    logging.getLogger("datastream.x").debug("Not this")
    logging.getLogger("datastream.x").info("This", extra={"lines": 3})
    logging.getLogger("pika.adapters").error("Not this")
    logging.getLogger("other").warning("And this")

    lines = [re.sub(r"^\S+ ", "", line) for line in stream.getvalue().splitlines()]

    assert lines == ["INFO producer: This (lines=3)", "WARNING producer: And this"]
