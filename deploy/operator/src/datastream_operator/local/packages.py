"""The programs of the private servers: where they are, and how they get here."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from datastream_operator.local.errors import CannotServe

PLACES = ("/usr/sbin", "/usr/local/sbin", "/usr/libexec", "/usr/bin", "/usr/local/bin")
# Debian's /usr/sbin/rabbitmq-server switches to another user; these do not.
RABBITMQ_SCRIPTS = (
    "/usr/lib/rabbitmq/bin/rabbitmq-server",
    "/opt/rabbitmq/sbin/rabbitmq-server",
)


@dataclass(frozen=True, slots=True)
class Programs:
    """What the private servers run."""

    rabbitmq_server: Path
    erl: Path
    epmd: Path
    database: Path


def find() -> Programs | None:
    """Return the programs, or None when one is missing."""
    rabbitmq_server = next((Path(p) for p in RABBITMQ_SCRIPTS if Path(p).exists()), None)
    erl, epmd, database = _which("erl"), _which("epmd"), _which("mariadbd") or _which("mysqld")
    if rabbitmq_server is None or erl is None or epmd is None or database is None:
        return None
    return Programs(rabbitmq_server, erl, epmd, database)


def ensure() -> Programs:
    """Return the programs, installing what is missing where that is possible."""
    programs = find()
    if programs is None:
        raise CannotServe("rabbitmq-server or mariadb-server-core is missing")
    return programs


def _which(name: str) -> Path | None:
    import os

    found = shutil.which(name, path=os.pathsep.join([*PLACES, os.environ.get("PATH", "")]))
    return Path(found) if found else None
