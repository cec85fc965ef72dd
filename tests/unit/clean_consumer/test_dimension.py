"""The tables of distinct texts, on the fake database."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from clean_consumer import dimension
from clean_consumer.dimension import COMPLETED_AT_ONCE, REFERRERS, USER_AGENTS, Dimension
from clean_consumer.rows import next_id_of
from contract.fake_database import FakeDatabase
from datastream.errors import RowRefused, Unavailable
from datastream.mysql import KEYS_AT_ONCE, Session

DESCRIBED = USER_AGENTS.described_at_once
KEYS = "SELECT user_agent, user_agent_id FROM user_agent"


def describe(text: str) -> tuple[str, str, None, None, bool]:
    """Return what a made-up user agent says of itself."""
    browser, _, version = text.partition("/")
    return browser, version, None, None, False


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDatabase:
    """A database of the test's own."""
    return FakeDatabase(tmp_path, monkeypatch)


@pytest.fixture
def session(database: FakeDatabase) -> Iterator[Session]:
    """A session with it."""
    with closing(Session(database.settings, "test")) as opened:
        yield opened


def sent(database: FakeDatabase, text: str) -> int:
    """Return how many statements that hold a text were sent."""
    return sum(text in statement for statement in database.statements)


def undescribed(database: FakeDatabase) -> int:
    """Return how many user agents wait for their description."""
    return len(database.query("SELECT 1 FROM user_agent WHERE is_bot IS NULL"))


def test_a_text_is_stored_once_with_what_it_says(database: FakeDatabase, session: Session) -> None:
    """Under its key; when it comes again nothing is sent."""
    table = Dimension(session, USER_AGENTS, describe)
    table.ensure({"curl/8": 1, "w/1": 2**64 - 1})
    once = sent(database, "INSERT")
    elsewhere = table.ensure({"curl/8": 1})

    assert (elsewhere, once, sent(database, "INSERT")) == ({}, 1, 1)
    stored = database.query("SELECT user_agent_id, user_agent, browser, is_bot FROM user_agent")
    assert sorted(stored) == [(1, "curl/8", "curl", 0), (2**64 - 1, "w/1", "w", 0)]


def test_a_text_that_another_consumer_has_stored_changes_nothing(
    database: FakeDatabase, session: Session
) -> None:
    """It is the same text under the same key: no collision."""
    told: list[str] = []
    Dimension(session, USER_AGENTS, describe).ensure({"a/1": 1})
    second = Dimension(session, USER_AGENTS, describe, told.append).ensure({"a/1": 1, "b/1": 2})

    assert (second, told) == ({}, [])
    assert sorted(database.query(KEYS)) == [("a/1", 1), ("b/1", 2)]


def test_a_text_whose_key_another_has_gets_the_next_one(
    database: FakeDatabase, session: Session, caplog: pytest.LogCaptureFixture
) -> None:
    """In one batch, in a later one, and by another consumer: the same key, told by each."""
    told: list[str] = []
    table = Dimension(session, USER_AGENTS, None, told.append)
    with caplog.at_level(logging.WARNING):
        together = table.ensure({"a": 7, "b": 7})
        again = table.ensure({"b": 7, "a": 7})
        later = table.ensure({"c": 7})
    other = Dimension(session, USER_AGENTS, None, told.append).ensure({"b": 7, "c": 7})

    assert together == again == {"b": next_id_of("b", 1)}
    assert together["b"] == 1179209943687177233  # what years of rows name never changes
    assert later == {"c": next_id_of("c", 1)}
    assert other == together | later
    assert told == ["user_agent"] * 4
    assert len(caplog.records) == 4
    assert sorted(database.query(KEYS)) == [("a", 7), *sorted(other.items())]


