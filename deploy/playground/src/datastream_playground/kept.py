"""The tables that a demo keeps in its folder, for commands that look at them."""

from __future__ import annotations

import configparser
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from datastream.config import Environment, MysqlSettings, Secret
from datastream_operator import interruption
from datastream_operator.place import Place
from datastream_operator.refused import EX_UNAVAILABLE, Refused
from datastream_playground.demo.running import CLIENT_FILE, NAME, write_client_settings
from datastream_playground.demo.subject import DOTENV
from datastream_playground.local.database import Database
from datastream_playground.local.errors import CannotServe, DidNotStart, FolderInUse
from datastream_playground.local.packages import ensure
from datastream_playground.local.server import secret

EX_NOINPUT = 66


@contextmanager
def kept(folder: Path) -> Iterator[Place]:
    """Yield the tables in the folder of a demo.

    Where one runs they are in its database. Otherwise a database is started on them, and stopped
    after the block. Raises Refused when there is none or it does not start, and ConfigError.
    """
    folder = folder.absolute()
    if not (folder / "database" / "data").is_dir():
        raise Refused(f"{folder} holds no tables of `demo` or `follow`", EX_NOINPUT)
    # The demo's services know no other setting, and it may have written this one.
    source = Environment.load(DOTENV).find("SOURCE")
    env = Environment({} if source is None else {"SOURCE": source})
    with interruption.interruptible():
        try:
            database = Database(folder / "database", ensure(_say))
            try:
                database.start()
            except FolderInUse:
                yield Place(_running(folder), env)
                return
        except (CannotServe, DidNotStart) as error:
            raise Refused(str(error), EX_UNAVAILABLE) from error
        try:
            yield Place(_started(folder, database), env)
        finally:
            interruption.ignore()
            database.stop()


def _started(folder: Path, database: Database) -> MysqlSettings:
    settings = MysqlSettings(
        database.host, database.port, NAME, NAME, Secret(secret(folder / "mysql_password"))
    )
    database.create(NAME, NAME, settings.password.read())
    write_client_settings(folder, settings)
    return settings


def _running(folder: Path) -> MysqlSettings:
    """Return the settings that the process left which runs the database. Raises Refused."""
    # No interpolation: a password may hold a percent sign.
    file = configparser.ConfigParser(interpolation=None)
    try:
        file.read(folder / CLIENT_FILE)
        client = file["client"]
        return MysqlSettings(
            client["host"], int(client["port"]), NAME, client["user"], Secret(client["password"])
        )
    except (configparser.Error, KeyError, ValueError) as error:
        raise Refused(
            f"the database of {folder} is being started: try again", EX_UNAVAILABLE
        ) from error


def _say(words: str) -> None:
    sys.stderr.write(f"{words}\n")
