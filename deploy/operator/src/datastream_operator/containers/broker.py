"""The broker's definitions: exchanges, queues, accounts, and what each account may do.

They hold each password as a salted hash. A former hash is kept while it still fits its password, so
that the same passwords give the same text.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import sys
from dataclasses import dataclass
from typing import Any

from datastream import topology
from datastream.config import Environment
from datastream_operator.containers import database, owner

VHOST = "/"
SALT_BYTES = 4  # what RabbitMQ's hash has

EVERYTHING = ".*"
NOTHING = "^$"


@dataclass(frozen=True, slots=True)
class Rights:
    """What an account may do in the vhost: patterns of the names it may configure, write, read."""

    configure: str = NOTHING
    write: str = NOTHING
    read: str = NOTHING
    #: The routing keys it may publish to the exchange of the slices; None: not restricted.
    keys: str | None = None
    tags: tuple[str, ...] = ()


def _only(name: str) -> str:
    return f"^{name.replace('.', '[.]')}$"


def _consumer(queue: str) -> Rights:
    return Rights(read=_only(queue), write=_only(topology.DEAD_LETTER_EXCHANGE))


#: Every account that `make deploy` makes, and the prefix of its setting.
ACCOUNTS = {
    "producer": Rights(
        configure=f"^{topology.PRODUCER_LOCK}[.]",
        write=_only(topology.EXCHANGE),
        keys=f"^({topology.LAKE_KEY}|{topology.CLEAN_KEY})[.].+",
    ),
    "lake": _consumer(topology.LAKE_QUEUE),
    "clean": _consumer(topology.CLEAN_QUEUE),
    "operator": Rights(EVERYTHING, EVERYTHING, EVERYTHING, tags=("monitoring", "policymaker")),
}
#: The account that .env names is the person's own. By the second tag `make deploy` finds one that
#: .env no longer names.
OWNER = Rights(EVERYTHING, EVERYTHING, EVERYTHING, tags=("administrator", "datastream-owner"))


def run(env: Environment) -> None:
    """Print the definitions for the passwords of the settings.

    Raises ConfigError, for the database's accounts too: nothing is changed yet.
    """
    database.schema(env)
    owner.read(env, "MYSQL", database.TAKEN)
    passwords = {name: env.text(f"{name.upper()}_RABBIT_PASSWORD") for name in ACCOUNTS}
    rights = dict(ACCOUNTS)
    person = owner.read(env, "RABBIT", ACCOUNTS)
    if person is not None:
        name, password = person
        rights[name], passwords[name] = OWNER, password
    former = sys.stdin.read()
    definitions = render(rights, passwords, json.loads(former) if former.strip() else {})
    sys.stdout.write(json.dumps(definitions, indent=1) + "\n")


def render(
    rights: dict[str, Rights], passwords: dict[str, str], former: dict[str, Any]
) -> dict[str, Any]:
    """Return the definitions, as RabbitMQ loads them."""
    hashes = {user["name"]: user["password_hash"] for user in former.get("users", [])}
    return {
        "vhosts": [{"name": VHOST}],
        "users": [
            {
                "name": name,
                "password_hash": kept_or_new(hashes.get(name), passwords[name]),
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": list(right.tags),
            }
            for name, right in rights.items()
        ],
        "permissions": [
            {
                "user": name,
                "vhost": VHOST,
                "configure": right.configure,
                "write": right.write,
                "read": right.read,
            }
            for name, right in rights.items()
        ],
        "topic_permissions": [
            {
                "user": name,
                "vhost": VHOST,
                "exchange": topology.EXCHANGE,
                "write": right.keys,
                "read": NOTHING,
            }
            for name, right in rights.items()
            if right.keys is not None
        ],
        "exchanges": [
            {
                "name": name,
                "vhost": VHOST,
                "type": kind,
                "durable": True,
                "auto_delete": False,
                "internal": False,
                "arguments": {},
            }
            for name, kind in topology.EXCHANGES.items()
        ],
        "queues": [
            {
                "name": queue.name,
                "vhost": VHOST,
                "durable": True,
                "auto_delete": False,
                "arguments": queue.arguments,
            }
            for queue in topology.QUEUES
        ],
        "bindings": [
            {
                "source": queue.exchange,
                "vhost": VHOST,
                "destination": queue.name,
                "destination_type": "queue",
                "routing_key": queue.binding_key,
                "arguments": {},
            }
            for queue in topology.QUEUES
        ],
    }


def hashed(password: str, salt: bytes) -> str:
    """Return RabbitMQ's hash of a password: its salt, and the SHA-256 of salt and password."""
    digest = hashlib.sha256(salt + password.encode()).digest()
    return base64.b64encode(salt + digest).decode("ascii")


def kept_or_new(former: str | None, password: str) -> str:
    """Return the former hash while it fits the password, else one with a new salt."""
    if former is not None:
        salt = base64.b64decode(former)[:SALT_BYTES]
        if hmac.compare_digest(former, hashed(password, salt)):
            return former
    return hashed(password, secrets.token_bytes(SALT_BYTES))
