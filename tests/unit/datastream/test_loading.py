"""When rows go by LOAD DATA and when not, on the fake database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from contract.fake_database import FakeDatabase
from datastream import loads
from datastream.errors import RowRefused, Unavailable
from datastream.inserts import Insert, binaries, numbers
from datastream.loading import FEWEST
from datastream.metrics import ConsumerMetrics
from datastream.mysql import Session

ADD = Insert(
    "INSERT INTO raw_pack ({columns}) VALUES {values} ON DUPLICATE KEY UPDATE line_offset ="
    " line_offset",
    {"stream_id": numbers, "line_offset": numbers, "flags": numbers, "body": binaries},
    load="raw_pack",
)
COUNT = "SELECT COUNT(*) FROM raw_pack"


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDatabase:
    """A database of the test's own."""
    return FakeDatabase(tmp_path, monkeypatch)


@pytest.fixture
def counts() -> ConsumerMetrics:
    """What is told."""
    return ConsumerMetrics("raw_log")


@pytest.fixture
def session(database: FakeDatabase, counts: ConsumerMetrics) -> Iterator[Session]:
    """A session with it."""
    with closing(Session(database.settings, "test", counts)) as opened:
        yield opened


def add(session: Session, first: int = 0, rows: int = FEWEST) -> int:
    """Commit lines from some offset on and return how many were new."""
    with session.transaction() as transaction:
        return transaction.insert(ADD, [(1, first + n, 0, b"x") for n in range(rows)])


def ways(database: FakeDatabase) -> list[str]:
    """Return how rows were sent, in turn."""
    begun = [statement.split()[0] for statement in database.statements]
    return [word for word in begun if word in ("LOAD", "INSERT", "ROLLBACK")]


def shown(counts: ConsumerMetrics, name: str) -> float | None:
    """Return a metric."""
    return counts.registry.get_sample_value(name)


@pytest.mark.parametrize(("rows", "way"), [(1, "INSERT"), (FEWEST - 1, "INSERT"), (FEWEST, "LOAD")])
def test_few_rows_go_by_insert(
    database: FakeDatabase, session: Session, rows: int, way: str
) -> None:
    """For them it is quicker."""
    assert add(session, rows=rows) == rows
    assert ways(database) == [way]


def test_a_setting_leaves_it_off(database: FakeDatabase) -> None:
    """The driver is not to offer it to the server either."""
    settings = replace(database.settings, local_infile=False)
    with closing(Session(settings, "test")) as session:
        assert add(session) == FEWEST

    assert ways(database) == ["INSERT"]
    assert database.opened[0]["local_infile"] is False


