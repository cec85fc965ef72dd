"""Which tables a command looks at: those of the settings, or those that a demo keeps."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from datastream.arguments import add_config
from datastream.config import ConfigError, Environment, MysqlSettings
from datastream_operator.refused import EX_USAGE, Refused

#: The package that knows the folders of the demo, where it is installed.
PLAYGROUND = "datastream_playground"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the tables are, and the settings of what filled them."""

    mysql: MysqlSettings
    env: Environment


def add_folder(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments by which a person names the folder of a demo, or a file of settings."""
    add_config(parser)
    parser.add_argument(
        "--folder",
        type=Path,
        metavar="FOLDER",
        help="the tables that `demo` and `follow` keep there (.run/demo), whether one runs now or "
        "not; no setting counts then (default: the tables of the settings)",
    )


@contextmanager
def place_of(arguments: argparse.Namespace, account: str) -> Iterator[Place]:
    """Yield the place that a person named, as an account (`OPERATOR`, `READER`).

    For a demo that has ended, its database runs during the block. Raises ConfigError, and Refused
    when a demo's database cannot be had.
    """
    folder: Path | None = arguments.folder
    if folder is None:
        env = Environment.load(config=arguments.config)
        yield Place(_settings(env, account), env)
        return
    if find_spec(PLAYGROUND) is None:
        raise Refused("--folder is of a checkout, where `make venv` installs the demo", EX_USAGE)
    with import_module(f"{PLAYGROUND}.kept").kept(folder) as place:
        yield place


def _settings(env: Environment, account: str) -> MysqlSettings:
    # The operator reads everything, and may be the only account here that does.
    has_own = env.find(f"{account}_MYSQL_USER") is not None
    try:
        return MysqlSettings.read(env, account if has_own else "OPERATOR")
    except ConfigError as error:
        if find_spec(PLAYGROUND) is None:
            raise
        raise ConfigError(f"{error}; for the tables of `make demo`: --folder .run/demo") from error
