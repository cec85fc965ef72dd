"""The lake's store, on the fake database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from contract.fake_database import FakeDatabase
from datastream.errors import Unavailable
from datastream.mysql import Session
from datastream.slices import DISGUISED, TRUNCATED, UNTERMINATED, Slice
from datastream.streams import Stream
from lake_consumer.store import Lake

STREAM = Stream(2**63 + 5, "test", "host", "/var/log/access.log", "combined", 0)
ANOTHER = Stream(7, "test", "host", "/var/log/another.log", "combined", 0)


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDatabase:
    """A database of the test's own."""
    return FakeDatabase(tmp_path, monkeypatch)


@pytest.fixture
def session(database: FakeDatabase) -> Iterator[Session]:
    """A session with it."""
    with closing(Session(database.settings, "test")) as opened:
        yield opened


@pytest.fixture
def lake(session: Session) -> Lake:
    """A lake on it."""
    return Lake(session)


def slice_of(*lines: bytes, position: int = 0, flags: int = 0, stream: Stream = STREAM) -> Slice:
    """Return a slice of these lines."""
    return Slice(stream, position, b"\n".join(lines), len(lines), flags, read_at_ms=0)


def rows(database: FakeDatabase, stream: Stream = STREAM) -> list[tuple[int, int, bytes]]:
    """Return offset, flags and line of every row of a stream."""
    found = database.query("SELECT stream_id, line_offset, flags, line FROM raw_log")
    return sorted(row[1:] for row in found if row[0] == stream.stream_id)


def test_a_line_that_is_there_is_a_duplicate(database: FakeDatabase, lake: Lake) -> None:
    """Delivered again, or twice in one batch, it changes nothing and is counted."""
    first = lake.store([slice_of(b"one", b"one", b""), slice_of(b"one")])
    again = lake.store([slice_of(b"one", b"one"), slice_of(b"new", position=9)])

    assert rows(database) == [(0, 0, b"one"), (4, 0, b"one"), (8, 0, b""), (9, 0, b"new")]
    assert (first.stored, first.duplicates) == ({"raw_log": 3}, 1)
    assert (again.stored, again.duplicates, again.replaced) == ({"raw_log": 1}, 2, 0)


def test_rows_are_written_in_the_order_of_their_keys(database: FakeDatabase, lake: Lake) -> None:
    """Whatever order the slices came in: two consumers then take locks in one order."""
    lake.store([slice_of(b"c", position=4), slice_of(b"x", stream=ANOTHER), slice_of(b"a", b"b")])

    (written,) = (text for text in database.statements if "INSERT INTO raw_log" in text)
    order = [written.index(f"X'{line.hex()}'") for line in (b"x", b"a", b"b", b"c")]
    assert order == sorted(order)


@pytest.mark.parametrize("flags", [UNTERMINATED, TRUNCATED])
def test_a_beginning_is_replaced_by_the_whole(
    database: FakeDatabase, lake: Lake, flags: int
) -> None:
    """And a whole line by no beginning of it, which is an older look."""
    lake.store([slice_of(b"begin", flags=flags)])
    whole = lake.store([slice_of(b"beginning", b"next")])
    late = lake.store([slice_of(b"begin", flags=flags)])

    assert rows(database) == [(0, 0, b"beginning"), (10, 0, b"next")]
    assert (whole.stored["raw_log"], whole.replaced, whole.duplicates) == (1, 1, 0)
    assert (late.stored["raw_log"], late.replaced, late.duplicates) == (0, 0, 1)
    assert whole.quarantined == late.quarantined == []


def test_a_beginning_of_another_line_is_no_beginning(database: FakeDatabase, lake: Lake) -> None:
    """It is never silent: what is stored stays, and the slice is set aside."""
    lake.store([slice_of(b"begin", flags=UNTERMINATED)])
    other = slice_of(b"other line")

    outcome = lake.store([other])

    assert outcome.quarantined == [(other, "identity_conflict")]
    assert rows(database) == [(0, UNTERMINATED, b"begin")]


