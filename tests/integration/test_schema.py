"""The tables of a test are those that the migrations make."""

from __future__ import annotations

from datastream.config import MysqlSettings, Secret
from datastream_operator import migrate
from deployment import Deployment, Schema


def test_a_schema_made_anew_is_the_migrated_one(deployment: Deployment) -> None:
    """Tables, views, procedures and what is noted as applied; a migration finds nothing to do."""
    database, name = deployment.database, "migrated"
    made, migrated = (
        MysqlSettings(database.host, database.port, each, each, Secret("secret"))
        for each in ("made", name)
    )
    for settings in (made, migrated):
        database.create(settings.database, settings.user, "secret")
    try:
        applied = migrate.apply(migrated)
        schema = Schema(database, name)
        schema.make(made)
        again = Schema(database, "made")

        assert migrate.applied(made) == applied
        assert migrate.apply(made) == []
    finally:
        with database.connect() as connection, connection.cursor() as cursor:
            for settings in (made, migrated):
                cursor.execute(f"DROP DATABASE {settings.database}")
                cursor.execute(f"DROP USER {settings.user}")
    renamed = [text.replace("`made`", f"`{name}`") for text in again.statements]
    assert renamed == schema.statements
    assert len(schema.statements) > 10
    assert again.rows == schema.rows
