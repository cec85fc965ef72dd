"""The migrations, on the real server."""

from __future__ import annotations

import argparse
import io
import re
import shutil
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from clean_consumer.rows import referrer_id_of
from clean_consumer.tables import INSERT_CLEAN, INSERT_ERRORS
from datastream import slices
from datastream.errors import Unavailable
from datastream.mysql import Session
from datastream.parsing import ERROR_LIMITS, LIMITS, ErrorEvent, Event
from datastream.slices import Slice
from datastream.streams import Stream
from datastream_operator import migrate
from datastream_operator.refused import Refused
from deployment import Deployment
from faults.installation import run_sql
from lake_consumer.store import Lake

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


def emptied(deployment: Deployment) -> None:
    """Take everything from the schema, without the work of taking each migration back."""
    schema = deployment.mysql.database
    anew = f"CREATE DATABASE {schema} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
    run_sql(deployment.database, f"DROP DATABASE {schema}", anew)


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
    emptied(deployment)
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
    assert list(INSERT_CLEAN.columns) == IDENTITY + fields
    assert limits == LIMITS


def test_error_log_has_the_fields_of_an_event(deployment: Deployment) -> None:
    """Its columns, in order, are a line's identity and the parser's fields, at their limits."""
    stored = columns(deployment, "error_log")

    assert [name for name, _ in stored] == IDENTITY + list(ErrorEvent._fields)
    assert list(INSERT_ERRORS.columns) == IDENTITY + list(ErrorEvent._fields)
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

    assert stored == slices.HEADER_LIMITS


def test_the_flat_view_has_its_columns(deployment: Deployment) -> None:
    """The view's names, and their order, are what boards and spreadsheets rely on."""
    names = [name for name, _ in columns(deployment, "clean_log_flat")]

    assert " ".join(names) == (
        "id timestamp year month day day_of_week time ip country city session user is_email"
        " email_domain rest_method url schema host rest_version status status_verbose size_bytes"
        " size_kilo_bytes size_mega_bytes path query file_type request_time browser system is_bot"
        " referrer_host log_path"
    )


@pytest.mark.parametrize("what", ["`status`, COUNT(*)", "*"])
def test_a_query_of_the_flat_view_pays_for_what_it_names(deployment: Deployment, what: str) -> None:
    """For its own columns it looks into no other table; for all of them by the primary keys."""
    end = "ORDER BY `timestamp` DESC LIMIT 3" if what == "*" else "GROUP BY `status`"
    rows = deployment.query(f"EXPLAIN FORMAT = TRADITIONAL SELECT {what} FROM clean_log_flat {end}")

    tables = [row[2] for row in rows]

    assert tables[0] == "c"
    assert set(tables[1:]) == (set("ars") if what == "*" else set())
    assert "ALL" not in [row[3 if len(row) == 10 else 4] for row in rows if row[2] != "c"]


def test_referrers_move_into_a_table_of_their_own_and_back(
    deployment: Deployment, tmp_path: Path
) -> None:
    """Rows of an older version name theirs by the consumer's key; undone, they hold the text."""
    referrers = ["https://example.org/?q=é", "", "https://example.org/?q=é", None, "\U0001f600"]
    newer = tmp_path / "newer"
    newer.mkdir()
    for path in migrate.FOLDER.glob("*.sql"):
        if "0010" < path.name < "0022":
            # What the first one depends on is not among them.
            first = path.name == "0010_create_referrer.sql"
            text = path.read_text()
            (newer / path.name).write_text(text.partition("\n")[2] if first else text)
    migrate.roll_back(deployment.mysql, 9)
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
    migrate.roll_back(deployment.mysql, folder=newer)
    back = deployment.query("SELECT referrer FROM clean_log ORDER BY line_offset")

    expected = [None if text is None else referrer_id_of(text) for text in referrers]
    assert [id_ for (id_,) in ids] == expected
    assert sorted(stored) == sorted(
        (referrer_id_of(text), text, None, None) for text in set(referrers) if text is not None
    )
    assert [text for (text,) in back] == referrers


STREAM = Stream(2**63 + 5, "test", "host", "/var/log/access.log", "combined", 0)
EVERY_BYTE = bytes(byte for byte in range(256) if byte != 0x0A)
#: By which names a lake's lines are found, from an older schema to today's.
LAKES = {21: "raw_log", 22: "raw_line", 24: "raw_packed", 26: "raw_pack"}


