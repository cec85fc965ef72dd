"""Every query of every board runs on real tables as an account that can only read."""

from __future__ import annotations

from pathlib import Path

import expressions
import pymysql

from datastream_playground import sample
from deployment import Deployment


def test_every_query_returns_rows_to_an_account_that_can_only_read(
    deployment: Deployment, tmp_path: Path
) -> None:
    """Over a sample log, each panel and each variable has something to show."""
    log = tmp_path / "access.log"
    sample.write(log, 3_000, "combined", seed=5)
    deployment.start_consumers()
    deployment.publish_once(log)
    deployment.assert_settled(3_000)
    # What no line of the sample has.
    deployment.change("UPDATE clean_log SET request_time = 0.5")
    database, schema = deployment.database, deployment.mysql.database
    reader = f"r_{schema[-6:]}"
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE USER {reader} IDENTIFIED BY 'secret'")
        cursor.execute(f"GRANT SELECT ON {schema}.* TO {reader}")

    empty = []
    with (
        pymysql.connect(
            host=database.host,
            port=database.port,
            user=reader,
            password="secret",
            database=schema,
            init_command="SET time_zone = '+00:00'",
        ) as connection,
        connection.cursor() as cursor,
    ):
        for where, statement in expressions.sql():
            cursor.execute(statement)
            if not cursor.fetchall():
                empty.append(where)
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP USER {reader}")

    assert empty == []
