"""The names of all settings, and which of them was meant where a name is none.

Each service reads a part of them, and `.env` is for all: so every one knows the others' names.
Tests compare them with what the code asks for, with `.env.example` and with deploy/bin.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

_SETTINGS = """
    SOURCE LOG_PATH ROTATED_DIR FORMAT ONCE STATE_DIR
    MAX_SLICE_LINES MAX_SLICE_BYTES MAX_LINE_BYTES
    ENRICH GEOIP_DIR SITE_HOSTS
    PRIVACY_ADDRESSES PRIVACY_KEY PRIVACY_QUERIES PRIVACY_BEFORE
    RABBIT_HOST RABBIT_PORT RABBIT_VHOST RABBIT_MANAGEMENT_URL RABBIT_USER RABBIT_PASSWORD
    PRODUCER_RABBIT_USER PRODUCER_RABBIT_PASSWORD LAKE_RABBIT_USER LAKE_RABBIT_PASSWORD
    CLEAN_RABBIT_USER CLEAN_RABBIT_PASSWORD OPERATOR_RABBIT_USER OPERATOR_RABBIT_PASSWORD
    ADMIN_RABBIT_USER ADMIN_RABBIT_PASSWORD
    RABBIT_TLS RABBIT_TLS_CA RABBIT_TLS_CERT RABBIT_TLS_KEY RABBIT_TLS_VERIFY
    MYSQL_HOST MYSQL_PORT MYSQL_DATABASE MYSQL_USER MYSQL_PASSWORD
    LAKE_MYSQL_USER LAKE_MYSQL_PASSWORD CLEAN_MYSQL_USER CLEAN_MYSQL_PASSWORD
    OPERATOR_MYSQL_USER OPERATOR_MYSQL_PASSWORD MIGRATOR_MYSQL_USER MIGRATOR_MYSQL_PASSWORD
    READER_MYSQL_USER READER_MYSQL_PASSWORD
    MYSQL_ROOT_PASSWORD ADMIN_MYSQL_USER ADMIN_MYSQL_PASSWORD
    MYSQL_TLS MYSQL_TLS_CA MYSQL_TLS_CERT MYSQL_TLS_KEY MYSQL_TLS_VERIFY
    METRICS_HOST METRICS_PORT LOG_LEVEL
"""
_DEPLOYMENT = """
    LOG_DIR LOG_GID WEB_HOST RABBIT_MANAGEMENT_PORT PROMETHEUS_PORT GRAFANA_PORT
    MYSQL_MEMORY MYSQL_BUFFER_POOL GRAFANA_MYSQL_PASSWORD EXPORTER_MYSQL_PASSWORD
    PYTHON_IMAGE RABBITMQ_IMAGE MYSQL_IMAGE PROMETHEUS_IMAGE MYSQLD_EXPORTER_IMAGE GRAFANA_IMAGE
    ALERTMANAGER_IMAGE NGINX_IMAGE DATASTREAM_IMAGES DATASTREAM_VERSION DATASTREAM_REVISION
    RABBITMQ_CONFIGURATION MYSQL_CONFIGURATION PROMETHEUS_CONFIGURATION GRAFANA_CONFIGURATION
    ALERTMANAGER_CONFIGURATION ALERT_WEBHOOK ALERTMANAGER_URL CLEAN_CONSUMERS
    SECRETS_DIR WITHOUT SMALL TRAFFIC_RATE DEMO_USER CONTAINERS WRITTEN_SETTINGS ENV_FILE
    DATASTREAM_CONFIG