def test_a_slice_in_conflict_is_set_aside_whole(database: FakeDatabase, lake: Lake) -> None:
    """None of its lines is stored, and all of the others are, those that came before it too."""
    lake.store([slice_of(b"first", b"second")])
    other_log = slice_of(b"first", b"SECOND", b"third")
    innocent = [slice_of(b"before", stream=ANOTHER), slice_of(b"behind", position=19)]

    outcome = lake.store([innocent[0], other_log, innocent[1]])

    assert outcome.quarantined == [(other_log, "identity_conflict")]
    assert outcome.stored == {"raw_log": 2}
    assert rows(database) == [(0, 0, b"first"), (6, 0, b"second"), (19, 0, b"behind")]
    assert rows(database, ANOTHER) == [(0, 0, b"before")]


def test_a_slice_is_not_in_conflict_with_one_that_is_not_stored(
    database: FakeDatabase, lake: Lake
) -> None:
    """The intruder's lines of its batch are taken back: then there is nothing to differ from."""
    lake.store([slice_of(b"one")])
    intruder = slice_of(b"two", b"three")
    innocent = slice_of(b"four", position=4)

    outcome = lake.store([intruder, innocent])

    assert outcome.quarantined == [(intruder, "identity_conflict")]
    assert outcome.stored == {"raw_log": 1}
    assert rows(database) == [(0, 0, b"one"), (4, 0, b"four")]


@pytest.mark.parametrize("position", [1, 9, 10])
def test_a_slice_that_begins_inside_a_stored_line_is_in_conflict(
    database: FakeDatabase, lake: Lake, position: int
) -> None:
    """Its newline is part of it; right behind that another line may begin."""
    lake.store([slice_of(b"0123456789")])
    inside = slice_of(b"another", position=position)

    outcome = lake.store([inside, slice_of(b"next", position=11)])

    assert outcome.quarantined == [(inside, "identity_conflict")]
    assert rows(database) == [(0, 0, b"0123456789"), (11, 0, b"next")]


def test_where_a_disguised_line_ends_is_not_guessed(database: FakeDatabase, lake: Lake) -> None:
    """It may be longer than the line was: what follows is in no conflict with it."""
    disguised = replace(slice_of(b"a longer line", flags=DISGUISED), lengths=(4,))
    outcome = lake.store([disguised, slice_of(b"next", position=5)])
    later = lake.store([slice_of(b"last", position=10)])

    assert outcome.quarantined == later.quarantined == []
    assert [offset for offset, _, _ in rows(database)] == [0, 5, 10]


def test_a_line_that_differs_in_its_disguise_alone_is_a_duplicate(
    database: FakeDatabase, lake: Lake
) -> None:
    """What is stored stays; one that differs in more is in conflict."""
    lake.store([replace(slice_of(b"192.0.2.0 a", flags=DISGUISED), lengths=(11,))])
    plain = lake.store([slice_of(b"192.0.2.7 a")])
    other = lake.store([slice_of(b"192.0.2.7 b")])

    assert (plain.duplicates, plain.quarantined) == (1, [])
    assert [reason for _, reason in other.quarantined] == ["identity_conflict"]
    assert rows(database) == [(0, DISGUISED, b"192.0.2.0 a")]


def test_two_plain_lines_that_differ_in_an_address_are_two(lake: Lake) -> None:
    """Neither is disguised: the same but for an address is another line."""
    lake.store([slice_of(b"192.0.2.0 a")])

    assert lake.store([slice_of(b"192.0.2.7 a")]).quarantined != []


def test_a_line_that_the_database_refuses_stands_alone(database: FakeDatabase, lake: Lake) -> None:
    """It is found by halving, and all the others are stored."""
    database.narrow("raw_log", "line", 8)
    refused = slice_of(b"much too long", position=4)

    long = slice_of(b"1", b"2", b"much too long", b"3")
    outcome = lake.store([long, slice_of(b"4", stream=ANOTHER)])

    assert outcome.quarantined == [(refused, "refused")]
    assert outcome.stored == {"raw_log": 4}
    assert [line for _, _, line in rows(database)] == [b"1", b"2", b"3"]
    assert rows(database, ANOTHER) == [(0, 0, b"4")]


