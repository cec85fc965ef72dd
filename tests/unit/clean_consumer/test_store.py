"""The clean side's store, on the fake database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from clean_consumer import rows
from clean_consumer.enrichment import NONE
from clean_consumer.privacy import without_query
from clean_consumer.rows import Parsed, parse
from clean_consumer.store import Warehouse
from contract.fake_database import COLUMNS, FakeDatabase
from datastream.errors import Unavailable
from datastream.mysql import Session
from datastream.parsing import PARSER_VERSION
from datastream.slices import DISGUISED, TRUNCATED, UNTERMINATED, Slice
from datastream.streams import Stream

STREAM = Stream(2**63 + 5, "test", "host", "/var/log/access.log", "combined", 0)
ERROR_LOG = Stream(8, "test", "host", "/var/log/error.log", "error UTC", 0)
LINE = (
    b'192.0.2.7 - - [10/Oct/2026:13:55:36 +0200] "GET /%s HTTP/1.1" 200 512'
    b' "https://www.example.com/" "example/1.0"'
)
ERROR_LINE = (
    b"2026/10/10 13:55:36 [error] 17#18: *9 open() failed, client: 192.0.2.7, server: example.com,"
    b' request: "GET /%s HTTP/1.1", host: "example.com"'
)
#: The keys of the line's two texts.
AGENT_KEY, REFERRER_KEY = 2591496631786733209, 5275507554085395659
NAMES = ("log_stream", "user_agent", "referrer")


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
def warehouse(session: Session) -> Warehouse:
    """A warehouse on it."""
    return Warehouse(session)


def slice_of(*lines: bytes, position: int = 0, flags: int = 0, stream: Stream = STREAM) -> Slice:
    """Return a slice of these lines."""
    return Slice(stream, position, b"\n".join(lines), len(lines), flags, read_at_ms=0)


def parsed(*lines: bytes, position: int = 0, flags: int = 0, stream: Stream = STREAM) -> Parsed:
    """Return a slice of these lines, parsed."""
    return parse(slice_of(*lines, position=position, flags=flags, stream=stream))


def places(database: FakeDatabase) -> dict[int, str]:
    """Return what became of each line, by its offset. A line in two tables fails."""
    found = database.query(
        "SELECT line_offset, path FROM clean_log UNION ALL"
        " SELECT line_offset, request FROM error_log UNION ALL"
        " SELECT line_offset, reason FROM rejected_log ORDER BY line_offset"
    )
    by_offset = dict(found)
    assert len(by_offset) == len(found)
    return by_offset


def test_each_line_is_in_one_table(database: FakeDatabase, warehouse: Warehouse) -> None:
    """Of an access log and of an error log: what fits in its own, what does not with its reason."""
    outcome = warehouse.store(
        [
            parsed(LINE % b"a", b"rubbish", LINE % b"b"),
            parsed(ERROR_LINE % b"e", b"", position=1_000, stream=ERROR_LOG),
        ]
    )

    end = len(LINE % b"a") + 1
    error = len(ERROR_LINE % b"e") + 1_001
    assert places(database) == {
        0: "/a",
        end: "format",
        end + 8: "/b",
        1_000: "GET /e HTTP/1.1",
        error: "empty",
    }
    assert outcome.stored == {"clean_log": 2, "error_log": 1, "rejected_log": 2}
    assert outcome.rejected == {"format": 1, "empty": 1}
    assert (outcome.duplicates, outcome.replaced, outcome.quarantined) == (0, 0, [])


def test_what_rows_name_is_there_before_them(database: FakeDatabase, warehouse: Warehouse) -> None:
    """The stream, the user agent and the referrer are written first, and once each."""
    warehouse.store([parsed(LINE % b"a", LINE % b"b")])

    order = [
        statement.split("INTO ")[1].split()[0]
        for statement in database.statements
        if "INSERT INTO" in statement
    ]
    assert order == ["log_stream", "referrer", "user_agent", "clean_log"]
    named = database.query(
        "SELECT user_agent, referrer FROM clean_log JOIN user_agent USING (user_agent_id)"
        " JOIN referrer USING (referrer_id)"
    )
    assert named == [("example/1.0", "https://www.example.com/")] * 2


def test_a_line_that_is_there_is_a_duplicate(database: FakeDatabase, warehouse: Warehouse) -> None:
    """Delivered again, or twice in one batch, it changes nothing and is counted."""
    both = parsed(LINE % b"a", b"rubbish")
    first = warehouse.store([both, both])
    again = warehouse.store([both, parsed(LINE % b"new", position=1_000)])

    assert len(places(database)) == 3
    assert (first.stored.total(), first.rejected, first.duplicates) == (2, {"format": 1}, 2)
    assert (again.stored, again.rejected, again.duplicates) == ({"clean_log": 1}, {}, 2)


@pytest.mark.parametrize("flags", [UNTERMINATED, TRUNCATED])
@pytest.mark.parametrize("order", [[0, 1], [1, 0]], ids=["in order", "the other way round"])
@pytest.mark.parametrize("is_one_batch", [False, True], ids=["apart", "together"])
def test_a_beginning_is_replaced_by_the_whole(
    database: FakeDatabase, warehouse: Warehouse, flags: int, order: list[int], is_one_batch: bool
) -> None:
    """Whichever comes first, in one batch or in two; also where both fit their format."""
    looks = [parsed(LINE % b"part", flags=flags), parsed(LINE % b"whole")]
    batches = [[looks[number]] for number in order]
    for batch in [[*batches[0], *batches[1]]] if is_one_batch else batches:
        warehouse.store(batch)

    assert places(database) == {0: "/whole"}


@pytest.mark.parametrize(
    ("older", "newer", "place"),
    [(b"rubbish", LINE % b"new", "/new"), (LINE % b"old", b"rubbish", "format")],
    ids=["from rejected to clean", "from clean to rejected"],
)
def test_a_newer_parser_s_row_takes_the_place_of_an_older_one_s(
    database: FakeDatabase,
    warehouse: Warehouse,
    monkeypatch: pytest.MonkeyPatch,
    older: bytes,
    newer: bytes,
    place: str,
) -> None:
    """In whichever table it is, and the older one does not come back."""
    old = parsed(older)
    monkeypatch.setattr(rows, "PARSER_VERSION", PARSER_VERSION + 1)
    new = parsed(newer)
    warehouse.store([old])
    replaced = warehouse.store([new])
    late = warehouse.store([old])

    assert places(database) == {0: place}
    assert (replaced.stored.total(), replaced.replaced, replaced.duplicates) == (1, 1, 0)
    assert (late.stored.total(), late.replaced, late.duplicates) == (0, 0, 1)


def test_a_format_that_was_chosen_anew_replaces_rows_of_the_same_parser(
    database: FakeDatabase, warehouse: Warehouse
) -> None:
    """The one that came last holds, and a slice that nobody chose anew does not undo it."""
    lines = LINE % b"a", b"rubbish"
    usual = slice_of(*lines)
    anew = replace(
        usual, reformat=True, stream=replace(STREAM, format='main "$args" $remote_addr $msec')
    )
    warehouse.store([parse(usual)])
    changed = warehouse.store([parse(anew)])
    warehouse.store([parse(usual)])
    back = replace(anew, stream=STREAM)
    meanwhile = places(database)
    warehouse.store([parse(back)])

    assert set(meanwhile.values()) == {"format"}
    assert changed.replaced == 2
    assert places(database) == {0: "/a", len(lines[0]) + 1: "format"}


def test_a_row_that_the_database_refuses_is_a_reject(
    database: FakeDatabase, warehouse: Warehouse
) -> None:
    """It is found among the others by halving, and these are stored."""
    database.narrow("clean_log", "path", 9)
    lines = [LINE % b"%d" % number for number in range(20)]
    lines[11] = LINE % b"much/too/long"

    outcome = warehouse.store([parsed(*lines[:7]), parsed(*lines[7:], position=10_000)])

    assert outcome.stored == {"clean_log": 19, "rejected_log": 1}
    assert outcome.duplicates == 0
    assert outcome.rejected == {"refused": 1}
    kept = places(database)
    assert sorted(kept.values()) == sorted(
        ["refused", *(f"/{number}" for number in range(20) if number != 11)]
    )
    assert [*kept.values()].index("refused") == 11


def test_a_line_of_which_no_row_can_be_stored_is_set_aside(
    database: FakeDatabase, warehouse: Warehouse
) -> None:
    """Not even a reject: its stream has a number that no column holds. The others are stored."""
    odd = replace(STREAM, stream_id=1, generation=2**32)
    outcome = warehouse.store([parsed(LINE % b"odd", stream=odd), parsed(LINE % b"good")])

    assert outcome.quarantined == [(slice_of(LINE % b"odd", stream=odd), "refused")]
    assert places(database) == {0: "/good"}


def test_a_line_at_which_the_program_crashes_is_a_reject_until_it_is_mended(
    database: FakeDatabase, warehouse: Warehouse
) -> None:
    """Its row gives way to any other one, of the same parser too."""
    batch = [parsed(LINE % b"a", LINE % b"bad")]
    for _ in range(3):  # the slice, its half, the line
        database.fail("/bad", ZeroDivisionError())

    crashed = warehouse.store(batch)
    at_first = places(database)
    mended = warehouse.store(batch)

    offset = len(LINE % b"a") + 1
    assert at_first == {0: "/a", offset: "crashed"}
    assert [type(crash) for crash in crashed.crashes] == [ZeroDivisionError]
    assert (mended.replaced, mended.duplicates) == (1, 1)
    assert places(database) == {0: "/a", offset: "/bad"}


def test_a_line_of_which_a_reject_crashes_too_is_set_aside(
    database: FakeDatabase, warehouse: Warehouse
) -> None:
    """As crashed; and its slice is one crash, however often."""
    database.fail("INSERT INTO clean_log", ZeroDivisionError())
    database.fail("INSERT INTO rejected_log", ZeroDivisionError())

    outcome = warehouse.store([parsed(LINE % b"a")])

    assert outcome.quarantined == [(slice_of(LINE % b"a"), "crashed")]
    assert len(outcome.crashes) == 1
    assert places(database) == {}


@pytest.mark.parametrize("statement", ["INSERT INTO clean_log", "INSERT INTO rejected_log"])
@pytest.mark.parametrize("number", [1213, 2013, 1142, 9999])
def test_a_failure_that_is_not_the_data_s_leaves_nothing_behind(
    database: FakeDatabase, warehouse: Warehouse, statement: str, number: int
) -> None:
    """A deadlock, a lost connection, a missing grant, an unknown one: the batch is added again."""
    batch = [parsed(LINE % b"a", b"rubbish")]
    database.fail(statement, number)
    with pytest.raises(Unavailable):
        warehouse.store(batch)
    before = places(database)
    outcome = warehouse.store(batch)

    assert before == {}
    assert (outcome.stored.total(), outcome.duplicates, outcome.quarantined) == (2, 0, [])


def test_an_outage_while_a_line_is_rejected_is_waited_for(
    database: FakeDatabase, warehouse: Warehouse
) -> None:
    """That its reject cannot be stored now is no reason to set it aside."""
    database.narrow("clean_log", "path", 1)
    database.fail("INSERT INTO rejected_log", 2013)

    with pytest.raises(Unavailable):
        warehouse.store([parsed(LINE % b"long")])
    outcome = warehouse.store([parsed(LINE % b"long")])

    assert outcome.rejected == {"refused": 1}


@pytest.mark.parametrize("table", NAMES)
def test_what_somebody_removed_is_written_again(
    database: FakeDatabase, warehouse: Warehouse, table: str
) -> None:
    """The rows that name it are rolled back, and the same batch is whole at the next attempt."""
    warehouse.store([parsed(LINE % b"a")])
    database.change(f"DELETE FROM {table}")
    batch = [parsed(LINE % b"b", position=1_000)]

    with pytest.raises(Unavailable, match=rf"rows of {table} .* are gone") as raised:
        warehouse.store(batch)
    meanwhile = places(database)
    warehouse.store(batch)

    assert raised.value.reason == "lock"  # the session is sound
    assert meanwhile == {0: "/a"}
    assert places(database) == {0: "/a", 1_000: "/b"}
    assert len(database.query(f"SELECT 1 FROM {table}")) == 1


def test_all_that_is_remembered_is_forgotten_at_once(
    database: FakeDatabase, warehouse: Warehouse
) -> None:
    """A database that was set back lacks every table's rows: one failure is enough for all."""
    warehouse.store([parsed(LINE % b"a")])
    for table in (*NAMES, "clean_log"):
        database.change(f"DELETE FROM {table}")
    batch = [parsed(LINE % b"b", position=1_000)]
    with pytest.raises(Unavailable):
        warehouse.store(batch)
    warehouse.store(batch)

    assert [len(database.query(f"SELECT 1 FROM {table}")) for table in NAMES] == [1, 1, 1]