def test_a_server_that_refuses_it_is_told_of_once(
    database: FakeDatabase,
    session: Session,
    counts: ConsumerMetrics,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Then rows go by INSERT, until a later session finds that it is let."""
    for dependency in ("rabbitmq", "mysql"):
        counts.answered(dependency)
    database.takes_loads = False
    with session.transaction() as transaction:
        transaction.execute("DELETE FROM raw_pack")
        new = transaction.insert(ADD, [(1, n, 0, b"x") for n in range(FEWEST)])
    add(session, 1_000)
    session.close()
    add(session, 2_000)
    refused = shown(counts, "datastream_load_refused"), counts.readiness()
    database.takes_loads = True
    session.close()
    add(session, 3_000)

    assert (new, database.query(COUNT)) == (FEWEST, [(4 * FEWEST,)])
    assert ways(database) == [
        *("LOAD", "ROLLBACK", "INSERT", "INSERT", "LOAD", "ROLLBACK", "INSERT", "LOAD")
    ]
    assert refused[0] == 1
    assert refused[1][0] == 200
    assert "local_infile is OFF" in refused[1][1]
    assert (shown(counts, "datastream_load_refused"), counts.readiness()) == (0, (200, "ready"))
    assert [each.levelname for each in caplog.records if "refuses" in each.message] == ["WARNING"]


@pytest.mark.parametrize("number", [4166, 3948, 1148, 1064, 1235, 1290, 1366, 1142, 3819])
def test_whatever_the_server_answers_the_rows_go_by_insert(
    database: FakeDatabase, session: Session, number: int
) -> None:
    """Which says by itself what is wrong, or is taken."""
    database.fail("LOAD DATA", number)

    assert add(session) == FEWEST
    assert ways(database) == ["LOAD", "ROLLBACK", "INSERT"]


def test_an_error_that_took_the_savepoint_away_is_told(
    database: FakeDatabase, session: Session
) -> None:
    """And not that there is none: the server has rolled back everything."""
    database.fail("LOAD DATA", 1114)
    database.fail("ROLLBACK TO SAVEPOINT", 1305)
    with pytest.raises(Unavailable, match="error 1114"):
        add(session)

    assert add(session) == FEWEST


@pytest.mark.parametrize("number", [1205, 1213])
def test_a_lock_is_waited_for_on_the_same_session(
    database: FakeDatabase, session: Session, number: int
) -> None:
    """The whole batch is stored again."""
    database.fail("LOAD DATA", number)
    with pytest.raises(Unavailable) as raised:
        add(session)

    assert raised.value.reason == "lock"
    assert (add(session), session.ended) == (FEWEST, 0)
    assert ways(database) == ["LOAD", "LOAD"]


@pytest.mark.parametrize("number", [2013, 2006, 0])
def test_a_batch_at_which_the_session_was_lost_goes_by_insert(
    database: FakeDatabase, session: Session, number: int
) -> None:
    """What stands between may not know LOAD DATA; once a batch is stored it is tried again."""
    database.fail("LOAD DATA", number)
    with pytest.raises(Unavailable):
        add(session)
    add(session)
    add(session, 1_000)

    assert ways(database) == ["LOAD", "INSERT", "LOAD"]
    assert database.query(COUNT) == [(2 * FEWEST,)]


def test_what_is_stored_before_such_a_batch_says_nothing_of_it(
    database: FakeDatabase, session: Session
) -> None:
    """A store commits the streams of a batch first; a batch that fails is no better."""
    database.fail("LOAD DATA", 2013)
    with pytest.raises(Unavailable):
        add(session)
    add(session, 5_000, rows=1)
    database.fail("INSERT", 2013)
    with pytest.raises(Unavailable):
        add(session)
    add(session, 6_000, rows=1)
    database.statements.clear()
    add(session)
    add(session, 1_000)

    assert ways(database) == ["INSERT", "LOAD"]


def test_any_warning_takes_the_rows_back(
    database: FakeDatabase, session: Session, counts: ConsumerMetrics
) -> None:
    """By INSERT they are refused, or are as they were sent."""
    database.narrow("raw_pack", "body", 3)
    rows = [(1, n, 0, b"x") for n in range(FEWEST)]
    with pytest.raises(RowRefused), session.transaction() as transaction:
        transaction.insert(ADD, [*rows, (1, FEWEST, 0, b"long")])

    assert ways(database) == ["LOAD", "ROLLBACK", "INSERT"]
    assert database.query(COUNT) == [(0,)]
    assert shown(counts, "datastream_loads_taken_back_total") == 1


def test_a_warning_of_another_kind_among_duplicates_is_seen(
    database: FakeDatabase, session: Session
) -> None:
    """Their warnings are looked at one by one."""
    add(session)
    database.narrow("raw_pack", "flags", 3)
    add(session)
    rows = [(1, n, 0, b"x") for n in range(FEWEST)]
    with pytest.raises(RowRefused), session.transaction() as transaction:
        transaction.insert(ADD, [*rows[1:], (1, FEWEST, 256, b"x"), (1, FEWEST + 1, 0, b"x")])


@pytest.mark.parametrize(
    ("kept", "ways_of_it"), [(64, ["LOAD"]), (9, ["LOAD", "ROLLBACK", "INSERT"])]
)
def test_warnings_that_are_not_kept_may_be_of_any_kind(
    database: FakeDatabase, session: Session, kept: int, ways_of_it: list[str]
) -> None:
    """Ten duplicates are counted; where the server keeps nine of their warnings, by INSERT."""
    add(session, rows=10)
    database.warnings_kept = kept
    database.statements.clear()

    assert add(session) == FEWEST - 10
    assert ways(database) == ways_of_it


def test_many_rows_are_loaded_by_several_statements(
    database: FakeDatabase, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A warning about one takes those before it back as well."""
    monkeypatch.setattr(loads, "MOST", FEWEST)
    new = add(session, rows=3 * FEWEST - 1)
    database.statements.clear()
    rows = [(2, n, 0, b"x") for n in range(2 * FEWEST)]
    with pytest.raises(RowRefused), session.transaction() as transaction:
        transaction.insert(ADD, [*rows, (2, 10_000, 256, b"x")])

    assert new == 3 * FEWEST - 1
    assert ways(database) == ["LOAD", "LOAD", "LOAD", "ROLLBACK", "INSERT"]
    assert database.query(COUNT) == [(new,)]
