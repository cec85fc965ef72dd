"""The clean side's store, on the real server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
import tenacity

from clean_consumer import rows, store
from clean_consumer.columns import CleanRow
from clean_consumer.locations import CITY_LIMIT
from clean_consumer.paths import FILE_TYPE_LIMIT
from clean_consumer.rows import Parsed, parse
from clean_consumer.store import Warehouse
from datastream.consuming import Outcome
from datastream.errors import Unavailable
from datastream.mysql import Session
from datastream.parsing import LIMITS, PARSER_VERSION
from datastream.slices import TRUNCATED, UNTERMINATED, Slice
from datastream.streams import Stream
from deployment import Deployment

STREAM = Stream(2**63 + 5, "test", "host", "/var/log/access.log", "combined", 0)
PROXY = Stream(7, "test", "host", "/var/log/proxy.log", "proxy", 0)
ERROR_LOG = Stream(8, "test", "host", "/var/log/error.log", "error UTC", 0)
ERROR_LINE = (
    b"2026/10/10 13:55:36 [error] 17#18: *9 open() failed, client: 192.0.2.7, server: example.com,"
    b' request: "GET /%s HTTP/1.1", host: "example.com"'
)
LINE = b'192.0.2.7 - - [10/Oct/2026:13:55:36 +0200] "GET /%s HTTP/1.1" 200 512 "-" "example/1.0"'


@pytest.fixture
def warehouse(deployment: Deployment) -> Iterator[Warehouse]:
    """A warehouse on a schema of the test's own."""
    with closing(Session(deployment.mysql, "test")) as session:
        yield Warehouse(session)


def slice_of(*lines: bytes, position: int = 0, flags: int = 0, stream: Stream = STREAM) -> Slice:
    """Return a slice of these lines."""
    return Slice(stream, position, b"\n".join(lines), len(lines), flags, read_at_ms=0)


def parsed(*lines: bytes, position: int = 0, flags: int = 0, stream: Stream = STREAM) -> Parsed:
    """Return a slice of these lines, parsed."""
    return parse(slice_of(*lines, position=position, flags=flags, stream=stream))


def places(deployment: Deployment) -> dict[int, str]:
    """Return where each line is, by its offset; a line in both tables fails."""
    found = deployment.query(
        "SELECT line_offset, path FROM clean_log UNION ALL"
        " SELECT line_offset, SUBSTRING_INDEX(SUBSTRING_INDEX(request, ' ', 2), ' ', -1)"
        " FROM error_log UNION ALL"
        " SELECT line_offset, reason FROM rejected_log ORDER BY line_offset"
    )
    by_offset = dict(found)
    assert len(by_offset) == len(found)
    return by_offset


def test_each_line_is_in_one_of_two_tables(deployment: Deployment, warehouse: Warehouse) -> None:
    """What fits is in clean_log, what does not is in rejected_log with its reason."""
    outcome = warehouse.store([parsed(LINE % b"a", b"rubbish", LINE % b"b")])

    length = len(LINE % b"a")
    assert places(deployment) == {0: "/a", length + 1: "format", length + 9: "/b"}
    assert outcome.stored == {"clean_log": 2, "rejected_log": 1}
    assert outcome.rejected == {"format": 1}
    assert outcome.duplicates == 0
    assert deployment.query("SELECT user_agent FROM user_agent") == [("example/1.0",)]
    assert deployment.query("SELECT format FROM log_stream") == [("combined",)]


def test_the_lines_of_an_error_log_have_a_table_of_their_own(
    deployment: Deployment, warehouse: Warehouse
) -> None:
    """What fits is in error_log, what does not is in rejected_log; once each."""
    lines = parsed(ERROR_LINE % b"a", b"rubbish", stream=ERROR_LOG)
    outcome = warehouse.store([lines, parsed(LINE % b"b")])
    again = warehouse.store([lines])

    assert outcome.stored == {"clean_log": 1, "error_log": 1, "rejected_log": 1}
    assert (again.stored.total(), again.duplicates) == (0, 2)
    assert deployment.query(
        "SELECT time, level, pid, tid, connection, INET6_NTOA(client), server, request, host,"
        " message FROM error_log"
    ) == [
        (
            datetime(2026, 10, 10, 13, 55, 36),  # noqa: DTZ001 - the database's are UTC
            *("error", 17, 18, 9, "192.0.2.7", "example.com", "GET /a HTTP/1.1", "example.com"),
            "open() failed",
        )
    ]
    assert deployment.query("SELECT stream_id, reason FROM rejected_log") == [(8, "format")]


