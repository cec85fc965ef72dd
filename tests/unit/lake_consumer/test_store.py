"""The lake's store, on the fake database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from contract.fake_database import FakeDatabase
from datastream.errors import Unavailable
from datastream.mysql import Session
from datastream.slices import DISGUISED, TRUNCATED, UNTERMINATED, Slice
from datastream.streams import Stream
from lake_consumer import store
from lake_consumer.plan import Line, Plan, plan
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


def packs(database: FakeDatabase) -> list[tuple[int, int, int]]:
    """Return offset, end and number of lines of every pack, in the order of the keys."""
    return database.query(
        "SELECT line_offset, end_offset, line_count FROM raw_pack ORDER BY stream_id, line_offset"
    )


def test_streams_are_locked_and_written_in_the_order_of_their_keys(
    database: FakeDatabase, lake: Lake
) -> None:
    """Whatever order the slices came in: two consumers then take locks in one order."""
    lake.store([slice_of(b"c", position=4), slice_of(b"x", stream=ANOTHER), slice_of(b"a", b"b")])

    keys = [str(ANOTHER.stream_id), str(STREAM.stream_id)]
    (locked,) = (text for text in database.statements if text.startswith("UPDATE log_stream"))
    written = [text for text in database.statements if "INSERT INTO raw_pack" in text]
    assert locked.endswith(f"IN ({keys[0]},{keys[1]})")
    assert [key in text for key, text in zip(keys, written, strict=True)] == [True, True]
    assert database.statements.index(locked) < database.statements.index(written[0])


def test_slices_that_follow_on_one_another_are_one_pack(database: FakeDatabase, lake: Lake) -> None:
    """Those of a batch; behind a gap there is another one."""
    batch = [slice_of(b"behind", position=20), slice_of(b"b", position=4), slice_of(b"a", b"0")]
    lake.store(batch)
    lake.store([slice_of(b"later", position=6)])

    assert packs(database) == [(0, 5, 3), (6, 11, 1), (20, 26, 1)]


def test_only_packs_that_meet_the_slices_are_read(database: FakeDatabase, lake: Lake) -> None:
    """One that ends before them costs no unpacking, nor does one behind them."""
    lake.store([slice_of(b"one"), slice_of(b"four", position=40)])
    database.change("UPDATE raw_pack SET codec = 77")

    outcome = lake.store([slice_of(b"two", b"three", position=4)])

    assert outcome.stored == {"raw_log": 2}


def test_a_damaged_pack_stands_alone(database: FakeDatabase, lake: Lake) -> None:
    """What meets it cannot be compared: it is set aside, and all else is stored."""
    lake.store([slice_of(b"one")])
    database.change("UPDATE raw_pack SET codec = 77")

    outcome = lake.store([slice_of(b"one"), slice_of(b"x", stream=ANOTHER)])

    assert [(slice_.lines, reason) for slice_, reason in outcome.quarantined] == [(1, "crashed")]
    assert outcome.stored == {"raw_log": 1}


def test_a_line_of_an_older_version_is_compared(database: FakeDatabase, lake: Lake) -> None:
    """Its row says nothing of where it ends; whole or begun, it is as one of today."""
    lake.store([slice_of(b"whole"), slice_of(b"beg", position=6, flags=UNTERMINATED)])
    database.change("UPDATE raw_pack SET end_offset = NULL")

    inside = slice_of(b"x", position=5)
    first = lake.store([inside])
    whole = lake.store([slice_of(b"whole", b"begun", b"next")])

    assert first.quarantined == [(inside, "identity_conflict")]
    assert (whole.stored["raw_log"], whole.duplicates, whole.replaced) == (1, 1, 1)
    assert rows(database) == [(0, 0, b"whole"), (6, 0, b"begun"), (12, 0, b"next")]


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


def test_where_a_disguised_line_ends_is_known(database: FakeDatabase, lake: Lake) -> None:
    """Its length in the log came with it: what follows is in no conflict, what is inside is."""
    disguised = replace(slice_of(b"a longer line", flags=DISGUISED), lengths=(4,))
    inside = slice_of(b"inside", position=4)
    outcome = lake.store([disguised, slice_of(b"next", position=5)])
    later = lake.store([slice_of(b"last", position=10), inside])

    assert outcome.quarantined == []
    assert later.quarantined == [(inside, "identity_conflict")]
    assert [offset for offset, _, _ in rows(database)] == [0, 5, 10]


def test_where_a_disguised_line_of_an_older_version_ends_is_not_guessed(
    database: FakeDatabase, lake: Lake
) -> None:
    """It may be longer than the line was: what follows is in no conflict with it."""
    lake.store([replace(slice_of(b"a longer line", flags=DISGUISED), lengths=(4,))])
    database.change("UPDATE raw_pack SET end_offset = NULL")

    assert lake.store([slice_of(b"next", position=5)]).quarantined == []
    assert [offset for offset, _, _ in rows(database)] == [0, 5]


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
    database.narrow("raw_pack", "body", 8)
    refused = slice_of(b"much too long", position=4)

    long = slice_of(b"1", b"2", b"much too long", b"3")
    outcome = lake.store([long, slice_of(b"4", stream=ANOTHER)])

    assert outcome.quarantined == [(refused, "refused")]
    assert outcome.stored == {"raw_log": 4}
    assert [line for _, _, line in rows(database)] == [b"1", b"2", b"3"]
    assert rows(database, ANOTHER) == [(0, 0, b"4")]


def test_a_line_at_which_the_program_crashes_stands_alone(
    database: FakeDatabase, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is set aside with that reason, and the crash is told once for its slice."""

    def crashing(stored: Mapping[int, Line], slices: Sequence[Slice]) -> Plan:
        if any(b"bad" in slice_.body for slice_ in slices):
            raise ZeroDivisionError
        return plan(stored, slices)

    monkeypatch.setattr(store, "plan", crashing)

    outcome = lake.store([slice_of(b"a", b"bad"), slice_of(b"good", stream=ANOTHER)])

    assert outcome.quarantined == [(slice_of(b"bad", position=2), "crashed")]
    assert [type(crash) for crash in outcome.crashes] == [ZeroDivisionError]
    assert rows(database) == [(0, 0, b"a")]
    assert rows(database, ANOTHER) == [(0, 0, b"good")]


@pytest.mark.parametrize("number", [1213, 2013, 1142, 9999])
def test_a_failure_that_is_not_the_data_s_leaves_nothing_behind(
    database: FakeDatabase, lake: Lake, number: int
) -> None:
    """A deadlock, a lost connection, a missing grant, an unknown one: the batch is added again."""
    database.fail("INSERT INTO raw_pack", number)
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
    database.change("DROP TABLE raw_pack")

    with pytest.raises(Unavailable, match="run the migrations"):
        lake.check()
    with pytest.raises(Unavailable, match="run the migrations"):
        lake.store([slice_of(b"a line")])