def test_a_line_at_which_the_program_crashes_stands_alone(
    database: FakeDatabase, lake: Lake
) -> None:
    """It is set aside with that reason, and the crash is told once for its slice."""
    for _ in range(4):  # the batch, the slice, its half, the line
        database.fail(b"bad".hex(), ZeroDivisionError())

    outcome = lake.store([slice_of(b"a", b"bad"), slice_of(b"good", stream=ANOTHER)])

    assert outcome.quarantined == [(slice_of(b"bad", position=2), "crashed")]
    assert [type(crash) for crash in outcome.crashes] == [ZeroDivisionError]
    assert rows(database) == [(0, 0, b"a")]


@pytest.mark.parametrize("number", [1213, 2013, 1142, 9999])
def test_a_failure_that_is_not_the_data_s_leaves_nothing_behind(
    database: FakeDatabase, lake: Lake, number: int
) -> None:
    """A deadlock, a lost connection, a missing grant, an unknown one: the batch is added again."""
    database.fail("INSERT INTO raw_log", number)
    with pytest.raises(Unavailable):
        lake.store([slice_of(b"one")])
    before = rows(database)
    outcome = lake.store([slice_of(b"one")])

    assert before == []
    assert (outcome.stored, outcome.duplicates) == ({"raw_log": 1}, 0)


def test_a_commit_of_which_nobody_knows_is_done_again(database: FakeDatabase, lake: Lake) -> None:
    """The connection was lost before its answer came: what it wrote is found as duplicates."""
    lake.store([slice_of(b"first")])  # the stream is known from here on
    database.fail("COMMIT", 2013, is_done=True)
    batch = [slice_of(b"second", position=6)]
    with pytest.raises(Unavailable):
        lake.store(batch)

    outcome = lake.store(batch)

    assert (outcome.stored["raw_log"], outcome.duplicates) == (0, 1)
    assert rows(database) == [(0, 0, b"first"), (6, 0, b"second")]


def streams(database: FakeDatabase) -> list[int]:
    """Return the streams that are described."""
    return [stream for (stream,) in database.query("SELECT stream_id FROM log_stream")]


def test_a_stream_that_somebody_removed_is_written_again(
    database: FakeDatabase, lake: Lake
) -> None:
    """The rows that name it are rolled back, and the same batch is whole at the next attempt."""
    lake.store([slice_of(b"one")])
    database.change("DELETE FROM log_stream")
    batch = [slice_of(b"two", position=4)]

    with pytest.raises(Unavailable, match=r"rows of log_stream .* are gone") as raised:
        lake.store(batch)
    meanwhile = rows(database)
    lake.store(batch)

    assert raised.value.reason == "lock"  # the session is sound
    assert meanwhile == [(0, 0, b"one")]
    assert streams(database) == [STREAM.stream_id]


def test_a_stream_is_described_once_a_session(
    database: FakeDatabase, session: Session, lake: Lake
) -> None:
    """Whatever is remembered goes with the session: the next one may be to another server."""
    described = "INSERT INTO log_stream"
    lake.store([slice_of(b"one")])
    lake.store([slice_of(b"two", position=4)])
    in_one = sum(described in statement for statement in database.statements)
    session.close()
    lake.store([slice_of(b"three", position=8)])

    assert in_one == 1
    assert sum(described in statement for statement in database.statements) == 2


def test_a_table_that_is_missing_is_an_outage(database: FakeDatabase, lake: Lake) -> None:
    """Nothing is set aside because of it."""
    lake.check()
    database.change("DROP TABLE raw_log")

    with pytest.raises(Unavailable, match="run the migrations"):
        lake.check()
    with pytest.raises(Unavailable, match="run the migrations"):
        lake.store([slice_of(b"a line")])