@pytest.mark.parametrize("batches", [[0, 1], [1, 0]], ids=["in order", "the other way round"])
def test_a_whole_line_of_an_error_log_wins_over_its_beginning(
    deployment: Deployment, warehouse: Warehouse, batches: list[int]
) -> None:
    """As a line of an access log does; what fits but was cut gives way too."""
    cut, rubbish = (
        parsed(line, flags=UNTERMINATED, stream=ERROR_LOG)
        for line in (ERROR_LINE % b"cut", b"2026/10/10 13")
    )
    whole = parsed(ERROR_LINE % b"whole", stream=ERROR_LOG)
    for beginning in (cut, rubbish):
        for batch in batches:
            warehouse.store([(beginning, whole)[batch]])

    assert places(deployment) == {0: "/whole"}


def test_the_same_slice_again_changes_nothing(deployment: Deployment, warehouse: Warehouse) -> None:
    """In another batch, or twice in one, it is counted as duplicates."""
    both = parsed(LINE % b"a", b"rubbish")
    first = warehouse.store([both, both])
    again = warehouse.store([both])

    assert len(places(deployment)) == 2
    assert (first.stored.total(), first.rejected.total(), first.duplicates) == (2, 1, 2)
    assert (again.stored.total(), again.duplicates, again.rejected.total()) == (0, 2, 0)


@pytest.mark.parametrize(
    ("older", "newer", "place"),
    [(b"rubbish", LINE % b"new", "/new"), (LINE % b"old", b"rubbish", "format")],
    ids=["from rejected to clean", "from clean to rejected"],
)
def test_a_newer_parser_moves_a_line(
    deployment: Deployment,
    warehouse: Warehouse,
    monkeypatch: pytest.MonkeyPatch,
    older: bytes,
    newer: bytes,
    place: str,
) -> None:
    """The row of the newer version takes the older one's place, in either table, and stays."""
    old = parsed(older)
    monkeypatch.setattr(rows, "PARSER_VERSION", PARSER_VERSION + 1)
    new = parsed(newer)
    warehouse.store([old])
    outcome = warehouse.store([new])
    late = warehouse.store([old])

    assert places(deployment) == {0: place}
    assert outcome.replaced == 1
    assert (late.replaced, late.duplicates) == (0, 1)


@pytest.mark.parametrize("flags", [UNTERMINATED, TRUNCATED])
@pytest.mark.parametrize("batches", [[0, 1], [1, 0]], ids=["in order", "the other way round"])
def test_a_whole_line_wins_over_its_beginning(
    deployment: Deployment, warehouse: Warehouse, batches: list[int], flags: int
) -> None:
    """A line without its newline, or its head, gives way to the whole one, first or last."""
    looks = [parsed(b"192.0.2.7 - - [10/Oct", flags=flags), parsed(LINE % b"whole")]
    for batch in batches:
        warehouse.store([looks[batch]])

    assert places(deployment) == {0: "/whole"}


@pytest.mark.parametrize("flags", [UNTERMINATED, TRUNCATED])
@pytest.mark.parametrize("order", [[0, 1], [1, 0]], ids=["in order", "the other way round"])
def test_both_looks_at_a_line_in_one_batch(
    deployment: Deployment, warehouse: Warehouse, order: list[int], flags: int
) -> None:
    """The same holds within a batch."""
    looks = [parsed(b"192.0.2.7 - - [10/Oct", flags=flags), parsed(LINE % b"whole")]

    warehouse.store([looks[number] for number in order])

    assert places(deployment) == {0: "/whole"}