"""
#: What the services and the command `datastream` read. Each may be in a file: NAME_FILE.
SETTINGS = frozenset(_SETTINGS.split())
#: What the containers and the scripts of deploy/bin read beside those, and what names the files.
DEPLOYMENT = frozenset(_DEPLOYMENT.split())
_FILES = frozenset(f"{name}_FILE" for name in SETTINGS | DEPLOYMENT)
#: Docker's own, which may stand in `.env` as well.
_OF_DOCKER = ("COMPOSE_", "DOCKER_")

#: A known name with fewer letters is near too many others.
_SHORTEST = 5
#: Letters from which on a name in `.env` may have two faults.
_LONG = 8
#: What people write for a part of a name.
_WORDS = {
    "USERNAME": "USER",
    "HOSTNAME": "HOST",
    "PASS": "PASSWORD",
    "PASSWD": "PASSWORD",
    "PWD": "PASSWORD",
    "DB": "DATABASE",
    "RABBITMQ": "RABBIT",
}
#: Last words that are two letters apart, but no misspellings of each other.
_APART = ("HOST", "PORT")
#: Words that any program may use.
_ORDINARY = frozenset({"FORMATS", "SOURCES"})
#: Those that no other program is known to read with MYSQL or RABBIT before it.
_NOBODY_S = re.compile(r"(?<=_)(USER|HOST)NAME(?=_FILE$|$)")


def is_known(name: str) -> bool:
    """Return whether anything of ours reads it."""
    return name in SETTINGS or name in DEPLOYMENT or name in _FILES or name.startswith(_OF_DOCKER)


def meant_in_file(names: Iterable[str]) -> dict[str, str]:
    """Return the names in `.env` that are no settings but near one, each with that one.

    The file is ours, so that two letters may be wrong, and words are those that others use.
    """
    candidates = SETTINGS | DEPLOYMENT | _FILES
    found = {}
    for name in names:
        if is_known(name):
            continue
        spelt = "_".join(_WORDS.get(word, word) for word in name.upper().split("_"))
        meant = spelt if is_known(spelt) else _nearest(spelt, candidates, 2)
        if meant is not None:
            found[name] = meant
    return found


def meant_in_environment(
    environment: Mapping[str, str], settings: Mapping[str, str]
) -> dict[str, str]:
    """Return the variables that are no settings but near one, each with that one.

    `settings` are all that are set, here or in `.env`.
    Most variables are other programs'. One letter may be wrong; a missing underscore is none, for
    LOGLEVEL and its like are others'.
    """
    candidates = SETTINGS | {f"{name}_FILE" for name in SETTINGS}
    found = {}
    for name in environment:
        if is_known(name) or name in _ORDINARY:
            continue
        spelt = _NOBODY_S.sub(r"\1", name)
        # Where that is set as well, this one is for somebody else.
        meant = spelt if spelt in candidates and not settings.get(spelt) else None
        if meant is None:
            meant = _nearest(name, candidates, 1)
        if meant is not None and meant.replace("_", "") != name.replace("_", ""):
            found[name] = meant
    return found


def _nearest(name: str, candidates: Collection[str], edits: int) -> str | None:
    """Return the candidate that is fewest edits away, up to `edits`, or None."""
    for most in range(1, edits + 1):
        shortest = _SHORTEST if most == 1 else _LONG
        near = [
            known
            for known in candidates
            if len(known) >= shortest
            and abs(len(known) - len(name)) <= most
            and _is_within(name, known, most)
            and not _is_another_word(name, known)
        ]
        if near:
            return min(near)
    return None


def _is_another_word(name: str, known: str) -> bool:
    word = name.rpartition("_")[2]
    return word in _APART and not known.rpartition("_")[2].startswith(word)


def _is_within(one: str, other: str, edits: int) -> bool:
    """Return whether so many letters added, left out, changed or swapped make one the other."""
    same = 0
    for letter, its in zip(one, other, strict=False):
        if letter != its:
            break
        same += 1
    one, other = one[same:], other[same:]
    if not edits or one == other:
        return one == other
    return (
        _is_within(one[1:], other, edits - 1)
        or _is_within(one, other[1:], edits - 1)
        or _is_within(one[1:], other[1:], edits - 1)
        or (one[:2] == other[1::-1] and _is_within(one[2:], other[2:], edits - 1))
    )
