"""No migration drops the only table that has the lines, whatever was cut short before it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pymysql.cursors import Cursor

from datastream_operator import migrate
from datastream_operator.refused import Refused

DROPS = {
    "raw_line": "0025_drop_raw_line.sql",
    "raw_packed": "0024_rename_raw_line_to_raw_packed.rollback.sql",
}


def run(monkeypatch: pytest.MonkeyPatch, statement: str, *tables: str) -> list[str]:
    """Run a statement where these tables are; return what reached the server."""
    sent: list[str] = []
    monkeypatch.setattr(Cursor, "execute", lambda _self, query, _args=None: sent.append(query))
    monkeypatch.setattr(migrate, "_present", lambda _cursor: {("table", name) for name in tables})
    migrate._Cursor(None).execute(statement)  # type: ignore[arg-type]  # noqa: SLF001
    return sent


@pytest.mark.parametrize("table", DROPS)
def test_the_only_table_with_the_lines_is_not_dropped(
    monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    """As a job leaves it that was killed before it noted a step, where the other way is gone."""
    statement = (migrate.FOLDER / DROPS[table]).read_text()

    with pytest.raises(Refused, match=f"{table} was not dropped: it alone has the lines"):
        run(monkeypatch, statement, table, "log_stream")


@pytest.mark.parametrize("table", DROPS)
@pytest.mark.parametrize("tables", [("raw_line", "raw_packed"), ()])
def test_a_copy_is_dropped(
    monkeypatch: pytest.MonkeyPatch, table: str, tables: tuple[str, ...]
) -> None:
    """And one that is gone already stops nothing."""
    statement = (migrate.FOLDER / DROPS[table]).read_text()

    assert run(monkeypatch, statement, *tables) == [statement]


def test_no_other_table_of_lines_is_dropped_on_the_way() -> None:
    """Each statement that drops one of the names between the two schemas is watched."""
    paths: list[Path] = sorted(migrate.FOLDER.glob("00[23]*.sql"))
    dropped = [
        found[1] for path in paths if (found := migrate.DROPPED_TABLE.search(path.read_text()))
    ]

    assert sorted(set(dropped) & {"raw_line", "raw_packed", "raw_pack", "raw_log"}) == sorted(DROPS)