def test_a_row_that_the_database_refuses_is_a_reject(
    deployment: Deployment, warehouse: Warehouse
) -> None:
    """It is found among the others, which are stored, and its reason says so."""
    with deployment.database.connect(deployment.mysql.database) as connection:
        connection.cursor().execute("ALTER TABLE clean_log MODIFY path VARCHAR(9)")
    lines = [LINE % b"%d" % number for number in range(20)]
    lines[11] = LINE % b"much/too/long"

    outcome = warehouse.store([parsed(*lines[:7]), parsed(*lines[7:], position=10_000)])

    assert outcome.stored == {"clean_log": 19, "rejected_log": 1}
    assert outcome.rejected == {"refused": 1}
    assert list(places(deployment).values()).count("refused") == 1


def test_a_slice_of_which_no_row_can_be_stored(
    deployment: Deployment, warehouse: Warehouse
) -> None:
    """Its lines are quarantined, not waited for, and the others are stored."""
    odd = replace(STREAM, stream_id=1, generation=2**40)

    outcome = warehouse.store([parsed(LINE % b"odd", stream=odd), parsed(LINE % b"good")])

    assert outcome.quarantined == [(slice_of(LINE % b"odd", stream=odd), "refused")]
    assert places(deployment) == {0: "/good"}


def test_the_widest_row_fits(deployment: Deployment, warehouse: Warehouse) -> None:
    """Every column at its limit, in characters of four bytes, is stored as it is."""
    apart = {"user_agent", "referrer"}
    wide = {name: "\U0001f600" * limit for name, limit in LIMITS.items() if name not in apart}
    wide |= {"city": "\U0001f600" * CITY_LIMIT, "file_type": "x" * FILE_TYPE_LIMIT}
    narrow = parsed(LINE % b"x")
    widest = CleanRow._make(narrow.clean[0])._asdict() | wide

    outcome = warehouse.store([replace(narrow, clean=[CleanRow(**widest)])])

    assert outcome.rejected.total() == 0
    stored = deployment.query(f"SELECT {', '.join(f'`{name}`' for name in wide)} FROM clean_log")
    assert stored == [tuple(wide.values())]


@pytest.mark.parametrize(
    ("looks", "place"),
    [
        ([(b"rubbish", UNTERMINATED), (LINE % b"whole", 0)], "/whole"),
        ([(LINE % b"whole", 0), (b"rubbish", UNTERMINATED)], "/whole"),
        ([(LINE % b"part", UNTERMINATED), (LINE % b"whole", 0)], "/whole"),
        ([(b"rubbish", UNTERMINATED), (b"", 0)], "empty"),
        ([(LINE % b"whole", 0), (LINE % b"part", UNTERMINATED)], "/whole"),
        ([(b"rubbish", UNTERMINATED), (ERROR_LINE % b"whole", 0)], "/whole"),
        ([(ERROR_LINE % b"whole", 0), (b"rubbish", UNTERMINATED)], "/whole"),
        ([(ERROR_LINE % b"part", UNTERMINATED), (ERROR_LINE % b"whole", 0)], "/whole"),
    ],
)
def test_two_consumers_that_see_one_line_differently_at_once(
    deployment: Deployment,
    warehouse: Warehouse,
    monkeypatch: pytest.MonkeyPatch,
    looks: list[tuple[bytes, int]],
    place: str,
) -> None:
    """Neither saw a row of the other's when it began; the line is in one table, the better row."""
    is_error = any(line.startswith(b"2026") for line, _ in looks)
    late, first = (
        parsed(line, flags=flags, stream=ERROR_LOG if is_error else STREAM) for line, flags in looks
    )
    look = store.rows_present
    with closing(Session(deployment.mysql, "other")) as session:
        other = Warehouse(session)

        def overtaken(*arguments: object) -> object:
            monkeypatch.setattr(store, "rows_present", look)
            nothing = look(*arguments)  # type: ignore[arg-type]
            other.store([first])
            return nothing

        monkeypatch.setattr(store, "rows_present", overtaken)
        patient = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Unavailable),
            stop=tenacity.stop_after_attempt(3),
            reraise=True,
        )
        outcome = patient(warehouse.store, [late])

    assert places(deployment) == {0: place}
    assert outcome.quarantined == []