def test_what_is_remembered_ends_with_the_session(
    database: FakeDatabase, session: Session, warehouse: Warehouse
) -> None:
    """The next one may be to another server: what rows name is written there without a failure."""
    warehouse.store([parsed(LINE % b"a")])
    for table in NAMES:
        database.change(f"DELETE FROM {table}")
    session.close()
    warehouse.store([parsed(LINE % b"b", position=1_000)])

    assert [len(database.query(f"SELECT 1 FROM {table}")) for table in NAMES] == [1, 1, 1]


def test_lines_name_the_text_that_they_hold_though_two_have_one_key(
    database: FakeDatabase, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each text has a row; the second one's key is another, for the lines of its batch as well."""
    for name in ("user_agent_id_of", "referrer_id_of"):
        monkeypatch.setattr(rows, name, lambda _text: 7)
    told: list[str] = []
    warehouse = Warehouse(session, collided=told.append)
    lines = [
        (LINE % b"%d" % number)
        .replace(b"example/1.0", b"agent/%d" % number)
        .replace(b"https://www.example.com/", b"https://www.example.com/%d" % number)
        for number in range(3)
    ]
    warehouse.store([parsed(*lines)])
    warehouse.store([parsed(*lines, position=10_000)])

    named = database.query(
        "SELECT path, user_agent, referrer FROM clean_log JOIN user_agent USING (user_agent_id)"
        " JOIN referrer USING (referrer_id)"
    )
    assert sorted(named) == sorted(
        [(f"/{n}", f"agent/{n}", f"https://www.example.com/{n}") for n in range(3)] * 2
    )
    assert sorted(told) == ["referrer", "referrer", "user_agent", "user_agent"]


def test_another_consumer_s_row_that_came_meanwhile_is_settled(
    database: FakeDatabase, warehouse: Warehouse
) -> None:
    """Its row for the same line was in another table: the batch is added again, and one stays."""
    warehouse.store([parsed(LINE % b"first", position=10_000)])
    batch = [parsed(LINE % b"whole")]
    version = PARSER_VERSION
    database.before(
        "INSERT INTO clean_log",
        f"INSERT INTO rejected_log VALUES ({STREAM.stream_id}, 0, {version}, 1, 'format')",
    )
    with pytest.raises(Unavailable) as raised:
        warehouse.store(batch)
    warehouse.store(batch)

    assert raised.value.reason == "lock"
    assert places(database)[0] == "/whole"


def test_a_line_that_was_in_two_tables_holds_nobody_up(
    database: FakeDatabase, warehouse: Warehouse
) -> None:
    """Whatever put it there: its slice is stored, and is not tried again for ever."""
    warehouse.store([parsed(LINE % b"a")])
    database.change(
        f"INSERT INTO rejected_log VALUES ({STREAM.stream_id}, 0, {PARSER_VERSION}, 0, 'format')"
    )

    outcome = warehouse.store([parsed(LINE % b"a", LINE % b"b")])

    assert (outcome.stored, outcome.duplicates) == ({"clean_log": 1}, 1)


def columns(database: FakeDatabase, names: str) -> list[tuple[object, ...]]:
    """Return some columns of clean_log, in the order of the lines."""
    return database.query(f"SELECT {names} FROM clean_log ORDER BY line_offset")


def test_the_keys_of_texts_are_for_ever(database: FakeDatabase, warehouse: Warehouse) -> None:
    """Rows of years name them, and a migration computes one of the two: they never change."""
    warehouse.store([parsed(LINE % b"a")])

    assert columns(database, "user_agent_id, referrer_id") == [
        (AGENT_KEY, REFERRER_KEY),
    ]


def test_what_is_not_there_is_null(database: FakeDatabase, warehouse: Warehouse) -> None:
    """A line without user agent and referrer names none, beside one that does."""
    none = (LINE % b"b").replace(b"example/1.0", b"-").replace(b"https://www.example.com/", b"-")
    warehouse.store([parsed(LINE % b"a", none)])

    assert columns(database, "user_agent_id, referrer_id") == [
        (AGENT_KEY, REFERRER_KEY),
        (None, None),
    ]
    assert len(database.query("SELECT 1 FROM user_agent")) == 1


def test_what_a_line_says_through_something_else(
    database: FakeDatabase, warehouse: Warehouse
) -> None:
    """The location of its address and the type of its file, where it has one of each."""
    added = replace(
        NONE,
        locate=lambda client: (str(client[0])[-2:], "a city", 7),
        file_type=lambda path: f"type of {path}",
    )
    nobody = (LINE % b"b").replace(b"192.0.2.7", b"client.example.net")
    nothing = (LINE % b"c").replace(b"GET /c HTTP/1.1", b"?")
    elsewhere = (LINE % b"a").replace(b"192.", b"10.")
    warehouse.store([parse(slice_of(elsewhere, nobody, nothing), added)])

    assert columns(database, "country, city, asn, file_type") == [
        ("10", "a city", 7, "type of /a"),
        (None, None, None, "type of /b"),
        ("92", "a city", 7, None),
    ]


@pytest.mark.parametrize(("flags", "kept"), [(0, "once"), (DISGUISED, "again")])
def test_what_is_kept_of_a_line_depends_on_whether_it_was_disguised(
    database: FakeDatabase, session: Session, flags: int, kept: str
) -> None:
    """By the producer before: then what would hash a hash is not done again."""
    added = replace(
        NONE,
        private=(lambda event: event._replace(host="once"),),
        private_again=(lambda event: event._replace(host="again"),),
    )
    parts = [
        parse(slice_of(LINE % b"a", flags=flags), added),
        parse(slice_of(ERROR_LINE % b"e", flags=flags, stream=ERROR_LOG), added),
    ]
    Warehouse(session, added).store(parts)

    assert database.query("SELECT host FROM clean_log UNION ALL SELECT host FROM error_log") == [
        (kept,),
        (kept,),
    ]


@pytest.mark.parametrize(
    ("flags", "reason"), [(0, "format"), (UNTERMINATED, "format"), (TRUNCATED, "truncated")]
)
def test_why_a_line_does_not_fit(
    database: FakeDatabase, warehouse: Warehouse, flags: int, reason: str
) -> None:
    """That of one which was cut is that it was cut."""
    warehouse.store([parsed(b"rubbish", flags=flags)])

    assert places(database) == {0: reason}


def test_a_line_of_an_error_log_that_is_refused_stands_alone(
    database: FakeDatabase, warehouse: Warehouse
) -> None:
    """Those before and behind it in its slice are stored."""
    database.narrow("error_log", "request", 20)
    lines = [ERROR_LINE % path for path in (b"a", b"b", b"much/too/long", b"c")]

    outcome = warehouse.store([parsed(*lines, b"rubbish", stream=ERROR_LOG)])

    assert outcome.stored == {"error_log": 3, "rejected_log": 2}
    assert outcome.duplicates == 0
    assert [*places(database).values()] == [
        *("GET /a HTTP/1.1", "GET /b HTTP/1.1", "refused", "GET /c HTTP/1.1", "format")
    ]


def test_rows_are_written_in_the_order_of_their_keys(
    database: FakeDatabase, warehouse: Warehouse
) -> None:
    """Whatever order the slices came in: two consumers then take locks in one order."""
    another = replace(STREAM, stream_id=3)
    warehouse.store(
        [
            parsed(LINE % b"d", position=900),
            parsed(LINE % b"c", position=30),
            parsed(LINE % b"b", position=900, stream=another),
            parsed(LINE % b"a", position=30, stream=another),
        ]
    )

    (written,) = (text for text in database.statements if "INSERT INTO clean_log" in text)
    paths = [written.index(f"'/{path}'") for path in "abcd"]
    assert paths == sorted(paths)


@pytest.mark.parametrize("collides", ["user_agent", "referrer"])
def test_a_row_that_names_another_key_is_otherwise_the_same(
    database: FakeDatabase, session: Session, collides: str
) -> None:
    """All of its columns, and the other of the two keys; what is kept of a text is what counts."""
    added = replace(
        NONE,
        locate=lambda _client: ("ES", "a city", 7),
        file_type=lambda _path: "page",
        private=(without_query,),
    )
    lines = [
        (LINE % b"%d" % number)
        .replace(b"example/1.0", b"agent/%d" % number)
        .replace(b"example.com/", b"example.com/%d?secret" % number)
        for number in range(3)
    ]
    Warehouse(session, added).store([parse(slice_of(*lines), added)])
    before = columns(database, "*")
    database.change("DELETE FROM clean_log")
    database.change(f"UPDATE {collides} SET {collides} = 'another' WHERE {collides} LIKE '%1'")
    session.close()
    Warehouse(session, added).store([parse(slice_of(*lines), added)])
    after = columns(database, "*")

    differing = [
        (line, name)
        for line, rows in enumerate(zip(before, after, strict=True))
        for name, old, new in zip(COLUMNS["clean_log"], *rows, strict=True)
        if old != new
    ]
    assert differing == [(1, f"{collides}_id")]
    named = columns(database, "path, user_agent_id, referrer_id")
    texts = dict(database.query(f"SELECT {collides}_id, {collides} FROM {collides}"))
    assert texts[named[1][1 if collides == "user_agent" else 2]].endswith("/1")


def test_slices_without_a_text_that_collides_are_as_they_were(
    database: FakeDatabase, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of an error log too, which name no texts at all."""
    monkeypatch.setattr(rows, "user_agent_id_of", lambda _text: 7)
    Warehouse(session).store(
        [
            parsed((LINE % b"a"), (LINE % b"b").replace(b"example/1.0", b"other")),
            parsed(b"rubbish", position=5_000),
            parsed(ERROR_LINE % b"e", b"rubbish", stream=ERROR_LOG, position=6_000),
        ]
    )

    assert [*places(database).values()][:4] == ["/a", "/b", "format", "GET /e HTTP/1.1"]


@pytest.mark.parametrize("table", ["clean_log", "error_log", "rejected_log", *NAMES[1:]])
def test_a_table_that_is_missing_is_an_outage(
    database: FakeDatabase, warehouse: Warehouse, table: str
) -> None:
    """It is told before any line is taken."""
    warehouse.check()
    database.change(f"DROP TABLE {table}")

    with pytest.raises(Unavailable, match="run the migrations"):
        warehouse.check()