def fill(deployment: Deployment) -> None:
    """Store packs, a line alone, incomplete and disguised ones, and rows of an older version."""
    lines = [EVERY_BYTE, b"", b'"\\', b"\xff\xfe", b"x" * 100_000]
    body = b"\n".join(lines)
    packed = Slice(STREAM, 0, body, len(lines), 0, 0)
    at = packed.end + 1
    hidden = Slice(STREAM, at, b"a longer one\nb", 2, slices.DISGUISED, 0, lengths=(3, 1))
    begun = Slice(STREAM, at + 10, b"beg", 1, slices.UNTERMINATED, 0)
    long = Slice(STREAM, at + 2**21, b"y" * 300_000, 1, 0, 0)
    with closing(Session(deployment.mysql, "test")) as session:
        assert Lake(session).store([packed, hidden, begun, long]).stored == {"raw_log": 9}
    for offset, flags, line in ((2**40, 0, EVERY_BYTE), (2**41, 4, b"x"), (2**42, 1, b"")):
        deployment.change(
            "INSERT INTO raw_pack (stream_id, line_offset, flags, body, stored_at)"
            " VALUES (%s, %s, %s, %s, '2026-01-01')",
            *(STREAM.stream_id, offset, flags, line),
        )


def lake_of(deployment: Deployment) -> list[tuple[object, ...]]:
    """Return every line that the view shows."""
    return deployment.query(
        "SELECT stream_id, line_offset, flags, line, stored_at FROM raw_log ORDER BY line_offset"
    )


@pytest.mark.parametrize("number", range(21, len(NAMES)))
def test_no_line_is_lost_on_the_way_to_packs_and_back(deployment: Deployment, number: int) -> None:
    """Taken back to any number and done again; the older schema has each line as a row."""
    fill(deployment)
    before = lake_of(deployment)
    whole = definition(deployment)

    migrate.roll_back(deployment.mysql, number)
    there = tables(deployment) & {*LAKES.values()}
    older = None
    if number < 24:
        (table,) = there
        line = "body" if number == 23 else "line"
        older = deployment.query(
            f"SELECT stream_id, line_offset, flags, {line}, stored_at FROM {table} ORDER BY 2"
        )
    assert LAKES[max(key for key in LAKES if key <= number)] in there
    migrate.apply(deployment.mysql)

    assert len(before) == 12
    assert older in (before, None)
    assert lake_of(deployment) == before
    assert definition(deployment) == whole


@pytest.mark.parametrize("change", ["body = LEFT(body, 100)", "body = 'x'", "codec = 7"])
def test_packs_that_the_server_cannot_unpack_are_not_taken_back(
    deployment: Deployment, change: str
) -> None:
    """They stay as they are, with every other pack."""
    fill(deployment)
    assert deployment.change(f"UPDATE raw_pack SET {change} WHERE line_count = 5") == 1
    columns = "SELECT line_offset, codec, body FROM {} ORDER BY line_offset"
    before = deployment.query(columns.format("raw_pack"))

    with pytest.raises(Unavailable, match=r"0025_drop_raw_line failed at .*(JSON|ZLIB)"):
        migrate.roll_back(deployment.mysql, 21)

    assert deployment.query(columns.format("raw_packed")) == before
    assert "raw_line" not in tables(deployment)


def cut_short(deployment: Deployment, tmp_path: Path, number: int) -> None:
    """Apply migrations up to a number, as a job that gets no further does."""
    for path in MIGRATIONS[:number]:
        shutil.copy(path, tmp_path)
        shutil.copy(path.with_suffix(".rollback.sql"), tmp_path)
    migrate.apply(deployment.mysql, tmp_path)


def test_no_line_is_lost_by_taking_back_an_upgrade_that_was_cut_short(
    deployment: Deployment, tmp_path: Path
) -> None:
    """Between two renamings the rows have one table; once the upgrade is whole it may go back."""
    fill(deployment)
    before = lake_of(deployment)
    migrate.roll_back(deployment.mysql, 21)
    cut_short(deployment, tmp_path, 24)

    with pytest.raises(Refused, match="raw_packed was not dropped: it alone has the lines"):
        migrate.roll_back(deployment.mysql, 21)

    migrate.apply(deployment.mysql)
    assert lake_of(deployment) == before
    migrate.roll_back(deployment.mysql, 21)
    assert deployment.count("raw_log") == len(before)