def test_a_line_that_was_in_both_tables_holds_nobody_up(
    deployment: Deployment, warehouse: Warehouse
) -> None:
    """Whatever put it there: its slice is stored, and is not tried again for ever."""
    warehouse.store([parsed(LINE % b"a")])
    with deployment.database.connect(deployment.mysql.database) as connection:
        connection.cursor().execute(
            "INSERT INTO rejected_log SELECT stream_id, line_offset, 1, 0, 'format' FROM clean_log"
        )
        connection.commit()

    outcome = warehouse.store([parsed(LINE % b"a", LINE % b"b")])

    assert (outcome.stored["clean_log"], outcome.duplicates) == (1, 1)


def test_user_agents_are_stored_once_by_several(deployment: Deployment) -> None:
    """Two consumers that see the same agents first agree on one row each."""
    with (
        closing(Session(deployment.mysql, "one")) as one,
        closing(Session(deployment.mysql, "two")) as two,
    ):
        Warehouse(one).store([parsed(LINE % b"a")])
        Warehouse(two).store([parsed(LINE % b"b", position=1_000)])

    joined = deployment.query(
        "SELECT user_agent FROM clean_log JOIN user_agent USING (user_agent_id)"
    )
    assert joined == [("example/1.0",)] * 2


def test_neighbours_do_not_wait_for_each_other(
    deployment: Deployment, warehouse: Warehouse
) -> None:
    """Two consumers that hold slices by turns cannot deadlock: neither waits for the other."""
    batch = [
        parsed(LINE % b"a", b"rubbish"),
        parsed(LINE % b"b", b"rubbish", position=2_000),
    ]
    with deployment.database.connect(deployment.mysql.database) as other:
        cursor = other.cursor()
        for offset in (1_000, 3_000):
            key = (STREAM.stream_id, offset)
            cursor.execute(
                "INSERT INTO clean_log (stream_id, line_offset, parser_version, flags, time,"
                " is_email) VALUES (%s, %s, 1, 0, '2026-01-01', 0)",
                key,
            )
            cursor.execute("INSERT INTO rejected_log VALUES (%s, %s, 1, 0, 'format')", key)

        outcome = warehouse.store(batch)

    assert outcome.stored == {"clean_log": 2, "rejected_log": 2}


def test_consumers_that_overlap_neither_deadlock_for_good_nor_double(
    deployment: Deployment,
) -> None:
    """The same slices, in different order and at the same time, end up as one row a line."""
    slices = [
        parsed(*(LINE % b"%d/%d" % (part, n) for n in range(50)), position=part * 100_000)
        for part in range(20)
    ]

    def add_all(order: list[Parsed], name: str) -> Outcome:
        with closing(Session(deployment.mysql, name)) as session:
            warehouse = Warehouse(session)
            total = Outcome()
            for start in range(0, len(order), 4):
                patient = tenacity.Retrying(
                    retry=tenacity.retry_if_exception_type(Unavailable),
                    stop=tenacity.stop_after_attempt(10),
                    reraise=True,
                )
                total += patient(warehouse.store, order[start : start + 4])
            return total

    with ThreadPoolExecutor() as pool:
        orders = [slices, slices[::-1], slices[10:] + slices[:10]]
        outcomes = list(pool.map(add_all, orders, ["one", "two", "three"]))

    assert len(places_of_all(deployment)) == 1_000
    assert sum(outcome.stored["clean_log"] for outcome in outcomes) == 1_000
    assert sum(outcome.duplicates for outcome in outcomes) == 2_000


def places_of_all(deployment: Deployment) -> list[tuple[int, int]]:
    """Return the keys of clean_log and rejected_log, one by one."""
    return [
        (stream, offset)
        for stream, offset in deployment.query(
            "SELECT stream_id, line_offset FROM clean_log UNION ALL"
            " SELECT stream_id, line_offset FROM rejected_log"
        )
    ]


