"""Rows by LOAD DATA and by INSERT into a real database: the same rows, or the same refusal."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clean_consumer.tables import TABLES, LineTable
from contract.fake_database import COLUMNS
from datastream import loading
from datastream.errors import RowRefused, Unavailable
from datastream.mysql import Session
from deployment import Deployment
from faults.installation import run_sql

#: Whole numbers: the least and the greatest of each type.
WHOLE = {"tinyint": 8, "smallint": 16, "int": 32, "bigint": 64}
#: What has a meaning in the text of a LOAD DATA, in SQL, or in UTF-8.
ODD_TEXTS = st.sampled_from(
    ["\\N", "\\", "\\\\N", "\t", "\n", "\r\n", "\0", "\x1a", "\x1f", "'", '"', "NULL", "", "\\t\\n"]
)
TEXTS = (
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
    | ODD_TEXTS
    | st.lists(ODD_TEXTS, max_size=4).map("".join)
)
JSON = st.dictionaries(
    TEXTS,
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
        max_leaves=4,
    ),
    max_size=3,
)
TIMES = st.integers(0, 4_102_444_800_000).map(
    lambda ms: f"{datetime.fromtimestamp(ms // 1000, UTC):%Y-%m-%d %H:%M:%S}.{ms % 1000:03}"
)


def fitting(name: str, kind: str) -> st.SearchStrategy[Any]:
    """Return values that a column takes."""
    word, width, unsigned, required = re.fullmatch(  # type: ignore[union-attr]
        r"(\w+?)(?:\((\d+)(?:,\d+)?\))?( unsigned)?( not null)?", kind
    ).groups()
    values: st.SearchStrategy[Any]
    if name in ("stream_id", "line_offset"):  # few, so that some are there already
        values = st.integers(0, 3) | st.just(2**64 - 1)
    elif name.startswith("is_"):
        values = st.booleans()
    elif word in WHOLE:
        values = st.integers(0, 2 ** (WHOLE[word] - (not unsigned)) - 1)
    elif word in ("varchar", "char"):
        values = TEXTS.map(lambda text: text[: int(width)]) | st.sampled_from(
            ["x" * int(width), "\U0001f600" * min(int(width), 300)]
        )
    elif word == "varbinary":
        values = st.binary(max_size=int(width))
    elif word == "datetime":
        values = TIMES
    elif word == "decimal":
        values = st.floats(0, 9_999_999.999) | st.sampled_from([0.0005, 1e-05, 0.1, 12.3456])
    else:
        values = JSON
    return values if required else st.none() | values


def unfit(kind: str) -> st.SearchStrategy[Any]:
    """Return values that a column does not take, or not as they are."""
    width = int((re.search(r"\((\d+)", kind) or [0, 0])[1])
    word = re.split(r"\W", kind)[0]
    values: dict[str, list[Any]] = {
        "varchar": ["x" * (width + 1), "x" * width + " ", "\U0001f600" * (width + 1)],
        "char": ["x" * (width + 1), "x" * width + " "],
        "varbinary": [b"x" * (width + 1), b"\\" * (width + 1)],
        "datetime": ["no time", "2026-02-30 00:00:00.000", "", "2026-01-01 00:00:00.1239999"],
        "decimal": [1e7, 1e300, -1e7],
        "json": [{"a": float("nan")}],
    }
    found = values.get(word, [-1, 2**64, 2**31, 2**32, 256, 65_536])
    return st.sampled_from([*found, None])


def row_of(table: str, *, fits: bool) -> st.SearchStrategy[tuple[Any, ...]]:
    """Return rows of a table. One that does not fit has a value that the column may not take."""
    columns = list(COLUMNS[table].items())
    row = st.tuples(*(fitting(name, kind) for name, kind in columns))
    if fits:
        return row
    return st.builds(
        lambda values, change: (*values[: change[0]], change[1], *values[change[0] + 1 :]),
        row,
        st.integers(0, len(columns) - 1).flatmap(
            lambda index: st.tuples(st.just(index), unfit(columns[index][1]))
        ),
    )


class Told:
    """Counts what is told of rows that could not go by LOAD DATA."""

    taken_back = 0

    def load_refused(self, *, is_refused: bool) -> None:
        """Fail: these servers take it."""
        assert not is_refused

    def load_taken_back(self) -> None:
        """Count it."""
        self.taken_back += 1


class Ways:
    """Both ways into the tables of a deployment."""

    def __init__(self, deployment: Deployment) -> None:
        self.told = Told()
        self._by_load = Session(deployment.mysql, "test", self.told)
        self._by_insert = Session(replace(deployment.mysql, local_infile=False), "test")

    def close(self) -> None:
        """End both sessions."""
        self._by_load.close()
        self._by_insert.close()

    def outcomes(
        self, table: LineTable, there: Sequence[tuple[Any, ...]], rows: Sequence[tuple[Any, ...]]
    ) -> list[object]:
        """Return what becomes of the table by either way: its rows, and how many are new."""
        return [
            _outcome(session, table, there, rows) for session in (self._by_insert, self._by_load)
        ]


def _outcome(
    session: Session,
    table: LineTable,
    there: Sequence[tuple[Any, ...]],
    rows: Sequence[tuple[Any, ...]],
) -> object:
    names = ", ".join(f"`{name}`" for name in COLUMNS[table.name])
    with session.transaction() as transaction:
        transaction.execute(f"DELETE FROM {table.name}")
        transaction.insert(table.insert._replace(load=None), there)
    try:
        with session.transaction() as transaction:
            new = transaction.insert(table.insert, rows)
            found = transaction.select(
                f"SELECT {names} FROM {table.name} ORDER BY stream_id, line_offset"
            )
            return new, list(found)
    except RowRefused:
        return "refused"
    except Unavailable as error:
        # A column that no row of a statement has a value for, and that must have one.
        return f"no default: {'error 1364' in str(error)}"


@pytest.fixture
def ways(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ways]:
    """Both ways; any number of rows is loaded."""
    monkeypatch.setattr(loading, "FEWEST", 1)
    with closing(Ways(deployment)) as opened:
        yield opened


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_rows_that_fit_are_the_same_by_either_way(
    ways: Ways, table: LineTable, data: st.DataObject
) -> None:
    """Every column, byte for byte; a key that is there counts none. None is sent twice."""
    row = row_of(table.name, fits=True)
    there, rows = (data.draw(st.lists(row, min_size=n, max_size=6)) for n in (0, 1))
    ways.told.taken_back = 0
    by_insert, by_load = ways.outcomes(table, there, rows)

    assert by_load == by_insert
    assert by_load not in ("refused", "no default: True")
    assert ways.told.taken_back == 0


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_rows_that_do_not_fit_are_refused_by_either_way(
    ways: Ways, table: LineTable, data: st.DataObject
) -> None:
    """Or are stored alike, where INSERT takes the value: nothing is cut, rounded or left out."""
    fits = row_of(table.name, fits=True)
    rows = data.draw(st.lists(fits, max_size=3))
    rows.insert(data.draw(st.integers(0, len(rows))), data.draw(row_of(table.name, fits=False)))
    there = data.draw(st.lists(fits, max_size=2))
    by_insert, by_load = ways.outcomes(table, there, rows)

    assert by_load == by_insert


def test_a_server_that_has_it_off_is_asked_and_believed(deployment: Deployment) -> None:
    """It says no with an error of its own number; the rows are stored all the same."""
    told: list[bool] = []

    class Observer(Told):
        def load_refused(self, *, is_refused: bool) -> None:
            told.append(is_refused)

    (table,) = (table for table in TABLES if table.name == "rejected_log")
    rows = [(1, offset, 1, 0, "format") for offset in range(loading.FEWEST)]
    run_sql(deployment.database, "SET GLOBAL local_infile = OFF")
    try:
        with (
            closing(Session(deployment.mysql, "test", Observer())) as session,
            session.transaction() as transaction,
        ):
            new = transaction.insert(table.insert, rows)
    finally:
        run_sql(deployment.database, "SET GLOBAL local_infile = ON")

    assert (new, told) == (len(rows), [True])
    assert deployment.query("SELECT COUNT(*) FROM rejected_log") == [(len(rows),)]


def test_it_takes_no_right_but_insert(deployment: Deployment) -> None:
    """The account of the clean consumer has no FILE, and no DELETE on what it may not delete."""
    name = f"{deployment.mysql.database}_l"
    schema = deployment.mysql.database
    run_sql(
        deployment.database,
        f"CREATE USER '{name}'@'%' IDENTIFIED BY 'secret'",
        f"GRANT INSERT ON `{schema}`.rejected_log TO '{name}'@'%'",
    )
    told = Told()
    (table,) = (table for table in TABLES if table.name == "rejected_log")
    rows = [(1, offset, 1, 0, "format") for offset in range(loading.FEWEST)]
    try:
        with (
            closing(Session(replace(deployment.mysql, user=name), "test", told)) as session,
            session.transaction() as transaction,
        ):
            assert transaction.insert(table.insert, rows) == len(rows)
    finally:
        run_sql(deployment.database, f"DROP USER '{name}'@'%'")

    assert told.taken_back == 0
