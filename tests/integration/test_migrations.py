"""The migrations, on the real server."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from clean_consumer.rows import referrer_id_of
from clean_consumer.tables import ADD_CLEAN, ADD_ERRORS
from datastream import slices
from datastream.parsing import ERROR_LIMITS, LIMITS, ErrorEvent, Event
from datastream_operator import migrate
from deployment import Deployment

MIGRATIONS = sorted(
    path for path in migrate.FOLDER.glob("*.sql") if not path.name.endswith(".rollback.sql")
)
NAMES = [path.stem for path in MIGRATIONS]
YOYO = {"_yoyo_log", "_yoyo_migration", "_yoyo_version", "yoyo_lock"}
IDENTITY = ["stream_id", "line_offset", "parser_version", "flags"]


def tables(deployment: Deployment) -> set[str]:
    """Return the names of tables, views and procedures, but for those of the migration tool."""
    rows = deployment.query(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = %s UNION ALL"
        " SELECT routine_name FROM information_schema.routines WHERE routine_schema = %s",
        *[deployment.mysql.database] * 2,
    )
    return {row[0] for row in rows} - YOYO


def columns(deployment: Deployment, table: str) -> list[tuple[str, int | None]]:
    """Return the columns of a table in order, each with its limit in characters."""
    return [
        (name, limit)
        for name, limit in deployment.query(
            "SELECT column_name, character_maximum_length FROM information_schema.columns"
            " WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position",
            deployment.mysql.database,
            table,
        )
    ]


def test_all_apply_undo_and_apply_again(deployment: Deployment) -> None:
    """The schema can be made, taken away to the last table, and made again."""
    made = tables(deployment)

    again = migrate.apply(deployment.mysql)
    undone = migrate.roll_back(deployment.mysql)
    left = tables(deployment)
    redone = migrate.apply(deployment.mysql)

    assert again == []
    assert undone == NAMES[::-1]
    assert left == set()
    assert redone == NAMES
    assert tables(deployment) == made


@pytest.mark.parametrize("migration", MIGRATIONS, ids=NAMES)
def test_each_is_one_statement_with_its_rollback(migration: Path) -> None:
    """MySQL commits DDL at once: two statements could stop half-way."""
    rollback = migration.with_suffix(".rollback.sql")

    for file in (migration, rollback):
        statements = re.sub(r"--.*$", "", file.read_text(), flags=re.MULTILINE)
        assert statements.count(";") == 0
        assert re.match(r"\s*(CREATE|DROP|ALTER|INSERT|UPDATE|DELETE)\b", statements)


@pytest.mark.parametrize("number", range(len(NAMES)), ids=NAMES)
def test_a_killed_job_does_not_stand_in_the_way(
    deployment: Deployment, tmp_path: Path, number: int
) -> None:
    """Neither the lock it left nor what it made but did not note stops the next one."""
    for path in MIGRATIONS[: number + 1]:
        shutil.copy(path, tmp_path)
        shutil.copy(path.with_suffix(".rollback.sql"), tmp_path)
    migrate.roll_back(deployment.mysql)
    migrate.apply(deployment.mysql, tmp_path)
    with deployment.database.connect(deployment.mysql.database) as connection:
        cursor = connection.cursor()
        cursor.execute("DELETE FROM _yoyo_migration WHERE migration_id = %s", (NAMES[number],))
        cursor.execute("INSERT INTO yoyo_lock (locked, ctime, pid) VALUES (1, NOW(), 4711)")
        connection.commit()

    applied = migrate.apply(deployment.mysql)

    assert applied == NAMES[number:]
    assert migrate.apply(deployment.mysql) == []


def test_two_jobs_do_not_run_at_once(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one waits, and then says why it gives up."""
    monkeypatch.setattr(migrate, "LOCK_TIMEOUT", 0)
    with deployment.database.connect(deployment.mysql.database) as connection:
        connection.cursor().execute("SELECT GET_LOCK(%s, 0)", (migrate.LOCK,))

        with pytest.raises(migrate.Locked, match="another migration job"):
            migrate.apply(deployment.mysql)