def test_the_next_key_may_be_taken_too(
    database: FakeDatabase, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it is the one after that, and nobody's row is lost."""
    monkeypatch.setattr(dimension, "next_id_of", lambda _text, attempt: 7 + attempt)
    table = Dimension(session, USER_AGENTS, None)
    elsewhere = table.ensure({"a": 7, "b": 7, "c": 7, "d": 8})

    keys = dict(database.query(KEYS))
    assert sorted(keys.values()) == [7, 8, 9, 10]
    assert {text: keys[text] for text in elsewhere} == elsewhere
    assert keys["a"] == 7


def test_many_texts_that_are_there_are_compared_in_parts(
    database: FakeDatabase, session: Session
) -> None:
    """However many a batch brings: none is taken for another, and the new one is stored."""
    many = {f"a/{key}": key for key in range(2 * KEYS_AT_ONCE)}
    Dimension(session, USER_AGENTS, None).ensure(many)
    elsewhere = Dimension(session, USER_AGENTS, None).ensure(many | {"new": 10_000})

    assert elsewhere == {}
    assert len(database.query(KEYS)) == 2 * KEYS_AT_ONCE + 1


def test_of_a_flood_a_bounded_number_is_described_at_once(
    database: FakeDatabase, session: Session
) -> None:
    """The others are later on, some at a time, until none is left; then the table is left alone."""
    calls: list[str] = []

    def counted(text: str) -> tuple[str, str, None, None, bool]:
        calls.append(text)
        return describe(text)

    table = Dimension(session, USER_AGENTS, counted)
    flood = {f"a/{key}": key for key in range(DESCRIBED + COMPLETED_AT_ONCE + 5)}
    numbers = []
    for batch in (flood, {}, {}, {}):
        calls.clear()
        table.ensure(batch)
        numbers.append((len(calls), undescribed(database)))
    looks = sent(database, "is_bot IS NULL LIMIT")

    assert numbers == [(DESCRIBED + COMPLETED_AT_ONCE, 5), (5, 0), (0, 0), (0, 0)]
    assert looks == 2


def test_without_a_description_rows_wait_for_a_consumer_that_has_one(
    database: FakeDatabase, session: Session
) -> None:
    """Nothing else is asked of the table meanwhile."""
    off = Dimension(session, USER_AGENTS, None)
    off.ensure({"curl/8": 1})
    off.ensure({"curl/8": 1})
    waiting = undescribed(database)
    Dimension(session, USER_AGENTS, describe).ensure({})

    assert (waiting, undescribed(database)) == (1, 0)
    assert database.query("SELECT browser, browser_version FROM user_agent") == [("curl", "8")]


def test_a_process_remembers_a_bounded_number(
    database: FakeDatabase, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of a flood are forgotten again, and stored no second time when they come back."""
    monkeypatch.setattr(dimension, "REMEMBERED", 3)
    table = Dimension(session, USER_AGENTS, None)
    table.ensure({"a": 1, "b": 2, "c": 3})
    table.ensure({"d": 4})
    before = sent(database, "INSERT")
    table.ensure({"d": 4})
    remembered = sent(database, "INSERT") - before
    table.ensure({"a": 1})

    assert remembered == 0
    assert sent(database, "INSERT") == before + 1
    assert len(database.query(KEYS)) == 4


@pytest.mark.parametrize("how", ["forget", "close"])
def test_what_is_forgotten_is_written_again(
    database: FakeDatabase, session: Session, how: str
) -> None:
    """By order, or as the session ended; the text that is stored elsewhere as well."""
    table = Dimension(session, USER_AGENTS, None)
    table.ensure({"a": 1, "b": 1})
    database.change("DELETE FROM user_agent")
    table.ensure({"a": 1, "b": 1})
    while_it_lasts = database.query(KEYS)
    if how == "forget":
        table.forget()
    else:
        session.close()
    table.ensure({"a": 1, "b": 1})

    assert while_it_lasts == []
    assert sorted(database.query(KEYS)) == [("a", 1), ("b", next_id_of("b", 1))]


def test_a_text_that_could_not_be_stored_is_not_remembered(
    database: FakeDatabase, session: Session
) -> None:
    """Refused or not stored for an outage: it is tried again."""
    table = Dimension(session, REFERRERS, None)
    with pytest.raises(RowRefused):
        table.ensure({"x" * 2049: 1})
    database.fail("COMMIT", 2013)
    with pytest.raises(Unavailable):
        table.ensure({"a": 2})
    table.ensure({"a": 2})

    assert database.query("SELECT referrer, referrer_id FROM referrer") == [("a", 2)]


def test_a_row_that_is_gone_is_noticed(database: FakeDatabase, session: Session) -> None:
    """Of more keys than are asked for at once: none is missing, and then the last one is."""
    table = Dimension(session, USER_AGENTS, None)
    many = {f"a/{key}": key for key in range(KEYS_AT_ONCE + 1)}
    table.ensure(many)
    with session.transaction() as transaction:
        table.assert_there(transaction, many.values())
        table.assert_there(transaction, ())
    database.change(f"DELETE FROM user_agent WHERE user_agent_id = {KEYS_AT_ONCE}")

    with (
        pytest.raises(Unavailable, match="rows of user_agent"),
        session.transaction() as transaction,
    ):
        table.assert_there(transaction, many.values())