def test_no_line_is_lost_by_an_upgrade_after_a_way_back_that_was_cut_short(
    deployment: Deployment,
) -> None:
    """The packs are gone, which nobody noted: the rows that were made of them stay."""
    fill(deployment)
    before = lake_of(deployment)
    migrate.roll_back(deployment.mysql, 24)
    deployment.change("DROP TABLE raw_packed")

    with pytest.raises(Refused, match="raw_line was not dropped: it alone has the lines"):
        migrate.apply(deployment.mysql)

    migrate.roll_back(deployment.mysql, 23)
    migrate.apply(deployment.mysql)
    assert lake_of(deployment) == before


def test_what_is_stored_between_two_steps_back_is_not_lost(deployment: Deployment) -> None:
    """Where the lake may still write its lines are copied later; where they are, it may not."""
    fill(deployment)
    late = Slice(STREAM, 2**50, b"late\nlater", 2, 0, 0)
    refused = []
    for number in range(len(NAMES) - 1, 20, -1):
        migrate.roll_back(deployment.mysql, number)
        with closing(Session(deployment.mysql, "test")) as session:
            step = replace(late, position=late.position + number * 100)
            try:
                Lake(session).store([step])
            except Unavailable:
                refused.append(number)

    steps = len(NAMES) - 21 - len(refused)
    assert refused == [25, 24, 23, 22, 21]
    assert deployment.count("raw_log") == 12 + 2 * steps


def operator(deployment: Deployment, monkeypatch: pytest.MonkeyPatch, typed: str | None) -> None:
    """Be at a terminal and type this; None is no terminal."""
    for name, value in deployment.env().items():
        monkeypatch.setenv(name, value)
    terminal = io.StringIO(typed or "")
    monkeypatch.setattr(terminal, "isatty", lambda: typed is not None)
    monkeypatch.setattr(sys, "stdin", terminal)


def migrated(*arguments: str) -> int:
    """Run `datastream migrate` in this process."""
    parser = argparse.ArgumentParser()
    migrate.add_arguments(parser)
    return migrate.run(parser.parse_args(arguments))


@pytest.mark.parametrize("typed", [None, "", "y\n", "yes\n", "another\n"])
def test_nothing_is_taken_back_unless_the_name_of_the_database_is_typed(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, typed: str | None
) -> None:
    """Nobody to be asked, no answer or another one: every row stays, and the exit code says so."""
    deployment.change(
        "INSERT INTO raw_pack (stream_id, line_offset, flags, body) VALUES (1, 1, 0, '')"
    )
    operator(deployment, monkeypatch, typed)

    with pytest.raises(Refused, match="nothing was changed") as refused:
        migrated("--rollback", "--to", "0")

    assert refused.value.code == 1
    assert deployment.count("raw_log") == 1
    assert migrate.applied(deployment.mysql) == NAMES


