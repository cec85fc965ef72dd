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
from typing import Any

from datastream import known, topology
from datastream.config import Environment, refuse_misspelt
from datastream_operator.accounts.database import schema
from datastream_operator.accounts.rights import BROKER, EVERYTHING, NOTHING, BrokerRights
from datastream_operator.containers import database, owner

VHOST = "/"
SALT_BYTES = 4  # what RabbitMQ's hash has

#: The account that .env names is the person's own. By the second tag `make deploy` finds one that
#: .env no longer names.
OWNER = BrokerRights(EVERYTHING, EVERYTHING, EVERYTHING, tags=("administrator", "datastream-owner"))


def run(env: Environment) -> None:
    """Print the definitions for the passwords of the settings.

    Raises ConfigError, for the database's accounts too, and for a name that is misspelt in `.env`:
    nothing is changed yet. WRITTEN_SETTINGS is the names there, which no container sees by itself.
    """
    written = env.find("WRITTEN_SETTINGS") or ""
    refuse_misspelt("in .env", known.meant_in_file(written.split()))
    schema(env)
    owner.read(env, "MYSQL", database.TAKEN)
    passwords = {name: env.text(f"{name.upper()}_RABBIT_PASSWORD") for name in BROKER}
    rights = dict(BROKER)
    person = owner.read(env, "RABBIT", BROKER)
    if person is not None:
        name, password = person
        rights[name], passwords[name] = OWNER, password
    former = sys.stdin.read()
    definitions = render(rights, passwords, json.loads(former) if former.strip() else {})
    sys.stdout.write(json.dumps(definitions, indent=1) + "\n")


def render(
    rights: dict[str, BrokerRights], passwords: dict[str, str], former: dict[str, Any]
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
