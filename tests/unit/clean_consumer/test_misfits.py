"""What the clean consumer says of streams whose lines do not fit."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from clean_consumer.misfits import MOST_STREAMS, MOST_TOLD, Misfits
from clean_consumer.rows import parse
from datastream.logs import Formatter
from datastream.privacy_settings import PrivacySettings
from datastream.slices import DISGUISED, Slice
from datastream.streams import Stream

FITS = b'192.0.2.7 - - [30/Nov/2026:00:29:32 +0000] "GET /a HTTP/1.1" 200 12 "-" "curl/8"'
JSON = b'{"remote_addr":"192.0.2.7","request":"GET /a?key=1 HTTP/1.1"}'
KEEPS = PrivacySettings("full", None, "keep")


class Clock:
    """Seconds, as the test says."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock of the test's own."""
    return Clock()


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Return what was logged since the last call, without the time."""
    caplog.set_level(logging.INFO)

    def said() -> list[str]:
        lines = [Formatter("clean").format(r).split(" ", 1)[1] for r in caplog.records]
        caplog.clear()
        return lines

    return said


def count(
    misfits: Misfits, *lines: bytes, stream: int = 10, form: str = "combined", flags: int = 0
) -> None:
    """Count a slice of these lines."""
    of = Stream(stream, "web", "host", f"/var/log/{stream}.log", form, 0)
    misfits.count([parse(Slice(of, 0, b"\n".join(lines), len(lines), flags, 0))])


def test_it_is_said_once_a_minute_until_it_is_over(
    clock: Clock, said: Callable[[], list[str]]
) -> None:
    """With the share since the last word, one line, and the command that mends it."""
    misfits = Misfits(KEEPS, clock)
    count(misfits, *[JSON] * 390, *[FITS] * 10)
    misfits.tell()
    [word] = said()
    count(misfits, *[JSON] * 20)
    clock.now = 59
    misfits.tell()
    assert said() == []
    clock.now = 60
    misfits.tell()
    [second] = said()
    shares = misfits.shares
    count(misfits, *[FITS] * 400)
    clock.now = 120
    misfits.tell()
    [over] = said()

    assert word.startswith("WARNING clean: Lines do not fit their format; they are kept in raw_log")
    for fact in (
        "(stream=000000000000000a, path=/var/log/10.log, reason=format, rejected='390 of 400', ",
        f"format=combined, look_like=JSON, line={JSON.decode()!r}, ",
        "datastream replay --rejected --stream 000000000000000a --format '…'\")",
    ):
        assert fact in word
    assert "rejected='20 of 20'" in second
    assert shares == {("000000000000000a", "web", "/var/log/10.log"): 1.0}
    assert over == (
        "INFO clean: The lines of a stream fit their format again "
        "(stream=000000000000000a, path=/var/log/10.log)"
    )
    assert misfits.shares == {}


def test_a_prefix_that_takes_the_clients_place_is_said_once(
    clock: Clock, said: Callable[[], list[str]]
) -> None:
    """All lines fit, so nothing else would tell; and replay must read them all."""
    misfits = Misfits(KEEPS, clock)
    for _ in range(20):
        count(misfits, b"Nov 30 00:29:32 web nginx: " + FITS)
        misfits.tell()
        count(misfits, FITS, stream=2)

    [word] = said()
    assert "Lines have their client in another column (stream=000000000000000a" in word
    assert "datastream replay --stream 000000000000000a --format 'rfc3164 combined'" in word
    assert misfits.shares == {}


def test_a_few_odd_lines_are_no_news(clock: Clock, said: Callable[[], list[str]]) -> None:
    """Neither at once nor when they add up over a day; nor those that go on with an entry."""
    misfits = Misfits(KEEPS, clock)
    for _ in range(100):
        clock.now += 600
        count(misfits, *[FITS] * 300, *[JSON] * 9)
        misfits.tell()
    entry = b"2026/11/30 13:55:36 [error] 17#18: *9 PHP message: a, client: 192.0.2.7"
    count(misfits, *[entry.replace(b": a", b": a\nb"), entry] * 50, form="error UTC", stream=2)
    misfits.tell()

    assert said() == []


def test_a_line_is_shown_as_the_clean_side_keeps_it(
    clock: Clock, said: Callable[[], list[str]]
) -> None:
    """Without addresses and queries where the settings say so; on one line, and short."""
    misfits = Misfits(PrivacySettings("truncated", None, "drop"), clock)
    count(misfits, *[JSON + b"\x1b[2J" + b"x" * 5_000] * 10)
    misfits.tell()

    [word] = said()
    assert "192.0.2.0" in word
    assert "192.0.2.7" not in word
    assert "key=1" not in word
    assert r"\x1b[2J" in word
    assert len(word) < 700


def test_a_query_string_without_its_question_mark_is_not_shown(
    clock: Clock, said: Callable[[], list[str]]
) -> None:
    """As $args writes it: which value of a line that does not fit is one, nobody can tell."""
    misfits = Misfits(PrivacySettings("full", None, "drop"), clock)
    line = rb'{"args":"mail=ana@example.com&who=ana","enc":"mail%3Dana","json":"mail\u003dana"}'
    count(misfits, *[line] * 10)
    misfits.tell()

    [word] = said()
    assert "mail=..." in word
    assert "=ana" not in word
    assert "ana@" not in word
    assert "3dana" not in word.lower()


def test_a_line_that_was_disguised_before_is_not_disguised_twice(
    clock: Clock, said: Callable[[], list[str]]
) -> None:
    """Its hash is that of the tables."""
    misfits = Misfits(PrivacySettings("hashed", "key", "keep"), clock)
    count(misfits, *[b"of fd00::7 and 192.0.2.7"] * 10, flags=DISGUISED)
    misfits.tell()

    [word] = said()
    assert "of fd00::7 and fd" in word


def test_it_is_bounded(clock: Clock, said: Callable[[], list[str]]) -> None:
    """In streams that are counted, in those that are told, and in time."""
    misfits = Misfits(KEEPS, clock)
    for number in range(MOST_STREAMS + 5):
        count(misfits, *[JSON] * 10, stream=number)
    misfits.tell()
    words = said()
    clock.now = 900
    misfits.tell()

    assert len(words) == MOST_TOLD
    assert "stream=0000000000000005" in words[0]
    gone = said()
    assert len(gone) == MOST_TOLD
    assert all("No more lines of a stream" in word for word in gone)
    assert misfits.shares == {}