def test_migrations_are_taken_back_one_or_down_to_a_number(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One without a number; those behind it with one, which itself stays; all of them with 0."""
    operator(deployment, monkeypatch, f"{deployment.mysql.database}\n")
    assert migrated("--rollback") == 0
    assert migrate.applied(deployment.mysql) == NAMES[:-1]
    assert f"Rolled back {NAMES[-1]}\n" in capsys.readouterr().out

    assert migrated("--rollback", "--to", "16", "--yes") == 0
    assert migrate.applied(deployment.mysql) == NAMES[:16]
    assert migrated("--rollback", "--to", "18", "--yes") == 0
    assert "nothing to take back" in capsys.readouterr().out

    assert migrate.apply(deployment.mysql) == NAMES[16:]
    assert migrated("--rollback", "--to", "0", "--yes") == 0
    assert tables(deployment) == set()


@pytest.mark.parametrize("to", ["", "x", "-1", "1000", "99999", "1.5", "٣"])
def test_a_number_that_no_migration_has_is_named(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, to: str
) -> None:
    """Before anything is changed."""
    operator(deployment, monkeypatch, None)

    with pytest.raises(Refused, match=f"--to is {to!r}; it must be the number") as refused:
        migrated("--rollback", f"--to={to}", "--yes")

    assert refused.value.code == 64
    assert migrate.applied(deployment.mysql) == NAMES


def test_options_of_a_rollback_alone_change_nothing() -> None:
    """`--to` without `--rollback` is not taken for a number to migrate to."""
    with pytest.raises(Refused, match="go with --rollback"):
        migrated("--to", "3")


def test_what_a_newer_version_applied_is_not_taken_back_by_this_one(deployment: Deployment) -> None:
    """It may rest on what would be taken away under it."""
    deployment.change(
        "INSERT INTO _yoyo_migration VALUES ('x', '9999_of_tomorrow', '2026-01-01 00:00:00')"
    )

    with pytest.raises(Refused, match="9999_of_tomorrow, which this version does not know"):
        migrate.roll_back(deployment.mysql)

    assert {"raw_log", "clean_log"} <= tables(deployment)


ALL_GRANTS = (
    "SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, CREATE VIEW, SHOW VIEW,"
    " CREATE ROUTINE, ALTER ROUTINE, EXECUTE"
)


def definition(deployment: Deployment) -> list[tuple[object, ...]]:
    """Return every column of every table, and every procedure."""
    return deployment.query(
        "SELECT table_name, ordinal_position, column_name, column_type, is_nullable"
        " FROM information_schema.columns WHERE table_schema = DATABASE() UNION ALL"
        " SELECT routine_name, 0, routine_definition, '', '' FROM information_schema.routines"
        " WHERE routine_schema = DATABASE() ORDER BY 1, 2"
    )


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        (
            "CREATE",
            "making the tables that note what is applied failed.*error 1142: CREATE command",
        ),
        ("ALTER", "migration 0008_.* failed.*error 1142: ALTER command"),
        ("CREATE VIEW", "migration 0006_.* failed.*error 1142: CREATE VIEW command"),
        ("CREATE ROUTINE", "migration 0007_.* failed.*error 1044: Access denied"),
        ("ALTER ROUTINE", "migration 0018_.* failed.*error 1370: alter routine command"),
        (
            "DROP",
            "migration 0014_.* failed.*error 1142: DROP command|migration 0006_.*DROP command",
        ),
        ("INSERT", "error 1142: INSERT command"),
        ("UPDATE", "migration 001[23]_.* failed.*error 1142: .*UPDATE.* command"),
    ],
)
def test_a_grant_that_is_missing_is_named_and_given_it_goes_on(
    deployment: Deployment, missing: str, words: str
) -> None:
    """In the server's words and with what to do; what is made then is what is made in one go."""
    whole = definition(deployment)
    schema = deployment.mysql.database
    account = f"'{schema}_m'@'%'"
    pattern = schema.replace("_", r"\_")
    given = ", ".join(g for g in ALL_GRANTS.split(", ") if g != missing)
    settings = replace(deployment.mysql, user=f"{schema}_m")
    run_sql(
        deployment.database,
        f"DROP DATABASE {schema}",
        f"CREATE DATABASE {schema} DEFAULT CHARACTER SET utf8mb4 DEFAULT COLLATE utf8mb4_bin",
        # A procedure's maker may alter it, unless this is off.
        "SET GLOBAL automatic_sp_privileges = OFF",
        f"CREATE USER {account} IDENTIFIED BY 'secret'",
        f"GRANT {given} ON `{pattern}`.* TO {account}",
    )
    try:
        with pytest.raises(Unavailable, match=words) as refused:
            migrate.apply(settings)
        with pytest.raises(Unavailable, match=words):
            migrate.apply(settings)
        run_sql(deployment.database, f"GRANT {missing} ON `{pattern}`.* TO {account}")
        migrate.apply(settings)
    finally:
        run_sql(
            deployment.database,
            "SET GLOBAL automatic_sp_privileges = DEFAULT",
            f"DROP USER {account}",
        )

    assert "check the grants of the account" in str(refused.value)
    assert definition(deployment) == whole


def test_the_row_format_is_not_the_servers_default(deployment: Deployment) -> None:
    """A smaller one would not hold the rows: the tables say which they have."""
    whole = definition(deployment)
    migrate.roll_back(deployment.mysql)
    run_sql(deployment.database, "SET GLOBAL innodb_default_row_format = compact")
    try:
        migrate.apply(deployment.mysql)
    finally:
        run_sql(deployment.database, "SET GLOBAL innodb_default_row_format = dynamic")

    assert definition(deployment) == whole
    assert deployment.query(
        "SELECT DISTINCT row_format FROM information_schema.tables WHERE table_schema = DATABASE()"
        " AND table_type = 'BASE TABLE' AND table_name NOT LIKE '%%yoyo%%'"
    ) == [("Dynamic",)]


def test_a_table_that_an_older_version_left_in_a_smaller_row_format(deployment: Deployment) -> None:
    """What cannot be done with it is told with the cure; with that all is exact."""
    whole = definition(deployment)
    migrate.roll_back(deployment.mysql, 13)
    run_sql(
        deployment.database,
        "SET SESSION innodb_strict_mode = OFF",
        "ALTER TABLE clean_log ROW_FORMAT = COMPACT",
        schema=deployment.mysql.database,
    )
    with pytest.raises(
        Unavailable, match=r"migration 0014_\w+ failed .*error 1118: Row size"
    ) as told:
        migrate.apply(deployment.mysql)
    assert "ROW_FORMAT = DYNAMIC by ALTER TABLE" in str(told.value)
    run_sql(
        deployment.database,
        "ALTER TABLE clean_log ROW_FORMAT = DYNAMIC",
        schema=deployment.mysql.database,
    )
    migrate.apply(deployment.mysql)

    assert definition(deployment) == whole


@pytest.mark.parametrize("tables_left", range(4))
def test_a_first_run_that_was_killed_among_the_tables_of_the_tool(
    deployment: Deployment, tables_left: int
) -> None:
    """Whichever of them are there, and in its older form, the next run goes on."""
    made = tables(deployment)
    migrate.roll_back(deployment.mysql)
    for table in ("_yoyo_version", "_yoyo_migration", "_yoyo_log", "yoyo_lock")[: 4 - tables_left]:
        deployment.change(f"DROP TABLE {table}")
    if tables_left < 3:
        deployment.change("CREATE TABLE _yoyo_migration (id VARCHAR(191) PRIMARY KEY, ctime DATE)")

    assert migrate.apply(deployment.mysql) == NAMES
    assert tables(deployment) == made


@pytest.mark.parametrize(
    "other",
    [
        "TABLE raw_log (id INT PRIMARY KEY, message TEXT)",
        "TABLE clean_log (stream_id INT)",
        "TABLE rejected_log (id INT)",
        "TABLE user_agent (id INT, user_agent TEXT)",
        "TABLE referrer (referrer_id INT)",
        "TABLE log_stream (id INT)",
        "TABLE error_log (id INT, time DATETIME, message TEXT)",
        "TABLE clean_log_flat (id INT)",
        "VIEW raw_log AS SELECT 1 AS stream_id",
        "VIEW clean_log_flat AS SELECT 1 AS id",
        "PROCEDURE complete_line(IN number INT) SELECT number",
    ],
)
def test_a_table_of_another_program_is_not_taken_for_ours(
    deployment: Deployment, other: str
) -> None:
    """It is named and left as it is, and nothing is made beside it."""
    emptied(deployment)
    kind, name = re.split(r"[ (]", other)[:2]
    deployment.change(f"CREATE {other}")
    before = definition(deployment)

    with pytest.raises(Refused, match=f"has the {kind.lower()} {name} of another program"):
        migrate.apply(deployment.mysql)

    assert definition(deployment) == before
    assert deployment.operate("migrate").returncode == 1
    deployment.change(f"DROP {kind} {name}")
    assert migrate.apply(deployment.mysql) == NAMES


def test_what_each_migration_makes_is_read_as_the_server_makes_it(deployment: Deployment) -> None:
    """By its columns a table is told as ours: those that the text names are those there are."""
    migrate.roll_back(deployment.mysql)
    checked = []
    for number, path in enumerate(MIGRATIONS, 1):
        made = migrate.Made.by(path.read_text(encoding="utf-8"))
        if made is None or made.kind == "procedure":
            continue
        migrate.apply(deployment.mysql, only(MIGRATIONS[:number], deployment.folder))
        assert made.columns == {name for name, _ in columns(deployment, made.name)}
        checked.append(made.name)

    # raw_pack is the table that 0001 makes, under its later name.
    assert sorted({*checked}) == sorted(tables(deployment) - {"complete_line", "raw_pack"})


def only(migrations: list[Path], folder: Path) -> Path:
    """Return a folder that has these migrations alone."""
    target = folder / str(len(migrations))
    target.mkdir()
    for path in migrations:
        shutil.copy(path, target)
        shutil.copy(path.with_suffix(".rollback.sql"), target)
    return target
