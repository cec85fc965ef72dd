"""The accounts of the broker: the lines of rabbitmqctl that make them, or its API. Again and again.

Neither makes exchanges or queues: `datastream topology` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from shlex import quote
from urllib.parse import quote as in_path

from datastream import refusals, topology
from datastream.config import ConfigError, Environment, RabbitSettings
from datastream_operator.accounts.rights import NOTHING, of_broker
from datastream_operator.doctor.management import Management
from datastream_operator.doctor.settings import RABBIT_SERVICES, called, has_account

#: The broker's own account: it is left as it is.
LEFT_ALONE = frozenset({"guest"})

#: What is said at the end.
DONE = "Every account has its rights"
AGAIN = (
    "There are no exchanges yet: run `datastream topology`, and then this again, for the producer's"
    " routing keys"
)


@dataclass(frozen=True)
class Account:
    """An account, and the services that use it, as their settings begin."""

    settings: RabbitSettings
    services: tuple[str, ...]


def read(env: Environment) -> list[Account]:
    """Return each account of the settings once. Raises ConfigError, also where there is none."""
    found: dict[str, Account] = {}
    for service in RABBIT_SERVICES:
        if has_account(env, service, "RABBIT"):
            settings = RabbitSettings.read(env, service)
            before = found.get(settings.user, Account(settings, ()))
            found[settings.user] = replace(before, services=(*before.services, service))
    if not found:
        RabbitSettings.read(env, "OPERATOR")
    return list(found.values())


def read_administrator(env: Environment) -> Management:
    """Return the API, with an account that may make others. Raises ConfigError."""
    if env.find("ADMIN_RABBIT_USER") is None:
        raise ConfigError(
            "ADMIN_RABBIT_USER and ADMIN_RABBIT_PASSWORD are not set. Without a password:"
            f" {refusals.MAKE_ACCOUNTS}"
        )
    return Management.read(env, RabbitSettings.read(env, "ADMIN"))


def lines(accounts: Iterable[Account], *, shows: bool) -> Iterator[str]:
    """Yield the lines of a script for a shell.

    Where not `shows`, what cannot be run stands in place of each password. It reads a password
    from its standard input: the arguments of a program are for all to see. Raises Unavailable.
    """
    # The shell has read all of it before a command can read from it.
    yield "{ set -eu"
    for account in accounts:
        user, words = account.settings.user, called(account.services)
        if user in LEFT_ALONE:
            yield f"# {user}: {words}, left as it is"
            continue
        yield f"# {user}: {words}"
        yield from _lines(account, shows=shows)
    yield "} </dev/null"


def _lines(account: Account, *, shows: bool) -> Iterator[str]:
    name, vhost = quote(account.settings.user), quote(account.settings.vhost)
    secret, rights = account.settings.password, of_broker(account.services)
    typed = f"printf '%s\\n' {quote(secret.read()) if shows else f'<{secret.setting}>'}"
    if account.settings.vhost != "/":
        yield (
            f"rabbitmqctl -q list_vhosts | grep -xF {vhost} >/dev/null ||"
            f" rabbitmqctl add_vhost {vhost}"
        )
    # The second says what is wrong where that is not that the account is there. RabbitMQ 4 lets
    # either read a password only where there is no other argument.
    yield (
        f"{typed} | rabbitmqctl add_user {name} >/dev/null 2>&1 ||"
        f" {typed} | rabbitmqctl change_password {name}"
    )
    yield f"rabbitmqctl set_user_tags {name} {' '.join(rights.tags)}".rstrip()
    patterns = " ".join(map(quote, (rights.configure, rights.write, rights.read)))
    yield f"rabbitmqctl set_permissions -p {vhost} {name} {patterns}"
    if rights.keys is not None:
        keys = f"{topology.EXCHANGE} {quote(rights.keys)} '{NOTHING}'"
        # RabbitMQ 4 refuses it where there is no such exchange.
        yield (
            f"if rabbitmqctl -q list_exchanges -p {vhost} name | grep -xF {topology.EXCHANGE}"
            f" >/dev/null; then rabbitmqctl set_topic_permissions -p {vhost} {name} {keys};"
            f" else echo {quote(AGAIN)}; fi"
        )


def apply(management: Management, accounts: Iterable[Account]) -> str:
    """Make the accounts through the API, and say what to do next. Raises Unavailable."""
    words = DONE
    vhost = in_path(management.rabbit.vhost, safe="")
    management.put(f"vhosts/{vhost}", {})
    exchanges = {exchange["name"] for exchange in management.of_vhost("exchanges")}
    for account in accounts:
        user = account.settings.user
        if user in LEFT_ALONE or user == management.rabbit.user:
            continue
        rights = of_broker(account.services)
        name, password = in_path(user, safe=""), account.settings.password.read()
        management.put(f"users/{name}", {"password": password, "tags": ",".join(rights.tags)})
        management.put(
            f"permissions/{vhost}/{name}",
            {"configure": rights.configure, "write": rights.write, "read": rights.read},
        )
        if rights.keys is None:
            continue
        if topology.EXCHANGE not in exchanges:
            words = AGAIN
        else:
            management.put(
                f"topic-permissions/{vhost}/{name}",
                {"exchange": topology.EXCHANGE, "write": rights.keys, "read": NOTHING},
            )
    return words