def test_clean_log_has_the_fields_of_an_event(deployment: Deployment) -> None:
    """Its columns, in order, are a line's identity, the parser's fields and what is added."""
    named = {"referrer": "referrer_id", "user_agent": "user_agent_id"}
    *fields, extra = [named.get(name, name) for name in Event._fields]
    fields = [*fields, "country", "city", "asn", "file_type", extra]
    stored = columns(deployment, "clean_log")
    limits = {name: limit for name, limit in stored if name in LIMITS}
    for table in named:
        limits |= {name: limit for name, limit in columns(deployment, table) if name == table}

    assert [name for name, _ in stored] == IDENTITY + fields
    assert list(ADD_CLEAN.columns) == IDENTITY + fields
    assert limits == LIMITS


def test_error_log_has_the_fields_of_an_event(deployment: Deployment) -> None:
    """Its columns, in order, are a line's identity and the parser's fields, at their limits."""
    stored = columns(deployment, "error_log")

    assert [name for name, _ in stored] == IDENTITY + list(ErrorEvent._fields)
    assert list(ADD_ERRORS.columns) == IDENTITY + list(ErrorEvent._fields)
    assert {name: limit for name, limit in stored if name in ERROR_LIMITS} == ERROR_LIMITS


def test_a_column_that_is_left_out_is_null(deployment: Deployment) -> None:
    """As an INSERT leaves columns out that are NULL in all of its rows."""
    defaults = deployment.query(
        "SELECT TABLE_NAME, COLUMN_NAME, COLUMN_DEFAULT FROM information_schema.COLUMNS"
        " WHERE TABLE_SCHEMA = DATABASE() AND IS_NULLABLE = 'YES'"
        " AND TABLE_NAME IN ('clean_log', 'error_log', 'user_agent', 'referrer')"
    )

    assert len(defaults) > 30
    # MariaDB writes the word.
    assert [row for row in defaults if row[2] not in (None, "NULL")] == []


def test_log_stream_holds_what_a_slice_may_say(deployment: Deployment) -> None:
    """A slice is refused as none when its row would not fit: each text has the column's limit."""
    stored = {name: limit for name, limit in columns(deployment, "log_stream") if limit}

    assert stored == slices.LIMITS


def test_the_flat_view_has_its_columns(deployment: Deployment) -> None:
    """The view's names, and their order, are what boards and spreadsheets rely on."""
    names = [name for name, _ in columns(deployment, "clean_log_flat")]

    assert " ".join(names) == (
        "id timestamp year month day day_of_week time ip country city session user is_email"
        " email_domain rest_method url schema host rest_version status status_verbose size_bytes"
        " size_kilo_bytes size_mega_bytes"
    )


def test_referrers_move_into_a_table_of_their_own_and_back(
    deployment: Deployment, tmp_path: Path
) -> None:
    """Rows of an older version name theirs by the consumer's key; undone, they hold the text."""
    referrers = ["https://example.org/?q=é", "", "https://example.org/?q=é", None, "\U0001f600"]
    newer = tmp_path / "newer"
    newer.mkdir()
    for path in migrate.FOLDER.glob("*.sql"):
        if path.name > "0010":
            # What the first one depends on is not among them.
            first = path.name == "0010_create_referrer.sql"
            text = path.read_text()
            (newer / path.name).write_text(text.partition("\n")[2] if first else text)
    migrate.roll_back(deployment.mysql, newer)
    with deployment.database.connect(deployment.mysql.database) as connection:
        connection.cursor().executemany(
            "INSERT INTO clean_log (stream_id, line_offset, parser_version, flags, time, is_email,"
            " referrer) VALUES (1, %s, 1, 0, '2026-01-01', 0, %s)",
            list(enumerate(referrers)),
        )
        connection.commit()

    migrate.apply(deployment.mysql, newer)
    ids = deployment.query("SELECT referrer_id FROM clean_log ORDER BY line_offset")
    stored = deployment.query("SELECT referrer_id, referrer, host, kind FROM referrer")
    migrate.roll_back(deployment.mysql, newer)
    back = deployment.query("SELECT referrer FROM clean_log ORDER BY line_offset")

    expected = [None if text is None else referrer_id_of(text) for text in referrers]
    assert [id_ for (id_,) in ids] == expected
    assert sorted(stored) == sorted(
        (referrer_id_of(text), text, None, None) for text in set(referrers) if text is not None
    )
    assert [text for (text,) in back] == referrers