def test_the_flat_view_for_a_proxy_line(deployment: Deployment, warehouse: Warehouse) -> None:
    """The view shows every part of a line of the proxy format under its name."""
    line = (
        b"192.0.2.7 s3ss10n Ana@Example.org [29/Feb/2024:23:59:58 -0130] "
        b'"GET http://www.Example.com:8080/a/b?c=d HTTP/1.1" 404 1234567 -'
    )

    warehouse.store([parsed(line, position=5, stream=PROXY)])

    assert flat(deployment) == {
        "id": "0000000000000007-5",
        "timestamp": datetime(2024, 3, 1, 1, 29, 58),  # noqa: DTZ001 - the database's are UTC
        "year": 2024,
        "month": 3,
        "day": 1,
        "day_of_week": "Friday",
        "time": timedelta(hours=1, minutes=29, seconds=58),
        "ip": "192.0.2.7",
        "country": None,
        "city": None,
        "session": "s3ss10n",
        "user": "Ana@Example.org",
        "is_email": 1,
        "email_domain": "example.org",
        "rest_method": "GET",
        "url": "http://www.Example.com:8080/a/b?c=d",
        "schema": "http",
        "host": "www.example.com",
        "rest_version": "HTTP/1.1",
        "status": 404,
        "status_verbose": "Not Found",
        "size_bytes": 1234567,
        "size_kilo_bytes": 1234567 / 1024,
        "size_mega_bytes": 1234567 / 1024**2,
        "path": "/a/b",
        "query": "c=d",
        "file_type": None,
        "request_time": None,
        "browser": None,
        "system": None,
        "is_bot": None,
        "referrer_host": None,
        "log_path": "/var/log/proxy.log",
    }


def test_the_flat_view_divides_sizes_exactly(deployment: Deployment, warehouse: Warehouse) -> None:
    """A kilobyte is 1,024 bytes, a megabyte 1,024 of these; no digit is rounded away."""
    sizes = [0, 1, 1000, 1023, 1024, 2652, 2**20 + 1, 1234567, 2**40 - 1, 2**53, 2**63 - 1]
    line = b'192.0.2.7 - - [10/Oct/2026:13:55:36 +0200] "GET / HTTP/1.1" 200 %d "-" "-"'
    warehouse.store([parsed(line % size, position=at) for at, size in enumerate(sizes)])

    rows = deployment.query(
        "SELECT size_bytes, size_kilo_bytes, size_mega_bytes, CAST(size_kilo_bytes AS CHAR),"
        " CAST(size_mega_bytes AS CHAR) FROM clean_log_flat ORDER BY size_bytes"
    )

    assert [row[:3] for row in rows] == [(size, size / 1024, size / 1024**2) for size in sizes]
    assert rows[sizes.index(2652)][3:] == ("2.58984375", "0.002529144287109375")


def test_the_flat_view_for_odd_values(deployment: Deployment, warehouse: Warehouse) -> None:
    """What is no address or no request is shown as far as it goes."""
    line = b'client.example.net - - [10/Oct/2026:13:55:36 +0200] "\\x16\\x03" 499 - "-" "-"'

    warehouse.store([parsed(line)])

    row = flat(deployment)
    assert (row["ip"], row["status_verbose"]) == ("client.example.net", "Client Closed Request")
    empty = ("session", "user", "rest_method", "url", "schema", "host", "rest_version")
    assert [row[name] for name in (*empty, "size_bytes", "size_kilo_bytes")] == [None] * 9
    (extra,) = deployment.query("SELECT extra FROM clean_log")[0]
    assert json.loads(extra) == {"client": "client.example.net", "request": "\x16\x03"}


def test_the_flat_view_for_ipv6(deployment: Deployment, warehouse: Warehouse) -> None:
    """An address of 16 bytes is shown as text."""
    warehouse.store([parsed((LINE % b"x").replace(b"192.0.2.7", b"2001:DB8:0:0::7"))])

    assert flat(deployment)["ip"] == "2001:db8::7"


def flat(deployment: Deployment) -> dict[str, object]:
    """Return the only row of the view, by column."""
    names = [
        name
        for (name,) in deployment.query(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = %s"
            " AND table_name = 'clean_log_flat' ORDER BY ordinal_position",
            deployment.mysql.database,
        )
    ]
    (row,) = deployment.query("SELECT * FROM clean_log_flat")
    values = (float(v) if type(v).__name__ == "Decimal" else v for v in row)
    return dict(zip(names, values, strict=True))
